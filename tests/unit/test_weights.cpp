// Models as files: order of elements, round trips to the bit, and one test for each way a file can be wrong.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <vector>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include <catch2/catch.hpp>
#include <fmt/format.h>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/weights.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#endif

#include "refusal.hpp"
#include "scratch.hpp"

namespace {

using namespace ctnn;
namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

/// More than 16 outputs a group, so that storage is padded; a block, and a map of 2×3 that is flattened.
struct Net
    : Sequential<Input<4, 4, 6>, Block<"features", Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>>, ReLU,
                 MaxPool2d<Kernel<2>>, Conv2d<5, Kernel<1>, Bias<false>>, BatchNorm2d<>, Flatten, Linear<7>> {};

/// The same but for one more convolution channel, and a network whose tensors are some of Net's.
struct Wider
    : Sequential<Input<4, 4, 6>, Block<"features", Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>>, ReLU,
                 MaxPool2d<Kernel<2>>, Conv2d<6, Kernel<1>, Bias<false>>, BatchNorm2d<>, Flatten, Linear<7>> {};
struct Shorter : Sequential<Input<4, 4, 6>, Block<"features", Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>>> {};

template <class T>
Bytes bytes_of(std::span<const T> values) {
    const auto view = std::as_bytes(values);
    return {view.begin(), view.end()};
}

/// Everything a model holds, padding included.
template <class N, class T>
Bytes bytes_of(const Model<N, T>& model) {
    Bytes all = bytes_of(model.parameters().span());
    for (const Bytes& more :
         {bytes_of(model.buffers().span()), bytes_of(std::span{&model.buffers().batches_tracked, 1})}) {
        all.insert(all.end(), more.begin(), more.end());
    }
    return all;
}

/// A model with statistics other than the first ones.
template <class N, class T>
Model<N, T> some_model(std::uint64_t seed) {
    Model<N, T> model{Seed{seed}};
    Random random{seed, Stream::test};
    for (const BufferSlot& slot : ParameterLayout<N>::buffers) {
        for (int c = 0; c < slot.channels; ++c) {
            model.buffers().data()[slot.mean_offset + c] = static_cast<T>(random.normal());
            model.buffers().data()[slot.variance_offset + c] = static_cast<T>(random.uniform(0.5f, 2.0f));
        }
    }
    model.buffers().batches_tracked = static_cast<std::int64_t>(seed) + 1'000'000'000'000;
    return model;
}

template <class N, class T>
StateDict<N, T> state_of(const Model<N, T>& model) {
    StateDict<N, T> state;
    state.add_arena(model.parameters().span());
    state.add_buffers(model.buffers());
    return state;
}

/// The message with which load_weights refuses a file, behind its path; empty where it does not. The model must stay.
template <class N = Net, class T = float>
std::string refusal(const fs::path& path) {
    Model<N, T> model = some_model<N, T>(9);
    const Bytes before = bytes_of(model);
    const std::string message = refusal_of(path.string() + ": ", [&] { load_weights(path, model); });
    if (!message.empty()) { CHECK(bytes_of(model) == before); }
    return message;
}

/// Refusal of Net's file after `change` of its tensors.
template <class Change>
std::string refusal_after(Change&& change, const SafetensorsMetadata& metadata = {}) {
    const Scratch scratch;
    const auto model = some_model<Net, float>(3);
    const auto state = state_of(model);
    std::vector<TensorView> views{state.views().begin(), state.views().end()};
    change(views);
    save_safetensors(scratch.path / "m", views, metadata);
    return refusal(scratch.path / "m");
}

TensorView& named(std::vector<TensorView>& views, const std::string& name) {
    const auto at = std::ranges::find(views, name, &TensorView::name);
    REQUIRE(at != views.end());
    return *at;
}

}  // namespace

TEST_CASE("weights: names, types and shapes are the state_dict's", "[io][weights]") {
    const Scratch scratch;
    const auto model = some_model<Net, float>(1);
    save_weights(scratch.path / "m", model, {});
    const Bytes bytes = read_file(scratch.path / "m");
    const SafetensorsFile file = parse_safetensors(bytes, "m");

    const std::vector<std::pair<std::string, std::vector<std::int64_t>>> expected{
        {"features.0.weight", {36, 2, 3, 3}},
        {"features.0.bias", {36}},
        {"features.1.weight", {36}},
        {"features.1.bias", {36}},
        {"features.1.running_mean", {36}},
        {"features.1.running_var", {36}},
        {"features.1.num_batches_tracked", {}},
        {"3.weight", {5, 36, 1, 1}},
        {"4.weight", {5}},
        {"4.bias", {5}},
        {"4.running_mean", {5}},
        {"4.running_var", {5}},
        {"4.num_batches_tracked", {}},
        {"6.weight", {7, 30}},
        {"6.bias", {7}}};
    CHECK(file.tensors.size() == expected.size());
    for (const auto& [name, shape] : expected) {
        INFO(name);
        const TensorView* tensor = file.find(name);
        REQUIRE(tensor != nullptr);
        CHECK(tensor->shape == shape);
        CHECK(tensor->dtype == (name.ends_with("tracked") ? Dtype::i64 : Dtype::f32));
    }
}

