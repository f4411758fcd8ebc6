// The convolutions that Winograd's filtering is an option for.
#include <span>

#include "kernels/layer_kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::span<const KernelCase> winograd_layers() {
    static constexpr KernelCase cases[] = {
        layer_case<"mb128ic32ih16oc64kh5ph2_winograd">("SmallAlexNet conv2, Winograd"),
        layer_case<"mb128ic64ih8oc128kh3ph1_winograd">("SmallAlexNet conv3, Winograd"),
        layer_case<"mb128ic128ih8oc128kh3ph1_winograd">("SmallAlexNet conv4, Winograd"),
        layer_case<"mb128ic128ih8oc96kh3ph1_winograd">("SmallAlexNet conv5, Winograd"),
        layer_case<"mb16ic96ih27oc256kh5ph2_winograd">("AlexNet conv2, Winograd"),
        layer_case<"mb16ic256ih13oc384kh3ph1_winograd">("AlexNet conv3, Winograd"),
        layer_case<"mb16ic384ih13oc384kh3ph1_winograd">("AlexNet conv4, Winograd"),
        layer_case<"mb16ic384ih13oc256kh3ph1_winograd">("AlexNet conv5, Winograd"),
    };
    return cases;
}

}  // namespace ctnn::inline CTNN_ISA::bench
