// Numbers that are infinite or NaN, too large, or too few: found where they appear, named, skipped on request.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/error.hpp>
#include <ctnn/data/synthetic.hpp>
#include <ctnn/io/checkpoint.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/kernels/normalization.hpp>
#include <ctnn/kernels/update.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/trainer.hpp>
#endif

#include "scratch.hpp"

namespace {

using namespace ctnn;
using Catch::Contains;
using Catch::EndsWith;
using Catch::StartsWith;

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN(),
                infinity = std::numeric_limits<float>::infinity();

struct Net : Sequential<Input<3, 8, 8>, Conv2d<6, Kernel<3>>, BatchNorm2d<>, ReLU, Flatten, Dropout<0.5>, Linear<5>> {};
struct Plain : Sequential<Input<3, 8, 8>, Flatten, Linear<5>> {};
/// One value a channel in each sample.
struct OnePixel : Sequential<Input<3, 4, 4>, Conv2d<4, Kernel<4>>, BatchNorm2d<>, ReLU, Conv2d<5, Kernel<1>>, Flatten> {
};

struct Samples {
    std::vector<float> images;
    std::vector<std::int32_t> labels;
    std::vector<std::uint32_t> ids;

    Samples(std::size_t n, std::uint64_t seed) : images(n * 3 * 8 * 8), labels(n), ids(n) {
        Random random{seed, Stream::test};
        for (float& v : images) { v = random.uniform(-1, 1); }
        for (std::int32_t& v : labels) { v = static_cast<std::int32_t>(random.below(5)); }
        for (std::uint32_t& v : ids) { v = random.below(1000); }
    }
};

TrainerSettings settings_for(int batch, const Optimizer& optimizer = Sgd{.momentum = 0.9}) {
    TrainerSettings s;
    s.optimizer = optimizer;
    s.batch_size = batch;
    return s;
}

template <class N>
StepResult step(Trainer<N>& trainer, const Samples& samples, bool with_ids = true) {
    return trainer.step(samples.images.data(), samples.labels, with_ids ? samples.ids.data() : nullptr, 0.01);
}

/// The line of the error that f() ends with; empty where it returns.
template <class Expected, class F>
std::string message_of(F&& f) {
    try {
        f();
    } catch (const Expected& error) { return error.what(); }
    return {};
}

/// All that a step may change but the progress.
template <class N>
std::vector<float> state_of(const Trainer<N>& trainer) {
    std::vector<float> all;
    const auto add = [&](std::span<const float> part) { all.insert(all.end(), part.begin(), part.end()); };
    for (const Model<N>* model : {&trainer.model(), &trainer.averaged()}) {
        add(model->parameters().span());
        add(model->buffers().span());
        all.push_back(static_cast<float>(model->buffers().batches_tracked));
    }
    for (const auto& arena : trainer.optimizer().arenas()) { add(arena.span()); }
    return all;
}

}  // namespace

TEST_CASE("numbers: what is not finite is named once, with step, place and tensor", "[numbers]") {
    Samples samples{6, 1};
    TrainerSettings settings = settings_for(6);
    settings.micro_batch = GENERATE(0, 4);
    settings.clip_norm = GENERATE(0.0, 1.0);
    Model<Net> model{Seed{1}};
    Trainer<Net> trainer{model, settings, 1};
    step(trainer, samples);
    const auto failure = [&](bool with_ids = true) {
        const auto before = state_of(trainer);
        const std::string message = message_of<NumericError>([&] { step(trainer, samples, with_ids); });
        // By bits: what is NaN already must stay as well.
        const auto after = state_of(trainer);
        CHECK(std::ranges::equal(before, after,
                                 [](float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }));
        CHECK(trainer.progress().step == 1);
        return message;
    };

    SECTION("input") {
        samples.images[((5 * 8 + 2) * 8 + 7) * 3 + 1] = not_a_number;
        samples.ids[5] = 17;
        const std::string where = "step 1: the loss is not finite; the input is not: image 5 of the batch";
        CHECK(failure() == where + " (id 17), channel 1, row 2, column 7 is NaN");
        CHECK(failure(false) == where + ", channel 1, row 2, column 7 is NaN");
    }
    SECTION("parameter") {
        model.parameters().data()[ParameterLayout<Net>::offset(5, 1)] = -infinity;
        CHECK(failure() ==
              "step 1: the loss is not finite; the first output that is not: layer 5, Linear; the first "
              "parameter that is not: 5.bias (layer 5, Linear); lower the learning rate, warm up, or clip "
              "gradients");
        CHECK(message_of<NumericError>([&] { trainer.require_finite(); }) ==
              "step 1: the model is not finite; the first tensor that is not: 5.bias (layer 5, Linear)");
    }
    SECTION("running statistics that were so") {
        model.buffers().data()[ParameterLayout<Net>::buffers[0].mean_offset + 5] = not_a_number;
        CHECK_THAT(failure(), StartsWith("step 1: the running statistics are not finite; the first that are not: "
                                         "1.running_mean (layer 1, BatchNorm2d); lower"));
        CHECK(first_not_finite(model.view()) == "1.running_mean (layer 1, BatchNorm2d)");
    }
    SECTION("a variance that overflows, whose layer would say the same of every image from then on") {
        for (float& w : model.parameters().span().first(64)) { w *= 1e22f; }
        CHECK_THAT(failure(), StartsWith("step 1: the running statistics are not finite; the first that are not: "
                                         "1.running_var (layer 1, BatchNorm2d); lower"));
    }
}

