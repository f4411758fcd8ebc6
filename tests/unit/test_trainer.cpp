// The trainer: steps of several passes, losses, averaged weights, frozen tensors, failures that change nothing.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/data/synthetic.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/train/early_stopping.hpp>
#include <ctnn/train/evaluate.hpp>
#include <ctnn/train/trainer.hpp>
#endif

#include "distributed/steps.hpp"

namespace {

using namespace ctnn;
using distributed_test::distance;
using distributed_test::Plain;  // what a step in several passes must not change, either
using distributed_test::Samples;

struct WithNorm
    : Sequential<Input<3, 8, 8>, Conv2d<6, Kernel<3>>, BatchNorm2d<>, ReLU, Flatten, Dropout<0.5>, Linear<5>> {};

template <class Net, class T>
std::vector<double> numbers_of(const Model<Net, T>& model) {
    std::vector<double> all{model.parameters().span().begin(), model.parameters().span().end()};
    all.insert(all.end(), model.buffers().span().begin(), model.buffers().span().end());
    return all;
}

TrainerSettings settings_for(int batch, const Optimizer& optimizer = Sgd{.momentum = 0.9, .nesterov = true}) {
    TrainerSettings s;
    s.optimizer = optimizer;
    s.batch_size = batch;
    s.seed = 3;
    return s;
}

}  // namespace

TEMPLATE_TEST_CASE("trainer: a step in several passes equals one in a single pass", "[trainer]", float, double) {
    constexpr std::size_t n = 13;
    const Samples<TestType> samples{n};
    std::vector<TrainerSettings> cases(5, settings_for(n));
    cases[1].clip_norm = 0.1;
    cases[2].loss = CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 0.2, 3, 1, 2}};
    cases[3].loss = Mse{};
    cases[4].optimizer = Lars{.trust_coefficient = 0.1};
    for (std::size_t c = 0; c < cases.size(); ++c) {
        TrainerSettings settings = cases[c];
        for (const bool with_ids : {true, false}) {
            const auto run = [&](int micro_batch) {
                settings.micro_batch = micro_batch;
                Model<Plain, TestType> model{Seed{1}};
                Trainer<Plain, TestType> trainer{model, settings, 2};
                std::vector<double> results;
                for (int s = 0; s < 3; ++s) {
                    const StepResult r = trainer.step(samples.images.data(), samples.labels,
                                                      with_ids ? samples.ids.data() : nullptr, 0.1);
                    results.insert(results.end(),
                                   {r.loss.mean(), static_cast<double>(r.loss.correct), r.gradient_norm});
                }
                const auto all = numbers_of(model);
                results.insert(results.end(), all.begin(), all.end());
                return results;
            };
            const auto whole = run(0);
            for (const int micro_batch : {1, 4, 5, 12, 20}) {
                CAPTURE(c, with_ids, micro_batch);
                const auto parts = run(micro_batch);
                // Three steps; each adds up to 13 numbers below 1 in another order.
                CHECK(distance(parts, whole) < 200 * static_cast<double>(std::numeric_limits<TestType>::epsilon()));
                // One pass where the batch is no larger.
                if (micro_batch == 20) { CHECK(parts == whole); }
            }
        }
    }
}

TEST_CASE("trainer: in several passes batch norm takes its statistics from each", "[trainer]") {
    const Samples<double> samples{8};
    TrainerSettings settings = settings_for(8);
    settings.micro_batch = 4;
    Model<WithNorm, double> split{Seed{1}}, halves{Seed{1}};
    Trainer<WithNorm, double> trainer{split, settings, 1};
    trainer.step(samples.images.data(), samples.labels, samples.ids.data(), 0.1);
    const double factor = 3 * 8 * 8 * 4;
    // Half the gradient of each half, at rate 0 so that the second meets the same weights.
    std::vector<double> gradient(Parameters<WithNorm, double>::size);
    for (const std::size_t half : {0u, 1u}) {
        Trainer<WithNorm, double> other{halves, settings_for(4), 1};  // each half is of the first step
        other.step(samples.images.data() + half * static_cast<std::size_t>(factor),
                   std::span{samples.labels}.subspan(half * 4, 4), samples.ids.data() + half * 4, 0.0);
        for (std::size_t i = 0; i < gradient.size(); ++i) { gradient[i] += 0.5 * other.gradients().data()[i]; }
    }
    CHECK(split.buffers().batches_tracked == 2);
    CHECK(std::ranges::equal(split.buffers().span(), halves.buffers().span()));
    const auto found = trainer.gradients().span();
    CHECK(distance({found.begin(), found.end()}, gradient) < 1e-15);  // numbers of about 0.1, added once
}

