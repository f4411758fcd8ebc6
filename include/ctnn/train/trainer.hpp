// The training loop: forward, loss, backward, update, and the progress through epochs.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/data/loader.hpp>
#include <ctnn/distributed/data_parallel.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/batch_cut.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/numeric_error.hpp>
#include <ctnn/train/optimizer_state.hpp>
#include <ctnn/train/progress.hpp>
#include <ctnn/train/settings.hpp>

namespace ctnn::inline CTNN_ISA {

/// Trains a model that the caller owns. Everything is allocated here; a step allocates nothing.
///
/// Ranks of a communicator other than SingleProcess train one model together: all do the same, each with its share of
/// every batch. The settings' batch_size is that of all shares together, micro_batch that of a rank's pass. Gradients
/// are summed over the ranks while backward goes on, losses and norms are of the whole batch, and so every rank makes
/// the same step: that of one process with the whole batch but for rounding, where batch norm is synchronised or there
/// is none (Li et al. 2020, arXiv:2006.15704).
///
/// Throws ArgumentError for settings outside their ranges, and for those that do not fit the network.
template <Network Net, class T = float, distributed::Communicator Comm = distributed::SingleProcess>
class Trainer {
    static_assert(sizeof(decltype(verdict<detail::LossError<Net>>(pieces_of<detail::LossError<Net>>{}))) > 0);

  public:
    Trainer(Model<Net, T>& model, const TrainerSettings& settings, int threads = default_threads())
        requires std::same_as<Comm, distributed::SingleProcess>
        : Trainer{model, settings, threads, distributed::alone} {}
    /// One of the ranks of `comm`, which outlives the trainer.
    Trainer(Model<Net, T>& model, const TrainerSettings& settings, int threads, Comm& comm)
        : model_{model},
          settings_{checked(settings)},
          ranks_{comm, settings.sync_batch_norm},
          optimizer_{settings.optimizer},
          places_(static_cast<std::size_t>(settings.batch_size)),
          workspace_{settings.pass_size(comm.size()), threads},
          cut_{places_.size(), static_cast<std::size_t>(workspace_.batch()), comm.rank(), comm.size()} {
        std::iota(places_.begin(), places_.end(), 0u);
        if (cut_.passes(places_.size()) > 1) { pass_gradients_.emplace(); }
        if (settings.ema_decay > 0.0) { average_.emplace(model); }
        workspace_.set_norm_sum(ranks_.norm_sum());
        check_norms(places_.size());
    }
    Trainer(const Trainer&) = delete;
    Trainer& operator=(const Trainer&) = delete;
    Trainer(Model<Net, T>& model, const Loss& loss, const Optimizer& optimizer, const Schedule& schedule,
            int batch_size = 128, Seed seed = {}, int threads = default_threads())
        : Trainer(model, TrainerSettings{loss, optimizer, schedule, batch_size, seed.value}, threads) {}

    /// One step on the samples at `images` ([sample][row][column][channel]) with learning rate `lr`. The number
    /// of steps that moved the model and `ids`, or where they are null the places in the batch, key dropout. Epochs are
    /// those of train_epoch: an LrScale with a later from_epoch waits for them. Throws ArgumentError for more samples
    /// than the batch size, a label that is none, or a single value a channel where batch norm needs two.
    ///
    /// Of ranks, each gives its share of the batch, as shard_of cuts it, which may be empty; the result is of the
    /// whole.
    ///
    /// Where the loss, the running statistics or, if it is taken, the gradient norm is not finite, the step is skipped,
    /// as long as settings().skip_nonfinite allows: all but the progress stays as it was. Otherwise it throws
    /// NumericError, which names the step and what was not finite first: the pixel of the input, the layer's output,
    /// the tensor. The model is then as it was before the step. Only what the update alone can show leaves a model that
    /// has been moved: that it overflows, or a gradient where the norm is not taken.
    StepResult step(const T* images, const Labels& labels, const std::uint32_t* ids, double lr) {
        return step_to(images, targets_of(labels), labels.size(), ids, lr, updates());
    }
    /// The same with targets, [sample][output], for the loss Mse.
    StepResult step(const T* images, std::span<const T> targets, const std::uint32_t* ids, double lr) {
        const std::size_t samples = detail::rows_of(targets.size(), Net::classes);
        if (!std::holds_alternative<Mse>(settings_.loss)) { raise<ArgumentError>({"only Mse takes targets"}); }
        return step_to(images, {{}, targets, static_cast<double>(samples)}, samples, ids, lr, updates());
    }

