// What a program of this folder was compiled for: shapes are part of types, so a command line can only choose among
// these.
#pragma once

#include <vector>

#include "kernels/kernels.hpp"
#include "steps/steps.hpp"

namespace ctnn::inline CTNN_ISA::bench {

std::vector<KernelCase> compiled_layers();
std::vector<NetworkCase> compiled_networks();

}  // namespace ctnn::inline CTNN_ISA::bench