TEST_CASE("trainer: every step drops other elements of the same samples", "[trainer]") {
    const Samples<float> samples{5};
    for (const bool with_ids : {true, false}) {
        CAPTURE(with_ids);
        const auto losses = [&] {
            Model<WithNorm> model{Seed{1}};
            Trainer<WithNorm> trainer{model, settings_for(5), 1};
            std::vector<double> found;
            for (int s = 0; s < 4; ++s) {  // at rate 0 the masks alone differ
                const StepResult r =
                    trainer.step(samples.images.data(), samples.labels, with_ids ? samples.ids.data() : nullptr, 0.0);
                found.push_back(r.loss.mean());
            }
            return found;
        };
        std::vector<double> found = losses();
        CHECK(losses() == found);
        std::ranges::sort(found);
        CHECK(std::ranges::adjacent_find(found) == found.end());
    }
}

TEST_CASE("trainer: 1, 2 and 3 threads make the same bits of everything at once", "[trainer]") {
    const Samples<float> samples{13};
    TrainerSettings settings = settings_for(13, Lars{.trust_coefficient = 0.1});
    settings.micro_batch = 5;
    settings.clip_norm = 1.0;
    settings.ema_decay = 0.9;
    settings.lr_scales = {lr_scale("Linear", 2)};
    std::vector<double> first;
    for (const int threads : {1, 2, 3}) {
        Model<WithNorm> model{Seed{1}};
        Trainer<WithNorm> trainer{model, settings, threads};
        for (int s = 0; s < 3; ++s) { trainer.step(samples.images.data(), samples.labels, samples.ids.data(), 0.1); }
        auto all = numbers_of(model);
        const auto average = numbers_of(trainer.averaged());
        all.insert(all.end(), average.begin(), average.end());
        if (threads == 1) { first = all; }
        CHECK(all == first);
    }
}

TEST_CASE("trainer: the gradient norm is that of the gradients, taken where somebody needs it", "[trainer]") {
    const Samples<float> samples{13};
    for (const int micro_batch : {0, 5}) {
        for (const bool needed : {false, true}) {
            TrainerSettings settings = settings_for(13);
            settings.micro_batch = micro_batch;
            settings.clip_norm = needed ? 1e9 : 0.0;
            Model<WithNorm> model{Seed{1}};
            Trainer<WithNorm> trainer{model, settings, 1};
            const StepResult r = trainer.step(samples.images.data(), samples.labels, nullptr, 0.1);
            const auto squares = tensor_squares(trainer.gradients());
            const double norm = std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
            CHECK(norm > 0.1);
            CHECK(r.gradient_norm == (needed ? norm : 0.0));
        }
    }
}

TEST_CASE("trainer: a step that fails in a later pass changes nothing", "[trainer]") {
    Samples<float> samples{13};
    const float bad = GENERATE(std::numeric_limits<float>::quiet_NaN(), 1e38f);
    TrainerSettings settings = settings_for(13);
    settings.micro_batch = 5;
    settings.ema_decay = 0.9;
    settings.clip_norm = GENERATE(0.0, 1.0);
    Model<WithNorm> model{Seed{1}};
    Trainer<WithNorm> trainer{model, settings, 1};
    trainer.step(samples.images.data(), samples.labels, nullptr, 0.1);
    const auto before = numbers_of(model), average = numbers_of(trainer.averaged());
    const auto velocity = trainer.optimizer().arenas()[0].span();
    const std::vector<float> velocity_before{velocity.begin(), velocity.end()};
    const auto tracked = model.buffers().batches_tracked;
    std::fill_n(samples.images.end() - 3 * 8 * 8, 3 * 8 * 8, bad);  // the last sample, which is in the third pass
    CHECK_THROWS_AS(trainer.step(samples.images.data(), samples.labels, nullptr, 0.1), NumericError);
    CHECK(numbers_of(model) == before);
    CHECK(numbers_of(trainer.averaged()) == average);
    CHECK(std::ranges::equal(velocity, velocity_before));
    CHECK(model.buffers().batches_tracked == tracked);
    CHECK(trainer.progress().step == 1);

    // So does a label that is none, before anything runs.
    samples.labels.back() = 5;
    CHECK_THROWS_AS(trainer.step(samples.images.data(), samples.labels, nullptr, 0.1), ArgumentError);
    CHECK(numbers_of(model) == before);
}

