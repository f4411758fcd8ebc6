// alexnet scale: how long a step of several ranks takes, from one step's own times and what a network is said to do.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include <CLI/CLI.hpp>

#include "terminal.hpp"

namespace alexnet {

/// A network between machines.
struct Link {
    double bandwidth;  ///< bytes a second, each way
    double latency;    ///< seconds
};

/// Seconds in which P ranks sum so many bytes: the faster of a ring, which sends 2 (P − 1) / P of them in 2 (P − 1)
/// turns, and recursive doubling, which sends all of them in log₂ P turns (Thakur, Rabenseifner and Gropp 2005).
double all_reduce_seconds(std::size_t bytes, int ranks, const Link& link);

/// A step of one rank: what it asked the others for, and when, had nobody let it wait.
struct StepTimes {
    enum class Kind : char { starts, waits_for_all, waits_for_itself };
    struct Event {
        Kind kind;
        double at;          ///< seconds since the step began
        std::size_t bytes;  ///< of the sum, unless it waits for all
    };
    std::vector<Event> events;
    double seconds = 0;  ///< of the whole step

    [[nodiscard]] std::size_t bytes() const;
    /// Of a step of so many ranks. Sums that start go over the link one behind the other, beside the step or, where
    /// they do not overlap, when they are waited for; those that are waited for at once are small, and pass them.
    [[nodiscard]] double on(int ranks, const Link& link, bool overlap = true) const;
};

/// Adds the subcommand. What comes back runs it where it was chosen, and returns the exit status. Throws ctnn::Error.
std::function<std::optional<int>(Terminal&)> add_scale_command(CLI::App& app);

}  // namespace alexnet
