// The passes of SmallAlexNet.
#include <ctnn/models/small_alexnet.hpp>

#include "steps/network_steps.hpp"

namespace ctnn::inline CTNN_ISA::bench {

NetworkCase small_alexnet() { return network_case<SmallAlexNet>("SmallAlexNet", 128); }

}  // namespace ctnn::inline CTNN_ISA::bench
