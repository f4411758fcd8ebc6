// Puts one network's type behind the interface: the only part of the tool that is compiled once per network.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <ctnn/data/whitening.hpp>
#include <ctnn/io/checkpoint.hpp>
#include <ctnn/io/embed.hpp>
#include <ctnn/io/hex_weights.hpp>
#include <ctnn/io/native.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/kernels/squares.hpp>
#include <ctnn/network/half_model.hpp>
#include <ctnn/train/evaluate.hpp>
#include <ctnn/train/numeric_error.hpp>
#include <ctnn/train/trainer.hpp>

#include "interrupt.hpp"
#include "networks.hpp"

namespace alexnet {

template <ctnn::Network Net>
class NetworkOf final : public TrainedNetwork {
  public:
    NetworkOf(const ctnn::TrainerSettings& settings, int threads, Ranks& ranks)
        : model_{ctnn::Seed{settings.seed}},
          trainer_{model_, settings, threads, ranks},
          inference_{settings.pass_size(ranks.size()), threads} {}

    ctnn::StepResult train_epoch(ctnn::BatchLoader& loader,
                                 const std::function<bool(const ctnn::StepResult&)>& after_step) override {
        return trainer_.train_epoch(loader, after_step);
    }
    void synchronize() override { trainer_.synchronize(); }
    ctnn::Metrics evaluate(ctnn::BatchLoader& loader, const ctnn::EvaluateOptions& options) override {
        return ctnn::evaluate(trainer_.averaged().view(), loader, inference_, options);
    }
    std::vector<float> outputs(const ctnn::MiniBatch& batch) override {
        const auto outputs = ctnn::forward(trainer_.averaged().view(), batch.images.data(), batch.size, inference_);
        return {outputs.begin(), outputs.end()};
    }
    [[nodiscard]] const ctnn::TrainerProgress& progress() const override { return trainer_.progress(); }
    [[nodiscard]] std::vector<ParameterTensor> tensors() const override {
        std::vector<ParameterTensor> tensors;
        for (const ctnn::ParameterSlot& slot : ctnn::ParameterLayout<Net>::slots) {
            tensors.push_back(
                {slot, ctnn::tensor_of(model_.parameters(), slot), ctnn::tensor_of(trainer_.gradients(), slot)});
        }
        return tensors;
    }
    [[nodiscard]] std::vector<std::span<const float>> state() const override {
        std::vector<std::span<const float>> all;
        for (const auto* model : {&trainer_.model(), &trainer_.averaged()}) {
            all.push_back(model->parameters().span());
            all.push_back(model->buffers().span());
        }
        for (const auto& arena : trainer_.optimizer().arenas()) { all.push_back(arena.span()); }
        return all;
    }
    void require_finite() const override { trainer_.require_finite(); }

    void whiten(const ctnn::Dataset& images) override {
        const ctnn::LayerInfo& first = Net::description.layers[0];
        if (first.kind != ctnn::LayerKind::conv2d || first.window.y.extent != first.window.x.extent) {
            throw ctnn::ArgumentError("--whiten: this network does not begin with a convolution by a square kernel");
        }
        const ctnn::ParameterSlot& slot = ctnn::ParameterLayout<Net>::slots[0];
        std::vector<float> filters(static_cast<std::size_t>(slot.spec.dims.count()));
        ctnn::fill_whitening_filters(ctnn::patch_whitening(images, first.window.y.extent, images.size()), filters);
        std::size_t next = 0;
        slot.spec.dims.for_canonical(
            [&](std::int64_t at) { model_.parameters().data()[slot.offset + at] = filters[next++]; });
    }

    void save_weights(const std::filesystem::path& path, const ctnn::ModelInfo& info) const override {
        ctnn::save_weights(path, trainer_.averaged(), info);
    }
    void save_state(const std::filesystem::path& path, const ctnn::SafetensorsMetadata& further) const override {
        ctnn::save_trainer(path, trainer_, further);
    }
    void load_state(const std::filesystem::path& path, const ctnn::SafetensorsMetadata& further) override {
        ctnn::load_trainer(path, trainer_, further);
    }

