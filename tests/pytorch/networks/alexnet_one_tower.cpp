#include <ctnn/models/alexnet_one_tower.hpp>

#include "pytorch/run.hpp"

void alexnet_one_tower(const std::filesystem::path& folder);
void alexnet_one_tower(const std::filesystem::path& folder) {
    pytorch::run<ctnn::AlexNetOneTower<1000, 224, 0.0>>(folder);
}
