// Puts one network's type behind the interface: the only part of the tool that is compiled once per network.
#pragma once

#include <memory>
#include <utility>

#include <ctnn/io/checkpoint.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/evaluate.hpp>
#include <ctnn/train/trainer.hpp>

#include "networks.hpp"

namespace alexnet {

template <ctnn::Network Net>
class NetworkOf final : public TrainedNetwork {
  public:
    NetworkOf(const ctnn::TrainerSettings& settings, int threads)
        : model_{ctnn::Seed{settings.seed}},
          trainer_{model_, settings, threads},
          inference_{settings.batch_size, threads} {}

    ctnn::StepResult train_epoch(ctnn::BatchLoader& loader,
                                 const std::function<bool(const ctnn::StepResult&)>& after_step) override {
        return trainer_.train_epoch(loader, after_step);
    }
    ctnn::Metrics evaluate(const ctnn::Dataset& data, std::vector<std::uint32_t> indices) override {
        return ctnn::evaluate(model_.view(), data, std::move(indices), inference_);
    }
    [[nodiscard]] const ctnn::TrainerProgress& progress() const override { return trainer_.progress(); }
    void require_finite() const override { trainer_.require_finite(); }

    void save_weights(const std::filesystem::path& path, const ctnn::ModelInfo& info) const override {
        ctnn::save_weights(path, model_, info);
    }
    void save_state(const std::filesystem::path& path, const ctnn::SafetensorsMetadata& further) const override {
        ctnn::save_trainer(path, trainer_, further);
    }
    void load_state(const std::filesystem::path& path, const ctnn::SafetensorsMetadata& further) override {
        ctnn::load_trainer(path, trainer_, further);
    }

  private:
    ctnn::Model<Net> model_;
    ctnn::Trainer<Net> trainer_;
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
NetworkEntry network_entry(std::string_view name, std::string_view type, const Recipe& recipe) {
    return {name,
            type,
            recipe,
            network_info<Net>,
            [](const ctnn::TrainerSettings& settings, int threads) -> std::unique_ptr<TrainedNetwork> {
                return std::make_unique<NetworkOf<Net>>(settings, threads);
            },
            [](const std::filesystem::path& weights, const ctnn::Dataset& data, int batch, int threads) {
                ctnn::Model<Net> model;
                ctnn::load_weights(weights, model);
                ctnn::Workspace<ctnn::Inference<Net>> workspace{batch, threads};
                return ctnn::evaluate(model.view(), data, ctnn::all_indices(data.size()), workspace);
            }};
}

}  // namespace alexnet
