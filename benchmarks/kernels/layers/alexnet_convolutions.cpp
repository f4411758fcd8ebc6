// The convolutions of AlexNet in one tower on 227×227 images, on a batch of 16.
#include <span>

#include "kernels/layer_kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> alexnet_convolutions() {
    static constexpr KernelCase cases[] = {
        layer_case<"mb16ic3ih227oc96kh11sh4">("AlexNet conv1"),
        layer_case<"mb16ic96ih27oc256kh5ph2">("AlexNet conv2"),
        layer_case<"mb16ic256ih13oc384kh3ph1">("AlexNet conv3"),
        layer_case<"mb16ic384ih13oc384kh3ph1">("AlexNet conv4"),
        layer_case<"mb16ic384ih13oc256kh3ph1">("AlexNet conv5"),
    };
    return cases;
}

}  // namespace ctnn::inline CTNN_ISA::bench
