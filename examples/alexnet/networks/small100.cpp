#include <ctnn/models/small_alexnet.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry small100_network() {
    return network_entry<ctnn::SmallAlexNetFor<100>>("small100", "SmallAlexNetFor<100>",
                                                     {.lr = 0.1, .label_smoothing = 0.1, .clip_norm = 0});
}

}  // namespace alexnet
