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

/// How predict and evaluate look at an image.
struct EvaluateOptions {
    bool flip = false;  ///< take the mean of the logits of an image and of its mirror image
};

/// Calls f(batch, logits) for every batch of an epoch of a loader, which may resize its samples, with the n × classes
/// logits of a ModelView or HalfModel; both are valid until f returns, which may be false to stop. Throws ArgumentError
/// when shapes do not fit, or batches are larger than the workspace's.
template <class AnyModel, Network Net, class F>
void predict(const AnyModel& model, BatchLoader& loader, Workspace<Inference<Net, float>>& workspace,
             const EvaluateOptions& options, F&& f) {
    if (loader.shape() != Net::input_shape) {
        throw ArgumentError("the loader's batches do not have the shape of the network's input");
    }
    loader.start_epoch(0);
    const std::size_t samples = options.flip ? static_cast<std::size_t>(workspace.batch()) : 0;
    AlignedArray<float> mirrored{samples * static_cast<std::size_t>(Net::input_shape.size())};
    std::vector<float> both(samples * static_cast<std::size_t>(Net::classes));
    while (const MiniBatch* batch = loader.next()) {
        std::span<const float> logits = forward(model, batch->images.data(), batch->size, workspace);
        if (options.flip) {
            std::ranges::copy(logits, both.begin());
            mirror_images(batch->images, Net::input_shape, mirrored.span().first(batch->images.size()));
            const auto others = forward(model, mirrored.data(), batch->size, workspace);
            for (std::size_t i = 0; i < others.size(); ++i) { both[i] = 0.5f * (both[i] + others[i]); }
            logits = std::span{both}.first(others.size());
        }
        if (!f(*batch, logits)) { return; }
    }
}

/// Loss without smoothing, accuracy, top-5, recalls and confusion on all samples of a loader. Throws as predict does.
template <class AnyModel, Network Net>
Metrics evaluate(const AnyModel& model, BatchLoader& loader, Workspace<Inference<Net, float>>& workspace,
                 const EvaluateOptions& options = {}) {
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
    if (data.shape != Net::input_shape || data.classes() > Net::classes) {
        throw ArgumentError("the data set's images or classes do not fit the network");
    }
    BatchLoader loader{data, std::move(indices), {.batch_size = workspace.batch(), .shuffle = false}};
    return evaluate(model, loader, workspace, options);
}

}  // namespace ctnn::inline CTNN_ISA
