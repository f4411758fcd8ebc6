// alexnet predict: what a network says of pictures.
#pragma once

#include <functional>
#include <optional>

#include <CLI/CLI.hpp>

#include "terminal.hpp"

namespace alexnet {

/// Adds the subcommand, whose --quiet sets `quiet`. What comes back runs it where it was chosen, and then returns the
/// exit status: 0; 1 where an image could not be read; 128 + the signal that ended it. Throws ctnn::Error.
std::function<std::optional<int>(Terminal&)> add_predict_command(CLI::App& app, bool& quiet);

}  // namespace alexnet
