#include "charts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "html.hpp"

namespace alexnet {

namespace {

// In units of the picture.
constexpr double picture_width = 560, picture_height = 286;
namespace field {  // within the axes
constexpr double left = 58, right = 546, top = 12, bottom = 240;
}

/// From a round number to a round number.
struct Axis {
    double low = 0, high = 1, step = 1;
    double from = 0, to = 1;  // where they are in the picture

    [[nodiscard]] double at(double value) const { return from + (value - low) / (high - low) * (to - from); }
    [[nodiscard]] int ticks() const { return static_cast<int>(std::lround((high - low) / step)) + 1; }
    [[nodiscard]] double tick(int i) const { return low + i * step; }
    [[nodiscard]] std::string label(int i) const {
        const double value = std::abs(tick(i)) < step / 2 ? 0 : tick(i);
        if (step < 1e-5 || std::max(std::abs(low), std::abs(high)) >= 1e6) { return fmt::format("{:.4g}", value); }
        return fmt::format("{:.{}f}", value, step < 1 ? static_cast<int>(std::ceil(-std::log10(step) - 1e-9)) : 0);
    }
};

/// The least of 1, 2 and 5 times powers of ten that is not below `least`.
double round_step(double least) {
    const double power = std::pow(10.0, std::floor(std::log10(least)));
    for (const double times : {1.0, 2.0, 5.0}) {
        if (times * power >= least * (1 - 1e-9)) { return times * power; }
    }
    return 10 * power;
}

/// An axis that holds all values, `also` and those of the series, in about `steps` steps.
Axis axis_of(const Chart& chart, std::vector<double> Series::* member, int steps, std::vector<double> also = {}) {
    bool whole = true;
    for (const Series& series : chart.series) {
        for (const double value : series.*member) {
            if (!std::isfinite(value)) { continue; }
            also.push_back(value);
            whole = whole && std::floor(value) == value;
        }
    }
    if (also.empty()) { return {}; }
    auto [least, largest] = std::ranges::minmax(also);
    if (largest - least <= 1e-9 * std::max(std::abs(least), std::abs(largest))) {
        const double room = largest == 0 ? 1 : 0.05 * std::abs(largest);
        least -= room;
        largest += room;
    }
    const double step = std::max(round_step((largest - least) / steps), whole ? 1.0 : 0.0);
    return {
        .low = step * std::floor(least / step + 1e-9), .high = step * std::ceil(largest / step - 1e-9), .step = step};
}

std::string_view colour_class(std::size_t look) {
    static constexpr std::array<std::string_view, 6> names{"c0", "c1", "c2", "c3", "c4", "c5"};
    return names[look % names.size()];
}

/// A disc, square, diamond or triangle around (x, y), and what it says.
std::string mark(std::size_t look, double x, double y, std::string_view says = "") {
    static constexpr std::array<std::string_view, 4> shapes{"M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
                                                            "M-3-3h6v6h-6z", "M0-4.5L4.5 0L0 4.5L-4.5 0z",
                                                            "M0-4L4 3.5H-4z"};
    const std::string title = says.empty() ? "" : fmt::format("<title>{}</title>", escape_html(says));
    return fmt::format("<path class=\"m\" transform=\"translate({:.1f} {:.1f})\" d=\"{}\">{}</path>", x, y,
                       shapes[look % shapes.size()], title);
}

void add_axes(std::string& out, const Axis& x, const Axis& y, std::string_view x_name) {
    const auto text = [&](double at_x, double at_y, std::string_view classes, std::string_view label) {
        out += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", classes, at_x, at_y,
                           escape_html(label));
    };
    for (int i = 0; i < y.ticks(); ++i) {
        const double at = y.at(y.tick(i));
        out += fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>\n", field::left, at, field::right);
        text(field::left - 8, at + 4, "ty", y.label(i));
    }
    for (int i = 0; i < x.ticks(); ++i) {
        const double at = x.at(x.tick(i));
        out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {}v5\"/>\n", at, field::bottom);
        text(at, field::bottom + 19, "tx", x.label(i));
    }
    out += fmt::format("<path class=\"axis\" d=\"M{} {}H{}\"/>\n", field::left, field::bottom, field::right);
    text((field::left + field::right) / 2, picture_height - 6, "tx name", x_name);
}

/// Of a series with a point at least.
void add_series(std::string& out, const Chart& chart, const Series& series, const Axis& x, const Axis& y) {
    std::string line, marks, ring;
    bool drawn = false;
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        const bool finite = std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
        if (finite) {
            const double at_x = x.at(series.x[i]), at_y = y.at(series.y[i]);
            line += fmt::format("{}{:.1f} {:.1f}", drawn ? "L" : "M", at_x, at_y);
            const bool best = series.best == i;
            marks += mark(series.look, at_x, at_y,
                          fmt::format("{}, {} {:.4g}: {}{}", series.name, chart.x_name, series.x[i],
                                      chart.text(series.y[i]), best ? " (best)" : "")) +
                     "\n";
            if (best) {
                ring = fmt::format("<circle class=\"ring\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"7\"/>\n", at_x, at_y);
            }
        }
        drawn = finite;
    }
    // Where points are close together, marks show when one points at them.
    const std::size_t steps = series.x.size() - 1;
    const bool dense = steps > 0 && x.at(series.x.back()) - x.at(series.x.front()) < 10.0 * static_cast<double>(steps);
    out += fmt::format("<g class=\"{}{}\">\n<path class=\"line{}\" d=\"{}\"/>\n{}{}</g>\n", colour_class(series.look),
                       dense ? " dense" : "", series.dashed ? " dashed" : "", line, ring, marks);
}

}  // namespace

std::string html_swatch(std::size_t look, bool dashed) {
    return fmt::format(
        "<svg class=\"swatch {}\" viewBox=\"0 0 28 12\" width=\"28\" height=\"12\" aria-hidden=\"true\">"
        "<path class=\"line{}\" d=\"M1 6H27\"/>{}</svg>",
        colour_class(look), dashed ? " dashed" : "", mark(look, 14, 6));
}

std::string html_chart(const Chart& chart) {
    Axis x = axis_of(chart, &Series::x, 8, {0}), y = axis_of(chart, &Series::y, 5);
    x.from = field::left, x.to = field::right;
    y.from = field::bottom, y.to = field::top;
    std::string out = fmt::format("<figure class=\"chart\"><figcaption>{}</figcaption>\n", escape_html(chart.title));
    if (chart.series.size() > 1) {
        // Lines of one look belong together: a run's training and test.
        const bool pairs = chart.series[0].look == chart.series[1].look;
        out += fmt::format("<ul class=\"legend{}\">", pairs ? " pairs" : "");
        for (const Series& series : chart.series) {
            out += fmt::format("<li>{}{}</li>", html_swatch(series.look, series.dashed), escape_html(series.name));
        }
        out += "</ul>\n";
    }
    out += fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", picture_width, picture_height,
                       escape_html(chart.title));
    add_axes(out, x, y, chart.x_name);
    for (const Series& series : chart.series) { add_series(out, chart, series, x, y); }
    return out += "</svg></figure>\n";
}

}  // namespace alexnet