TEST_CASE("trainer: any optimizer and loss make one, and it learns", "[trainer]") {
    const Samples<float> samples{10};
    const auto falls = [&](auto trainer) {
        double first = 0.0, last = 0.0;
        for (int s = 0; s < 30; ++s) {
            const double lr = trainer.settings().schedule.lr;
            last = trainer.step(samples.images.data(), samples.labels, nullptr, lr).loss.mean();
            if (s == 0) { first = last; }
        }
        CHECK(last < 0.6 * first);
    };
    Model<WithNorm> model{Seed{1}};
    const Model<WithNorm> start = model;
    falls(Trainer{model, CrossEntropy{}, Sgd{.momentum = 0.9}, Schedule{.lr = 0.05}, 10});
    model = start;
    falls(Trainer{model, CrossEntropy{.label_smoothing = 0.01}, Adam{}, Schedule{.lr = 0.01}, 10});
    model = start;
    falls(Trainer{model, Mse{}, AdamW{}, Schedule{.lr = 0.01}, 10});
    model = start;
    falls(Trainer{model, CrossEntropy{}, Lars{.trust_coefficient = 0.1}, Schedule{.lr = 0.2}, 10});
}

TEST_CASE("trainer: MSE to labels is MSE to their one-hot vectors", "[trainer]") {
    const Samples<double> samples{10};
    std::vector<double> targets(10 * 5);
    for (std::size_t i = 0; i < 10; ++i) { targets[i * 5 + static_cast<std::size_t>(samples.labels[i])] = 1; }
    TrainerSettings settings = settings_for(10);
    settings.micro_batch = GENERATE(0, 4);
    settings.loss = Mse{};
    Model<Plain, double> by_labels{Seed{1}}, by_targets{Seed{1}};
    Trainer<Plain, double> one{by_labels, settings, 1}, two{by_targets, settings, 1};
    std::vector<double> losses;
    for (int s = 0; s < 40; ++s) {
        losses.push_back(one.step(samples.images.data(), samples.labels, samples.ids.data(), 0.02).loss.mean());
        const LossSum loss = two.step(samples.images.data(), targets, samples.ids.data(), 0.02).loss;
        CHECK(loss.mean() == Approx(losses.back()).epsilon(1e-12));
    }
    // Two instantiations may round differently, which 40 steps carry on.
    CHECK(distance(numbers_of(by_labels), numbers_of(by_targets)) < 1e-12);
    CHECK(losses.back() < 0.7 * losses.front());

    Trainer<Plain, double> classifier{by_labels, settings_for(10), 1};
    CHECK_THROWS_WITH(classifier.step(samples.images.data(), targets, nullptr, 0.1), "only Mse takes targets");
}

TEST_CASE("trainer: an epoch takes the loader's mixed labels", "[trainer]") {
    struct Small : Sequential<Input<3, 32, 32>, AvgPool2d<Kernel<4>>, Flatten, Linear<10>> {};
    const Dataset data = make_synthetic(40, 0, 1).train;
    const LoaderOptions options{.batch_size = 16, .seed = 3, .mixup = 0.5};
    Model<Small> model{Seed{1}}, by_hand{Seed{1}};
    Trainer<Small> trainer{model, settings_for(16), 1}, other{by_hand, settings_for(16), 1};
    BatchLoader loader{data, all_indices(data.size()), options}, again{data, all_indices(data.size()), options};
    const LossSum loss = trainer.train_epoch(loader).loss;
    again.start_epoch(0);
    LossSum expected;
    while (const MiniBatch* batch = again.next()) {
        REQUIRE(batch->second_labels.size() == batch->labels.size());
        const double lr = settings_for(16).schedule.at(0);
        const LossSum mixed =
            other.step(batch->images.data(), {batch->labels, batch->second_labels, batch->mix}, nullptr, lr).loss;
        CHECK((batch->mix > 0 && batch->mix < 1));
        expected += mixed;
    }
    CHECK(loss == expected);
    CHECK(numbers_of(model) == numbers_of(by_hand));
}