TEST_CASE("weights: any number of threads converts them alike", "[io][weights]") {
    const Scratch scratch;
    const auto model = some_model<Net, float>(2);
    const auto file_by = [&]([[maybe_unused]] int threads) {
#if defined(_OPENMP)
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
#endif
        save_weights(scratch.path / "m", model, {});
        Model<Net> read{Seed{3}};
        static_cast<void>(load_weights(scratch.path / "m", read));
#if defined(_OPENMP)
        omp_set_num_threads(before);
#endif
        CHECK(bytes_of(read) == bytes_of(model));
        return read_file(scratch.path / "m");
    };
    const Bytes expected = file_by(1);
    for (const int threads : {2, 3, 8}) { CHECK(file_by(threads) == expected); }
}

TEST_CASE("weights: files hold PyTorch's order, Flatten's permutation included", "[io][weights]") {
    // Every stored weight is its own canonical number, worked out here from the storage formula.
    Model<Net, float> model;
    const auto& slots = ParameterLayout<Net>::slots;
    float* convolution = model.parameters().data() + slots[0].offset;
    REQUIRE(slots[0].name.view() == "features.0.weight");
    for (int o = 0; o < 36; ++o) {
        for (int i = 0; i < 2; ++i) {
            for (int tap = 0; tap < 9; ++tap) {  // [group][out / 16][row][column][in][16], two blocks a group
                const int group = o / 18, out = o % 18;
                convolution[(((group * 2 + out / 16) * 9 + tap) * 2 + i) * 16 + out % 16] =
                    static_cast<float>((o * 2 + i) * 9 + tap);
            }
        }
    }
    REQUIRE(slots[7].name.view() == "6.weight");
    float* linear = model.parameters().data() + slots[7].offset;
    for (int o = 0; o < 7; ++o) {
        for (int c = 0; c < 5; ++c) {
            for (int pixel = 0; pixel < 6; ++pixel) {  // memory flattens row, column, channel; files channel first
                linear[(pixel * 5 + c) * 16 + o] = static_cast<float>(o * 30 + c * 6 + pixel);
            }
        }
    }
    const auto state = state_of(model);
    const auto views = state.views();
    for (const std::size_t i : {std::size_t{0}, std::size_t{7}}) {
        std::vector<float> values(views[i].data.size() / sizeof(float));
        views[i].copy_to(values);
        for (std::size_t k = 0; k < values.size(); ++k) { REQUIRE(values[k] == static_cast<float>(k)); }
    }
}

TEMPLATE_TEST_CASE("weights: a round trip keeps every bit", "[io][weights]", float, double) {
    using Limits = std::numeric_limits<TestType>;
    const Scratch scratch;
    auto model = some_model<Net, TestType>(2);
    TestType* first = model.parameters().data();
    first[0] = TestType{-0.0};
    first[1] = Limits::denorm_min();
    first[2] = Limits::quiet_NaN();
    first[3] = -Limits::infinity();
    const ModelInfo info{"Net \"π\"", {{0.4914f, 0.1f}, {0.247f, 1e-30f}}, {"Katze", "chien", "", "猫\n"}};
    save_weights(scratch.path / "m", model, info);

    Model<Net, TestType> read{Seed{77}};
    CHECK(load_weights(scratch.path / "m", read) == info);
    CHECK(load_model_info(scratch.path / "m") == info);
    CHECK(bytes_of(read) == bytes_of(model));

    // Equal models give equal bytes, wherever they lie and whatever lay there before; other ones do not.
    fs::create_directory(scratch.path / "other");
    save_weights(scratch.path / "other/x", some_model<Net, TestType>(5), {});
    save_weights(scratch.path / "other/x", read, info);
    CHECK(read_file(scratch.path / "other/x") == read_file(scratch.path / "m"));
    save_weights(scratch.path / "other/x", read, {});
    CHECK(read_file(scratch.path / "other/x") != read_file(scratch.path / "m"));
    CHECK(load_weights(scratch.path / "other/x", read) == ModelInfo{});
}