    /// The rest of the current epoch: the loader starts it at the batch where this trainer stands. `after_step(result)`
    /// is called with every step's result and may return false to stop; then the epoch stays unfinished. The result's
    /// loss is that of the epoch from its first batch on, also where another call or another process began it. The
    /// epoch and the samples' ids key dropout. Throws ArgumentError where the batches are not what the network takes,
    /// before the first one.
    template <class AfterStep>
        requires std::is_same_v<T, float>  // as a loader's images
    StepResult train_epoch(BatchLoader& loader, AfterStep&& after_step) {
        loader.require_shape(Net::input_shape);
        loader.require_classes(Net::classes);
        loader.require_rank(ranks_.ranks().rank(), ranks_.ranks().size());
        const auto batch_size = static_cast<std::size_t>(loader.options().batch_size);
        for (const std::size_t n : {std::min(loader.samples(), batch_size), loader.samples() % batch_size}) {
            if (n == 0) { continue; }
            cut_.check_batch(n);
            check_norms(n);
        }
        StepResult total;
        total.loss = progress_.loss;
        total.skipped = progress_.epoch_skipped;
        total.lr = settings_.schedule.at(position(progress_.batch - 1, loader));
        loader.start_epoch(progress_.epoch, progress_.batch);
        while (const MiniBatch* batch = loader.next()) {
            const double lr = settings_.schedule.at(position(progress_.batch, loader));
            const Labels labels{batch->labels, batch->second_labels, batch->mix};
            const StepResult result = step_to(batch->images.data(), targets_of(labels), labels.size(),
                                              batch->ids.data(), lr, progress_.epoch);
            ++progress_.batch;
            progress_.loss += result.loss;
            total = result;
            total.loss = progress_.loss;
            total.skipped = progress_.epoch_skipped;
            if (!after_step(result)) { return total; }
        }
        ++progress_.epoch;
        progress_.batch = 0;
        progress_.loss = {};
        progress_.epoch_skipped = 0;
        return total;
    }
    StepResult train_epoch(BatchLoader& loader)
        requires std::is_same_v<T, float>
    {
        return train_epoch(loader, [](const StepResult&) { return true; });
    }

    /// Throws NumericError that names the first tensor of the model, running statistics included, with a number that is
    /// not finite: to be called before a good checkpoint is replaced, for who moves parameters himself.
    void require_finite() const {
        const std::string name = first_not_finite(model_.view(), workspace_.threads());
        if (!name.empty()) { not_finite("model is", "the first tensor that is not: " + name); }
    }
    /// ½·weight_decay·Σw² over what decays: together with a step's loss what SGD minimises. Frozen tensors are
    /// among it, as a constant.
    [[nodiscard]] double l2_loss() const {
        const auto [lambda, biases_and_norms] = weight_decay(settings_.optimizer);
        return ctnn::l2_loss(model_, lambda, biases_and_norms, workspace_.threads());
    }

    [[nodiscard]] const TrainerSettings& settings() const { return settings_; }
    [[nodiscard]] const TrainerProgress& progress() const { return progress_; }
    [[nodiscard]] Model<Net, T>& model() { return model_; }
    [[nodiscard]] const Model<Net, T>& model() const { return model_; }
    /// The model to evaluate and to keep: with ema_decay the moving average of parameters and running statistics,
    /// without it the model itself. The average begins as the model and is moved every ema_every steps, by a share that
    /// falls to 1 − ema_decay: the k-th time by max(1 − ema_decay, 9 / (10 + k)), so that it soon forgets the
    /// beginning.
    [[nodiscard]] const Model<Net, T>& averaged() const { return average_ ? *average_ : model_; }
    [[nodiscard]] std::optional<Model<Net, T>>& average() { return average_; }
    [[nodiscard]] OptimizerState<Net, T>& optimizer() { return optimizer_; }
    [[nodiscard]] const OptimizerState<Net, T>& optimizer() const { return optimizer_; }
    /// The last step's gradients.
    [[nodiscard]] const Parameters<Net, T>& gradients() const { return gradients_; }
    /// Continues a run from there; model, average and optimizer have been restored.
    void resume_at(const TrainerProgress& progress) { progress_ = progress; }
    /// Makes the model, its average, the optimizer's state and the progress of every rank those of the first. To be
    /// called before the first step, and where the first rank's have been restored.
    void synchronize() {
        ranks_.share(model_);
        if (average_) { ranks_.share(*average_); }
        for (Parameters<Net, T>& arena : optimizer_.arenas()) { ranks_.share(arena.span()); }
        ranks_.share_value(optimizer_.frozen_steps());
        ranks_.share_value(progress_);
    }

