// Evaluation of a model on a data set.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <ctnn/data/loader.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/metrics.hpp>

namespace ctnn::inline CTNN_ISA {

/// Loss without smoothing, accuracy, top-5, recalls and confusion of a model on the samples `indices` of a data set, in
/// batches of the workspace's size. Throws ArgumentError when shapes or classes do not fit.
template <Network Net>
Metrics evaluate(ModelView<Net, float> model, const Dataset& data, std::vector<std::uint32_t> indices,
                 Workspace<Inference<Net, float>>& workspace) {
    if (data.shape != Net::input_shape || data.classes() > Net::classes) {
        throw ArgumentError("the data set's images or classes do not fit the network");
    }
    BatchLoader loader{data, std::move(indices), {.batch_size = workspace.batch(), .shuffle = false}};
    loader.start_epoch(0);
    Metrics metrics{Net::classes};
    while (const MiniBatch* batch = loader.next()) {
        const auto logits = forward(model, batch->images.data(), batch->size, workspace);
        metrics.add<float>(logits, batch->labels);
        metrics.add_loss(cross_entropy<float>({}, logits, batch->labels, Net::classes, {}));
    }
    return metrics;
}

}  // namespace ctnn::inline CTNN_ISA
