// Convolutions by Winograd's filtering against direct ones: the same network twice, with and without the option.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/models/small_alexnet.hpp>
#include <ctnn/network/run.hpp>
#endif

namespace {

using namespace ctnn;

/// Everything that a step and an inference compute.
template <class T>
struct Results {
    std::vector<T> output, inferred, parameter_gradients, input_gradient;
};

template <class Net, class T>
Results<T> step(int n, int threads) {
    Model<Net, T> model{Seed{3}};
    Parameters<Net, T> gradients;
    Workspace<Training<Net, T, Fusion::full, InputGradient::yes>> training(n, threads);
    Workspace<Inference<Net, T>> inference(n, threads);
    std::vector<T> input(static_cast<std::size_t>(n * Net::input_shape.size()));
    Random random{9, Stream::test};
    for (T& v : input) { v = static_cast<T>(random.normal()); }
    const auto copy = [](auto span) { return std::vector<T>(span.begin(), span.end()); };
    Results<T> results;
    results.output = copy(forward(model, input.data(), n, training, RandomKey{1, 0, nullptr}));
    for (T& v : training.output_gradient(n)) { v = static_cast<T>(random.normal()); }
    backward(model, input.data(), n, training, gradients);
    results.parameter_gradients = copy(gradients.span());
    results.input_gradient = copy(training.input_gradient(n));
    results.inferred = copy(forward(model.view(), input.data(), n, inference));
    return results;
}

/// Largest difference as a share of the largest number, which must not be zero.
template <class T>
double difference(const std::vector<T>& a, const std::vector<T>& b) {
    REQUIRE(a.size() == b.size());
    double most = 0.0, largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
        largest = std::max(largest, std::abs(static_cast<double>(b[i])));
    }
    REQUIRE(largest > 1e-3);
    return most / largest;
}

template <class Direct, class Filtered, class T>
void compare(int n, double tolerance) {
    INFO("batch of " << n);
    const Results<T> expected = step<Direct, T>(n, 2), found = step<Filtered, T>(n, 2);
    CHECK(difference(found.output, expected.output) < tolerance);
    CHECK(difference(found.inferred, expected.inferred) < tolerance);
    CHECK(difference(found.parameter_gradients, expected.parameter_gradients) < tolerance);
    CHECK(difference(found.input_gradient, expected.input_gradient) < tolerance);
}

template <int Taps, int In, int Size, int Out, int Pad, class... Options>
struct One : Sequential<Input<In, Size, Size + 1>, Conv2d<Out, Kernel<Taps>, Padding<Pad>, Options...>> {};

/// In double, where what is left is rounding, magnified by coefficients up to 64 in a square.
template <int Taps, int In, int Size, int Out, int Pad>
void compare_one(std::initializer_list<int> batches) {
    for (const int n : batches) {
        compare<One<Taps, In, Size, Out, Pad>, One<Taps, In, Size, Out, Pad, Winograd>, double>(n, 1e-13);
    }
}

/// Stages of every kind around it: bias and sigmoid, pool, batch norm with a pool, and a response norm.
template <class... Options>
struct Mixed : Sequential<Input<3, 12, 10>,                                                                        //
                          Conv2d<20, Kernel<3>, Padding<1>, Options...>, Sigmoid,                                  //
                          Conv2d<33, Kernel<3>, Options...>, ReLU, MaxPool2d<Kernel<2>>,                           //
                          Conv2d<16, Kernel<3>, Padding<2>, Bias<false>, Options...>, BatchNorm2d<>, ReLU,         //
                          MaxPool2d<Kernel<3>, Stride<2>>,                                                         //
                          Conv2d<24, Kernel<3>, Padding<1>, Options...>, ReLU, LocalResponseNorm<5, Alpha<0.1>>,   //
                          Conv2d<17, Kernel<3>, Padding<1>, Options...>, BatchNorm2d<>, Dropout2d<0.25>, Flatten,  //
                          Linear<10>> {};

}  // namespace

TEST_CASE("Winograd: one convolution equals the direct one in all directions", "[winograd]") {
    compare_one<3, 5, 7, 19, 1>({1, 3});        // partial vectors and tiles
    compare_one<3, 16, 8, 32, 1>({1, 16, 37});  // whole ones; several chunks, the last one partial
    compare_one<3, 3, 3, 1, 0>({2});            // one output pixel a row
    compare_one<3, 40, 4, 48, 2>({5});          // more padding than the kernel's half
    compare_one<5, 17, 9, 20, 2>({1, 35});
    compare_one<5, 3, 5, 16, 0>({2});
    compare<One<3, 16, 8, 32, 1>, One<3, 16, 8, 32, 1, Winograd>, float>(16, 2e-5);  // 29 bits less
}

TEST_CASE("Winograd: in every kind of stage", "[winograd]") {
    static_assert(SmallAlexNetWinograd::parameter_count == SmallAlexNet::parameter_count);
    // Batch norm divides by small deviations and pools choose between near ties, in double too.
    compare<Mixed<>, Mixed<Winograd>, double>(6, 1e-9);
}

TEST_CASE("Winograd: the same bits for any number of threads", "[winograd]") {
    const Results<float> one = step<Mixed<Winograd>, float>(37, 1);
    for (const int threads : {2, 3}) {
        const Results<float> many = step<Mixed<Winograd>, float>(37, threads);
        CHECK(many.output == one.output);
        CHECK(many.inferred == one.inferred);
        CHECK(many.parameter_gradients == one.parameter_gradients);
        CHECK(many.input_gradient == one.input_gradient);
    }
}