TEST_CASE("trainer: the averaged model follows the definition", "[trainer]") {
    const Samples<double> samples{8};
    TrainerSettings settings = settings_for(8);
    settings.ema_decay = 0.8;
    settings.ema_every = GENERATE(1, 3);
    Model<WithNorm, double> model{Seed{1}};
    Trainer<WithNorm, double> trainer{model, settings, 1};
    model.parameters().data()[0] = 0.5;  // weights that come after the trainer was made are the beginning all the same
    auto expected = numbers_of(model);
    for (int s = 1; s <= 60; ++s) {
        trainer.step(samples.images.data(), samples.labels, nullptr, 0.05);
        if (s % settings.ema_every == 0) {
            const double k = s / settings.ema_every, decay = std::min(0.8, (1 + k) / (10 + k));
            const auto now = numbers_of(model);
            for (std::size_t i = 0; i < now.size(); ++i) { expected[i] = decay * expected[i] + (1 - decay) * now[i]; }
        }
        CHECK(distance(numbers_of(trainer.averaged()), expected) < 1e-14);  // some roundings of numbers of about 1
    }
    CHECK(distance(numbers_of(trainer.averaged()), numbers_of(model)) > 1e-3);
    CHECK(trainer.averaged().buffers().batches_tracked == 60 / settings.ema_every * settings.ema_every);

    Trainer<WithNorm, double> without{model, settings_for(8), 1};
    CHECK(&without.averaged() == &model);
}

TEST_CASE("trainer: frozen tensors stay, from their epoch on", "[trainer]") {
    struct Small
        : Sequential<Input<3, 32, 32>, Conv2d<4, Kernel<4>, Stride<4>>, BatchNorm2d<>, ReLU, Flatten, Linear<10>> {};
    const Dataset data = make_synthetic(40, 0, 1).train;
    BatchLoader loader{data, all_indices(data.size()), {.batch_size = 16, .seed = 3}};
    TrainerSettings settings = settings_for(16, AdamW{});
    settings.lr_scales = {freeze("0.weight"), freeze("0.bias", 1), freeze("BatchNorm2d.weight")};
    Model<Small> model{Seed{1}};
    Trainer<Small> trainer{model, settings, 1};
    const auto moved = [&] {  // by an epoch
        const Parameters<Small> before = model.parameters();
        trainer.train_epoch(loader);
        std::vector<bool> result;
        for (const ParameterSlot& slot : ParameterLayout<Small>::slots) {
            result.push_back(!std::ranges::equal(tensor_of(before, slot), tensor_of(model.parameters(), slot)));
        }
        return result;
    };
    CHECK(moved() == std::vector<bool>{false, true, false, true, true, true});
    CHECK(moved() == std::vector<bool>{false, false, false, true, true, true});
    settings.lr_scales = {freeze("7")};
    CHECK_THROWS_AS((Trainer<Small>{model, settings, 1}), ArgumentError);
}

TEST_CASE("trainer: the L2 loss is that of what decays", "[trainer]") {
    Model<WithNorm> model{Seed{1}};
    double weights = 0.0, all = 0.0;
    for (const ParameterSlot& slot : ParameterLayout<WithNorm>::slots) {
        for (const float w : tensor_of(model.parameters(), slot)) {
            all += static_cast<double>(w) * static_cast<double>(w);
            weights += slot.spec.rank > 1 ? static_cast<double>(w) * static_cast<double>(w) : 0.0;
        }
    }
    REQUIRE(all > weights + 1);
    const auto loss = [&](const Optimizer& optimizer) {
        return Trainer<WithNorm>{model, settings_for(4, optimizer), 1}.l2_loss();
    };
    // Sums of some hundred numbers in another order.
    CHECK(loss(Sgd{.weight_decay = 0.1}) == Approx(0.05 * all).epsilon(1e-13));
    CHECK(loss(Sgd{.weight_decay = 0.1, .decay_biases_and_norms = false}) == Approx(0.05 * weights).epsilon(1e-13));
    CHECK(loss(Adam{.weight_decay = 0.2}) == Approx(0.1 * all).epsilon(1e-13));
    CHECK(loss(Lars{.weight_decay = 0.1}) == Approx(0.05 * weights).epsilon(1e-13));
    CHECK(loss(Sgd{}) == 0.0);
    CHECK(l2_loss(model, 2.0) == Approx(weights).epsilon(1e-13));
}

