// Runs a network by the library, fused and not, and by the naive reference, and compares every number.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <catch2/catch.hpp>

#include "reference/reference.hpp"

namespace reference {

/// An odd multiple of 1/32 in (−1, 1). Sums of products of such numbers are exact in float while they stay below 2^14,
/// so that in front of the first norm no rounding moves a number across a kink; and none is 0, where ReLU has its kink.
inline double grid_value(ctnn::Random& random) { return (2.0 * random.below(32) - 31.0) / 32.0; }

template <class T>
std::vector<T> grid(std::size_t count, std::uint32_t item) {
    ctnn::Random random{5, ctnn::Stream::test, item};
    std::vector<T> values(count);
    for (T& v : values) { v = static_cast<T>(grid_value(random)); }
    return values;
}

/// A model whose every parameter is a random grid value, norms' weights included, which no initialiser leaves at
/// random.
template <class Net, class T>
ctnn::Model<Net, T> grid_model() {
    ctnn::Model<Net, T> model;
    ctnn::Random random{6, ctnn::Stream::test};
    for (const ctnn::ParameterSlot& slot : ctnn::ParameterLayout<Net>::slots) {
        slot.spec.dims.for_canonical(
            [&](std::int64_t at) { model.parameters().data()[slot.offset + at] = static_cast<T>(grid_value(random)); });
    }
    return model;
}

inline double magnitude(const Values& values) {
    double most = 0;
    for (const double v : values) { most = std::max(most, std::abs(v)); }
    return most;
}

/// Largest difference, as a share of `scale`; infinite where sizes differ or something is not finite.
inline double distance(const Values& a, const Values& b, double scale) {
    if (a.size() != b.size()) { return std::numeric_limits<double>::infinity(); }
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double d = std::abs(a[i] - b[i]);
        most = std::isfinite(d) ? std::max(most, d) : std::numeric_limits<double>::infinity();
    }
    return scale > 0 ? most / scale : most;
}

/// Everything one training step and one inference give.
struct Results {
    Values output, input_gradient, inference;
    std::vector<Values> gradients;  ///< in state_dict's order
    std::vector<Statistics> norms;
};

/// By the library. Workspace and gradients begin as NaN: what is read before it is written, or added to instead of
/// overwritten, shows. The workspace is made for `batch` samples, of which n are used.
template <class Net, class T, ctnn::Fusion F>
Results run(ctnn::Model<Net, T> model, const std::vector<T>& input, const std::vector<T>& output_gradient, int n,
            int batch, int threads, const ctnn::RandomKey& key) {
    const auto spoil = [](auto& workspace) {
        T* begin = reinterpret_cast<T*>(workspace.bytes().data());
        std::fill_n(begin, workspace.bytes().size() / sizeof(T), std::numeric_limits<T>::quiet_NaN());
    };
    Results results;
    ctnn::Workspace<ctnn::Training<Net, T, F, ctnn::InputGradient::yes>> training(batch, threads);
    spoil(training);
    const auto output = ctnn::forward(model, input.data(), n, training, key);
    results.output.assign(output.begin(), output.end());
    results.norms = statistics(model.buffers());
    std::copy(output_gradient.begin(), output_gradient.end(), training.output_gradient(n).begin());
    ctnn::Parameters<Net, T> gradients;
    for (const ctnn::ParameterSlot& slot : ctnn::ParameterLayout<Net>::slots) {
        slot.spec.dims.for_canonical(
            [&](std::int64_t at) { gradients.data()[slot.offset + at] = std::numeric_limits<T>::quiet_NaN(); });
    }
    ctnn::backward(model, input.data(), n, training, gradients);
    results.gradients = canonical(gradients);
    const auto input_gradient = training.input_gradient(n);
    results.input_gradient.assign(input_gradient.begin(), input_gradient.end());

    ctnn::Workspace<ctnn::Inference<Net, T, F>> inference(batch, threads);
    spoil(inference);
    const auto answer = ctnn::forward(model.view(), input.data(), n, inference);
    results.inference.assign(answer.begin(), answer.end());
    return results;
}

