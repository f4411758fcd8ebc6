// Layers of the user's with parameters: one that is a convolution of 1×1 in other words must do as Conv2d does.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/weights.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/custom.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/train/trainer.hpp>
#endif

#include "scratch.hpp"

namespace {

using namespace ctnn;

/// y[pixel, o] = Σ_c weight[o, c] · x[pixel, c]: Conv2d<Out, Kernel<1>, Bias<false>>.
template <int Out>
struct PerPixelWithoutBias {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("PerPixelWithoutBias", in, {Out, in.shape.height, in.shape.width});
        custom_parameter(info, "weight", {Out, in.shape.channels}, {InitKind::pytorch_default}, true);
        return info;
    }
    template <class T>
    static void forward(Shape in, const T* weight, const T* x, T* y) {
        for (int p = 0; p < in.pixels(); ++p) {
            for (int o = 0; o < Out; ++o) {
                T sum{};
                for (int c = 0; c < in.channels; ++c) { sum += weight[o * in.channels + c] * x[p * in.channels + c]; }
                y[p * Out + o] = sum;
            }
        }
    }
    template <class T>
    static void backward(Shape in, const T* weight, const T* x, const T*, const T* dy, T* dx, T* dweight) {
        std::fill_n(dx, in.size(), T{});
        std::fill_n(dweight, Out * in.channels, T{});
        for (int p = 0; p < in.pixels(); ++p) {
            for (int o = 0; o < Out; ++o) {
                const T g = dy[p * Out + o];
                for (int c = 0; c < in.channels; ++c) {
                    dweight[o * in.channels + c] += g * x[p * in.channels + c];
                    dx[p * in.channels + c] += g * weight[o * in.channels + c];
                }
            }
        }
    }
};

/// The same with a bias: Conv2d<Out, Kernel<1>>.
template <int Out>
struct PerPixel {
    using WithoutBias = PerPixelWithoutBias<Out>;
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("PerPixel", in, {Out, in.shape.height, in.shape.width});
        custom_parameter(info, "weight", {Out, in.shape.channels}, {InitKind::pytorch_default}, true);
        custom_parameter(info, "bias", {Out}, {InitKind::constant, 0.25});
        return info;
    }
    template <class T>
    static void forward(Shape in, const T* weight, const T* bias, const T* x, T* y) {
        WithoutBias::forward(in, weight, x, y);
        for (int i = 0; i < in.pixels() * Out; ++i) { y[i] += bias[i % Out]; }
    }
    template <class T>
    static void backward(Shape in, const T* weight, const T*, const T* x, const T* y, const T* dy, T* dx, T* dweight,
                         T* dbias) {
        WithoutBias::backward(in, weight, x, y, dy, dx, dweight);
        std::fill_n(dbias, Out, T{});
        for (int i = 0; i < in.pixels() * Out; ++i) { dbias[i % Out] += dy[i]; }
    }
};

using InitialBias = BiasInit<InitKind::constant, 0.25>;
/// The layer as the first one, whose input gradient nobody asks for, and behind another.
struct Custom : Sequential<Input<3, 4, 5>, PerPixel<7>, Tanh, PerPixel<18>, Flatten, Linear<4>> {};
struct Convolutions : Sequential<Input<3, 4, 5>, Conv2d<7, Kernel<1>, InitialBias>, Tanh,
                                 Conv2d<18, Kernel<1>, InitialBias>, Flatten, Linear<4>> {};
struct WithoutBias
    : Sequential<Input<3, 4, 5>, PerPixelWithoutBias<7>, Tanh, PerPixelWithoutBias<18>, Flatten, Linear<4>> {};
struct ConvolutionsWithoutBias : Sequential<Input<3, 4, 5>, Conv2d<7, Kernel<1>, Bias<false>>, Tanh,
                                            Conv2d<18, Kernel<1>, Bias<false>>, Flatten, Linear<4>> {};

std::vector<float> numbers(std::size_t count) {
    std::vector<float> values(count);
    Random random{3, Stream::test};
    for (float& x : values) { x = static_cast<float>(random.normal()); }
    return values;
}

/// A model after some steps on random numbers.
template <class Net>
Model<Net> trained(int threads, int micro_batch = 0) {
    constexpr int samples = 6;
    Model<Net> model{Seed{5}};
    TrainerSettings settings{.optimizer = Sgd{.momentum = 0.9, .weight_decay = 0.01, .decay_biases_and_norms = false},
                             .batch_size = samples};
    settings.micro_batch = micro_batch;
    Trainer<Net> trainer{model, settings, threads};
    const std::vector<float> images = numbers(samples * static_cast<std::size_t>(Net::input_shape.size()));
    const std::vector<std::int32_t> labels{0, 1, 2, 3, 0, 1};
    for (int i = 0; i < 8; ++i) { trainer.step(images.data(), labels, nullptr, 0.1); }
    return model;
}

/// The parameters in the order of files, tensor by tensor.
template <class Net>
std::vector<float> canonical(const Model<Net>& model) {
    std::vector<float> values;
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
        slot.spec.dims.for_canonical(
            [&](std::int64_t at) { values.push_back(model.parameters().data()[slot.offset + at]); });
    }
    return values;
}

template <class Net>
bool same_parameters(const Model<Net>& a, const Model<Net>& b) {
    return std::ranges::equal(std::as_bytes(a.parameters().span()), std::as_bytes(b.parameters().span()));
}

}  // namespace

