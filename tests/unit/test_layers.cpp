// Every layer but convolutions, alone and in the company that fusion gives it, against the naive reference.
#include <cmath>
#include <limits>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>
#endif

#include "reference/compare.hpp"

namespace {

using namespace ctnn;
using reference::compare;

struct Overlapping : Sequential<Input<17, 9, 12>, MaxPool2d<Kernel<3>, Stride<2>>> {};
struct PaddedMax
    : Sequential<Input<5, 8, 7>, MaxPool2d<Kernel<4, 3>, Stride<1, 2>, Padding<2, 1>>, MaxPool2d<Kernel<2>>> {};
struct Average : Sequential<Input<18, 7, 9>, AvgPool2d<Kernel<3, 2>, Stride<2, 1>, Padding<1>>> {};
struct AverageInside : Sequential<Input<3, 7, 9>, AvgPool2d<Kernel<3>, Stride<2>, Padding<1>, CountIncludePad<false>>,
                                  AvgPool2d<Kernel<2>>> {};
struct Adaptive : Sequential<Input<5, 7, 11>, AdaptiveAvgPool2d<3, 4>> {};
struct AdaptiveUp : Sequential<Input<16, 2, 3>, AdaptiveAvgPool2d<5>, AdaptiveAvgPool2d<1>> {};

struct NormOdd : Sequential<Input<19, 3, 5>, LocalResponseNorm<5, Alpha<1.0>>> {};
struct NormEven : Sequential<Input<6, 3, 5>, LocalResponseNorm<4, Alpha<0.5>, Beta<0.5>, K<2.0>>> {};
struct NormOther : Sequential<Input<16, 4, 4>, LocalResponseNorm<3, Alpha<1.5>, Beta<0.6>>,
                              LocalResponseNorm<2, Alpha<0.8>, Beta<1.0>, K<0.5>>> {};
/// The window is wider than there are channels.
struct NormWide : Sequential<Input<3, 2, 4>, LocalResponseNorm<9, Alpha<2.0>>> {};
struct NormFused
    : Sequential<Input<3, 11, 13>, Conv2d<20, Kernel<3>, Padding<1>>, ReLU, LocalResponseNorm<5, Alpha<0.5>>,
                 MaxPool2d<Kernel<3>, Stride<2>>, Tanh, LocalResponseNorm<3, Alpha<0.3>>> {};
struct NormNarrow
    : Sequential<Input<6, 3, 3>, Conv2d<9, Kernel<3>, Padding<1>, Groups<3>>, LocalResponseNorm<4, Alpha<0.5>>, ReLU,
                 LocalResponseNorm<3, Alpha<0.3>>, MaxPool2d<Kernel<2>, Stride<1>>> {};

struct Curves
    : Sequential<Input<7, 3, 5>, Sigmoid, Tanh, ReLU, Conv2d<5, Kernel<2>>, Sigmoid, MaxPool2d<Kernel<2>>, Tanh> {};
struct Drops : Sequential<Input<19, 4, 5>, Dropout<0.3>, Conv2d<9, Kernel<3>, Padding<1>>, ReLU, Dropout2d<0.4>, Tanh,
                          Dropout<0.2>, Dropout2d<0.1>> {};
struct DropsNothing : Sequential<Input<3, 2, 2>, Dropout<0.0>> {};

/// Reductions of more than 1024 inputs and outputs are cut into runs.
struct Long : Sequential<Input<13, 9, 10>, Flatten, Linear<1037>, ReLU, Dropout<0.5>, Linear<10>> {};
struct Vectors : Sequential<Input<5, 1, 1>, Flatten, Linear<1, Bias<false>>, Sigmoid, Linear<33>, Tanh, Dropout<0.5>,
                            Linear<16, Bias<false>>> {};
struct Permuted : Sequential<Input<2, 5, 3>, Conv2d<6, Kernel<2>, Padding<1>>, MaxPool2d<Kernel<2>>, Flatten, Flatten,
                             Linear<7>, Flatten, ReLU> {};
// Rows that are copied apart in front of each linear layer; runs and panels of whole and of remaining inputs and
// outputs.
struct Apart : Sequential<Input<128, 1, 1>, Flatten, Linear<256>, ReLU, Linear<133>, Linear<128>, Linear<40>> {};
/// Gradients of more than 8 MiB, which go past the caches.
struct Streamed : Sequential<Input<4, 1, 1>, Flatten, Linear<1152>, Linear<2051>, Linear<3>> {};
struct OnlyLinear : Sequential<Input<3, 4, 4>, Flatten, Linear<10>> {};

/// Whole, partial and single batches.
template <class Net, class T = float>
void all_batches() {
    compare<Net, T>(5, 5);
    compare<Net, T>(3, 7, 3);
    compare<Net, T>(1, 2, 1);
}

template <class Net, Fusion F = Fusion::full>
std::vector<float> infer(const std::vector<float>& input) {
    Workspace<Inference<Net, float, F>> workspace(1, 1);
    const Model<Net> model = reference::grid_model<Net, float>();
    const auto output = forward(model.view(), input.data(), 1, workspace);
    return {output.begin(), output.end()};
}

}  // namespace

