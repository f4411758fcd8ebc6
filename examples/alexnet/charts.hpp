// Line charts as SVG, for a page with the style sheet of report_style.hpp.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace alexnet {

/// A line through points, of which there is one at least, with a mark on each that says its numbers where one points at
/// it. What is not finite is left out.
struct Series {
    std::string name;
    std::size_t look = 0;  ///< 0, 1, …: colour and mark, both of which repeat after 12
    bool dashed = false;
    std::vector<double> x, y;
    std::optional<std::size_t> best{};  ///< a point with a ring around it
};

struct Chart {
    std::string title, x_name;
    std::string (*text)(double y);  ///< what a mark says
    std::vector<Series> series;
};

/// A figure: title, legend of more than one series, axes with round numbers, lines. Texts are escaped here.
std::string html_chart(const Chart& chart);

/// What stands for a series in a legend.
std::string html_swatch(std::size_t look, bool dashed);

}  // namespace alexnet
