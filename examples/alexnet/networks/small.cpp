#include <ctnn/models/small_alexnet.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry small_network() {
    return network_entry<ctnn::SmallAlexNet>("small", "SmallAlexNet",
                                             {.lr = 0.1, .label_smoothing = 0.1, .clip_norm = 0});
}

}  // namespace alexnet
