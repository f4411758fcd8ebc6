// A trainer as a file: a run that was stopped and resumed equals an unbroken one to the byte.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/data/synthetic.hpp>
#include <ctnn/io/checkpoint.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#endif

#include "scratch.hpp"

namespace {

using namespace ctnn;
namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

/// Everything that draws or remembers: both dropouts and batch norm.
struct Net : Sequential<Input<3, 32, 32>, Conv2d<5, Kernel<5>, Stride<4>>, BatchNorm2d<>, ReLU, Dropout2d<0.25>,
                        Flatten, Dropout<0.5>, Linear<10>> {};
struct Wider : Sequential<Input<3, 32, 32>, Conv2d<6, Kernel<5>, Stride<4>>, BatchNorm2d<>, ReLU, Dropout2d<0.25>,
                          Flatten, Dropout<0.5>, Linear<10>> {};
struct Shorter : Sequential<Input<3, 32, 32>, Conv2d<5, Kernel<5>, Stride<4>>, BatchNorm2d<>, ReLU,
                            AdaptiveAvgPool2d<1>, Flatten> {};

/// Settings none of which is the default, with numbers that decimal text must not shorten.
TrainerSettings some_settings() {
    TrainerSettings s;
    s.loss = CrossEntropy{.label_smoothing = 0.1 + 0x1p-54, .class_weights = {1, 2, 0.1, 1, 1, 1, 1, 1.0 / 3, 1, 1}};
    s.optimizer = Sgd{.momentum = 1.0 / 3, .nesterov = true, .weight_decay = 5e-4, .decay_biases_and_norms = false};
    s.schedule = {.kind = ScheduleKind::one_cycle,
                  .lr = 0.1 / 3,
                  .epochs = 2,
                  .warmup_epochs = 0.3,
                  .initial_lr_fraction = 0.2,
                  .step_size = 7,
                  .milestones = {3, 1},
                  .gamma = 0.7,
                  .power = 1.1,
                  .final_lr_fraction = 1e-3,
                  .pct_start = 0.4,
                  .div_factor = 5,
                  .final_div_factor = 77,
                  .anneal = Anneal::linear};
    s.batch_size = 16;
    s.seed = 0xFEDC'BA98'7654'3210u;
    s.micro_batch = 5;
    s.clip_norm = 1.5;
    s.ema_decay = 0.97;
    s.ema_every = 2;
    s.lr_scales = {freeze("6.bias", 1), lr_scale("BatchNorm2d.bias", 1.0 / 3)};
    s.skip_nonfinite = 2;
    return s;
}

/// What save_weights and save_trainer write.
template <class N>
std::pair<Bytes, Bytes> files(const Scratch& scratch, const Trainer<N>& trainer) {
    save_weights(scratch / "weights", trainer.model(), {"Net", {}, {}});
    save_trainer(scratch / "state", trainer);
    return {read_file(scratch / "weights"), read_file(scratch / "state")};
}

/// 70 samples: four batches of 16 and one of 6.
BatchLoader loader_of(const Dataset& data) {
    return BatchLoader{data, all_indices(data.size()), {.batch_size = 16, .seed = 3, .augment = true}};
}

constexpr std::int64_t to_the_end = 1'000;

/// Trains to step `last`, or to the end of the second epoch.
void train(Trainer<Net>& trainer, const Dataset& data, std::int64_t last) {
    BatchLoader loader = loader_of(data);
    while (trainer.progress().epoch < 2 && trainer.progress().step < last) {
        trainer.train_epoch(loader, [&](const StepResult&) { return trainer.progress().step < last; });
    }
}

template <class F>
std::string message_of(F&& f) {
    try {
        f();
    } catch (const FileError& error) { return error.what(); }
    return {};
}

}  // namespace

