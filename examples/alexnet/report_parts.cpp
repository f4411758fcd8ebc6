#include "report_parts.hpp"

#include <cmath>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include <ctnn/core/config.hpp>

#include "html.hpp"
#include "report_style.hpp"

namespace alexnet {

std::string percent(double share) { return std::isfinite(share) ? fmt::format("{:.2f} %", 100 * share) : "–"; }
std::string four_digits(double x) { return fmt::format("{:.4f}", x); }
std::string five_significant(double x) { return fmt::format("{:.5g}", x); }

std::string_view evaluated_on(const RunReport& run) { return run.settings.val_size > 0 ? "validation" : "test"; }
std::string_view network_name(const RunReport& run) {
    return run.network != nullptr ? run.network->type : std::string_view{run.settings.model};
}
const EpochRow& best_of(const RunReport& run) { return *run.folder.best_row(); }
const EpochRow& last_of(const RunReport& run) { return run.folder.rows().back(); }
double seconds_of(const RunReport& run) {
    double sum = 0;
    for (const EpochRow& row : run.folder.rows()) { sum += row.seconds; }
    return sum;
}
double images_per_second(const RunReport& run) {
    double images = 0;
    for (const EpochRow& row : run.folder.rows()) { images += row.images_per_second * row.seconds; }
    const double seconds = seconds_of(run);
    return seconds > 0 ? images / seconds : 0;
}

std::string json_html(const ctnn::Json& value) {
    const auto* const text = std::get_if<std::string>(&value.value());
    if (text == nullptr) { return escape_html(ctnn::write_json(value)); }
    return text->empty() ? "–" : escape_html(*text);
}

Series series_of(const RunReport& run, std::string name, std::size_t look, double EpochRow::* member, double times) {
    Series series{.name = std::move(name), .look = look, .dashed = false, .x = {}, .y = {}};
    for (const EpochRow& row : run.folder.rows()) {
        series.x.push_back(row.epoch);
        series.y.push_back(times * row.*member);
    }
    return series;
}

std::string percent_text(double percents) { return fmt::format("{:.2f} %", percents); }

std::string page_begin(std::string_view title) {
    return fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        // Whatever a name may smuggle in loads nothing and runs nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
        "'unsafe-inline'\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n",
        escape_html(title), report_style);
}

std::string page_end() {
    const auto [major, minor, patch] = ctnn::version;
    return fmt::format("</main>\n<footer>Made by alexnet report, ctnn {}.{}.{}</footer>\n</body>\n</html>\n", major,
                       minor, patch);
}

std::string section(std::string_view id, std::string_view title) {
    return fmt::format("<section id=\"{}\"><h2>{}</h2>\n", id, title);
}

}  // namespace alexnet
