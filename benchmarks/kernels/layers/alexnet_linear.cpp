// The linear layers of AlexNet, on a batch of 16 and on one image.
#include <span>

#include "kernels/layer_kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> alexnet_linear_layers() {
    static constexpr KernelCase cases[] = {
        layer_case<"mb16ic9216oc4096">("AlexNet fc6"),
        layer_case<"mb16ic4096oc4096">("AlexNet fc7"),
        layer_case<"mb16ic4096oc1000">("AlexNet fc8"),
        inference_case<"mb1ic9216oc4096">("AlexNet fc6, 1 image"),
        inference_case<"mb1ic4096oc4096">("AlexNet fc7, 1 image"),
        inference_case<"mb1ic4096oc1000">("AlexNet fc8, 1 image"),
    };
    return cases;
}

}  // namespace ctnn::inline CTNN_ISA::bench
