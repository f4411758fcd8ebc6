#include <ctnn/models/small_alexnet.hpp>

#include "pytorch/run.hpp"

void small_alexnet(const std::filesystem::path& folder);
void small_alexnet(const std::filesystem::path& folder) {
    pytorch::run<ctnn::SmallAlexNetFor<10, ctnn::Input<3, 32, 32>, 0.0, 0.0>>(folder);
}