TEST_CASE("trainer: settings that fit no trainer are refused", "[trainer]") {
    Model<Plain> model{Seed{1}};
    const auto refused = [&](auto change) {
        TrainerSettings s = settings_for(8);
        change(s);
        CHECK_THROWS_AS((Trainer<Plain>{model, s, 1}), ArgumentError);
    };
    CHECK_NOTHROW((Trainer<Plain>{model, settings_for(8), 1}));
    refused([](auto& s) { s.batch_size = 0; });
    refused([](auto& s) { s.micro_batch = -1; });
    refused([](auto& s) { s.clip_norm = -1; });
    refused([](auto& s) { s.clip_norm = std::numeric_limits<double>::infinity(); });
    refused([](auto& s) { s.ema_decay = 1; });
    refused([](auto& s) { s.ema_every = 0; });
    refused([](auto& s) { s.optimizer = Adam{.beta1 = 2}; });
    refused([](auto& s) { s.loss = CrossEntropy{.class_weights = {1, 2}}; });

    Trainer<Plain> trainer{model, settings_for(8), 1};
    const Samples<float> samples{9};
    CHECK_THROWS_WITH(trainer.step(samples.images.data(), samples.labels, nullptr, 0.1),
                      "a batch of 9 samples; expected 1 to 8, the trainer's batch size");
}

TEST_CASE("trainer, evaluation: a data set that does not fit the network is refused", "[trainer]") {
    const Dataset data = make_synthetic(8, 0, 1).train;
    const auto indices = all_indices(data.size());
    BatchLoader loader{data, indices, {.batch_size = 8}};
    Model<Plain> model{Seed{1}};
    Trainer<Plain> trainer{model, settings_for(8), 1};
    Workspace<Inference<Plain>> workspace{8};
    const std::string message = "batch loader: batches are 3x32x32, expected the 3x8x8 of the network's input";
    CHECK_THROWS_WITH(trainer.train_epoch(loader), message);
    CHECK_THROWS_WITH(evaluate(model.view(), loader, workspace), message);

    struct TwoClasses : Sequential<Input<3, 32, 32>, Flatten, Linear<2>> {};
    Model<TwoClasses> two{Seed{1}};
    const Model<TwoClasses> before = two;
    Trainer<TwoClasses> trainer_of_two{two, settings_for(8), 1};
    BatchLoader one_by_one{data, indices, {.batch_size = 1}}, all{data, indices, {.batch_size = 8}};
    CHECK_THROWS_WITH(trainer_of_two.train_epoch(one_by_one), Catch::Contains("expected 0 to 1"));
    CHECK(std::ranges::equal(two.parameters().span(), before.parameters().span()));  // also where some labels would do
    struct Ten : Sequential<Input<3, 32, 32>, Flatten, Linear<10>> {};
    Model<Ten> ten{Seed{1}};
    Trainer<Ten> trainer_of_four{ten, settings_for(4), 1};
    CHECK_THROWS_WITH(trainer_of_four.train_epoch(all), Catch::Contains("expected 1 to 4, the trainer's batch size"));
    Workspace<Inference<TwoClasses>> workspace_of_two{8};
    CHECK_THROWS_WITH(evaluate(two.view(), data, indices, workspace_of_two),
                      "the data set has 10 classes, expected at most the network's 2");
}

