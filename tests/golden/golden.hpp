// Runs a network as make_golden.py did and compares every number with the file that it wrote.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#ifndef CTNN_GOLDEN_DIR
#define CTNN_GOLDEN_DIR "tests/golden"
#endif

namespace golden {

/// Tensors to compare with. Counts those that were asked for, so that none is forgotten.
class File {
  public:
    explicit File(const std::string& path)
        : bytes_{ctnn::read_file(path)}, file_{ctnn::parse_safetensors(bytes_, path)} {}

    template <class T>
    std::vector<T> read(const std::string& name) {
        const ctnn::TensorView* tensor = file_.find(name);
        INFO(file_.source << ": " << name);
        REQUIRE(tensor != nullptr);
        std::vector<T> values(tensor->data.size() / sizeof(T));
        tensor->copy_to(values);
        ++asked_;
        return values;
    }
    [[nodiscard]] std::size_t unasked() const { return file_.tensors.size() - asked_; }

  private:
    std::vector<std::byte> bytes_;
    ctnn::SafetensorsFile file_;
    std::size_t asked_ = 0;
};

/// Between PyTorch's order of a sample, [channel][row][column], and the library's, [row][column][channel].
template <class T>
std::vector<T> channels_last(const std::vector<T>& planes, ctnn::Shape s) {
    std::vector<T> out(planes.size());
    const auto size = static_cast<std::size_t>(s.size()), pixels = static_cast<std::size_t>(s.pixels());
    const auto channels = static_cast<std::size_t>(s.channels);
    for (std::size_t i = 0; i < planes.size(); ++i) {
        const std::size_t n = i / size, c = i % size / pixels, pixel = i % pixels;
        out[n * size + pixel * channels + c] = planes[i];
    }
    return out;
}

template <class T>
double magnitude(std::span<const T> values) {
    double most = 0;
    for (const T v : values) { most = std::max(most, std::abs(static_cast<double>(v))); }
    return most;
}

/// Largest difference as a share of `scale`, which is the expected tensor's largest number unless given.
template <class T>
void compare(const std::string& name, std::span<const T> found, const std::vector<T>& expected, double tolerance,
             double scale = 0) {
    INFO(name);
    REQUIRE(found.size() == expected.size());
    if (scale == 0) { scale = magnitude<T>(expected); }
    REQUIRE(scale > 0);
    double most = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const double d = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
        most = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(most, d);
    }
    CHECK(most / scale < tolerance);
}

/// A convolution's bias in front of batch norm changes nothing: the norm takes the mean out again. Its gradient is a
/// sum that cancels, rounding is all that is left of it, and its own largest number says nothing about the error.
template <class Net>
bool cancels(const ctnn::ParameterSlot& slot) {
    const auto& layers = Net::description.layers;
    return slot.spec.name == "bias" && slot.layer + 1 < Net::layer_count &&
           layers[slot.layer + 1].kind == ctnn::LayerKind::batch_norm2d;
}

/// An arena with the tensors of these names, in the order of files.
template <class Net, class T>
void compare_arena(File& file, const std::string& prefix, std::span<const T> arena, double tolerance, bool gradients) {
    ctnn::StateDict<Net, T> state;
    state.add_arena(arena, prefix);
    std::vector<std::vector<T>> expected;
    double largest = 0;
    for (const ctnn::TensorView& view : state.views()) {
        expected.push_back(file.read<T>(view.name));
        largest = std::max(largest, magnitude<T>(expected.back()));
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const ctnn::TensorView& view = state.views()[i];
        std::vector<T> found(view.data.size() / sizeof(T));
        view.copy_to(found);
        const bool by_largest = gradients && cancels<Net>(ctnn::ParameterLayout<Net>::slots[i]);
        compare<T>(view.name, found, expected[i], tolerance, by_largest ? largest : 0);
    }
}

