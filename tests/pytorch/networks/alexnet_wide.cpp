#include <ctnn/models/alexnet_bn.hpp>

#include "pytorch/run.hpp"

void alexnet_wide(const std::filesystem::path& folder);
void alexnet_wide(const std::filesystem::path& folder) { pytorch::run<ctnn::AlexNetWide<10, 224, 0, 0.0>>(folder); }