TEST_CASE("checkpoint: a resumed run equals an unbroken one, with any number of threads", "[io][checkpoint]") {
    const Scratch scratch;
    const Dataset data = make_synthetic(70, 0, 1).train;
    TrainerSettings settings = some_settings();
    settings.optimizer = GENERATE(values<Optimizer>({std::get<Sgd>(some_settings().optimizer), Adam{}, Lars{}}));
    // One that trains from the second epoch on.
    settings.lr_scales.insert(settings.lr_scales.end(), {freeze("0.weight"), lr_scale("0.weight", 1, 1)});

    Model<Net> model{Seed{4}};
    Trainer<Net> unbroken{model, settings, 1};
    const auto first = files(scratch, unbroken);
    train(unbroken, data, to_the_end);
    CHECK(unbroken.progress() == TrainerProgress{2, 0, 10});
    CHECK(model.buffers().batches_tracked == 36);  // an epoch: 4 steps of four passes and one of two
    const auto expected = files(scratch, unbroken);
    REQUIRE(expected.first != first.first);

    // Before the first step, inside both epochs, and behind the last batch of each, when the epoch is not yet counted.
    for (const std::int64_t stop : {0, 1, 4, 5, 6, 9, 10}) {
        for (const auto& [threads_before, threads_after] : {std::pair{1, 3}, std::pair{2, 1}}) {
            INFO("stopped at step " << stop << ", " << threads_before << " threads, then " << threads_after);
            {
                Model<Net> stopped_model{Seed{4}};
                Trainer<Net> stopped{stopped_model, settings, threads_before};
                train(stopped, data, stop);
                CHECK(stopped.progress().step == stop);
                save_trainer(scratch / "stopped", stopped);
            }
            Model<Net> resumed_model;  // nothing of it may matter
            Trainer<Net> resumed{resumed_model, load_trainer_settings(scratch / "stopped"), threads_after};
            load_trainer(scratch / "stopped", resumed);
            CHECK(resumed.progress().step == stop);
            train(resumed, data, to_the_end);
            CHECK(resumed.progress() == unbroken.progress());
            const bool equal = files(scratch, resumed) == expected;
            CHECK(equal);
        }
    }
}

TEST_CASE("checkpoint: a trainer that was saved with a loader's options refuses another loader", "[io][checkpoint]") {
    const Scratch scratch;
    Model<Net> model{Seed{1}};
    Trainer<Net> trainer{model, some_settings(), 1};
    LoaderOptions options{.batch_size = 16, .seed = 3, .augment = true};
    save_trainer(scratch / "state", trainer, loader_metadata(options));
    CHECK_NOTHROW(load_trainer(scratch / "state", trainer, loader_metadata(options)));
    options.seed = 4;
    CHECK_THROWS_WITH(load_trainer(scratch / "state", trainer, loader_metadata(options)),
                      Catch::Contains("loader_seed") && Catch::Contains("'3'") && Catch::Contains("'4'"));

    // A file from before there were other options than these is one that was written with their defaults.
    options.seed = 3;
    SafetensorsMetadata old = loader_metadata(options);
    old.resize(7);
    CHECK(old.back().first == "drop_last");
    save_trainer(scratch / "old", trainer, old);
    CHECK_NOTHROW(load_trainer(scratch / "old", trainer, loader_metadata(options)));
    options.augmentation.cutout = 8;
    CHECK_THROWS_WITH(load_trainer(scratch / "old", trainer, loader_metadata(options)), Catch::Contains("'cutout'"));
    save_trainer(scratch / "state", trainer, loader_metadata(options));
    options.augmentation.cutout = 0;
    CHECK_THROWS_WITH(load_trainer(scratch / "state", trainer, loader_metadata(options)),
                      Catch::Contains("'cutout' is '8'"));
}