/// A state_dict: parameters and running statistics.
template <class Net, class T>
void compare_model(File& file, const std::string& prefix, const ctnn::Model<Net, T>& model, double tolerance) {
    compare_arena<Net, T>(file, prefix, model.parameters().span(), tolerance, false);
    for (const ctnn::BufferSlot& slot : ctnn::ParameterLayout<Net>::buffers) {
        const auto statistics = [&](const ctnn::Name& name, std::int64_t offset) {
            const std::string key = prefix + std::string{name.view()};
            const auto found = model.buffers().span().subspan(static_cast<std::size_t>(offset),
                                                              static_cast<std::size_t>(slot.channels));
            compare<T>(key, found, file.read<T>(key), tolerance);
        };
        statistics(slot.mean, slot.mean_offset);
        statistics(slot.variance, slot.variance_offset);
        CHECK(model.buffers().batches_tracked ==
              file.read<std::int64_t>(prefix + std::string{slot.batches.view()}).at(0));
    }
}

/// Three training steps and an evaluation of the network `name`, against its files of type T.
///
/// Double: 1e-12 of a tensor's largest number. A number is a sum of at most some hundred products, carried through a
/// few layers and three steps: rounding grows to 3e-15, and nothing wrong is as small as 1e-12. Float: 1e-5, by the
/// same count; rounding grows to 2e-6, PyTorch's own included. The files come from a run that keeps 5e-5 from every
/// kink of ReLU and max pooling, so that no rounding crosses one.
template <class Net, class T, ctnn::Fusion F>
void check(const std::string& name) {
    constexpr double tolerance = std::is_same_v<T, double> ? 1e-12 : 1e-5;
    const std::string path = CTNN_GOLDEN_DIR "/" + name + (std::is_same_v<T, double> ? "_f64" : "_f32");
    ctnn::Model<Net, T> model;
    CHECK(ctnn::load_weights(path + ".safetensors", model) == ctnn::ModelInfo{});

    File file{path + "_steps.safetensors"};
    const std::vector<T> input = channels_last(file.read<T>("input"), Net::input_shape);
    std::vector<std::int32_t> labels;
    for (const std::int64_t label : file.read<std::int64_t>("labels")) {
        labels.push_back(static_cast<std::int32_t>(label));
    }
    const int samples = static_cast<int>(labels.size());
    const std::vector<T> norms = file.read<T>("gradient_norms");

    const ctnn::CrossEntropy loss{.label_smoothing = 0.1};
    ctnn::Workspace<ctnn::Training<Net, T, F, ctnn::InputGradient::yes>> workspace{samples, 2};
    ctnn::Parameters<Net, T> gradients;
    ctnn::OptimizerState<Net, T> optimizer{ctnn::Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4}};
    for (std::size_t step = 1; step <= 3; ++step) {
        const auto logits = ctnn::forward(model, input.data(), samples, workspace, {});
        const ctnn::LossSum sum =
            ctnn::cross_entropy<T>(loss, logits, labels, Net::classes, workspace.output_gradient(samples));
        if (step == 1) {
            compare<T>("logits", logits, file.read<T>("logits"), tolerance);
            const T mean = static_cast<T>(sum.loss_sum / samples);
            compare<T>("loss", std::span{&mean, 1}, file.read<T>("loss"), tolerance);
        }
        ctnn::backward(model, input.data(), samples, workspace, gradients);
        if (step == 1) {
            compare_arena<Net, T>(file, "gradient.", gradients.span(), tolerance, true);
            compare<T>("input_gradient", workspace.input_gradient(samples),
                       channels_last(file.read<T>("input_gradient"), Net::input_shape), tolerance);
        }
        ctnn::StepNumbers<Net> numbers{0.05};
        numbers.squares = ctnn::tensor_squares(gradients);
        numbers.clip(1.0);
        optimizer.step(numbers, model.parameters(), gradients);
        CHECK(std::abs(numbers.gradient_norm() / static_cast<double>(norms.at(step - 1)) - 1) < tolerance);
        if (step != 2) { compare_model(file, "after" + std::to_string(step) + ".", model, tolerance); }
    }

    ctnn::Workspace<ctnn::Inference<Net, T, F>> evaluation{samples, 2};
    compare<T>("evaluation_logits", ctnn::forward(model.view(), input.data(), samples, evaluation),
               file.read<T>("evaluation_logits"), tolerance);
    CHECK(file.unasked() == 0);
}

}  // namespace golden
