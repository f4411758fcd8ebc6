// The passes of AlexNetLrn.
#include <ctnn/models/alexnet.hpp>

#include "steps/network_steps.hpp"

namespace ctnn::inline CTNN_ISA::bench {

NetworkCase alexnet_lrn() { return network_case<AlexNetLrn<>>("AlexNetLrn", 16); }

}  // namespace ctnn::inline CTNN_ISA::bench