  private:
    using TrainPlan = Training<Net, T>;

    /// What a step's outputs are compared with: labels, or where there are none values.
    struct Targets {
        Labels labels;
        std::span<const T> values;
        double divisor;  ///< of the whole step's loss
    };
    /// A forward and backward pass of a step: samples [begin, begin + count) of those at `images`.
    struct Pass {
        const T* images;
        const Targets& targets;
        std::size_t begin, count;
        RandomKey key;

        [[nodiscard]] Pass part(std::size_t first, std::size_t n) const {
            return {images, targets, first, n, {key.seed, key.epoch, key.ids + first}};
        }
        [[nodiscard]] const T* input() const {
            return images + begin * static_cast<std::size_t>(Net::input_shape.size());
        }
        [[nodiscard]] int samples() const { return static_cast<int>(count); }
    };

    /// Of a batch of the current epoch, in epochs.
    [[nodiscard]] double position(int batch, const BatchLoader& loader) const {
        return progress_.epoch + static_cast<double>(batch) / loader.batches();
    }
    /// Steps that moved the model.
    [[nodiscard]] std::int64_t updates() const { return progress_.step - progress_.skipped; }
    /// Throws ArgumentError where batch norm cannot be trained by the passes of a batch.
    void check_norms(std::size_t samples) const {
        if (ranks_.sync_norms()) { return cut_.check_full(samples); }
        if (cut_.has_single(samples)) { detail::check_norms<Net>(1); }
    }
    static TrainerSettings checked(const TrainerSettings& settings) {
        settings.validate();
        std::visit([](const auto& loss) { loss.check_classes(Net::classes); }, settings.loss);
        check_lr_scales<Net>(settings.lr_scales);
        return settings;
    }

    [[nodiscard]] Targets targets_of(const Labels& labels) const {
        detail::check_labels(labels.size(), labels, Net::classes);
        return {labels, {}, std::visit([&](const auto& loss) { return loss.divisor(labels); }, settings_.loss)};
    }
    /// Dropout's masks are drawn by `drawn` and the ids.
    StepResult step_to(const T* images, Targets targets, std::size_t samples, const std::uint32_t* ids, double lr,
                       std::int64_t drawn) {
        const auto whole = ranks_.whole(samples, targets.divisor);
        cut_.check_share(whole.samples, samples);
        check_norms(whole.samples);
        targets.divisor = whole.divisor;
        if (ids == nullptr) { ids = places_.data() + cut_.own_share(whole.samples).begin; }
        const Pass all{images, targets, 0, samples, {settings_.seed, static_cast<std::uint32_t>(drawn), ids}};
        if (average_ && progress_.step == 0) { *average_ = model_; }
        buffers_before_ = model_.buffers();
        StepResult result;
        result.lr = lr;
        StepNumbers<Net> numbers{lr, updates() + 1};
        numbers.lr_scale = lr_scales_in<Net>(progress_.epoch, settings_.lr_scales);
        const bool normed = settings_.clip_norm > 0.0 || settings_.skip_nonfinite > 0 ||
                            std::holds_alternative<Lars>(settings_.optimizer);

        const std::size_t passes = cut_.passes(whole.samples);
        std::optional<Pass> failed;
        for (std::size_t i = 0; i < passes; ++i) {
            const Shard shard = detail::BatchCut::pass(samples, i, passes);
            const Pass pass = all.part(shard.begin, shard.size());
            const Gathering gathering{i > 0, i + 1 == passes, normed && ranks_.alone() ? &numbers.squares : nullptr};
            if (pass.count == 0) {
                without_samples(gathering);
                continue;
            }
            const LossSum loss = forward_and_loss(pass, {workspace_, pass.samples(), false});
            result.loss += loss;
            if (!std::isfinite(loss.loss_sum)) {
                if (!failed) { failed.emplace(pass); }
                if (ranks_.alone()) { break; }  // others wait for this rank's gradients
            }
            backward(model_, pass.input(), pass.samples(), workspace_, i == 0 ? gradients_ : *pass_gradients_,
                     [&](int time) { gather(time, gathering); });
        }
        ranks_.finish(result.loss, model_.buffers(), static_cast<double>(samples) / static_cast<double>(whole.samples));
        if (!std::isfinite(result.loss.loss_sum)) {
            return give_up(all, failed ? 1 : 0, lr, "loss is",
                           [&] { return failed ? source_of(all, search(*failed)) : std::string{"of another rank"}; });
        }
        if (!all_finite<T>(model_.buffers().span(), 1)) {
            return give_up(all, 0, lr, "running statistics are", [&] {
                return source_of(all, "the first that are not: " +
                                          detail::first_statistics_not_finite<Net, T>(model_.buffers().data()));
            });
        }
        if (normed) {
            if (!ranks_.alone()) { numbers.squares = tensor_squares<Net, T>(gradients_, workspace_.threads()); }
            result.gradient_norm = numbers.gradient_norm();
            if (!std::isfinite(result.gradient_norm)) {
                return give_up(all, 0, lr, "gradient norm is", [&] {
                    const std::string gradient = bad_gradient(numbers);
                    return source_of(all, gradient.empty() ? "every gradient is" : gradient);
                });
            }
            numbers.clip(settings_.clip_norm);
        }
        if (!optimizer_.step(numbers, model_.parameters(), gradients_, workspace_.threads())) {
            const std::string gradient = bad_gradient(numbers);
            not_finite("update is",
                       source_of(all, gradient.empty() ? "every gradient is" : gradient, gradient.empty()) +
                           "; the model has been moved: go on from a file");
        }
        ++progress_.step;
        progress_.skipped_in_a_row = 0;
        move_average_model();
        return result;
    }

