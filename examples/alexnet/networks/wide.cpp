#include <ctnn/models/alexnet_bn.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry wide_network() {
    return network_entry<ctnn::AlexNetWide<>>("wide", "AlexNetWide<>",
                                              {.lr = 0.01, .label_smoothing = 0, .clip_norm = 1, .batch_size = 16});
}

}  // namespace alexnet
