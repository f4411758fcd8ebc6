#include "train_log.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "pictures.hpp"

namespace alexnet {

TrainLog::TrainLog(std::filesystem::path folder, const RunSettings& settings, TrainedNetwork& network,
                   Terminal& terminal, int histogram_every, int threads)
    : folder_{std::move(folder)},
      settings_{settings},
      network_{network},
      terminal_{terminal},
      histogram_every_{histogram_every},
      threads_{threads} {}

TrainLog::~TrainLog() {
    unless_failed([&] {
        if (file_) { file_->flush(); }
    });
}

template <class F>
void TrainLog::unless_failed(F&& write) {
    if (failed_) { return; }
    try {
        write();
    } catch (const std::exception& error) {
        failed_ = true;
        file_.reset();
        terminal_.error(fmt::format("{}; the run goes on without events for TensorBoard", error.what()));
    }
}

void TrainLog::step(const ctnn::StepResult& result) {
    unless_failed([&] {
        if (!file_) {
            file_.emplace(folder_, steps());
            Summary summary;
            const ctnn::Json settings = to_json(settings_);
            summary.session_start(settings.get<ctnn::Json::Object>("settings"));
            file_->add(steps(), summary);
            file_->flush();  // TensorBoard shows a run from its first step on
        }
        if (result.skipped > 0) { return; }
        Summary summary;
        summary.scalar("train/loss", result.loss.mean());
        summary.scalar("train/accuracy", result.loss.accuracy());
        summary.scalar("lr", result.lr);
        if (result.gradient_norm > 0) { summary.scalar("train/gradient_norm", result.gradient_norm); }
        if (histogram_every_ > 0 && steps() % histogram_every_ == 0) { add_histograms(summary); }
        file_->add(steps(), summary);
    });
}

void TrainLog::epoch(const EpochRow& row, const ctnn::Metrics& metrics, const Evaluated& evaluated) {
    unless_failed([&] {
        if (!file_) { return; }
        Summary summary;
        summary.scalar("epoch/train_loss", row.train_loss);
        summary.scalar("epoch/train_accuracy", row.train_accuracy);
        summary.scalar(fmt::format("epoch/{}_loss", evaluated.name), row.eval_loss);
        summary.scalar(fmt::format("epoch/{}_accuracy", evaluated.name), row.eval_accuracy);
        summary.scalar("epoch/images_per_second", row.images_per_second);
        const ParameterTensor first = network_.tensors().at(0);
        if (has_filters_picture(first.slot)) {
            summary.image("filters", filters_picture(first.slot, first.values).view());
        }
        const auto classes = static_cast<int>(evaluated.images.class_names().size());
        summary.image("confusion", confusion_picture(metrics, classes).view());
        add_predictions(summary, evaluated);
        file_->add(steps(), summary);
        file_->flush();
    });
}

void TrainLog::end() {
    unless_failed([&] {
        if (!file_) { return; }
        Summary summary;
        summary.session_end();
        file_->add(steps(), summary);
    });
}

void TrainLog::add_histograms(Summary& summary) const {
    for (const auto& [slot, values, gradient] : network_.tensors()) {
        const std::int64_t padding = slot.spec.dims.stored() - slot.spec.dims.count();
        summary.histogram(fmt::format("parameters/{}", slot.name.view()), histogram_of(values, padding, threads_));
        summary.histogram(fmt::format("gradients/{}", slot.name.view()), histogram_of(gradient, padding, threads_));
    }
}

/// Images of what is evaluated, drawn by the run's seed, so that they are the same ones behind every epoch.
void TrainLog::add_predictions(Summary& summary, const Evaluated& evaluated) const {
    const auto& [images, indices, evaluation, name] = evaluated;
    const std::size_t count =
        std::min({std::size_t{8}, indices.size(), static_cast<std::size_t>(evaluation.batch_size / evaluation.ranks)});
    std::vector<std::uint32_t> chosen = indices;
    ctnn::shuffle_indices(chosen, settings_.trainer.seed, 0);
    chosen.resize(count);
    ctnn::LoaderOptions options = evaluation;
    options.batch_size = static_cast<int>(count);
    options.ranks = 1;
    ctnn::BatchLoader loader{images, std::move(chosen), options};
    loader.start_epoch(0);
    const ctnn::MiniBatch& batch = *loader.next();

    const std::vector<float> outputs = network_.outputs(batch);
    const std::size_t classes = outputs.size() / count, pixels = batch.images.size() / count;
    const auto name_of = [&](std::size_t c) {
        const auto& names = images.class_names();
        return c < names.size() ? names[c] : fmt::format("class {}", c);
    };
    for (std::size_t i = 0; i < count; ++i) {
        const auto row = std::span{outputs}.subspan(i * classes, classes);
        const auto guess = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
        summary.image(
            fmt::format("predictions/image {}: {}, taken for {}", batch.ids[i],
                        name_of(static_cast<std::size_t>(batch.labels[i])), name_of(guess)),
            input_picture(batch.images.subspan(i * pixels, pixels), loader.shape(), images.normalization()).view());
    }
}

}  // namespace alexnet