    LossSum forward_and_loss(const Pass& pass, detail::FiniteWatch<TrainPlan>&& watch) {
        const auto outputs = forward(model_, pass.input(), pass.samples(), workspace_, pass.key, watch);
        const auto gradient = workspace_.output_gradient(pass.samples());
        const Targets& targets = pass.targets;
        const int threads = workspace_.threads();
        if (!targets.values.empty()) {
            const auto width = static_cast<std::size_t>(Net::classes);
            return mse_to<T>(outputs, targets.values.subspan(pass.begin * width, pass.count * width), pass.samples(),
                             gradient, threads, targets.divisor);
        }
        return loss_and_gradient<T>(settings_.loss, outputs, targets.labels.part(pass.begin, pass.count), Net::classes,
                                    gradient, threads, targets.divisor);
    }

    /// What becomes of a pass's gradients.
    struct Gathering {
        bool adds, last;              ///< whether they are added to the passes' before, and the last ones to be
        TensorNumbers<Net>* squares;  ///< where sums of squares are to go, of the last pass's, or null
    };
    /// Behind each stage of a backward pass, while that stage's gradients are in cache: adds those of a later pass to
    /// the sum, and when that is complete takes sums of squares where asked, and starts to sum it over the ranks. Not
    /// worth a copy for every stage.
    CTNN_ONE_COPY void gather(int time, const Gathering& what) {
        const StageSpec& stage = TrainPlan::StageList::at(static_cast<std::size_t>(TrainPlan::end_time - time));
        for (std::size_t i = 0; i < ParameterLayout<Net>::tensors; ++i) {
            const ParameterSlot& slot = ParameterLayout<Net>::slots[i];
            if (slot.layer < stage.begin || slot.layer >= stage.end) { continue; }
            const std::span<T> sum = tensor_of(gradients_, slot);
            if (what.adds) { add_to<T>(sum, tensor_of(*pass_gradients_, slot), workspace_.threads()); }
            if (!what.last) { continue; }
            if (what.squares != nullptr) { (*what.squares)[i] = sum_of_squares<T>(sum, workspace_.threads()); }
            ranks_.start(gradients_.span(), slot);
        }
        if (what.last && time == TrainPlan::end_time) { ranks_.start_rest(gradients_.span()); }
    }
    /// A pass of a rank whose share is smaller than the number of passes: its gradients are zero.
    void without_samples(const Gathering& what) {
        if (!what.adds) { std::fill_n(gradients_.span().data(), gradients_.span().size(), T{}); }
        ++model_.buffers().batches_tracked;
        for (std::size_t s = TrainPlan::stage_count; s-- > 0;) {
            gather(TrainPlan::backward_time(s), {false, what.last, what.squares});
        }
    }

