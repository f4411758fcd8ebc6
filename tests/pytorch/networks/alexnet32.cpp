#include <ctnn/models/alexnet32.hpp>

#include "pytorch/run.hpp"

void alexnet32(const std::filesystem::path& folder);
void alexnet32(const std::filesystem::path& folder) {
    pytorch::run<ctnn::AlexNet32For<10, ctnn::Input<3, 32, 32>, 0.0>>(folder);
}