TEST_CASE("pools") {
    all_batches<Overlapping>();
    all_batches<PaddedMax>();
    all_batches<Average>();
    all_batches<AverageInside>();
    all_batches<Adaptive>();
    all_batches<AdaptiveUp>();
    all_batches<Overlapping, double>();
}

struct Max2 : Sequential<Input<17, 2, 2>, MaxPool2d<Kernel<2>, Stride<1>, Padding<1>>> {};

TEST_CASE("a max pool of negative numbers never takes the padding, and the first of equals gets the gradient") {
    Model<Max2> model;
    Parameters<Max2> gradients;
    Workspace<Training<Max2, float, Fusion::full, InputGradient::yes>> workspace(1, 1);
    const std::vector<float> input(17 * 4, -2.0f);
    const auto output = forward(model, input.data(), 1, workspace, {});
    for (const float y : output) { CHECK(y == -2.0f); }
    for (float& g : workspace.output_gradient(1)) { g = 1.0f; }
    backward(model, input.data(), 1, workspace, gradients);
    // Of the nine windows four meet pixel (0, 0) first, two (0, 1), two (1, 0), one (1, 1).
    const auto dx = workspace.input_gradient(1);
    const float expected[] = {4, 2, 2, 1};
    for (std::size_t i = 0; i < dx.size(); ++i) { CHECK(dx[i] == expected[i / 17]); }
}

struct Max4 : Sequential<Input<17, 1, 4>, MaxPool2d<Kernel<1, 4>>> {};

TEST_CASE("a max pool hands on what is not a number, and infinities") {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
    for (int place = 0; place < 4; ++place) {
        std::vector<float> input(17 * 4, 1.0f);
        const auto at = static_cast<std::size_t>(place * 17 + 3);
        input[at] = nan;
        input[at + 1] = infinity;
        input[at + 2] = -infinity;
        const std::vector<float> output = infer<Max4>(input);
        CHECK(std::isnan(output[3]));
        CHECK(output[4] == infinity);
        CHECK(output[5] == 1.0f);
        CHECK(output[16] == 1.0f);
    }
}

struct JustReLU : Sequential<Input<19, 1, 1>, ReLU> {};
struct ConvReLU : Sequential<Input<1, 1, 8>, Conv2d<3, Kernel<1>>, ReLU> {};

TEST_CASE("ReLU hands on what is not a number, as PyTorch does") {
    const std::vector<float> input(19, std::numeric_limits<float>::quiet_NaN());
    for (const float y : infer<JustReLU>(input)) { CHECK(std::isnan(y)); }
    for (const float y : infer<ConvReLU>(input)) { CHECK(std::isnan(y)); }
}

TEST_CASE("local response norms") {
    all_batches<NormOdd>();
    all_batches<NormEven>();
    all_batches<NormOther>();
    all_batches<NormWide>();
    all_batches<NormFused>();
    all_batches<NormNarrow>();
    all_batches<NormFused, double>();
}

TEST_CASE("activations") {
    all_batches<Curves>();
    all_batches<Curves, double>();
}

TEST_CASE("dropout") {
    all_batches<Drops>();
    all_batches<DropsNothing>();
}

TEST_CASE("linear layers") {
    all_batches<Vectors>();
    all_batches<Permuted>();
    all_batches<OnlyLinear>();
    compare<OnlyLinear>(17, 20);
    compare<Apart>(147, 150);  // more samples than weights are read for once
    compare<Apart>(17, 17);
    compare<Apart, double>(5, 5);
    compare<Streamed>(3, 3);
    compare<Long>(17, 17);
    compare<Long>(1, 7, 3);
    all_batches<Permuted, double>();
}
