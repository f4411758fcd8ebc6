#include <ctnn/models/alexnet_one_tower.hpp>

#include "../network_of.hpp"

namespace alexnet {

NetworkEntry onetower_network() {
    return network_entry<ctnn::AlexNetOneTower<>>("onetower", "AlexNetOneTower<>",
                                                  {.lr = 0.01, .label_smoothing = 0, .clip_norm = 1, .batch_size = 16});
}

}  // namespace alexnet