TEST_CASE("settings go to text and back", "[trainer]") {
    const auto back = [](const auto& value) {
        std::remove_cvref_t<decltype(value)> read{};
        parse_setting(setting_text(value), read);
        return read;
    };
    CHECK(setting_text(true) == "1");
    CHECK(back(false) == false);
    CHECK(back(0.1 + 0x1p-54) == 0.1 + 0x1p-54);
    CHECK(back(std::uint64_t{0xFEDC'BA98'7654'3210u}) == 0xFEDC'BA98'7654'3210u);
    CHECK(setting_text(std::vector{30, 60, 90}) == "30,60,90");
    CHECK(back(std::vector{30, 60, 90}) == std::vector{30, 60, 90});
    CHECK(back(std::vector{1.0 / 3, 0.0}) == std::vector{1.0 / 3, 0.0});
    CHECK(back(std::vector<int>{}).empty());
    const std::vector<LrScale> scales{freeze("0.bias", 3), lr_scale("BatchNorm2d.bias", 64)};
    CHECK(setting_text(scales) == "0.bias=0@3,BatchNorm2d.bias=64");
    CHECK(back(scales) == scales);
    CHECK(back(std::vector{freeze("a=b.weight")}) == std::vector{freeze("a=b.weight")});
    CHECK(setting_text(Optimizer{Lars{}}) == "lars");

    // A variant that has the alternative already keeps its settings.
    Optimizer optimizer = Sgd{.momentum = 0.5};
    parse_setting("sgd", optimizer);
    CHECK(std::get<Sgd>(optimizer).momentum == 0.5);
    parse_setting("adamw", optimizer);
    CHECK(std::get<AdamW>(optimizer).weight_decay == 1e-2);
    CHECK_THROWS_WITH(parse_setting("adagrad", optimizer), "found 'adagrad', expected one of sgd, adam, adamw, lars");

    const auto refuses = [](const char* text, auto value) {
        CAPTURE(text);
        const auto before = value;
        CHECK_THROWS_AS(parse_setting(text, value), ArgumentError);
        CHECK(value == before);
    };
    for (const char* text : {"", "x", "1x", "1 "}) { refuses(text, 1.5); }
    refuses("2", true);
    refuses("1.5", 7);
    for (const char* text : {",", "1,", "1,,2", "1,x"}) { refuses(text, std::vector{7}); }
    for (const char* text : {"a", "=1", "a=", "a=x", "a=1@", "a=1@x", "a=1,"}) {
        refuses(text, std::vector<LrScale>{freeze("b")});
    }
}

TEST_CASE("early stopping waits for the best epoch to be some time ago", "[trainer]") {
    const std::vector<double> scores{0.1, 0.5, 0.4, 0.5, 0.45, 0.6};
    const auto stops = [&](std::size_t epochs, int patience, double min_delta = 0.0) {
        return stops_early(std::span{scores}.first(epochs), patience, min_delta);
    };
    CHECK_FALSE(stops(0, 1));
    CHECK_FALSE(stops(2, 1));
    CHECK(stops(3, 1));
    CHECK_FALSE(stops(4, 3));  // an equal score is no better: the best epoch is the second
    CHECK(stops(4, 2));
    CHECK(stops(5, 3));
    CHECK_FALSE(stops(6, 1));
    CHECK(stops(6, 3, 0.2));
    CHECK_FALSE(stops(5, 0));

    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_FALSE(stops_early(std::vector{nan, 0.5, 0.6}, 2));  // whatever comes is better than NaN
    CHECK(stops_early(std::vector{nan, 0.5, nan, nan}, 2));
    CHECK(stops_early(std::vector{nan, nan, nan}, 2));
}

TEST_CASE("a network that ends in a map is evaluated in several views, too", "[trainer]") {
    struct Maps : Sequential<Input<3, 32, 32>, Conv2d<4, Kernel<3>>> {};
    const Dataset data = make_synthetic(5, 0, 1).train;
    const Model<Maps> model{Seed{1}};
    Workspace<Inference<Maps>> workspace{4};
    BatchLoader loader{data, all_indices(data.size()), {.batch_size = 4, .shuffle = false}};
    std::size_t outputs = 0;
    predict(model.view(), loader, workspace, {.flip = true}, [&](const MiniBatch& batch, std::span<const float> maps) {
        CHECK(maps.size() == static_cast<std::size_t>(batch.size) * 4 * 30 * 30);
        outputs += maps.size();
        return true;
    });
    CHECK(outputs == std::size_t{5} * 4 * 30 * 30);

    Workspace<Inference<Maps>> smaller{3};
    CHECK_THROWS_WITH(
        predict(model.view(), loader, smaller, {.flip = true}, [](const MiniBatch&, auto) { return true; }),
        Catch::Contains("expected 1 to 3, the workspace's batch size"));
}

TEST_CASE("evaluation with mirror images takes the mean of both logits", "[trainer]") {
    struct Small : Sequential<Input<3, 32, 32>, AvgPool2d<Kernel<8>>, Flatten, Linear<10>> {};
    const Dataset data = make_synthetic(50, 0, 1).train;
    Model<Small> model{Seed{1}};
    for (float& w : model.parameters().span()) { w *= 20; }  // logits that differ
    Workspace<Inference<Small>> workspace{16};
    const auto indices = all_indices(data.size());
    const Metrics plain = evaluate(model.view(), data, indices, workspace);
    const Metrics both = evaluate(model.view(), data, indices, workspace, {.flip = true});
    CHECK(both.samples() == 50);

    // The same by hand, on a data set whose images are mirrored.
    Dataset mirrored = data;
    const std::size_t rows = data.pixels.size() / 32;
    for (std::size_t row = 0; row < rows; ++row) {
        std::reverse(mirrored.pixels.begin() + static_cast<std::ptrdiff_t>(row * 32),
                     mirrored.pixels.begin() + static_cast<std::ptrdiff_t>(row * 32 + 32));
    }
    LossSum expected;
    BatchLoader loader{data, indices, {.batch_size = 16, .shuffle = false}};
    BatchLoader other{mirrored, indices, {.batch_size = 16, .shuffle = false}};
    loader.start_epoch(0);
    other.start_epoch(0);
    while (const MiniBatch* batch = loader.next()) {
        const auto logits = forward(model.view(), batch->images.data(), batch->size, workspace);
        std::vector<float> sum{logits.begin(), logits.end()};
        const auto flipped = forward(model.view(), other.next()->images.data(), batch->size, workspace);
        for (std::size_t i = 0; i < sum.size(); ++i) { sum[i] = (sum[i] + flipped[i]) / 2; }
        expected += cross_entropy<float>({}, sum, batch->labels, 10, {});
    }
    CHECK(both.mean_loss() == expected.mean());
    CHECK(both.accuracy() == expected.accuracy());
    CHECK(both.mean_loss() != plain.mean_loss());
    CHECK(evaluate(model.view(), mirrored, indices, workspace, {.flip = true}).mean_loss() == both.mean_loss());
}

TEST_CASE("evaluation with moved images gives these half of the weight", "[trainer]") {
    struct Small : Sequential<Input<3, 32, 32>, AvgPool2d<Kernel<8>>, Flatten, Linear<10>> {};
    const Dataset data = make_synthetic(20, 0, 1).train;
    Model<Small> model{Seed{1}};
    for (float& w : model.parameters().span()) { w *= 20; }
    Workspace<Inference<Small>> workspace{16};
    const bool flip = GENERATE(false, true);
    BatchLoader loader{data, all_indices(data.size()), {.batch_size = 16, .shuffle = false}};
    double largest = 0, change = 0;
    predict(model.view(), loader, workspace, {.flip = flip, .shift = 2},
            [&](const MiniBatch& batch, std::span<const float> logits) {
                const std::vector<float> found{logits.begin(), logits.end()};
                const std::vector<float> images{batch.images.begin(), batch.images.end()};
                std::vector<double> expected(found.size());
                std::vector<float> view(images.size());
                for (const int shift : {0, 2, -2}) {
                    for (const bool mirrored : {false, true}) {
                        if (mirrored && !flip) { continue; }
                        shift_images(images, Small::input_shape, shift, view);
                        if (mirrored) { mirror_images(view, Small::input_shape, view); }
                        const double weight = (shift == 0 ? 0.5 : 0.25) / (flip ? 2 : 1);
                        const auto logits_of_view = forward(model.view(), view.data(), batch.size, workspace);
                        for (std::size_t i = 0; i < found.size(); ++i) {
                            expected[i] += weight * logits_of_view[i];
                            if (shift == 0 && !mirrored) {
                                change = std::max<double>(change, std::abs(found[i] - logits_of_view[i]));
                            }
                        }
                    }
                }
                for (std::size_t i = 0; i < found.size(); ++i) {
                    largest = std::max(largest, std::abs(expected[i]));
                    CHECK(std::abs(found[i] - expected[i]) < 1e-5);  // sums of six floats of magnitude 1 to 10
                }
                return true;
            });
    CHECK(change > 1e-3);
    CHECK(largest > 0.1);
}
