#include <ctnn/models/alexnet.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry lrn_network() {
    return network_entry<ctnn::AlexNetLrn<>>("lrn", "AlexNetLrn<>",
                                             {.lr = 0.01, .label_smoothing = 0, .clip_norm = 1, .batch_size = 16});
}

}  // namespace alexnet
