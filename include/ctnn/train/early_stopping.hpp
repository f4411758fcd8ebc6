// When to stop: no better epoch for some time.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

/// Whether a run's best epoch lies `patience` epochs back or more. `scores` are those of all epochs, higher ones
/// better, such as validation accuracies; one is better only if it passes the best before it by more than `min_delta`,
/// and any is better than NaN.
/// A patience of 0 never stops. Keeps no state, so that a resumed run decides by its table of epochs as an unbroken one
/// does.
inline bool stops_early(std::span<const double> scores, int patience, double min_delta = 0.0) {
    if (patience <= 0 || scores.empty()) { return false; }
    std::size_t best = 0;
    for (std::size_t i = 1; i < scores.size(); ++i) {
        if (scores[i] > scores[best] + min_delta || (std::isnan(scores[best]) && !std::isnan(scores[i]))) { best = i; }
    }
    return scores.size() - 1 - best >= static_cast<std::size_t>(patience);
}

}  // namespace ctnn::inline CTNN_ISA
