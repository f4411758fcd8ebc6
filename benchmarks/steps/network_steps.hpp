// The passes of one network, and the time of each of its stages.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ctnn/core/random.hpp>
#include <ctnn/network/half_model.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/optimizer_state.hpp>

#include "measure.hpp"
#include "steps/steps.hpp"

namespace ctnn::inline CTNN_ISA::bench {

template <Network Net>
class StepsOf final : public NetworkSteps {
    using TrainPlan = Training<Net>;
    using InferPlan = Inference<Net>;
    static constexpr int update_time = TrainPlan::end_time + 1;
    /// Of the first layer with weights, whose input needs no gradient.
    static constexpr std::int64_t first_multiply_adds = [] {
        for (const LayerInfo& layer : Net::description.layers) {
            if (layer.multiply_adds > 0) { return layer.multiply_adds; }
        }
        return std::int64_t{0};
    }();

  public:
    StepsOf(int batch, int threads)
        : batch_{batch},
          train_(batch, threads),
          infer_(batch, threads),
          infer_one_(1, threads),
          half_{model_.view(), threads},
          images_(static_cast<std::size_t>(batch * Net::input_shape.size())),
          labels_(static_cast<std::size_t>(batch)) {
        Random random{3, Stream::test};
        for (float& v : images_) { v = static_cast<float>(random.normal()); }
        for (std::int32_t& v : labels_) { v = static_cast<std::int32_t>(random.below(Net::classes)); }
        shortest_.fill(std::numeric_limits<double>::infinity());
    }

    void run(Pass pass) override {
        switch (pass) {
            case Pass::train: train(); break;
            case Pass::infer: forward(model_.view(), images_.data(), batch_, infer_); break;
            case Pass::infer_one: forward(model_.view(), images_.data(), 1, infer_one_); break;
            case Pass::infer_one_half: forward(half_, images_.data(), 1, infer_one_); break;
        }
    }

    [[nodiscard]] double flops(Pass pass) const override {
        const auto forward = static_cast<double>(Net::multiply_adds), first = static_cast<double>(first_multiply_adds);
        return pass == Pass::train   ? 2.0 * batch_ * (3.0 * forward - first)
               : pass == Pass::infer ? 2.0 * batch_ * forward
                                     : 2.0 * forward;
    }
    [[nodiscard]] double memory_bytes(Pass pass) const override {
        return pass == Pass::train ? 5.0 * sizeof(float) * static_cast<double>(Net::parameter_count) : 0.0;
    }

    [[nodiscard]] std::size_t plan_bytes(Pass pass) const override {
        return pass == Pass::train   ? TrainPlan::bytes(batch_, train_.threads())
               : pass == Pass::infer ? InferPlan::bytes(batch_, infer_.threads())
                                     : InferPlan::bytes(1, infer_one_.threads());
    }

    [[nodiscard]] std::vector<StageTime> stages() const override {
        std::vector<StageTime> times;
        for (std::size_t s = 0; s < TrainPlan::stage_count; ++s) {
            const StageSpec& spec = TrainPlan::StageList::at(s);
            std::string layers = std::to_string(spec.begin) + ":";
            for (std::size_t i = spec.begin; i < spec.end; ++i) { (layers += ' ') += Net::description.layers[i].type; }
            times.push_back({layers, time(TrainPlan::forward_time(s)), time(TrainPlan::backward_time(s))});
        }
        times.push_back({"loss", time(TrainPlan::stage_count), 0.0});
        times.push_back({"update", 0.0, time(update_time)});
        return times;
    }

  private:
    /// Notes the time since the last call as that of `at`, if it is shorter than
    /// before.
    struct Watch {
        std::array<double, update_time + 1>& shortest;
        double last = now();

        void operator()(int at) {
            const double time = now();
            double& entry = shortest[static_cast<std::size_t>(at)];
            entry = std::min(entry, time - last);
            last = time;
        }
    };
    [[nodiscard]] double time(std::size_t at) const { return shortest_[at]; }
    [[nodiscard]] double time(int at) const { return shortest_[static_cast<std::size_t>(at)]; }

    void train() {
        Watch watch{shortest_};
        const RandomKey key{1, step_++, nullptr};
        const auto logits = forward(model_, images_.data(), batch_, train_, key, watch);
        cross_entropy<float>({.label_smoothing = 0.1}, logits, labels_, Net::classes, train_.output_gradient(batch_));
        watch(static_cast<int>(TrainPlan::stage_count));
        backward(model_, images_.data(), batch_, train_, gradients_, watch);
        optimizer_.step(StepNumbers<Net>{0.001}, model_.parameters(), gradients_);
        watch(update_time);
    }

    int batch_;
    std::uint32_t step_ = 0;
    Model<Net> model_{Seed{1}};
    Parameters<Net> gradients_;
    OptimizerState<Net> optimizer_{Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4}};
    Workspace<TrainPlan> train_;
    Workspace<InferPlan> infer_, infer_one_;
    HalfModel<Net> half_;  ///< of the first weights, which is as good for timing
    AlignedArray<float> images_;
    std::vector<std::int32_t> labels_;
    std::array<double, update_time + 1> shortest_;
};

template <Network Net>
NetworkCase network_case(std::string_view name, int usual_batch) {
    return {name, usual_batch, [](int batch, int threads) -> std::unique_ptr<NetworkSteps> {
                return std::make_unique<StepsOf<Net>>(batch, threads);
            }};
}

}  // namespace ctnn::inline CTNN_ISA::bench
