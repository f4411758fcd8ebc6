// What `ctnn_bench streams` measures: the loops that do little with much memory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "options.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// A loop over arrays of its own.
struct Stream {
    std::string name, pass;       ///< "forward", "backward" or "step"
    double bytes;                 ///< if every array moves once
    std::function<void()> renew;  ///< puts back what a run uses up; not timed
    std::function<void()> run;
};

/// Layers without weights as a training runs them, on batches of the family, and updates of a network's size.
std::vector<Stream> layer_streams(int threads);
std::vector<Stream> update_streams(int threads);

/// Throws ArgumentError.
void run_streams(const Options& options);

}  // namespace ctnn::inline CTNN_ISA::bench