TEST_CASE("checkpoint: the settings come back to the bit", "[io][checkpoint]") {
    const Scratch scratch;
    Model<Net> model{Seed{1}};
    TrainerSettings settings = some_settings();
    SECTION("SGD") {}
    SECTION("Adam") { settings.optimizer = Adam{.beta1 = 0.8, .beta2 = 0.9, .eps = 1.0 / 3, .weight_decay = 0.1}; }
    SECTION("AdamW") { settings.optimizer = AdamW{.beta1 = 0.7, .decay_biases_and_norms = false}; }
    SECTION("LARS") { settings.optimizer = Lars{.momentum = 0.7, .trust_coefficient = 0.1, .lr_in_velocity = false}; }
    SECTION("MSE") { settings.loss = Mse{}; }
    const Trainer<Net> trainer{model, settings, 1};
    save_trainer(scratch / "state", trainer);
    const TrainerSettings read = load_trainer_settings(scratch / "state");
    CHECK(read.loss.index() == settings.loss.index());
    CHECK(read.optimizer.index() == settings.optimizer.index());
    std::vector<std::string> expected, found;
    for_each_setting(settings, [&](const char* key, const auto& value) {
        expected.push_back(key + std::string{"="} + setting_text(value));
    });
    for_each_setting(read, [&](const char* key, const auto& value) {
        found.push_back(key + std::string{"="} + setting_text(value));
    });
    CHECK(found == expected);
    // None of them is the default: a setting that is not in the list would come back as one.
    CHECK(read.lr_scales == settings.lr_scales);
    CHECK(read.schedule.milestones == settings.schedule.milestones);
    CHECK(read.schedule.initial_lr_fraction == settings.schedule.initial_lr_fraction);
    CHECK(read.schedule.lr == settings.schedule.lr);
    CHECK(read.micro_batch == settings.micro_batch);
    CHECK(read.ema_every == settings.ema_every);
    CHECK(read.skip_nonfinite == settings.skip_nonfinite);
}

TEST_CASE("checkpoint: an epoch's loss counts the batches before the stop", "[io][checkpoint]") {
    const Scratch scratch;
    const Dataset data = make_synthetic(70, 0, 1).train;
    Model<Net> model{Seed{4}}, other{Seed{5}};
    Trainer<Net> stopped{model, some_settings(), 1}, resumed{other, some_settings(), 2};
    train(stopped, data, 2);
    save_trainer(scratch / "stopped", stopped);
    load_trainer(scratch / "stopped", resumed);
    CHECK(resumed.progress() == stopped.progress());
    CHECK(resumed.progress().loss.count == 32);

    BatchLoader loader = loader_of(data);
    const LossSum in_one_go = stopped.train_epoch(loader).loss;
    CHECK(in_one_go.count == 70);
    CHECK(in_one_go.loss_sum > 50.0);
    CHECK(resumed.train_epoch(loader).loss == in_one_go);
    CHECK(resumed.progress().loss.count == 0);

    // Stopped behind the last batch, there is no step left to take the rate from.
    Model<Net> third{Seed{6}};
    Trainer<Net> behind{third, some_settings(), 1};
    train(behind, data, 5);
    CHECK(behind.progress().batch == 5);
    const double lr = some_settings().schedule.at(0.8);
    CHECK(lr != some_settings().schedule.at(1.0));
    CHECK(behind.train_epoch(loader).lr == lr);
}

