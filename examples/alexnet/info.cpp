// alexnet info: what the compiler knows of a network.
#include <string>

#include <fmt/format.h>

#include "commands.hpp"
#include "networks.hpp"

namespace alexnet {

namespace {

std::string size_of(int y, int x) { return y == x ? fmt::format("{}", y) : fmt::format("{}x{}", y, x); }

/// "Conv2d 5, stride 2, padding 1".
std::string title(const ctnn::LayerInfo& layer) {
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

double mib(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void print_network(const NetworkEntry& entry, int batch, int threads, Terminal& terminal) {
    const NetworkInfo info = entry.info();
    terminal.line(fmt::format("{} (--model {}), input {}", entry.type, entry.name, shape_text(info.layers[0].in.shape)),
                  Colour::bold);
    terminal.line("layer  stage  type                             output       parameters  multiply-adds", Colour::dim);
    std::size_t stage = 0;
    for (std::size_t i = 0; i < info.layers.size(); ++i) {
        const ctnn::LayerInfo& layer = info.layers[i];
        while (stage + 1 < info.stages.size() && i >= info.stages[stage + 1].first) { ++stage; }
        terminal.line(fmt::format("{:5}  {:5}  {:<32} {:<12} {:>10}  {:>13}", i, stage, title(layer),
                                  shape_text(layer.out.shape), layer.parameter_count(), layer.multiply_adds));
    }
    terminal.line(fmt::format("{:5}  {:5}  {:<32} {:<12} {:>10}  {:>13}", "sum", info.stages.size(), "", "",
                              info.parameters, info.multiply_adds));
    terminal.line(
        fmt::format("multiply-adds are those of one image that meet no padding; layers of one stage run as one"));
    terminal.line(fmt::format("parameters {} bytes ({:.1f} MiB); training holds them three times: gradients, velocity",
                              info.parameter_bytes, mib(info.parameter_bytes)));
    for (const auto& [name, plan] : {std::pair{"training", info.training}, std::pair{"inference", info.inference}}) {
        const std::size_t bytes = plan.total(batch, threads);
        terminal.line(
            fmt::format("{} plan {} bytes ({:.1f} MiB) for batch {} on {} threads: {} an image, {} a thread, {} fixed",
                        name, bytes, mib(bytes), batch, threads, plan.sample, plan.thread, plan.fixed));
    }
}

}  // namespace

void print_info(const InfoRequest& request, Terminal& terminal) {
    if (!request.all) {
        print_network(find_network(request.model), request.batch_size, request.threads, terminal);
        return;
    }
    for (const NetworkEntry& entry : networks()) {
        if (&entry != networks().data()) { terminal.line(""); }
        print_network(entry, request.batch_size, request.threads, terminal);
    }
}

}  // namespace alexnet
