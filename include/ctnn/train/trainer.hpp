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
#include <ctnn/train/settings.hpp>

namespace ctnn::inline CTNN_ISA {

/// Where a run stands: epochs done, batches done in the current one and their losses, steps in all.
struct TrainerProgress {
    int epoch = 0, batch = 0;
    std::int64_t step = 0;
    LossSum loss{};
    bool operator==(const TrainerProgress&) const = default;
};

/// One step, or an epoch: the sum over its steps.
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
    /// the batch size or a label that is none, and NumericError, which names step and layer, when the loss or, where
    /// clipping is on, the gradient norm is not finite. The model is then as it was before the step.
    StepResult step(const T* images, std::span<const std::int32_t> labels, const std::uint32_t* ids, double lr) {
        const int samples = static_cast<int>(labels.size());
        // Samples without ids are told apart by the step, so that no two steps draw the same masks.
        const RandomKey key{settings_.seed,
                            static_cast<std::uint32_t>(ids != nullptr ? progress_.epoch : progress_.step), ids};
        buffers_before_ = model_.buffers();
        StepResult result;
        result.lr = lr;
        result.loss = forward_and_loss(images, labels, key, nullptr);
        if (!std::isfinite(result.loss.loss_sum)) {
            model_.buffers() = buffers_before_;
            loss_not_finite(images, labels, key);
        }
        backward(model_, images, samples, workspace_, gradients_);
        result.gradient_norm = sgd_step<T>(settings_.optimizer, lr, model_.parameters().span(), gradients_.span(),
                                           velocity_.span(), Parameters<Net, T>::decayed, workspace_.threads());
        if (!std::isfinite(result.gradient_norm)) {
            model_.buffers() = buffers_before_;
            not_finite("gradient norm", "the first gradient that is not: " + first_not_finite(gradients_));
        }
        ++progress_.step;
        return result;
    }

    /// The rest of the current epoch: the loader starts it at the batch where this trainer stands. `after_step(result)`
    /// is called with every step's result and may return false to stop; then the epoch stays unfinished. The result's
    /// loss is that of the epoch from its first batch on, also where another call or another process began it.
    template <class AfterStep>
    StepResult train_epoch(BatchLoader& loader, AfterStep&& after_step) {
        StepResult total;
        total.loss = progress_.loss;
        total.lr = settings_.schedule.at(position(progress_.batch - 1, loader));
        loader.start_epoch(progress_.epoch, progress_.batch);
        while (const MiniBatch* batch = loader.next()) {
            const double lr = settings_.schedule.at(position(progress_.batch, loader));
            const StepResult result = step(batch->images.data(), batch->labels, batch->ids.data(), lr);
            ++progress_.batch;
            progress_.loss += result.loss;
            total = result;
            total.loss = progress_.loss;
            if (!after_step(result)) { return total; }
        }
        ++progress_.epoch;
        progress_.batch = 0;
        progress_.loss = {};
        return total;
    }
    StepResult train_epoch(BatchLoader& loader) {
        return train_epoch(loader, [](const StepResult&) { return true; });
    }

    /// Throws NumericError that names the first parameter tensor with a number that is not finite: to be called before
    /// a good checkpoint is replaced, because without clipping a step looks at the loss alone.
    void require_finite() const {
        const std::string name = first_not_finite(model_.parameters());
        if (!name.empty()) { not_finite("model", "the first parameter that is not: " + name); }
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
    /// Of a batch of the current epoch, in epochs.
    [[nodiscard]] double position(int batch, const BatchLoader& loader) const {
        return progress_.epoch + static_cast<double>(batch) / loader.batches();
    }
    static const TrainerSettings& checked(const TrainerSettings& settings) {
        settings.loss.validate();
        settings.optimizer.validate();
        settings.schedule.validate();
        return settings;
    }
    /// Forward, loss and its gradient. Where `broken` points to −1 it becomes the first stage whose output is not
    /// finite: one instantiation serves the step and the search behind a failed one.
    LossSum forward_and_loss(const T* images, std::span<const std::int32_t> labels, const RandomKey& key, int* broken) {
        const int samples = static_cast<int>(labels.size());
        const auto logits = forward(model_, images, samples, workspace_, key, [&](int stage) {
            if (broken != nullptr && *broken < 0 && !is_finite_behind(stage, samples)) { *broken = stage; }
        });
        return cross_entropy<T>(settings_.loss, logits, labels, Net::classes, workspace_.output_gradient(samples),
                                workspace_.threads());
    }
    bool is_finite_behind(int stage, int samples) {
        const auto s = static_cast<std::size_t>(stage);
        const auto n = static_cast<std::size_t>(samples * StageList::at(s).out.size());
        return all_finite<T>(std::span<const T>{workspace_.at(s, Slot::output), n}, workspace_.threads());
    }

    [[noreturn]] void loss_not_finite(const T* images, std::span<const std::int32_t> labels, const RandomKey& key) {
        const auto n = labels.size() * static_cast<std::size_t>(Net::input_shape.size());
        if (!all_finite<T>(std::span{images, n}, workspace_.threads())) { not_finite("loss", "the input is not"); }
        int broken = -1;
        forward_and_loss(images, labels, key, &broken);
        model_.buffers() = buffers_before_;
        std::string where = "every layer's output is";
        if (broken >= 0) {
            const StageSpec& stage = StageList::at(static_cast<std::size_t>(broken));
            where = "the first output that is not: layer " + std::to_string(stage.begin);
            where += ", " + std::string{Net::description.layers[stage.begin].type};
            if (stage.end > stage.begin + 1) { where += ", to layer " + std::to_string(stage.end - 1); }
        }
        const std::string parameter = first_not_finite(model_.parameters());
        if (!parameter.empty()) { where += "; the first parameter that is not: " + parameter; }
        not_finite("loss", where + "; lower the learning rate, warm up, or clip gradients");
    }
    /// The name of the first tensor with a number that is not finite, or nothing.
    std::string first_not_finite(const Parameters<Net, T>& arena) const {
        for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
            const auto values = arena.span().subspan(static_cast<std::size_t>(slot.offset),
                                                     static_cast<std::size_t>(slot.spec.dims.stored()));
            if (!all_finite<T>(values, workspace_.threads())) { return std::string{slot.name.view()}; }
        }
        return {};
    }
    [[noreturn]] void not_finite(const char* what, const std::string& where) const {
        throw NumericError("step " + std::to_string(progress_.step) + ": the " + what + " is not finite; " + where);
    }

    using StageList = typename Training<Net, T>::StageList;

    Model<Net, T>& model_;
    TrainerSettings settings_;
    TrainerProgress progress_;
    Parameters<Net, T> gradients_, velocity_;
    Buffers<Net, T> buffers_before_;  // those of before the step
    Workspace<Training<Net, T>> workspace_;
};

}  // namespace ctnn::inline CTNN_ISA