TEST_CASE("checkpoint: a file that does not fit leaves the trainer as it was", "[io][checkpoint]") {
    const Scratch scratch;
    const Dataset data = make_synthetic(70, 0, 1).train;
    Model<Net> model{Seed{1}};
    Trainer<Net> trainer{model, some_settings(), 1};
    train(trainer, data, 2);
    save_trainer(scratch / "good", trainer);
    train(trainer, data, 7);

    // Reads the tensors of the good file and writes them with other metadata.
    const Bytes good_bytes = read_file(scratch / "good");
    const SafetensorsFile good = parse_safetensors(good_bytes, "good");
    const auto write = [&](const std::string& key, const std::optional<std::string>& value,
                           std::size_t tensors = 1'000) {
        SafetensorsMetadata metadata;
        for (const auto& [k, v] : good.metadata) {
            if (k != key) {
                metadata.emplace_back(k, v);
            } else if (value) {
                metadata.emplace_back(k, *value);
            }
        }
        const std::span all{good.tensors};
        save_safetensors(scratch / "bad", all.first(std::min(tensors, all.size())), metadata);
    };
    const auto refusal = [&] {
        const auto before = files(scratch, trainer);
        std::string message = message_of([&] { load_trainer(scratch / "bad", trainer); });
        CHECK(files(scratch, trainer) == before);
        return message;
    };

    write("format", "ctnn trainer 1");
    CHECK_THAT(refusal(), Catch::EndsWith("metadata 'format' is 'ctnn trainer 1'; expected 'ctnn trainer 2'"));
    CHECK_THAT(message_of([&] { load_trainer_settings(scratch / "bad"); }),
               Catch::Contains("expected 'ctnn trainer 2'"));
    write("lr", "0.25");
    CHECK_THAT(refusal(), Catch::Contains("metadata 'lr' is '0.25'; expected '0.0333"));
    write("seed", std::nullopt);
    CHECK_THAT(refusal(), Catch::Contains("no metadata 'seed'"));
    write("skip_nonfinite", std::nullopt);  // from before there was the setting: with the default, 0
    CHECK_THAT(refusal(), Catch::Contains("no metadata 'skip_nonfinite'"));
    CHECK(load_trainer_settings(scratch / "bad").skip_nonfinite == 0);
    write("skipped", std::nullopt);
    CHECK(message_of([&] { load_trainer(scratch / "bad", trainer); }).empty());
    CHECK(trainer.progress().skipped == 0);
    write("step", "2x");
    CHECK_THAT(refusal(), Catch::EndsWith("metadata 'step': found '2x', expected a number"));
    // Counts that no run has, or could not go on from.
    for (const auto& [key, value, expected] :
         {std::tuple{"epoch", "-1", "0 to 1073741823"}, std::tuple{"batch", "-2147483648", "0 to 1073741823"},
          std::tuple{"batch", "2147483647", "0 to 1073741823"}, std::tuple{"step", "-1", "0 to 4611686018427387903"},
          std::tuple{"step", "9223372036854775807", "0 to 4611686018427387903"},
          std::tuple{"epoch_correct", "-1", "0 to 4611686018427387903"},
          std::tuple{"epoch_count", "-1", "0 to 4611686018427387903"},
          std::tuple{"epoch_skipped", "-1", "0 to 1073741823"}, std::tuple{"skipped_in_a_row", "-1", "0 to 1073741823"},
          std::tuple{"skipped", "-1", "0 to 4611686018427387903"},
          std::tuple{"skipped", "1000", "at most the 2 steps in all"}}) {
        write(key, value);
        CHECK_THAT(refusal(),
                   Catch::EndsWith(fmt::format("metadata '{}': found {}, expected {}", key, value, expected)));
    }
    std::string few, many;  // steps for which tensors were frozen
    for (std::size_t i = 0; i < ParameterLayout<Net>::tensors; ++i) {
        few += i == 0 ? "-1" : ",0";
        many += i == 0 ? "0" : ",3";
    }
    for (const auto& [text, found] :
         {std::pair{std::string{"1,2"}, "found 2 numbers, expected"}, std::pair{std::string{"x"}, "found 'x'"},
          std::pair{few, "found -1, expected 0 to 2"}, std::pair{many, "found 3, expected 0 to 2"}}) {
        SafetensorsMetadata metadata{{"frozen_steps", text}};
        for (const auto& [k, v] : good.metadata) { metadata.emplace_back(k, v); }
        save_safetensors(scratch / "bad", good.tensors, metadata);
        CHECK_THAT(refusal(), Catch::Contains("metadata 'frozen_steps': ") && Catch::Contains(found));
    }
    // Each kind of tensor: the file is in the order parameters, buffers, velocity, average.
    for (const std::size_t cut : {1u, 3u, 6u, 9u, 12u, 15u, 18u}) {
        write("", "", good.tensors.size() - cut);
        CHECK_THAT(refusal(), Catch::Contains("found none of this name"));
    }
    for (const auto& [key, value] :
         {std::pair{"schedule", "stepwise"}, std::pair{"anneal", "sine"}, std::pair{"optimizer", "adagrad"},
          std::pair{"batch_size", "1e3"}, std::pair{"loss", "hinge"}, std::pair{"milestones", "3,"},
          std::pair{"lr_scales", "6.bias"}, std::pair{"class_weights", "1,x"}}) {
        write(key, value);
        CHECK_THAT(message_of([&] { load_trainer_settings(scratch / "bad"); }), Catch::Contains(key));
        CHECK_THAT(refusal(), Catch::Contains(value));
    }

    // Weights alone are no trainer's state; other networks' states name the tensor.
    save_weights(scratch / "bad", model, {});
    CHECK_THAT(refusal(), Catch::Contains("no metadata 'format'"));
    Model<Wider> wider{Seed{1}};
    save_trainer(scratch / "bad", Trainer<Wider>{wider, some_settings(), 1});
    CHECK_THAT(refusal(), Catch::EndsWith(R"(tensor "0.weight": found F32 [6, 3, 5, 5], expected F32 [5, 3, 5, 5])"));
    Model<Shorter> shorter{Seed{1}};
    Trainer<Shorter> other{shorter, TrainerSettings{}, 1};
    save_trainer(scratch / "plain", Trainer<Net>{model, TrainerSettings{}, 1});
    CHECK_THAT(message_of([&] { load_trainer(scratch / "plain", other); }),
               Catch::EndsWith("expected none of this name"));

    // Arenas that this trainer has no use for.
    CHECK_THAT(message_of([&] {
                   Trainer<Net> plain{model, TrainerSettings{}, 1};
                   load_trainer(scratch / "good", plain);
               }),
               Catch::Contains("metadata '"));

    // The good file does fit.
    CHECK(message_of([&] { load_trainer(scratch / "good", trainer); }).empty());
    CHECK(trainer.progress().step == 2);
    CHECK(files(scratch, trainer).second == good_bytes);
}

