#include <ctnn/models/alexnet.hpp>

#include "pytorch/run.hpp"

void alexnet_lrn(const std::filesystem::path& folder);
void alexnet_lrn(const std::filesystem::path& folder) { pytorch::run<ctnn::AlexNetLrn<10, 227, 0.0>>(folder); }
