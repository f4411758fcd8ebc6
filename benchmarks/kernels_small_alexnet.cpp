// The layers of SmallAlexNet, on a batch of 128.
#include "layer_kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> small_alexnet_layers() {
    static constexpr KernelCase cases[] = {
        kernel_case<convolution_stage({3, 32, 32}, 32, {5, 1, 2})>("SmallAlexNet conv1", 128),
        kernel_case<convolution_stage({32, 16, 16}, 64, {5, 1, 2})>("SmallAlexNet conv2", 128),
        kernel_case<convolution_stage({64, 8, 8}, 128, {3, 1, 1})>("SmallAlexNet conv3", 128),
        kernel_case<convolution_stage({128, 8, 8}, 128, {3, 1, 1})>("SmallAlexNet conv4", 128),
        kernel_case<convolution_stage({128, 8, 8}, 96, {3, 1, 1})>("SmallAlexNet conv5", 128),
        kernel_case<linear_stage(96, 10)>("SmallAlexNet linear", 128),
    };
    return cases;
}

}  // namespace ctnn::inline CTNN_ISA::bench