TEST_CASE("weights: a file without metadata is a model without a name", "[io][weights]") {
    CHECK(refusal_after([](auto&) {}) == "");
}

TEST_CASE("weights: other networks are refused by the first tensor that differs", "[io][weights]") {
    const Scratch scratch;
    save_weights(scratch.path / "m", some_model<Net, float>(1), {});
    CHECK(refusal<Wider>(scratch.path / "m") ==
          R"(tensor "3.weight": found F32 [5, 36, 1, 1], expected F32 [6, 36, 1, 1])");
    CHECK(refusal<Net, double>(scratch.path / "m") ==
          R"(tensor "features.0.weight": found F32 [36, 2, 3, 3], expected F64 [36, 2, 3, 3])");
    CHECK(refusal<Shorter>(scratch.path / "m").ends_with("expected none of this name"));
    save_weights(scratch.path / "m", some_model<Shorter, float>(1), {});
    CHECK(refusal(scratch.path / "m") == R"(tensor "features.1.weight": found none of this name, expected F32 [36])");
    CHECK(refusal<Shorter>(scratch.path / "m") == "");
}

TEST_CASE("weights: a wrong tensor is refused by its name", "[io][weights]") {
    using Views = std::vector<TensorView>;
    const std::array<float, 2> extra{1, 2};
    CHECK(refusal_after([&](Views& views) { views.push_back(tensor_view("6.scale", {2}, extra)); }) ==
          R"(tensor "6.scale": found F32 [2], expected none of this name)");
    CHECK(refusal_after([](Views& views) { views.pop_back(); }) ==
          R"(tensor "4.num_batches_tracked": found none of this name, expected I64 [])");
    CHECK(refusal_after([](Views& views) { std::erase_if(views, [](const auto& v) { return v.name == "6.bias"; }); }) ==
          R"(tensor "6.bias": found none of this name, expected F32 [7])");
    // As many elements in another shape.
    CHECK(refusal_after([](Views& views) { named(views, "6.weight").shape = {30, 7}; }) ==
          R"(tensor "6.weight": found F32 [30, 7], expected F32 [7, 30])");
    CHECK(refusal_after([](Views& views) { named(views, "3.weight").shape = {5, 36}; }) ==
          R"(tensor "3.weight": found F32 [5, 36], expected F32 [5, 36, 1, 1])");
    // As many bytes of another type.
    CHECK(refusal_after([](Views& views) { named(views, "4.running_var").dtype = Dtype::i32; }) ==
          R"(tensor "4.running_var": found I32 [5], expected F32 [5])");
    CHECK(refusal_after([](Views& views) { named(views, "4.num_batches_tracked").shape = {1}; }) ==
          R"(tensor "4.num_batches_tracked": found I64 [1], expected I64 [])");
    // Counts from which no training goes on.
    for (const std::int64_t count : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
        CHECK(refusal_after([&](Views& views) {
                  named(views, "4.num_batches_tracked").data = std::as_bytes(std::span{&count, 1});
              }) ==
              fmt::format(R"(tensor "4.num_batches_tracked": found {}, expected 0 to 4611686018427387903)", count));
    }
}

TEST_CASE("weights: wrong metadata and broken files are refused", "[io][weights]") {
    const auto nothing = [](auto&) {};
    CHECK_THAT(refusal_after(nothing, {{"mean", "[0.5"}}), Catch::Contains("metadata 'mean'"));
    CHECK_THAT(refusal_after(nothing, {{"std", "[0.5,\"x\"]"}}),
               Catch::Contains("metadata 'std': found the string \"x\", expected a number"));
    CHECK_THAT(refusal_after(nothing, {{"classes", "{}"}}), Catch::Contains("metadata 'classes': found an object"));
    CHECK_FALSE(refusal_after(nothing, {{"std", "[true]"}}).empty());
    CHECK_FALSE(refusal_after(nothing, {{"classes", R"({"0":"cat"})"}}).empty());

    const Scratch scratch;
    CHECK_FALSE(refusal(scratch.path / "missing").empty());
    save_weights(scratch.path / "m", some_model<Net, float>(1), {});
    fs::resize_file(scratch.path / "m", fs::file_size(scratch.path / "m") - 1);
    CHECK_FALSE(refusal(scratch.path / "m").empty());
}
