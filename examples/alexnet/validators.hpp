// Checks of numbers among the program's arguments, for which CLI11's own do not do.
#pragma once

#include <cstdint>

#include <CLI/CLI.hpp>

namespace alexnet {

/// A whole number from `least` on. CLI11's own checks answer with the largest double there is, in three hundred digits.
CLI::Validator at_least(std::int64_t least, const char* name);

/// A number in a range; to CLI11's own check, what is not a number is in every one.
CLI::Validator within(double least, double most);

}  // namespace alexnet