    void move_average_model() {
        if (!average_ || updates() % settings_.ema_every != 0) { return; }
        const auto moves = updates() / settings_.ema_every;
        const double share = std::max(1.0 - settings_.ema_decay, 9.0 / (10.0 + static_cast<double>(moves)));
        move_average<T>(average_->parameters().span(), model_.parameters().span(), share, workspace_.threads());
        move_average<T>(average_->buffers().span(), model_.buffers().span(), share, workspace_.threads());
        average_->buffers().batches_tracked = model_.buffers().batches_tracked;
    }

    /// Skips a step or, where that is not allowed, ends it. `knowledge` is how much this rank knows of the reason, to
    /// which comes whether its own input or targets are the reason.
    template <class Where>
    StepResult give_up(const Pass& all, int knowledge, double lr, const char* what, Where&& where) {
        if (progress_.skipped_in_a_row >= settings_.skip_nonfinite) {
            const int threads = workspace_.threads();
            const bool given = !all_finite(input_of(all), threads) || !all_finite(all.targets.values, threads);
            const std::string place = ranks_.one_text(where(), knowledge + (given ? 2 : 0));
            model_.buffers() = buffers_before_;
            not_finite(what, place);
        }
        model_.buffers() = buffers_before_;
        ++progress_.step;
        ++progress_.skipped;
        ++progress_.epoch_skipped;
        ++progress_.skipped_in_a_row;
        StepResult result;
        result.lr = lr;
        result.skipped = 1;
        return result;
    }
    /// The first output of a pass that is not finite.
    std::string search(const Pass& pass) {
        detail::FiniteWatch<TrainPlan> watch{workspace_, pass.samples(), true};
        workspace_.set_norm_sum(ranks_.own_norm_sum());
        forward(model_, pass.input(), pass.samples(), workspace_, pass.key, watch);
        workspace_.set_norm_sum(ranks_.norm_sum());
        return watch.found();
    }
    /// The first gradient that is not finite, of those that move something.
    [[nodiscard]] std::string bad_gradient(const StepNumbers<Net>& numbers) const {
        const std::string name =
            detail::first_not_finite<Net, T>(gradients_.data(), workspace_.threads(), &numbers.lr_scale);
        return name.empty() ? "" : "the first gradient that is not: " + name;
    }
    static std::span<const T> input_of(const Pass& pass) {
        return {pass.input(), pass.count * static_cast<std::size_t>(Net::input_shape.size())};
    }
    /// With what was found, whence it may come; unless parameters are what it has come to.
    [[nodiscard]] std::string source_of(const Pass& all, const std::string& found, bool parameters = true) const {
        const std::less<> before;  // which may compare pointers into different arrays
        const bool placed =
            !before(all.key.ids, places_.data()) && before(all.key.ids, places_.data() + places_.size());
        const std::uint32_t* const ids = placed ? nullptr : all.key.ids;
        return detail::not_finite_source<Net>(found, input_of(all), all.targets.values, ids,
                                              parameters ? model_.parameters().data() : nullptr, workspace_.threads());
    }
    [[noreturn]] void not_finite(const char* what, const std::string& where) const {
        const int skipped = progress_.skipped_in_a_row;
        detail::throw_not_finite(
            progress_.step, what,
            where + (skipped > 0 ? detail::joined({"; skipped before it: ", skipped, " in a row"}) : ""));
    }

    Model<Net, T>& model_;
    TrainerSettings settings_;
    TrainerProgress progress_;
    distributed::DataParallel<Net, T, Comm> ranks_;
    OptimizerState<Net, T> optimizer_;
    Parameters<Net, T> gradients_;
    std::optional<Parameters<Net, T>> pass_gradients_;  // of a pass behind the first, where a step has several
    Buffers<Net, T> buffers_before_;                    // those of before the step
    std::optional<Model<Net, T>> average_;
    std::vector<std::uint32_t> places_;  // 0, 1, …: ids of samples that have none
    Workspace<TrainPlan> workspace_;
    detail::BatchCut cut_;
};

}  // namespace ctnn::inline CTNN_ISA
