// Settings for AlexNet with large batches by LARS: SystemDS's recommendations, and the paper's.
#pragma once

#include <string_view>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/train/settings.hpp>

namespace ctnn::inline CTNN_ISA {

/// What to train an AlexNet with; the rate of a step is scaled_lr(base_lr, batch).
struct LarsHyperparameters {
    double base_lr = 0.0;  ///< for 256 samples
    double warmup_epochs = 0.0;
    int epochs = 0;
    std::string_view warning{};  ///< what speaks against this batch, or nothing
};

/// What SystemDS recommends for a batch size, with batch norm and without it.
constexpr LarsHyperparameters lars_hyperparameters(int batch, bool batch_norm) {
    if (batch_norm) { return {0.02, 5.0, batch > 16384 ? 200 : 100, {}}; }
    return {0.01, 2.0, 100, batch > 4096 ? "batches above 4096 lose accuracy without batch norm" : ""};
}

/// The settings of You, Gitman and Ginsburg 2017 for AlexNet on ImageNet, with batch norm and without it: LARS with
/// trust coefficient 0.001, momentum 0.9 and weight decay 5e-4, a rate that falls with power 2 over 100 epochs behind 2
/// of warmup, 5 with batch norm. Throws ArgumentError for a batch that the paper has no rate for.
inline TrainerSettings lars_paper_recipe(int batch, bool batch_norm) {
    struct Row {
        int batch;
        double lr, lr_batch_norm;
    };
    constexpr Row rows[] = {{512, 2, 2}, {4096, 10, 10}, {8192, 10, 14}, {16384, 14, 23}, {32768, 14, 22}};
    for (const Row& row : rows) {
        if (row.batch != batch) { continue; }
        TrainerSettings s;
        s.optimizer = Lars{};
        s.schedule.kind = ScheduleKind::polynomial;
        s.schedule.lr = batch_norm ? row.lr_batch_norm : row.lr;
        s.schedule.epochs = 100;
        s.schedule.warmup_epochs = batch_norm ? 5.0 : 2.0;
        s.batch_size = batch;
        return s;
    }
    raise<ArgumentError>(
        {"the LARS paper has no rate for batches of ", batch, ", expected one of 512, 4096, 8192, 16384, 32768"});
}

}  // namespace ctnn::inline CTNN_ISA
