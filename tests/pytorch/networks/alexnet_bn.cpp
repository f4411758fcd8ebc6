#include <ctnn/models/alexnet_bn.hpp>

#include "pytorch/run.hpp"

void alexnet_bn(const std::filesystem::path& folder);
void alexnet_bn(const std::filesystem::path& folder) { pytorch::run<ctnn::AlexNetBn<10, 224, 0, 0.0>>(folder); }
