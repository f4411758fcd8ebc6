// Steps that ranks make together, and one process alone, as numbers to compare.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#ifndef CTNN_SINGLE_HEADER
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/train/trainer.hpp>
#endif

namespace distributed_test {

using namespace ctnn;

struct Plain : Sequential<Input<3, 8, 8>, Conv2d<6, Kernel<3>>, ReLU, MaxPool2d<Kernel<2>>, Dropout2d<0.25>, Flatten,
                          Linear<20>, Tanh, Dropout<0.5>, Linear<5>> {};
struct WithNorms : Sequential<Input<3, 8, 8>, Conv2d<6, Kernel<3>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>>,
                              Conv2d<18, Kernel<3>>, BatchNorm2d<>, ReLU, Flatten, Linear<5>> {};
/// Its first layer computes nothing, and is no stage.
struct Flat : Sequential<Input<3, 8, 8>, Flatten, Linear<20>, ReLU, Linear<5>> {};

template <class T>
struct Samples {
    std::vector<T> images;
    std::vector<std::int32_t> labels;
    std::vector<std::uint32_t> ids;

    explicit Samples(std::size_t n) : images(n * 3 * 8 * 8), labels(n), ids(n) {
        Random random{5, Stream::test};
        for (T& v : images) { v = static_cast<T>(random.normal()); }
        for (std::int32_t& v : labels) { v = static_cast<std::int32_t>(random.below(5)); }
        for (std::uint32_t& v : ids) { v = random.next(); }
    }
    template <class AnyTrainer>
    StepResult step(AnyTrainer& trainer, Shard own, bool with_ids) const {
        return trainer.step(images.data() + own.begin * 3 * 8 * 8, std::span{labels}.subspan(own.begin, own.size()),
                            with_ids ? ids.data() + own.begin : nullptr, 0.1);
    }
};

inline TrainerSettings settings_for(int batch, const Optimizer& optimizer = Sgd{.momentum = 0.9, .nesterov = true}) {
    TrainerSettings s;
    s.optimizer = optimizer;
    s.batch_size = batch;
    s.seed = 3;
    s.sync_batch_norm = true;
    return s;
}

/// Everything that a step decides, of the averaged model where there is one.
template <class AnyTrainer>
std::vector<double> numbers_of(const AnyTrainer& trainer, const StepResult& result) {
    std::vector<double> all{result.loss.mean(), result.loss.weight, static_cast<double>(result.loss.correct),
                            static_cast<double>(result.loss.count), result.gradient_norm};
    for (const auto* model : {&trainer.model(), &trainer.averaged()}) {
        all.insert(all.end(), model->parameters().span().begin(), model->parameters().span().end());
        all.insert(all.end(), model->buffers().span().begin(), model->buffers().span().end());
    }
    return all;
}

inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
    double most = a.size() == b.size() ? 0.0 : std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) { most = std::max(most, std::abs(a[i] - b[i])); }
    return most;
}

/// Three steps on this rank's share of the samples, from models that begin differently on every rank.
template <class Net, class T, class Comm>
std::vector<double> steps_of_rank(Comm& comm, const TrainerSettings& settings, const Samples<T>& samples,
                                  bool with_ids) {
    Model<Net, T> model{Seed{static_cast<std::uint64_t>(1 + comm.rank())}};
    Trainer<Net, T, Comm> trainer{model, settings, 1, comm};
    trainer.synchronize();
    StepResult result;
    for (int s = 0; s < 3; ++s) {
        result = samples.step(trainer, shard_of(samples.labels.size(), comm.rank(), comm.size()), with_ids);
    }
    return numbers_of(trainer, result);
}
/// The same by one process that has the whole batch in a pass.
template <class Net, class T>
std::vector<double> steps_alone(TrainerSettings settings, const Samples<T>& samples, bool with_ids) {
    settings.micro_batch = 0;
    return steps_of_rank<Net>(distributed::alone, settings, samples, with_ids);
}

/// Settings whose steps need different things of the other ranks.
inline std::vector<TrainerSettings> cases() {
    std::vector<TrainerSettings> cases(6, settings_for(13));
    cases[1].clip_norm = 0.1;
    cases[2].loss = CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 0.2, 3, 1, 2}};
    cases[3].loss = Mse{};
    cases[4].optimizer = Lars{.trust_coefficient = 0.1};
    cases[5].ema_decay = 0.9;
    return cases;
}

}  // namespace distributed_test