  private:
    ctnn::Model<Net> model_;
    ctnn::Trainer<Net, float, Ranks> trainer_;
    ctnn::Workspace<ctnn::Inference<Net>> inference_;
};

template <class Plan>
constexpr PlanBytes plan_bytes() {
    return {Plan::sample_bytes, Plan::fixed_bytes, Plan::thread_bytes};
}

template <ctnn::Network Net>
NetworkInfo network_info() {
    using Training = ctnn::Training<Net>;
    NetworkInfo info{.layers = std::span{Net::description.layers}.first(Net::layer_count),
                     .stages = {},
                     .slots = ctnn::ParameterLayout<Net>::slots,
                     .parameters = Net::parameter_count,
                     .multiply_adds = Net::multiply_adds,
                     .parameter_bytes = ctnn::Parameters<Net>::size * sizeof(float),
                     .training = plan_bytes<Training>(),
                     .inference = plan_bytes<ctnn::Inference<Net>>()};
    for (std::size_t s = 0; s < Training::stage_count; ++s) {
        info.stages.emplace_back(Training::StageList::at(s).begin, Training::StageList::at(s).end);
    }
    return info;
}

template <ctnn::Network Net>
Conversions conversions() {
    namespace fs = std::filesystem;
    return {[](const fs::path& weights, const fs::path& hex, ctnn::HexNames names) {
                ctnn::Model<Net> model;
                watch_mapped_file(weights);
                ctnn::load_weights(weights, model);
                ctnn::save_hex_weights(hex, model, names);
            },
            [](const fs::path& hex, const fs::path& weights, const ctnn::ModelInfo& info) {
                ctnn::Model<Net> model;
                ctnn::load_hex_weights(hex, model);
                ctnn::save_weights(weights, model, info);
            },
            [](const fs::path& weights, const fs::path& header, std::string_view name) {
                ctnn::Model<Net> model;
                watch_mapped_file(weights);
                const ctnn::ModelInfo info = ctnn::load_weights(weights, model);
                ctnn::save_embedded(header, model, info, name);
            },
            [](const fs::path& weights, const fs::path& to, bool native, std::string_view type) {
                ctnn::Model<Net> model;
                watch_mapped_file(weights);
                ctnn::ModelInfo info = ctnn::load_weights(weights, model);
                if (info.model.empty()) { info.model = type; }
                native ? ctnn::save_native(to, model, info) : ctnn::save_weights(to, model, info);
            }};
}

/// A file's weights as inference takes them: mapped where the file is native, else loaded.
template <ctnn::Network Net>
class WeightsFile {
  public:
    explicit WeightsFile(const std::filesystem::path& path) {
        watch_mapped_file(path);
        if (ctnn::is_native(path)) {
            mapped_.emplace(path);
        } else {
            ctnn::load_weights(path, loaded_.emplace());
        }
    }
    [[nodiscard]] ctnn::ModelView<Net> view() const { return mapped_ ? mapped_->view() : loaded_->view(); }

  private:
    std::optional<ctnn::MappedModel<Net>> mapped_;
    std::optional<ctnn::Model<Net>> loaded_;
};

template <ctnn::Network Net>
NetworkEntry network_entry(std::string_view name, std::string_view type, const Recipe& recipe) {
    return {name,
            type,
            Net::input_shape,
            Net::classes,
            recipe,
            network_info<Net>,
            [](const ctnn::TrainerSettings& settings, int threads, Ranks& ranks) -> std::unique_ptr<TrainedNetwork> {
                return std::make_unique<NetworkOf<Net>>(settings, threads, ranks);
            },
            [](const std::filesystem::path& weights, ctnn::BatchLoader& loader, int threads,
               const ctnn::EvaluateOptions& options, bool half) {
                const WeightsFile<Net> model{weights};
                ctnn::Workspace<ctnn::Inference<Net>> workspace{loader.options().batch_size, threads};
                ctnn::Metrics metrics =
                    half ? ctnn::evaluate(ctnn::HalfModel<Net>{model.view(), threads}, loader, workspace, options)
                         : ctnn::evaluate(model.view(), loader, workspace, options);
                if (metrics.not_numbers() > 0) {
                    refuse_outputs(weights, ctnn::first_not_finite(model.view(), threads));
                }
                return metrics;
            },
            [](const std::filesystem::path& weights, ctnn::BatchLoader& loader, int threads,
               const ctnn::EvaluateOptions& options,
               const std::function<bool(const ctnn::MiniBatch&, std::span<const float>)>& f) {
                const WeightsFile<Net> model{weights};
                ctnn::Workspace<ctnn::Inference<Net>> workspace{loader.options().batch_size, threads};
                ctnn::predict(model.view(), loader, workspace, options,
                              [&](const ctnn::MiniBatch& batch, std::span<const float> logits) {
                                  if (!ctnn::all_finite(logits, threads)) {
                                      refuse_outputs(weights, ctnn::first_not_finite(model.view(), threads));
                                  }
                                  return f(batch, logits);
                              });
            },
            conversions<Net>()};
}

}  // namespace alexnet
