#include <ctnn/models/small_alexnet.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry small_winograd_network() {
    return network_entry<ctnn::SmallAlexNetWinograd>("small-winograd", "SmallAlexNetWinograd",
                                                     {.lr = 0.1, .label_smoothing = 0.1, .clip_norm = 0});
}

}  // namespace alexnet
