#include <ctnn/models/alexnet32.hpp>

#include "../network_of.hpp"

namespace alexnet {

/// Without batch norm the first steps must be small: clipped, and at a fifth of the other's rate.
NetworkEntry alexnet32_network() {
    return network_entry<ctnn::AlexNet32>("alexnet32", "AlexNet32", {.lr = 0.02, .label_smoothing = 0, .clip_norm = 1});
}

}  // namespace alexnet
