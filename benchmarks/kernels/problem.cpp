#include "kernels/problem.hpp"

#include <fmt/format.h>

namespace ctnn::inline CTNN_ISA::bench {

std::string problem_text(const Problem& problem) {
    const ConvolutionDims& d = problem.dims;
    const Axis &y = d.window.y, &x = d.window.x;
    std::string text = fmt::format("mb{}", problem.samples);
    const auto add = [&](std::string_view key, int value, int otherwise) {
        if (value != otherwise) { text += fmt::format("{}{}", key, value); }
    };
    add("g", d.groups, 1);
    add("ic", d.in.channels, 0);
    add("ih", d.in.height, 1);
    add("iw", d.in.width, d.in.height);
    add("oc", d.out.channels, 0);
    add("kh", y.extent, 1);
    add("kw", x.extent, y.extent);
    add("sh", y.stride, 1);
    add("sw", x.stride, y.stride);
    add("ph", y.padding, 0);
    add("pw", x.padding, y.padding);
    return text + (problem.winograd ? "_winograd" : "");
}

}  // namespace ctnn::inline CTNN_ISA::bench
