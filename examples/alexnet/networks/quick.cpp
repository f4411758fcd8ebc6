#include <ctnn/models/quick_alexnet.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry quick_network() {
    return network_entry<ctnn::QuickAlexNet>("quick", "QuickAlexNet",
                                             {.lr = 0.2, .label_smoothing = 0.2, .clip_norm = 0});
}

}  // namespace alexnet
