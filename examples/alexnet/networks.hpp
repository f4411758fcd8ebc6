// The networks that the tool knows, each behind an interface, so that whatever does not depend on their types is
// compiled once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ctnn/core/layer.hpp>
#include <ctnn/core/layout.hpp>
#include <ctnn/data/loader.hpp>
#include <ctnn/io/hex_weights.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/evaluate.hpp>
#include <ctnn/train/metrics.hpp>
#include <ctnn/train/trainer.hpp>

#include "ranks.hpp"

namespace alexnet {

/// A parameter tensor and its gradient in the last step, as they are stored: in blocks, with zeros that pad.
struct ParameterTensor {
    const ctnn::ParameterSlot& slot;
    std::span<const float> values, gradient;
};

/// A model and its trainer.
class TrainedNetwork {
  public:
    virtual ~TrainedNetwork() = default;

    virtual ctnn::StepResult train_epoch(ctnn::BatchLoader& loader,
                                         const std::function<bool(const ctnn::StepResult&)>& after_step) = 0;
    /// Everything that a step changes becomes the first rank's.
    virtual void synchronize() = 0;
    /// What evaluation takes and files keep: the averaged model where there is one. Of this rank's batches.
    virtual ctnn::Metrics evaluate(ctnn::BatchLoader& loader, const ctnn::EvaluateOptions& options) = 0;
    /// Outputs, sample by sample, of the model that evaluation takes, on as many samples as a pass has at most.
    virtual std::vector<float> outputs(const ctnn::MiniBatch& batch) = 0;
    [[nodiscard]] virtual const ctnn::TrainerProgress& progress() const = 0;
    /// In the order of files.
    [[nodiscard]] virtual std::vector<ParameterTensor> tensors() const = 0;
    /// All numbers that steps change: of the model, its average and the optimizer.
    [[nodiscard]] virtual std::vector<std::span<const float>> state() const = 0;
    /// Throws NumericError.
    virtual void require_finite() const = 0;

    /// Fills the first convolution with filters that whiten patches of these images. Throws ArgumentError
    /// where the network begins otherwise.
    virtual void whiten(const ctnn::Dataset& images) = 0;

    virtual void save_weights(const std::filesystem::path& path, const ctnn::ModelInfo& info) const = 0;
    virtual void save_state(const std::filesystem::path& path, const ctnn::SafetensorsMetadata& further) const = 0;
    virtual void load_state(const std::filesystem::path& path, const ctnn::SafetensorsMetadata& further) = 0;
};

/// Bytes of a plan: per sample, fixed, per thread.
struct PlanBytes {
    std::size_t sample, fixed, thread;

    [[nodiscard]] std::size_t total(int batch, int threads) const {
        return sample * static_cast<std::size_t>(batch) + fixed + thread * static_cast<std::size_t>(threads);
    }
};

/// What `alexnet info` prints, and the report.
struct NetworkInfo {
    std::span<const ctnn::LayerInfo> layers;
    std::vector<std::pair<std::size_t, std::size_t>> stages;  ///< layers [begin, end) of each
    std::span<const ctnn::ParameterSlot> slots;               ///< parameter tensors in the order of files
    std::int64_t parameters, multiply_adds;
    std::size_t parameter_bytes;  ///< of the arena
    PlanBytes training, inference;

    /// The stage that a layer runs in.
    [[nodiscard]] std::size_t stage_of(std::size_t layer) const;
};

/// Settings with which a network trains well.
struct Recipe {
    double lr, label_smoothing, clip_norm;
    int batch_size = 128;
};

/// Weights in other forms. `weights` may be native, too. All throw FileError, and ArgumentError for what a network
/// cannot have.
struct Conversions {
    void (*to_hex)(const std::filesystem::path& weights, const std::filesystem::path& hex, ctnn::HexNames names);
    void (*from_hex)(const std::filesystem::path& hex, const std::filesystem::path& weights,
                     const ctnn::ModelInfo& info);
    void (*to_header)(const std::filesystem::path& weights, const std::filesystem::path& header, std::string_view name);
    /// To a native file, or from one; `type` is the model's name where the file has none.
    void (*copy)(const std::filesystem::path& weights, const std::filesystem::path& to, bool native,
                 std::string_view type);
};

struct NetworkEntry {
    std::string_view name;  ///< on the command line
    std::string_view type;  ///< in C++
    ctnn::Shape input;
    int classes;
    Recipe recipe;
    NetworkInfo (*info)();
    std::unique_ptr<TrainedNetwork> (*start)(const ctnn::TrainerSettings& settings, int threads, Ranks& ranks);
    /// Loads weights and evaluates them, with `half` as a HalfModel. Throws FileError where they are of another
    /// network, and where an output is NaN, naming the first tensor that is not finite.
    ctnn::Metrics (*evaluate)(const std::filesystem::path& weights, ctnn::BatchLoader& loader, int threads,
                              const ctnn::EvaluateOptions& options, bool half);
    /// Loads weights and calls f(batch, logits) for every batch of a loader until it returns false. Throws FileError
    /// where the weights are of another network, and where an output is not finite, naming the first tensor that is
    /// not.
    void (*predict)(const std::filesystem::path& weights, ctnn::BatchLoader& loader, int threads,
                    const ctnn::EvaluateOptions& options,
                    const std::function<bool(const ctnn::MiniBatch&, std::span<const float>)>& f);
    Conversions conversions;
};

/// The error of weights that make outputs that are not finite; `tensor` is the first that is not, or empty.
[[noreturn]] void refuse_outputs(const std::filesystem::path& weights, const std::string& tensor);

/// All of them, in the order in which they are listed.
std::span<const NetworkEntry> networks();

/// The network of that name or type. Throws ArgumentError that lists the names.
const NetworkEntry& find_network(std::string_view name);

/// The network that `model` names, or where that is empty `info`, which is what the file `weights` says of itself.
const NetworkEntry& find_network(const std::string& model, const std::filesystem::path& weights,
                                 const ctnn::ModelInfo& info);

}  // namespace alexnet
