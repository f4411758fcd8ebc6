// Everything that decides a trainer's numbers, as one value that files can hold.
#pragma once

#include <cstdint>

#include <ctnn/train/loss.hpp>
#include <ctnn/train/optimizer.hpp>
#include <ctnn/train/schedule.hpp>

namespace ctnn::inline CTNN_ISA {

/// All settings of a trainer that decide a run's numbers; the loader has its own. The number of threads is none.
struct TrainerSettings {
    CrossEntropy loss{};
    Sgd optimizer{};
    Schedule schedule{};
    int batch_size = 128;
    std::uint64_t seed = 0;  ///< of dropout; the loader has its own
};

/// Calls f(key, value) for every setting, values being numbers, bools and enumerations with name() and parse_name():
/// one list for whoever writes, reads or compares them.
template <class Settings, class F>
void for_each_setting(Settings& s, F&& f) {
    f("seed", s.seed);
    f("batch_size", s.batch_size);
    f("label_smoothing", s.loss.label_smoothing);
    f("momentum", s.optimizer.momentum);
    f("nesterov", s.optimizer.nesterov);
    f("weight_decay", s.optimizer.weight_decay);
    f("decay_biases_and_norms", s.optimizer.decay_biases_and_norms);
    f("clip_norm", s.optimizer.clip_norm);
    f("schedule", s.schedule.kind);
    f("lr", s.schedule.lr);
    f("epochs", s.schedule.epochs);
    f("warmup_epochs", s.schedule.warmup_epochs);
    f("step_size", s.schedule.step_size);
    f("gamma", s.schedule.gamma);
    f("power", s.schedule.power);
    f("final_lr_fraction", s.schedule.final_lr_fraction);
    f("pct_start", s.schedule.pct_start);
    f("div_factor", s.schedule.div_factor);
    f("final_div_factor", s.schedule.final_div_factor);
    f("anneal", s.schedule.anneal);
}

}  // namespace ctnn::inline CTNN_ISA