/// By the naive reference. `gradient_scales` gets the magnitude that each parameter gradient is judged by.
template <class Net, class T>
Results naive(const ctnn::Model<Net, T>& model, const std::vector<T>& input, const std::vector<T>& output_gradient,
              int n, const ctnn::RandomKey& key, Values& gradient_scales) {
    Results results;
    Interpreter interpreter{model};
    results.output = interpreter.forward(input.data(), n, true, key);
    const auto gradients = interpreter.backward({output_gradient.begin(), output_gradient.end()});
    for (const std::vector<Values>& layer : gradients.parameters) {
        double layer_scale = 0;
        for (const Values& tensor : layer) { layer_scale = std::max(layer_scale, magnitude(tensor)); }
        for (const Values& tensor : layer) {
            results.gradients.push_back(tensor);
            gradient_scales.push_back(std::max(magnitude(tensor), 0.1 * layer_scale));
        }
    }
    results.input_gradient = gradients.input;
    results.norms = interpreter.statistics();
    results.inference = interpreter.forward(input.data(), n, false);
    return results;
}

/// Differences are judged relative to the largest magnitude of their tensor (but at least a tenth of the layer's: a
/// bias in front of a batch norm has gradient 0, and what remains of it is rounding of sums as large as the weights').
/// Sums here have up to some thousand terms, whose rounding grows as the root of their number, ε·50, and norms divide
/// by spreads and pass several layers: 1000 ε, that is 1e-4 in float, is above what was measured everywhere and far
/// below what a wrong term makes.
template <class T>
inline constexpr double tolerance = 1000 * static_cast<double>(std::numeric_limits<T>::epsilon());

inline void judge(const Results& got, const Results& expected, const Values& gradient_scales, double allowed) {
    const auto close = [&](const char* what, const Values& a, const Values& b, double scale) {
        INFO(what);
        CHECK(distance(a, b, scale) <= allowed);
    };
    close("output", got.output, expected.output, magnitude(expected.output));
    close("inference", got.inference, expected.inference, magnitude(expected.inference));
    close("input gradient", got.input_gradient, expected.input_gradient, magnitude(expected.input_gradient));
    REQUIRE(got.gradients.size() == expected.gradients.size());
    for (std::size_t i = 0; i < got.gradients.size(); ++i) {
        INFO("parameter tensor " << i);
        close("gradient", got.gradients[i], expected.gradients[i], gradient_scales[i]);
    }
    REQUIRE(got.norms.size() == expected.norms.size());
    for (std::size_t i = 0; i < got.norms.size(); ++i) {
        INFO("norm " << i);
        close("running mean", got.norms[i].mean, expected.norms[i].mean, magnitude(expected.norms[i].mean));
        close("running variance", got.norms[i].variance, expected.norms[i].variance,
              magnitude(expected.norms[i].variance));
    }
}

/// Fused against the reference, unfused against the reference, and both against each other, on n samples in a workspace
/// for `batch`.
template <class Net, class T = float>
void compare(int n, int batch, int threads = 2) {
    INFO(n << " of " << batch << " samples, " << sizeof(T) << " bytes, " << threads << " threads");
    const auto samples = static_cast<std::size_t>(n);
    std::vector<std::uint32_t> ids(samples);
    for (std::size_t i = 0; i < samples; ++i) { ids[i] = static_cast<std::uint32_t>((7 + 37 * i) % 1009); }
    const ctnn::RandomKey key{17, 3, ids.data()};
    const auto input = grid<T>(samples * static_cast<std::size_t>(Net::input_shape.size()), 1);
    const auto output_gradient = grid<T>(samples * static_cast<std::size_t>(Net::output_shape.size()), 2);
    const ctnn::Model<Net, T> model = grid_model<Net, T>();
    Values scales;
    const Results expected = naive(model, input, output_gradient, n, key, scales);
    REQUIRE(magnitude(expected.output) > 0);
    REQUIRE(magnitude(expected.input_gradient) > 0);
    for (const Values& gradient : expected.gradients) { REQUIRE(magnitude(gradient) > 0); }
    const Results fused = run<Net, T, ctnn::Fusion::full>(model, input, output_gradient, n, batch, threads, key);
    const Results unfused = run<Net, T, ctnn::Fusion::none>(model, input, output_gradient, n, batch, threads, key);
    {
        INFO("fused");
        judge(fused, expected, scales, tolerance<T>);
    }
    {
        INFO("unfused");
        judge(unfused, expected, scales, tolerance<T>);
    }
    {
        INFO("fused against unfused");
        judge(fused, unfused, scales, tolerance<T>);
    }
}

}  // namespace reference
