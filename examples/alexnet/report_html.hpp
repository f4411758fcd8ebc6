// The pages that `alexnet report` writes. They hold everything that they show, and no scripts.
#pragma once

#include <span>
#include <string>

#include "report.hpp"

namespace alexnet {

/// All that is known of a run.
std::string html_of_run(const RunReport& run);

/// Runs beside each other: curves, figures, and the settings in which they differ.
std::string html_of_runs(std::span<const RunReport> runs);

}  // namespace alexnet