TEST_CASE("numbers: a gradient that is not finite is found in its step", "[numbers]") {
    Samples samples{4, 1};
    TrainerSettings settings = settings_for(4, GENERATE(Optimizer{Sgd{}}, Optimizer{Sgd{.momentum = 0.5}},
                                                        Optimizer{Sgd{.momentum = 0.5, .nesterov = true}},
                                                        Optimizer{Adam{}}, Optimizer{AdamW{}}, Optimizer{Lars{}}));
    settings.loss = Mse{};
    const bool normed = GENERATE(false, true);
    settings.clip_norm = normed ? 1.0 : 0.0;
    Model<Plain> model;
    Trainer<Plain> trainer{model, settings, 1};
    // Outputs are the biases, 1e5, the loss 1e10; the weights' gradient is 1e35 · 1e5.
    std::ranges::fill(samples.images, 1e35f);
    const std::int64_t bias = ParameterLayout<Plain>::offset(1, 1);
    std::fill_n(model.parameters().data() + bias, 5, 1e5f);
    const bool looks_before = normed || std::holds_alternative<Lars>(settings.optimizer);
    const std::vector<float> before = state_of(trainer);
    const std::string message = message_of<NumericError>([&] { step(trainer, samples); });
    CHECK_THAT(message, StartsWith(looks_before ? "step 0: the gradient norm is" : "step 0: the update is"));
    CHECK_THAT(message, Contains("not finite; the first gradient that is not: 1.weight (layer 1, Linear); lower"));
    if (looks_before) {
        CHECK((state_of(trainer) == before));
    } else {
        CHECK_THAT(message, EndsWith("; the model has been moved: go on from a file"));
    }

    // A frozen tensor's gradient moves nothing.
    settings.lr_scales = {freeze("1.weight")};
    Model<Plain> frozen = model;
    std::ranges::fill(frozen.parameters().span(), 0.0f);
    std::fill_n(frozen.parameters().data() + bias, 5, 1e5f);
    Trainer<Plain> other{frozen, settings, 1};
    CHECK_NOTHROW(step(other, samples));
}

