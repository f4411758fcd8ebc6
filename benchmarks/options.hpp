// What the command line of ctnn_bench says.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ctnn/core/parallel.hpp>

namespace ctnn::inline CTNN_ISA::bench {

enum class Command : char { kernels, streams, steps };

struct Options {
    int threads = default_threads();
    std::string filter;                 ///< only what has this text in its name
    double seconds = 1.0;               ///< time for each figure
    int repeats = 0;                    ///< runs for each figure instead, where not 0
    std::string json;                   ///< file for the figures; none where empty
    std::vector<std::string> problems;  ///< kernels: only these layers
    std::string direction;              ///< kernels: fwd, bwd_d or bwd_w; all where empty
    bool list = false;                  ///< kernels: only say which layers there are
    int batch = 0;                      ///< steps: images in a batch instead of the network's own, where not 0
    bool stages = false;                ///< steps: also the time of every stage
    bool serve = false;                 ///< steps: answer requests on standard input

    [[nodiscard]] bool wants(std::string_view name) const { return name.find(filter) != std::string_view::npos; }
};

/// Reads the arguments behind the command. Throws ArgumentError.
Options parse_options(Command command, std::span<const char* const> arguments);

}  // namespace ctnn::inline CTNN_ISA::bench
