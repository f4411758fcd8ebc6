#include <ctnn/models/alexnet.hpp>

#include "pytorch/run.hpp"

void alexnet(const std::filesystem::path& folder);
void alexnet(const std::filesystem::path& folder) { pytorch::run<ctnn::AlexNet<1000, 227, 0.0>>(folder); }
