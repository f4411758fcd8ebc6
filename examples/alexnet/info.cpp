// alexnet info: what the compiler knows of a network.
#include <string>

#include <fmt/format.h>

#include "commands.hpp"
#include "network_text.hpp"
#include "networks.hpp"

namespace alexnet {

namespace {

void print_network(const NetworkEntry& entry, int batch, int threads, Terminal& terminal) {
    const NetworkInfo info = entry.info();
    terminal.line(fmt::format("{} (--model {}), input {}", entry.type, entry.name, shape_text(info.layers[0].in.shape)),
                  Colour::bold);
    terminal.line("layer  stage  type                             output       parameters  multiply-adds", Colour::dim);
    for (std::size_t i = 0; i < info.layers.size(); ++i) {
        const ctnn::LayerInfo& layer = info.layers[i];
        terminal.line(fmt::format("{:5}  {:5}  {:<32} {:<12} {:>10}  {:>13}", i, info.stage_of(i), layer_title(layer),
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
