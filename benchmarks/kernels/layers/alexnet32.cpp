// The layers of AlexNet32, on a batch of 128.
#include <span>

#include "kernels/layer_kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> alexnet32_layers() {
    static constexpr KernelCase cases[] = {
        layer_case<"mb128ic3ih32oc96kh11sh4ph2">("AlexNet32 conv1"),
        layer_case<"mb128ic96ih3oc256kh5ph2">("AlexNet32 conv2"),
        layer_case<"mb128ic256ih1oc384kh3ph1">("AlexNet32 conv3"),
        layer_case<"mb128ic384ih1oc384kh3ph1">("AlexNet32 conv4"),
        layer_case<"mb128ic384ih1oc256kh3ph1">("AlexNet32 conv5"),
        layer_case<"mb128ic256oc4096">("AlexNet32 fc1"),
        layer_case<"mb128ic4096oc4096">("AlexNet32 fc2"),
        layer_case<"mb128ic4096oc10">("AlexNet32 fc3"),
    };
    return cases;
}

}  // namespace ctnn::inline CTNN_ISA::bench