TEST_CASE("a custom layer's parameters are described, counted and begin as another layer's") {
    STATIC_REQUIRE(Custom::parameter_count == Convolutions::parameter_count);
    using Layout = ParameterLayout<Custom>;
    STATIC_REQUIRE(Layout::slots[0].name == "0.weight");
    STATIC_REQUIRE(Layout::slots[3].name == "2.bias");
    STATIC_REQUIRE(Layout::slots[2].spec.rank == 2);
    STATIC_REQUIRE(Layout::slots[2].spec.shape[0] == 18);
    STATIC_REQUIRE(Layout::slots[2].spec.shape[1] == 7);
    STATIC_REQUIRE(Layout::slots[2].spec.fan_in == 7);
    STATIC_REQUIRE(Layout::slots[2].offset < Layout::decayed);
    STATIC_REQUIRE(Layout::slots[3].offset >= Layout::decayed);
    CHECK(canonical(Model<Custom>{Seed{5}}) == canonical(Model<Convolutions>{Seed{5}}));
}

TEMPLATE_TEST_CASE("a custom layer is trained as the convolution that it is", "", (std::pair<Custom, Convolutions>),
                   (std::pair<WithoutBias, ConvolutionsWithoutBias>)) {
    using Own = typename TestType::first_type;
    const std::vector<float> start = canonical(Model<Own>{Seed{5}});
    const std::vector<float> custom = canonical(trained<Own>(1));
    const std::vector<float> expected = canonical(trained<typename TestType::second_type>(1));
    REQUIRE(custom.size() == expected.size());
    double moved = 0;
    for (std::size_t i = 0; i < custom.size(); ++i) {
        // Eight steps of rounding, each of some 1e-7, under a momentum that lets them add up tenfold.
        CHECK(std::abs(custom[i] - expected[i]) < 2e-5);
        moved = std::max(moved, std::abs(double{custom[i]} - double{start[i]}));
    }
    CHECK(moved > 0.01);
}

TEST_CASE("a custom layer's training does not depend on threads, and hardly on the passes of a step") {
    const Model<Custom> one = trained<Custom>(1);
    for (const int threads : {2, 5}) { CHECK(same_parameters(one, trained<Custom>(threads))); }
    const std::vector<float> whole = canonical(one), split = canonical(trained<Custom>(1, 4));
    for (std::size_t i = 0; i < whole.size(); ++i) { CHECK(std::abs(whole[i] - split[i]) < 2e-5); }  // as above
}

TEST_CASE("a custom layer's parameters are saved under its names and come back") {
    const Scratch folder;
    const auto path = folder / "custom.safetensors";
    const Model<Custom> model = trained<Custom>(1);
    save_weights(path, model, {});
    const auto bytes = read_file(path);
    const SafetensorsFile file = parse_safetensors(bytes, "custom");
    const TensorView* weight = file.find("2.weight");
    REQUIRE(weight != nullptr);
    CHECK(weight->shape == std::vector<std::int64_t>{18, 7});
    Model<Custom> read;
    load_weights(path, read);
    CHECK(same_parameters(model, read));
}

namespace {

/// ReLU in other words.
struct Rectifier {
    static constexpr LayerInfo describe(Signal in) { return custom_layer("Rectifier", in, in.shape); }
    template <class T>
    static void forward(Shape in, const T* x, T* y) {
        for (int i = 0; i < in.size(); ++i) { y[i] = std::max(x[i], T{}); }
    }
    template <class T>
    static void backward(Shape in, const T*, const T* y, const T* dy, T* dx) {
        for (int i = 0; i < in.size(); ++i) { dx[i] = y[i] > 0 ? dy[i] : T{}; }
    }
};
struct BehindFlatten : Sequential<Input<3, 4, 4>, Flatten, Rectifier, Linear<2>> {};
struct BehindFlattenBuiltIn : Sequential<Input<3, 4, 4>, Flatten, ReLU, Linear<2>> {};

}  // namespace

TEST_CASE("behind a custom layer, too, a linear layer on a flattened map is saved in the order of PyTorch") {
    const Scratch folder;
    const auto path = folder / "linear.safetensors";
    const Model<BehindFlattenBuiltIn> model{Seed{1}};
    save_weights(path, model, {});
    Model<BehindFlatten> read;
    load_weights(path, read);
    CHECK(std::ranges::equal(read.parameters().span(), model.parameters().span()));
    const std::span<const float> stored = model.parameters().span();
    CHECK_FALSE(std::ranges::equal(stored.first(96), canonical(model) | std::views::take(96)));  // an order of its own
}

TEST_CASE("initialising a model anew does not move it") {
    Model<BehindFlatten> model{Seed{1}};
    const ModelView<BehindFlatten> view = model.view();
    model.initialize(Seed{2});
    CHECK(view.parameters == model.view().parameters);
    CHECK(view.buffers == model.view().buffers);
    CHECK(std::ranges::equal(model.parameters().span(), Model<BehindFlatten>{Seed{2}}.parameters().span()));
}

namespace {

/// Too many tensors, and a shape that is none.
struct Three {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("Three", in, in.shape);
        for (const char* name : {"a", "b", "c"}) { custom_parameter(info, name, {1}, {}); }
        return info;
    }
};
struct Twice {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("Twice", in, in.shape);
        for (const char* name : {"a", "a"}) { custom_parameter(info, name, {1}, {}); }
        return info;
    }
};
struct Empty {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("Empty", in, in.shape);
        custom_parameter(info, "weight", {3, 0}, {});
        return info;
    }
};

}  // namespace

TEST_CASE("parameters that a custom layer cannot have are an error of its description") {
    constexpr Signal in{{1, 1, 1}, false, {}};
    STATIC_REQUIRE(Three::describe(in).error == "parameter c is the third; put what it needs into two");
    STATIC_REQUIRE(Twice::describe(in).error == "parameter a is there already; give each a name of its own");
    STATIC_REQUIRE(Empty::describe(in).error ==
                   "parameter weight has a size below 1 or a fifth; write one to four sizes");
}
