// A trainer as a file: a run that was stopped and resumed equals an unbroken one to the byte.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

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

struct Scratch {
    Scratch() {
        for (int n = 0; !fs::create_directory(path); ++n) {  // false: another test has it
            path = fs::temp_directory_path() / ("ctnn_test_checkpoint_" + std::to_string(n));
        }
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
    [[nodiscard]] fs::path operator/(const char* name) const { return path / name; }

    fs::path path = fs::temp_directory_path();
};

/// Settings none of which is the default, with numbers that decimal text must not shorten.
TrainerSettings some_settings() {
    TrainerSettings s;
    s.loss.label_smoothing = 0.1 + 0x1p-54;
    s.optimizer = {
        .momentum = 1.0 / 3, .nesterov = true, .weight_decay = 5e-4, .decay_biases_and_norms = false, .clip_norm = 1.5};
    s.schedule = {.kind = ScheduleKind::one_cycle,
                  .lr = 0.1 / 3,
                  .epochs = 2,
                  .warmup_epochs = 0.3,
                  .step_size = 7,
                  .gamma = 0.7,
                  .power = 1.1,
                  .final_lr_fraction = 1e-3,
                  .pct_start = 0.4,
                  .div_factor = 5,
                  .final_div_factor = 77,
                  .anneal = Anneal::linear};
    s.batch_size = 16;
    s.seed = 0xFEDC'BA98'7654'3210u;
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
    const TrainerSettings settings = some_settings();

    Model<Net> model{Seed{4}};
    Trainer<Net> unbroken{model, settings, 1};
    const auto first = files(scratch, unbroken);
    train(unbroken, data, to_the_end);
    CHECK(unbroken.progress() == TrainerProgress{2, 0, 10});
    CHECK(model.buffers().batches_tracked == 10);
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
}

TEST_CASE("checkpoint: the settings come back to the bit", "[io][checkpoint]") {
    const Scratch scratch;
    Model<Net> model{Seed{1}};
    const TrainerSettings settings = some_settings();
    const Trainer<Net> trainer{model, settings, 1};
    save_trainer(scratch / "state", trainer);
    const TrainerSettings read = load_trainer_settings(scratch / "state");
    CHECK(read.batch_size == settings.batch_size);
    CHECK(read.seed == settings.seed);
    CHECK(read.loss.label_smoothing == settings.loss.label_smoothing);
    CHECK(read.optimizer.momentum == settings.optimizer.momentum);
    CHECK(read.optimizer.nesterov == settings.optimizer.nesterov);
    CHECK(read.optimizer.weight_decay == settings.optimizer.weight_decay);
    CHECK(read.optimizer.decay_biases_and_norms == settings.optimizer.decay_biases_and_norms);
    CHECK(read.optimizer.clip_norm == settings.optimizer.clip_norm);
    CHECK(read.schedule.kind == settings.schedule.kind);
    CHECK(read.schedule.lr == settings.schedule.lr);
    CHECK(read.schedule.epochs == settings.schedule.epochs);
    CHECK(read.schedule.warmup_epochs == settings.schedule.warmup_epochs);
    CHECK(read.schedule.step_size == settings.schedule.step_size);
    CHECK(read.schedule.gamma == settings.schedule.gamma);
    CHECK(read.schedule.power == settings.schedule.power);
    CHECK(read.schedule.final_lr_fraction == settings.schedule.final_lr_fraction);
    CHECK(read.schedule.pct_start == settings.schedule.pct_start);
    CHECK(read.schedule.div_factor == settings.schedule.div_factor);
    CHECK(read.schedule.final_div_factor == settings.schedule.final_div_factor);
    CHECK(read.schedule.anneal == settings.schedule.anneal);
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
    CHECK(in_one_go.loss_sum > 70.0);
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

    write("format", "ctnn trainer 2");
    CHECK_THAT(refusal(), Catch::EndsWith("metadata 'format' is 'ctnn trainer 2'; expected 'ctnn trainer 1'"));
    CHECK_THAT(message_of([&] { load_trainer_settings(scratch / "bad"); }),
               Catch::Contains("expected 'ctnn trainer 1'"));
    write("lr", "0.25");
    CHECK_THAT(refusal(), Catch::Contains("metadata 'lr' is '0.25'; expected '0.0333"));
    write("seed", std::nullopt);
    CHECK_THAT(refusal(), Catch::Contains("no metadata 'seed'"));
    write("step", "2x");
    CHECK_THAT(refusal(), Catch::EndsWith("metadata 'step' is '2x'; expected a number"));
    write("", "", good.tensors.size() - 1);
    CHECK_THAT(refusal(), Catch::Contains("found none of this name"));
    for (const auto& [key, value] : {std::pair{"schedule", "stepwise"}, std::pair{"anneal", "sine"},
                                     std::pair{"optimizer", "adam"}, std::pair{"batch_size", "1e3"}}) {
        write(key, value);
        CHECK_THAT(message_of([&] { load_trainer_settings(scratch / "bad"); }), Catch::Contains(value));
        CHECK_THAT(refusal(), Catch::Contains(value));
    }

    // Weights alone are no trainer's state; other networks' states name the tensor.
    save_weights(scratch / "bad", model, {});
    CHECK_THAT(refusal(), Catch::Contains("no metadata 'format'"));
    Model<Wider> wider{Seed{1}};
    save_trainer(scratch / "bad", Trainer<Wider>{wider, some_settings(), 1});
    CHECK_THAT(refusal(), Catch::EndsWith(R"(tensor "0.weight": found F32 [6, 3, 5, 5], expected F32 [5, 3, 5, 5])"));
    Model<Shorter> shorter{Seed{1}};
    Trainer<Shorter> other{shorter, some_settings(), 1};
    CHECK_THAT(message_of([&] { load_trainer(scratch / "good", other); }),
               Catch::EndsWith("expected none of this name"));

    // The good file does fit.
    CHECK(message_of([&] { load_trainer(scratch / "good", trainer); }).empty());
    CHECK(trainer.progress().step == 2);
    CHECK(files(scratch, trainer).second == good_bytes);
}

TEST_CASE("trainer: a number that is not finite stops the step and leaves the model as it was", "[trainer]") {
    TrainerSettings settings = some_settings();
    settings.optimizer.clip_norm = GENERATE(0.0, 1.0);
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
    const Case c = GENERATE(Case{true, nan, 1, "loss is not finite; the input is not"},
                            Case{true, inf, 1, "loss is not finite; the input is not"},
                            Case{false, 1e38f, 5 * 7 * 7 * 16, "output that is not: layer 6, Linear; lower"},
                            Case{false, inf, 1, "layer 6, Linear; the first parameter that is not: 6.weight; lower"});
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
                          "step 2: the model is not finite; the first parameter that is not: 6.weight");
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