TEMPLATE_TEST_CASE("numbers: an update says whether what it wrote is finite", "[numbers]", float, double) {
    using T = TestType;
    constexpr std::size_t n = 40'007;  // several chunks, and a partial vector
    const T most = std::numeric_limits<T>::max();
    const auto good = [&](auto step, std::size_t bad, T gradient, int threads) {
        std::vector<T> w(n, T(1)), g(n, T(0.5)), first(n), second(n);
        if (bad < n) { g[bad] = gradient; }
        const std::array<UpdateRange<decltype(step)>, 1> ranges{{{0, n, step}}};
        return update_arena<decltype(step), T>(ranges, {w.data(), g.data(), first.data(), second.data()}, threads);
    };
    const auto check = [&](auto step) {
        for (const int threads : {1, 3}) {
            CHECK(good(step, n, T(0), threads));
            for (const std::size_t bad : {std::size_t{0}, std::size_t{16'390}, n - 1}) {
                CHECK_FALSE(good(step, bad, static_cast<T>(not_a_number), threads));
                CHECK_FALSE(good(step, bad, static_cast<T>(-infinity), threads));
            }
        }
    };
    for (const double lr : {0.0, 0.1}) {
        check(SgdStep{.lr = lr});
        check(SgdStep{.lr = lr, .momentum = 0.9});
        check(SgdStep{.lr = lr, .momentum = 0.9, .nesterov = true});
        check(AdamStep{.lr = lr});
    }
    // The update itself overflows: a weight, or a second moment, behind which Adam would never move that weight again.
    CHECK_FALSE(good(SgdStep{.lr = 4.0}, 7, most, 1));
    CHECK_FALSE(good(AdamStep{.lr = 0.1}, 7, std::sqrt(most) * 100, 1));
    CHECK(good(AdamStep{.lr = 0.1}, 7, std::sqrt(most) / 100, 1));
}

TEST_CASE("numbers: a skipped step changes nothing, for any number of threads", "[numbers]") {
    const Samples good{13, 1}, next{13, 2};
    Samples bad{13, 3};
    const float value = GENERATE(std::numeric_limits<float>::quiet_NaN(), 1e38f);
    std::fill_n(bad.images.end() - 3 * 8 * 8, 3 * 8 * 8, value);  // the last image, in the last pass
    TrainerSettings settings = settings_for(13, GENERATE(Optimizer{Sgd{.momentum = 0.9, .nesterov = true}},
                                                         Optimizer{Adam{}}, Optimizer{Lars{.trust_coefficient = 0.1}}));
    settings.micro_batch = GENERATE(0, 5);
    settings.clip_norm = GENERATE(0.0, 1.0);
    settings.ema_decay = 0.9;
    settings.ema_every = 2;

    Model<Net> without{Seed{1}};
    Trainer<Net> expected{without, settings, 1};
    for (const Samples* samples : {&good, &next, &good}) { step(expected, *samples); }

    settings.skip_nonfinite = 2;
    for (const int threads : {1, 2, 3}) {
        CAPTURE(value, settings.optimizer.index(), settings.micro_batch, settings.clip_norm, threads);
        Model<Net> model{Seed{1}};
        Trainer<Net> trainer{model, settings, threads};
        const auto skips = [&] {
            const auto before = state_of(trainer);
            const StepResult result = step(trainer, bad);
            CHECK(result.skipped == 1);
            CHECK(result.loss.count == 0);
            CHECK((state_of(trainer) == before));
        };
        skips();
        CHECK(step(trainer, good).skipped == 0);
        skips();
        skips();
        CHECK(trainer.progress().skipped_in_a_row == 2);
        step(trainer, next);
        CHECK(trainer.progress().skipped_in_a_row == 0);
        step(trainer, good);
        // Neither Adam's corrections nor the average's moves counted them.
        CHECK((state_of(trainer) == state_of(expected)));
        CHECK(trainer.progress().step == 6);
        CHECK(trainer.progress().skipped == 3);
    }
}

TEST_CASE("numbers: too many skipped steps in a row end the run", "[numbers]") {
    Samples samples{6, 1};
    samples.images[0] = infinity;
    TrainerSettings settings = settings_for(6);
    settings.skip_nonfinite = 2;
    Model<Net> model{Seed{1}};
    Trainer<Net> trainer{model, settings, 1};
    const auto before = state_of(trainer);
    CHECK(step(trainer, samples).skipped == 1);
    CHECK(step(trainer, samples).skipped == 1);
    CHECK(message_of<NumericError>([&] { step(trainer, samples, false); }) ==
          "step 2: the loss is not finite; the input is not: image 0 of the batch, channel 0, row 0, column 0 is "
          "infinity; skipped before it: 2 in a row");
    CHECK((state_of(trainer) == before));

    settings.skip_nonfinite = -1;
    CHECK_THROWS_WITH((Trainer<Net>{model, settings, 1}), "skip_nonfinite is -1, expected at least 0");
}

TEST_CASE("numbers: a run that skips steps is resumed in the middle of an epoch", "[numbers]") {
    struct Small : Sequential<Input<3, 32, 32>, AvgPool2d<Kernel<8>>, Flatten, Linear<10>> {};
    const Dataset data = make_synthetic(200, 0, 1).train;
    BatchLoader loader{data, all_indices(data.size()), {.batch_size = 8, .seed = 3}};
    TrainerSettings settings = settings_for(8, Adam{});
    settings.skip_nonfinite = 25;
    // The loss of a batch with the last class overflows.
    settings.loss = CrossEntropy{.class_weights = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1.7e308}};
    const Scratch scratch;
    Model<Small> model{Seed{1}};
    Trainer<Small> unbroken{model, settings, 1};
    const StepResult whole = unbroken.train_epoch(loader);
    CHECK(whole.skipped > 5);
    CHECK(whole.skipped < 20);
    CHECK(whole.loss.count == (25 - whole.skipped) * 8);
    CHECK(unbroken.progress().epoch_skipped == 0);
    unbroken.train_epoch(loader);
    CHECK(unbroken.progress().skipped > whole.skipped);
    save_trainer(scratch / "unbroken", unbroken);

    const int stop = GENERATE(1, 2, 3, 4, 5, 6, 25);
    Model<Small> half{Seed{1}}, rest{Seed{2}};
    Trainer<Small> stopped{half, settings, 1}, resumed{rest, settings, 2};
    int steps = 0;
    stopped.train_epoch(loader, [&](const StepResult&) { return ++steps < stop; });
    save_trainer(scratch / "stopped", stopped);
    load_trainer(scratch / "stopped", resumed);
    CHECK(resumed.progress() == stopped.progress());
    if (stopped.progress().epoch == 0) {
        const StepResult both = resumed.train_epoch(loader);
        CHECK(both.skipped == whole.skipped);
        CHECK(both.loss == whole.loss);
    }
    resumed.train_epoch(loader);
    save_trainer(scratch / "resumed", resumed);
    CHECK((read_file(scratch / "resumed") == read_file(scratch / "unbroken")));  // not to be printed
}

TEMPLATE_TEST_CASE("numbers: softmax and cross-entropy over the whole range", "[numbers]", float, double) {
    using T = TestType;
    const T most = std::numeric_limits<T>::max(), inf = std::numeric_limits<T>::infinity();
    const auto loss = [](const std::vector<T>& x, std::int32_t label, std::vector<T>& gradient,
                         const CrossEntropy& settings = {}) {
        gradient.assign(x.size(), T(7));
        return cross_entropy<T>(settings, x, std::vector{label}, static_cast<int>(x.size()), gradient);
    };
    const auto both = [](const std::vector<T>& x) {
        std::array<std::vector<T>, 2> out{x, x};
        softmax<T>(x, static_cast<int>(x.size()), out[0]);
        log_softmax<T>(x, static_cast<int>(x.size()), out[1]);
        return out;
    };
    const double ln2 = std::log(2.0);
    std::vector<T> g;

    // The difference of floats may overflow a float, not the loss.
    const double range = 2.0 * static_cast<double>(most);  // infinite for doubles
    CHECK(loss({most, -most}, 1, g).loss_sum == range);
    CHECK(g == std::vector<T>{1, -1});
    CHECK(loss({most, -most}, 0, g).loss_sum == 0.0);
    CHECK(g == std::vector<T>{0, 0});
    CHECK(loss({most, -most}, 0, g, {.label_smoothing = 0.5}).loss_sum == 0.25 * range);
    CHECK(g == std::vector<T>{T(0.25), T(-0.25)});
    CHECK(both({most, -most})[0] == std::vector<T>{1, 0});
    CHECK(both({most, -most})[1] == std::vector<T>{0, -inf});

    const T big = T(1e30);
    CHECK(loss({big, -big, big}, 2, g).loss_sum == ln2);
    CHECK(g == std::vector<T>{T(0.5), 0, T(-0.5)});
    CHECK(both({big, -big, big})[0] == std::vector<T>{T(0.5), 0, T(0.5)});
    CHECK(both({big, -big, big})[1] == std::vector<T>{T(-ln2), -2 * big, T(-ln2)});
    CHECK(loss({-most, -most}, 0, g).loss_sum == ln2);

    // A class masked by −∞ has no share; smoothing gives it one, and the loss is infinite, unless its weight is 0.
    const std::vector<T> masked{0, -inf, 0};
    CHECK(both(masked)[1] == std::vector<T>{T(-ln2), -inf, T(-ln2)});
    CHECK(loss(masked, 0, g, {.class_weights = {2, 1, 1}}).loss_sum == 2 * ln2);
    CHECK(g == std::vector<T>{T(-0.5), 0, T(0.5)});
    CHECK(loss(masked, 0, g, {.label_smoothing = 0.75}).loss_sum == static_cast<double>(inf));
    CHECK(g == std::vector<T>{T(0), T(-0.25), T(0.25)});
    const LossSum ignored = loss(masked, 0, g, {.label_smoothing = 0.75, .class_weights = {1, 0, 1}});
    CHECK(ignored.loss_sum == 0.75 * ln2);  // targets ½ and ¼
    CHECK(g == std::vector<T>{T(-0.125), 0, T(0.125)});
    CHECK(loss(masked, 1, g).loss_sum == static_cast<double>(inf));
    CHECK(g == std::vector<T>{T(0.5), -1, T(0.5)});

    // What is not a number shows, as in PyTorch.
    for (const auto& x :
         {std::vector<T>{-inf, -inf}, std::vector<T>{inf, 0}, std::vector<T>{0, static_cast<T>(not_a_number)}}) {
        CHECK(std::isnan(loss(x, 0, g).loss_sum));
        const auto [p, log_p] = both(x);
        for (const auto& all : {g, p, log_p}) {
            CHECK(std::ranges::all_of(all, [](T v) { return std::isnan(v); }));
        }
    }

    // A batch whose labels weigh nothing teaches nothing.
    for (const double smoothing : {0.0, 0.5}) {
        const LossSum nothing = loss({1, 2}, 1, g, {.label_smoothing = smoothing, .class_weights = {1, 0}});
        CHECK(nothing.weight == 0.0);
        CHECK(g == std::vector<T>{0, 0});
    }
    CHECK(std::isnan(LossSum{}.mean()));
    CHECK_FALSE(std::signbit(LossSum{}.mean()));
    CHECK_FALSE(std::signbit(LossSum{}.accuracy()));
}

TEST_CASE("numbers: batch norm refuses to train on one value a channel, as PyTorch does", "[numbers]") {
    const std::string line =
        "layer 1, BatchNorm2d: a training pass of 1 sample has 1 value in each channel, expected at least 2; change "
        "the "
        "batch size, or drop the last batch";
    const std::vector<float> images(3 * 4 * 4 * 3, 0.5f);
    const std::vector<std::int32_t> labels{0, 1, 2};
    Model<OnePixel> model{Seed{1}};
    Workspace<Training<OnePixel>> training{2};
    const Buffers<OnePixel> before = model.buffers();
    CHECK(message_of<ArgumentError>([&] { forward(model, images.data(), 1, training, RandomKey{}); }) == line);
    CHECK(std::ranges::equal(model.buffers().span(), before.span()));
    CHECK_NOTHROW(forward(model, images.data(), 2, training, RandomKey{}));
    Workspace<Inference<OnePixel>> inference{1};
    CHECK_NOTHROW(forward(model.view(), images.data(), 1, inference));

    // A trainer says so before it trains: of its settings, of a step, of a loader whose last batch has one sample.
    CHECK_THROWS_WITH((Trainer<OnePixel>{model, settings_for(1), 1}), line);
    TrainerSettings settings = settings_for(3);
    settings.micro_batch = 2;  // passes of 1 and 2
    CHECK_THROWS_WITH((Trainer<OnePixel>{model, settings, 1}), line);
    settings.micro_batch = 0;
    Trainer<OnePixel> trainer{model, settings, 1};
    CHECK_THROWS_WITH(trainer.step(images.data(), std::span{labels}.first(1), nullptr, 0.1), line);
    CHECK_NOTHROW(trainer.step(images.data(), labels, nullptr, 0.1));

    struct Shrunk : Sequential<Input<3, 32, 32>, AvgPool2d<Kernel<32>>, BatchNorm2d<>, Flatten, Linear<10>> {};
    const Dataset data = make_synthetic(10, 0, 1).train;
    Model<Shrunk> shrunk{Seed{1}};
    Trainer<Shrunk> other{shrunk, settings_for(3), 1};
    BatchLoader loader{data, all_indices(data.size()), {.batch_size = 3}};
    BatchLoader whole_batches{data, all_indices(data.size()), {.batch_size = 3, .drop_last = true}};
    CHECK_THROWS_WITH(other.train_epoch(loader), line);
    CHECK(other.progress() == TrainerProgress{});
    CHECK_NOTHROW(other.train_epoch(whole_batches));

    // Larger maps have a variance in one sample.
    Model<Net> net{Seed{1}};
    Trainer<Net> one{net, settings_for(1), 1};
    CHECK_NOTHROW(step(one, Samples{1, 1}));
    CHECK(first_not_finite(net.view()).empty());
}

TEST_CASE("numbers: the unbiased variance of one value is 0, not infinite", "[numbers]") {
    const float weight = 1, bias = 0.25f;
    const std::array<float, 2> moments{3, 0};  // mean and squares of one run of one pixel
    std::array<float, static_cast<std::size_t>(BatchNormVectors<float>::size(1))> vectors{};
    const BatchNormVectors<float> out{vectors.data(), 1};
    float mean = 1, variance = 1;
    batch_norm_statistics<float>(
        moments.data(), 1, [](int) { return 1; }, 1, &weight, &bias, 1e-5, 0.5, out, &mean, &variance);
    CHECK(mean == 2.0f);
    CHECK(variance == 0.5f);
    CHECK(out.istd[0] == static_cast<float>(1 / std::sqrt(1e-5)));
}
