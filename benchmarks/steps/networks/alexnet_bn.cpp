// The passes of AlexNetBn.
#include <ctnn/models/alexnet_bn.hpp>

#include "steps/network_steps.hpp"

namespace ctnn::inline CTNN_ISA::bench {

NetworkCase alexnet_bn() { return network_case<AlexNetBn<>>("AlexNetBn", 16); }

}  // namespace ctnn::inline CTNN_ISA::bench
