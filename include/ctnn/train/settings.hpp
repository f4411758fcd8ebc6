// Everything that decides a trainer's numbers, as one value that files can hold.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/data/split.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/lr_scale.hpp>
#include <ctnn/train/optimizer.hpp>
#include <ctnn/train/schedule.hpp>
#include <ctnn/train/setting_text.hpp>

namespace ctnn::inline CTNN_ISA {

/// All settings of a trainer that decide a run's numbers; the loader has its own. The number of threads is none.
struct TrainerSettings {
    Loss loss{};
    Optimizer optimizer{};
    Schedule schedule{};
    int batch_size = 128;
    std::uint64_t seed = 0;  ///< of dropout; the loader has its own
    /// Samples in a forward and backward pass, whose memory is all that is needed; a step adds up the gradients of its
    /// passes. 0: the batch size. Batch norm takes its statistics from a pass.
    int micro_batch = 0;
    double clip_norm =
        0.0;  ///< 0 is off; else gradients are scaled by min(1, clip_norm / (norm + 1e-6)), as in PyTorch
    double ema_decay = 0.0;            ///< of the averaged model, in [0, 1); 0 is none
    int ema_every = 1;                 ///< steps between its updates
    std::vector<LrScale> lr_scales{};  ///< frozen tensors, and others with a rate of their own
    /// Steps in a row that may be skipped because their loss or gradients are not finite, as PyTorch's GradScaler does;
    /// the next one fails. 0: the first fails.
    int skip_nonfinite = 0;
    /// Whether batch norm takes its statistics from the passes of all ranks together (torch.nn.SyncBatchNorm) instead
    /// of each rank's own, of which the running statistics are the mean. Nothing where there is one process.
    bool sync_batch_norm = false;

    /// Throws ArgumentError that names the first setting outside its range.
    void validate() const {
        std::visit([](const auto& l) { l.validate(); }, loss);
        std::visit([](const auto& o) { o.validate(); }, optimizer);
        schedule.validate();
        if (batch_size < 1) { raise<ArgumentError>({"batch size is ", batch_size, "; expected at least 1"}); }
        if (micro_batch < 0) { raise<ArgumentError>({"micro_batch is ", micro_batch, ", expected at least 0"}); }
        if (ema_every < 1) { raise<ArgumentError>({"ema_every is ", ema_every, ", expected at least 1"}); }
        if (skip_nonfinite < 0) {
            raise<ArgumentError>({"skip_nonfinite is ", skip_nonfinite, ", expected at least 0"});
        }
        detail::require_setting("trainer", "clip_norm", clip_norm);
        detail::require_setting("trainer", "ema_decay", ema_decay, 1.0);
    }
    /// Samples in a pass, of a rank where there are several.
    [[nodiscard]] int pass_size(int ranks = 1) const {
        const int share = static_cast<int>(largest_shard(static_cast<std::size_t>(batch_size), ranks));
        return micro_batch > 0 && micro_batch < share ? micro_batch : share;
    }
};

/// Whether files of ctnn have not always had this key: where it is missing, they were written with its default.
inline bool is_later_key(std::string_view key) {
    return key == "skip_nonfinite" || key == "sync_batch_norm" || key == "skipped" || key == "epoch_skipped" ||
           key == "skipped_in_a_row";
}

/// Calls f(key, value) for every setting that the loss and the optimizer at hand have, values being those that
/// setting_text knows: one list for whoever writes, reads or compares them. The kinds of loss and optimizer come before
/// their settings, so that reading in this order works.
template <class Settings, class F>
    requires std::same_as<std::remove_const_t<Settings>, TrainerSettings>
void for_each_setting(Settings& s, F&& f) {
    f("seed", s.seed);
    f("batch_size", s.batch_size);
    f("micro_batch", s.micro_batch);
    f("loss", s.loss);
    std::visit(
        [&](auto& l) {
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(l)>, CrossEntropy>) {
                f("label_smoothing", l.label_smoothing);
                f("class_weights", l.class_weights);
            }
        },
        s.loss);
    f("optimizer", s.optimizer);
    std::visit(
        [&](auto& o) {
            if constexpr (requires { o.momentum; }) { f("momentum", o.momentum); }
            if constexpr (requires { o.nesterov; }) { f("nesterov", o.nesterov); }
            if constexpr (requires { o.beta1; }) {
                f("beta1", o.beta1);
                f("beta2", o.beta2);
                f("eps", o.eps);
            }
            f("weight_decay", o.weight_decay);
            if constexpr (requires { o.decay_biases_and_norms; }) {
                f("decay_biases_and_norms", o.decay_biases_and_norms);
            }
            if constexpr (requires { o.trust_coefficient; }) {
                f("trust_coefficient", o.trust_coefficient);
                f("lr_in_velocity", o.lr_in_velocity);
            }
        },
        s.optimizer);
    f("clip_norm", s.clip_norm);
    f("ema_decay", s.ema_decay);
    f("ema_every", s.ema_every);
    f("lr_scales", s.lr_scales);
    f("skip_nonfinite", s.skip_nonfinite);
    f("sync_batch_norm", s.sync_batch_norm);
    f("schedule", s.schedule.kind);
    f("lr", s.schedule.lr);
    f("epochs", s.schedule.epochs);
    f("warmup_epochs", s.schedule.warmup_epochs);
    f("initial_lr_fraction", s.schedule.initial_lr_fraction);
    f("step_size", s.schedule.step_size);
    f("milestones", s.schedule.milestones);
    f("gamma", s.schedule.gamma);
    f("power", s.schedule.power);
    f("final_lr_fraction", s.schedule.final_lr_fraction);
    f("pct_start", s.schedule.pct_start);
    f("div_factor", s.schedule.div_factor);
    f("final_div_factor", s.schedule.final_div_factor);
    f("anneal", s.schedule.anneal);
}

}  // namespace ctnn::inline CTNN_ISA
