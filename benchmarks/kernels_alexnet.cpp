// The convolutions of AlexNet in one tower on 227×227 images, on a batch of 16.
#include "layer_kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> alexnet_convolutions() {
    static constexpr KernelCase cases[] = {
        kernel_case<convolution_stage({3, 227, 227}, 96, {11, 4, 0})>("AlexNet conv1", 16),
        kernel_case<convolution_stage({96, 27, 27}, 256, {5, 1, 2})>("AlexNet conv2", 16),
        kernel_case<convolution_stage({256, 13, 13}, 384, {3, 1, 1})>("AlexNet conv3", 16),
        kernel_case<convolution_stage({384, 13, 13}, 384, {3, 1, 1})>("AlexNet conv4", 16),
        kernel_case<convolution_stage({384, 13, 13}, 256, {3, 1, 1})>("AlexNet conv5", 16),
    };
    return cases;
}

}  // namespace ctnn::inline CTNN_ISA::bench