TEST_CASE("trainer: a number that is not finite stops the step and leaves the model as it was", "[trainer]") {
    TrainerSettings settings = some_settings();
    settings.clip_norm = GENERATE(0.0, 1.0);
    settings.skip_nonfinite = 0;
    Model<Net> model{Seed{1}};
    Trainer<Net> trainer{model, settings, 1};
    std::vector<float> images(4 * 3 * 32 * 32);
    Random random{1, Stream::test};
    for (float& v : images) { v = random.uniform(-1, 1); }
    const std::vector<std::int32_t> labels{0, 1, 2, 3};
    trainer.step(images.data(), labels, nullptr, 0.01);
    trainer.step(images.data(), labels, nullptr, 0.01);

    // The place where the number appears is named, also where every parameter is still finite.
    constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    struct Case {
        bool in_input;
        float value;
        std::size_t count;
        const char* named;
    };
    const Case c = GENERATE(
        Case{true, nan, 1, "loss is not finite; the input is not"},
        Case{true, inf, 1, "loss is not finite; the input is not"},
        Case{false, 1e38f, 5 * 7 * 7 * 16, "output that is not: layer 6, Linear; lower"},
        Case{false, inf, 1, "layer 6, Linear; the first parameter that is not: 6.weight (layer 6, Linear); lower"});
    float* const at = c.in_input ? &images[5000] : model.parameters().data() + ParameterLayout<Net>::offset(6, 0);
    std::fill_n(at, c.count, c.value);
    const auto numbers = [&] {
        std::vector<float> all{model.parameters().span().begin(), model.parameters().span().end()};
        all.insert(all.end(), model.buffers().span().begin(), model.buffers().span().end());
        return all;
    };
    const std::vector<float> before = numbers();
    if (c.value == inf && !c.in_input) {
        CHECK_THROWS_WITH(trainer.require_finite(),
                          "step 2: the model is not finite; the first tensor that is not: 6.weight (layer 6, Linear)");
    } else {
        CHECK_NOTHROW(trainer.require_finite());
    }
    std::string message;
    try {
        trainer.step(images.data(), labels, nullptr, 0.01);
    } catch (const NumericError& error) { message = error.what(); }
    CHECK_THAT(message, Catch::StartsWith("step 2: the "));
    CHECK_THAT(message, Catch::Contains(c.named));
    CHECK(numbers() == before);
    CHECK(model.buffers().batches_tracked == 2);
    CHECK(trainer.progress().step == 2);
}
