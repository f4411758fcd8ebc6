// The passes of AlexNet32.
#include <ctnn/models/alexnet32.hpp>

#include "steps/network_steps.hpp"

namespace ctnn::inline CTNN_ISA::bench {

NetworkCase alexnet32() { return network_case<AlexNet32>("AlexNet32", 128); }

}  // namespace ctnn::inline CTNN_ISA::bench
