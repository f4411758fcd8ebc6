// alexnet convert: data sets and weights in the formats of other programs.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "terminal.hpp"

namespace alexnet {

/// Adds the subcommand. What comes back runs it where it was chosen, and says whether it was. Throws ctnn::Error.
std::function<bool(Terminal&)> add_convert_command(CLI::App& app);

}  // namespace alexnet
