#include <ctnn/models/alexnet.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry alexnet_network() {
    return network_entry<ctnn::AlexNet<>>("alexnet", "AlexNet<>",
                                          {.lr = 0.01, .label_smoothing = 0, .clip_norm = 1, .batch_size = 16});
}

}  // namespace alexnet
