// How far a training is, and what its steps return.
#pragma once

#include <cstdint>

#include <ctnn/core/config.hpp>
#include <ctnn/train/targets.hpp>

namespace ctnn::inline CTNN_ISA {

/// Where a run stands: epochs done, batches done in the current one and their losses, steps in all. Batches and steps
/// include those that were skipped, losses do not.
struct TrainerProgress {
    int epoch = 0, batch = 0;
    std::int64_t step = 0;
    LossSum loss{};
    std::int64_t skipped = 0;  ///< steps in all
    int epoch_skipped = 0;     ///< steps of the current epoch
    int skipped_in_a_row = 0;  ///< steps since the last one that was not
    bool operator==(const TrainerProgress&) const = default;
};

/// One step, or an epoch: the sum over its steps.
struct StepResult {
    LossSum loss{};
    double lr = 0;             ///< of the last step
    double gradient_norm = 0;  ///< of the last step, before clipping; 0 unless clipping, LARS or skipping needs it
    int skipped = 0;           ///< steps that were skipped, whose loss is not counted
};

}  // namespace ctnn::inline CTNN_ISA
