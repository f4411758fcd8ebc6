// The layers of SmallAlexNet, on a batch of 128.
#include <span>

#include "kernels/layer_kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> small_alexnet_layers() {
    static constexpr KernelCase cases[] = {
        layer_case<"mb128ic3ih32oc32kh5ph2">("SmallAlexNet conv1"),
        layer_case<"mb128ic32ih16oc64kh5ph2">("SmallAlexNet conv2"),
        layer_case<"mb128ic64ih8oc128kh3ph1">("SmallAlexNet conv3"),
        layer_case<"mb128ic128ih8oc128kh3ph1">("SmallAlexNet conv4"),
        layer_case<"mb128ic128ih8oc96kh3ph1">("SmallAlexNet conv5"),
        layer_case<"mb128ic96oc10">("SmallAlexNet linear"),
    };
    return cases;
}

}  // namespace ctnn::inline CTNN_ISA::bench
