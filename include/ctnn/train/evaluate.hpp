// What a model says of many images, batch by batch, and how good that is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <ctnn/core/arena.hpp>
#include <ctnn/data/loader.hpp>
#include <ctnn/data/normalize.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/metrics.hpp>

namespace ctnn::inline CTNN_ISA {

/// How predict and evaluate look at an image: other views whose logits are averaged with the image's own.
struct EvaluateOptions {
    bool flip = false;  ///< every view's mirror image too
    /// If not 0, the image moved by so many pixels to the upper left and to the lower right (shift_images): the two
    /// together count as much as the image itself (Jordan 2024, arXiv:2404.00498).
    int shift = 0;
};

namespace detail {

struct View {
    std::ptrdiff_t shift;
    bool mirrored;
    float weight;  ///< of all views 1 together
};

inline std::vector<View> views(const EvaluateOptions& options) {
    std::vector<View> views{{0, false, 1.0f}};
    if (options.shift != 0) {
        const std::ptrdiff_t shift = options.shift;
        views = {{0, false, 0.5f}, {-shift, false, 0.25f}, {shift, false, 0.25f}};
    }
    if (options.flip) {
        for (std::size_t i = views.size(); i-- > 0;) {
            views[i].weight *= 0.5f;
            views.insert(views.begin() + static_cast<std::ptrdiff_t>(i) + 1, {views[i].shift, true, views[i].weight});
        }
    }
    return views;
}

}  // namespace detail

/// Calls f(batch, logits) for every batch of an epoch of a loader, which may resize its samples, with the n × outputs
/// of a ModelView or HalfModel; both are valid until f returns, which may be false to stop. Throws ArgumentError
/// when shapes do not fit, or batches are larger than the workspace's.
template <class AnyModel, Network Net, class F>
void predict(const AnyModel& model, BatchLoader& loader, Workspace<Inference<Net, float>>& workspace,
             const EvaluateOptions& options, F&& f) {
    loader.require_shape(Net::input_shape);
    loader.start_epoch(0);
    const std::vector<detail::View> views = detail::views(options);
    const std::size_t samples = views.size() > 1 ? static_cast<std::size_t>(workspace.batch()) : 0;
    AlignedArray<float> moved{samples * static_cast<std::size_t>(Net::input_shape.size())};
    std::vector<float> mean(samples * static_cast<std::size_t>(Net::output_shape.size()));
    while (const MiniBatch* batch = loader.next()) {
        if (batch->size == 0) { continue; }  // of a rank whose share is empty
        detail::check_samples(workspace, batch->size);
        std::span<const float> logits;
        std::fill(mean.begin(), mean.end(), 0.0f);
        for (const detail::View& view : views) {
            std::span<const float> images = batch->images;
            const auto place = moved.span().first(samples == 0 ? 0 : images.size());
            if (view.shift != 0) {
                shift_images(images, Net::input_shape, view.shift, place);
                images = place;
            }
            if (view.mirrored) {
                mirror_images(images, Net::input_shape, place);
                images = place;
            }
            logits = forward(model, images.data(), batch->size, workspace);
            if (views.size() == 1) { break; }
            for (std::size_t i = 0; i < logits.size(); ++i) { mean[i] += view.weight * logits[i]; }
            logits = std::span{mean}.first(logits.size());
        }
        if (!f(*batch, logits)) { return; }
    }
}

/// Loss without smoothing, accuracy, top-5, recalls and confusion on all samples of a loader. Throws as predict does.
template <class AnyModel, Network Net>
Metrics evaluate(const AnyModel& model, BatchLoader& loader, Workspace<Inference<Net, float>>& workspace,
                 const EvaluateOptions& options = {}) {
    static_assert(sizeof(decltype(verdict<detail::LossError<Net>>(pieces_of<detail::LossError<Net>>{}))) > 0);
    Metrics metrics{Net::classes};
    predict(model, loader, workspace, options, [&](const MiniBatch& batch, std::span<const float> logits) {
        metrics.add<float>(logits, batch.labels);
        metrics.add_loss(cross_entropy<float>({}, logits, batch.labels, Net::classes, {}));
        return true;
    });
    return metrics;
}

/// The same on the samples `indices` of a data set, in batches of the workspace's size. Throws ArgumentError when
/// shapes or classes do not fit.
template <class AnyModel, Network Net>
Metrics evaluate(const AnyModel& model, const Dataset& data, std::vector<std::uint32_t> indices,
                 Workspace<Inference<Net, float>>& workspace, const EvaluateOptions& options = {}) {
    if (data.classes() > Net::classes) {
        raise<ArgumentError>(
            {"the data set has ", data.classes(), " classes, expected at most the network's ", Net::classes});
    }
    BatchLoader loader{data, std::move(indices), {.batch_size = workspace.batch(), .shuffle = false}};
    return evaluate(model, loader, workspace, options);
}

}  // namespace ctnn::inline CTNN_ISA
