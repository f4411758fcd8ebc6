#include <ctnn/models/alexnet_bn.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry bn_network() {
    return network_entry<ctnn::AlexNetBn<>>("bn", "AlexNetBn<>",
                                            {.lr = 0.01, .label_smoothing = 0, .clip_norm = 1, .batch_size = 16});
}

}  // namespace alexnet
