// The passes of SmallAlexNet with Winograd's filtering.
#include <ctnn/models/small_alexnet.hpp>

#include "steps/network_steps.hpp"

namespace ctnn::inline CTNN_ISA::bench {

NetworkCase small_alexnet_winograd() { return network_case<SmallAlexNetWinograd>("SmallAlexNetWinograd", 128); }

}  // namespace ctnn::inline CTNN_ISA::bench
