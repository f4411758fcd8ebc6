// ctnn_bench is compiled for every layer of the family and for every network. Each list is a translation unit of its
// own, because kernels take long to compile.
#include "compiled.hpp"

#include <span>

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> small_alexnet_layers();
std::span<const KernelCase> alexnet32_layers();
std::span<const KernelCase> alexnet_convolutions();
std::span<const KernelCase> alexnet_linear_layers();
std::span<const KernelCase> winograd_layers();
NetworkCase small_alexnet();
NetworkCase small_alexnet_winograd();
NetworkCase alexnet32();
NetworkCase alexnet_lrn();
NetworkCase alexnet_bn();

std::vector<KernelCase> compiled_layers() {
    std::vector<KernelCase> all;
    for (const auto layers : {small_alexnet_layers(), alexnet32_layers(), alexnet_convolutions(),
                              alexnet_linear_layers(), winograd_layers()}) {
        all.insert(all.end(), layers.begin(), layers.end());
    }
    return all;
}

std::vector<NetworkCase> compiled_networks() {
    return {small_alexnet(), alexnet32(), alexnet_lrn(), alexnet_bn(), small_alexnet_winograd()};
}

}  // namespace ctnn::inline CTNN_ISA::bench
