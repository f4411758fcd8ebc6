// The linear layers of AlexNet, on a batch of 16.
#include "layer_kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> alexnet_linear_layers() {
    static constexpr KernelCase cases[] = {
        kernel_case<linear_stage(9216, 4096)>("AlexNet fc6", 16),
        kernel_case<linear_stage(4096, 4096)>("AlexNet fc7", 16),
        kernel_case<linear_stage(4096, 1000)>("AlexNet fc8", 16),
    };
    return cases;
}

}  // namespace ctnn::inline CTNN_ISA::bench
