// The training loop: forward, loss, backward, update, and the progress through epochs.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>

#include <ctnn/core/error.hpp>
#include <ctnn/data/loader.hpp>
#include <ctnn/network/run.hpp>
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

/// Where a run stands: epochs done, batches done in the current one, steps in all.
struct TrainerProgress {
    int epoch = 0, batch = 0;
    std::int64_t step = 0;
    bool operator==(const TrainerProgress&) const = default;
};

/// One step, or the sum over steps.
struct StepResult {
    LossSum loss{};
    double lr = 0;             ///< of the last step
    double gradient_norm = 0;  ///< of the last step, before clipping; 0 where clipping is off
};

namespace detail {

/// Cross-entropy needs one number per class.
template <class Net>
struct LossError {
    static constexpr Sentence sentence = [] {
        Sentence text;
        constexpr Shape out = Net::output_shape;
        if (Net::description.error.empty() && !out.flat()) {  // a wrong network has said so already
            write_size(text << "CrossEntropy: the network ends in a " << out.channels << "x", out.height, out.width)
                << " map, not in one number per class; end it with Flatten and Linear<classes>";
        }
        return text;
    }();
    static constexpr std::string_view error() { return sentence.view(); }
};

}  // namespace detail

/// Trains a model that the caller owns. Everything is allocated here; a step allocates nothing.
///
/// Throws ArgumentError for settings outside their ranges.
template <Network Net, class T = float>
class Trainer {
    static_assert(sizeof(decltype(verdict<detail::LossError<Net>>(pieces_of<detail::LossError<Net>>{}))) > 0);

  public:
    Trainer(Model<Net, T>& model, const TrainerSettings& settings, int threads = default_threads())
        : model_{model}, settings_{checked(settings)}, workspace_{settings.batch_size, threads} {}
    Trainer(Model<Net, T>& model, CrossEntropy loss, Sgd optimizer, const Schedule& schedule, int batch_size = 128,
            Seed seed = {}, int threads = default_threads())
        : Trainer(model, TrainerSettings{loss, optimizer, schedule, batch_size, seed.value}, threads) {}

    /// One step on `samples` samples at `images` ([sample][row][column][channel]) with learning rate `lr`. `ids` key
    /// dropout; where they are null, the place in the batch and the step do. Throws ArgumentError for more samples than
    /// the batch size or a label that is none, NumericError, before the parameters change, when the loss or, where
    /// clipping is on, the gradient norm is not finite; batch norm's running statistics have then moved already.
    StepResult step(const T* images, std::span<const std::int32_t> labels, const std::uint32_t* ids, double lr) {
        const int samples = static_cast<int>(labels.size());
        // Samples without ids are told apart by the step, so that no two steps draw the same masks.
        const RandomKey key{settings_.seed,
                            static_cast<std::uint32_t>(ids != nullptr ? progress_.epoch : progress_.step), ids};
        const auto logits = forward(model_, images, samples, workspace_, key);
        StepResult result;
        result.lr = lr;
        result.loss = cross_entropy<T>(settings_.loss, logits, labels, Net::classes,
                                       workspace_.output_gradient(samples), workspace_.threads());
        if (!std::isfinite(result.loss.loss_sum)) { not_finite("loss", "parameter", model_.parameters()); }
        backward(model_, images, samples, workspace_, gradients_);
        result.gradient_norm = sgd_step<T>(settings_.optimizer, lr, model_.parameters().span(), gradients_.span(),
                                           velocity_.span(), Parameters<Net, T>::decayed, workspace_.threads());
        if (!std::isfinite(result.gradient_norm)) { not_finite("gradient norm", "gradient", gradients_); }
        ++progress_.step;
        return result;
    }

    /// The rest of the current epoch: the loader starts it at the batch where this trainer stands. `after_step(result)`
    /// is called with every step's result and may return false to stop; then the epoch stays unfinished.
    template <class AfterStep>
    StepResult train_epoch(BatchLoader& loader, AfterStep&& after_step) {
        StepResult total;
        loader.start_epoch(progress_.epoch, progress_.batch);
        while (const MiniBatch* batch = loader.next()) {
            const double at = progress_.epoch + static_cast<double>(progress_.batch) / loader.batches();
            const StepResult result =
                step(batch->images.data(), batch->labels, batch->ids.data(), settings_.schedule.at(at));
            ++progress_.batch;
            total.loss += result.loss;
            total.lr = result.lr;
            total.gradient_norm = result.gradient_norm;
            if (!after_step(result)) { return total; }
        }
        ++progress_.epoch;
        progress_.batch = 0;
        return total;
    }
    StepResult train_epoch(BatchLoader& loader) {
        return train_epoch(loader, [](const StepResult&) { return true; });
    }

    [[nodiscard]] const TrainerSettings& settings() const { return settings_; }
    [[nodiscard]] const TrainerProgress& progress() const { return progress_; }
    [[nodiscard]] Model<Net, T>& model() { return model_; }
    [[nodiscard]] const Model<Net, T>& model() const { return model_; }
    [[nodiscard]] Parameters<Net, T>& velocity() { return velocity_; }
    [[nodiscard]] const Parameters<Net, T>& velocity() const { return velocity_; }
    /// The last step's gradients.
    [[nodiscard]] const Parameters<Net, T>& gradients() const { return gradients_; }
    /// Continues a run from there; model and velocity have been restored.
    void resume_at(const TrainerProgress& progress) { progress_ = progress; }

  private:
    static const TrainerSettings& checked(const TrainerSettings& settings) {
        settings.loss.validate();
        settings.optimizer.validate();
        settings.schedule.validate();
        return settings;
    }
    /// Names the first tensor of `arena` with a number that is not finite, if there is one.
    [[noreturn]] void not_finite(const char* what, const std::string& kind, const Parameters<Net, T>& arena) const {
        std::string where =
            "every " + kind + " is finite: look at the input, lower the learning rate or clip gradients";
        for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
            const auto values = arena.span().subspan(static_cast<std::size_t>(slot.offset),
                                                     static_cast<std::size_t>(slot.spec.dims.stored()));
            if (!all_finite<T>(values, workspace_.threads())) {
                where = "the first " + kind + " that is not: " + std::string{slot.name.view()};
                break;
            }
        }
        throw NumericError("step " + std::to_string(progress_.step) + ": the " + what + " is not finite; " + where);
    }

    Model<Net, T>& model_;
    TrainerSettings settings_;
    TrainerProgress progress_;
    Parameters<Net, T> gradients_, velocity_;
    Workspace<Training<Net, T>> workspace_;
};

}  // namespace ctnn::inline CTNN_ISA
