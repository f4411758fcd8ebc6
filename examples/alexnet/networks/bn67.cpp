#include <ctnn/models/alexnet_bn.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry bn67_network() {
    return network_entry<ctnn::AlexNetBn<10, 67>>("bn67", "AlexNetBn<10, 67>",
                                                  {.lr = 0.02, .label_smoothing = 0, .clip_norm = 1});
}

}  // namespace alexnet
