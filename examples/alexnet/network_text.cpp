#include "network_text.hpp"

#include <fmt/format.h>

namespace alexnet {

namespace {

std::string size_of(int y, int x) { return y == x ? fmt::format("{}", y) : fmt::format("{}x{}", y, x); }

}  // namespace

std::string layer_title(const ctnn::LayerInfo& layer) {
    std::string text{layer.type};
    const auto& [y, x] = layer.window;
    if (layer.kind == ctnn::LayerKind::conv2d || layer.kind == ctnn::LayerKind::max_pool2d ||
        (layer.kind == ctnn::LayerKind::avg_pool2d && !layer.adaptive)) {
        text += fmt::format(" {}", size_of(y.extent, x.extent));
        if (y.stride != 1 || x.stride != 1) { text += fmt::format(", stride {}", size_of(y.stride, x.stride)); }
        if (y.padding != 0 || x.padding != 0) { text += fmt::format(", padding {}", size_of(y.padding, x.padding)); }
    }
    if (layer.groups > 1) { text += fmt::format(", groups {}", layer.groups); }
    if (layer.winograd) { text += ", Winograd"; }
    if (layer.p > 0) { text += fmt::format(" {}", layer.p); }
    return text;
}

std::string shape_text(const ctnn::Shape& shape) {
    return shape.flat() ? fmt::format("{}", shape.channels)
                        : fmt::format("{}x{}x{}", shape.channels, shape.height, shape.width);
}

}  // namespace alexnet
