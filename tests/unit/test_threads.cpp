// Results do not depend on the number of threads, to the bit.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/models/small_alexnet.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/optimizer_state.hpp>
#endif

namespace {

using namespace ctnn;

/// AlexNet32's kinds of stages, narrow maps and long reductions, with fewer channels; groups and a response norm
/// besides.
struct Tiny : Sequential<Input<3, 32, 32>,                                                                       //
                         Conv2d<24, Kernel<11>, Stride<4>, Padding<2>>, ReLU, LocalResponseNorm<5, Alpha<0.1>>,  //
                         MaxPool2d<Kernel<3>, Stride<2>>, Conv2d<40, Kernel<5>, Padding<2>, Groups<2>>, ReLU,    //
                         Conv2d<48, Kernel<3>, Padding<1>>, ReLU, MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>,   //
                         Flatten, Linear<1100>, ReLU, Dropout<0.5>, Linear<1050>, Tanh, Linear<10>> {};

/// Maps of several bands: one that is kept and whose rows two bands want, and one whose pool reaches beyond a band.
struct Banded : Sequential<Input<3, 48, 48>,                                                            //
                           Conv2d<64, Kernel<3>, Padding<1>>, Tanh, LocalResponseNorm<5>,               //
                           MaxPool2d<Kernel<3>, Stride<2>>,                                             //
                           Conv2d<256, Kernel<1>>, ReLU, MaxPool2d<Kernel<13>, Stride<1>, Padding<6>>,  //
                           MaxPool2d<Kernel<11>, Stride<11>>, Flatten, Linear<10>> {};

/// Parameters, running statistics, logits and input gradient after some steps, and an inference.
template <class Net>
std::vector<float> train(int threads, int n, int steps) {
    Model<Net> model{Seed{3}};
    Parameters<Net> gradients;
    OptimizerState<Net> optimizer{Sgd{.momentum = 0.9, .weight_decay = 5e-4}};
    Workspace<Training<Net, float, Fusion::full, InputGradient::yes>> training(n, threads);
    Workspace<Inference<Net>> inference(n, threads);
    std::vector<float> input(static_cast<std::size_t>(n * Net::input_shape.size()));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
    Random random{9, Stream::test};
    for (float& v : input) { v = static_cast<float>(random.normal()); }
    for (std::int32_t& v : labels) { v = static_cast<std::int32_t>(random.below(10)); }
    std::vector<float> results;
    const auto keep = [&](auto span) { results.insert(results.end(), span.begin(), span.end()); };
    for (int i = 0; i < steps; ++i) {
        const auto logits =
            forward(model, input.data(), n, training, RandomKey{1, static_cast<std::uint32_t>(i), nullptr});
        cross_entropy<float>({}, logits, labels, 10, training.output_gradient(n));
        keep(logits);
        backward(model, input.data(), n, training, gradients);
        keep(training.input_gradient(n));
        StepNumbers<Net> numbers{0.05};
        numbers.squares = tensor_squares(gradients, threads);
        numbers.clip(1.0);
        optimizer.step(numbers, model.parameters(), gradients, threads);
    }
    keep(gradients.span());
    keep(model.parameters().span());
    keep(model.buffers().span());
    keep(forward(model.view(), input.data(), n, inference));
    keep(forward(model.view(), input.data(), 1, inference));  // shared out by rows
    return results;
}

template <class Net>
void check_threads(int n, int steps) {
    const std::vector<float> one = train<Net>(1, n, steps);
    for (const int threads : {2, 3}) {
        INFO(threads << " threads, " << n << " samples");
        const std::vector<float> many = train<Net>(threads, n, steps);
        REQUIRE(many.size() == one.size());
        CHECK(std::memcmp(many.data(), one.data(), one.size() * sizeof(float)) == 0);
    }
}

}  // namespace

TEST_CASE("1, 2 and 3 threads train SmallAlexNet to the same bits") { check_threads<SmallAlexNet>(13, 2); }

TEST_CASE("1, 2 and 3 threads train a net of narrow maps and long rows to the same bits") {
    check_threads<Tiny>(1, 1);
    check_threads<Tiny>(37, 2);
}

TEST_CASE("1, 2 and 3 threads train a net whose maps are cut into bands to the same bits") {
    check_threads<Banded>(2, 1);
}
