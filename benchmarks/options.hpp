// What the command line of ctnn_bench says.
#pragma once

#include <string>
#include <string_view>

#include <ctnn/core/parallel.hpp>

namespace ctnn::inline CTNN_ISA::bench {

struct Options {
    int threads = default_threads();
    std::string filter;    ///< only what has this text in its name
    double seconds = 1.0;  ///< time for each figure
    int repeats = 0;       ///< runs for each figure instead, where not 0
    int batch = 128;       ///< of steps
    bool stages = false;   ///< steps: also the time of every stage
    bool serve = false;    ///< steps: answer requests on standard input
    std::string json;      ///< file for the figures; none where empty

    [[nodiscard]] bool wants(std::string_view name) const { return name.find(filter) != std::string_view::npos; }
};

}  // namespace ctnn::inline CTNN_ISA::bench
