// The search for the place where a number first stopped being finite, and the error that names it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/kernels/squares.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/network/workspace.hpp>
#include <ctnn/train/optimizer_state.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// `what` with its verb: "loss is".
[[noreturn]] inline void throw_not_finite(std::int64_t step, const char* what, const std::string& where) {
    raise<NumericError>({"step ", step, ": the ", what, " not finite; ", where});
}

/// "features.3.weight (layer 4, Conv2d)".
template <Network Net>
std::string tensor_title(const Name& name, std::size_t layer) {
    return joined({name.view(), " (layer ", layer, ", ", Net::description.layers[layer].type, ")"});
}

/// The first tensor of an arena with a number that is not finite, or nothing. Those whose factor of the learning rate
/// is 0 are left out.
template <Network Net, class T>
std::string first_not_finite(const T* arena, int threads, const TensorNumbers<Net>* lr_scale = nullptr) {
    for (std::size_t i = 0; i < ParameterLayout<Net>::tensors; ++i) {
        const ParameterSlot& slot = ParameterLayout<Net>::slots[i];
        if (lr_scale != nullptr && (*lr_scale)[i] == 0.0) { continue; }
        const std::span<const T> tensor{arena + slot.offset, static_cast<std::size_t>(slot.spec.dims.stored())};
        if (!all_finite(tensor, threads)) { return tensor_title<Net>(slot.name, slot.layer); }
    }
    return {};
}

/// The first of the running statistics that are not finite, or nothing.
template <Network Net, class T>
std::string first_statistics_not_finite(const T* buffers) {
    for (const BufferSlot& slot : ParameterLayout<Net>::buffers) {
        const auto channels = static_cast<std::size_t>(slot.channels);
        if (!all_finite<T>({buffers + slot.mean_offset, channels}, 1)) {
            return tensor_title<Net>(slot.mean, slot.layer);
        }
        if (!all_finite<T>({buffers + slot.variance_offset, channels}, 1)) {
            return tensor_title<Net>(slot.variance, slot.layer);
        }
    }
    return {};
}

/// The first number that is not finite among values of `shape`, [sample][row][column][channel], or nothing: "image 3
/// of the batch (id 17), channel 0, row 5, column 2 is NaN". `ids` may be null.
template <class T>
std::string first_value_not_finite(std::span<const T> values, Shape shape, const std::uint32_t* ids, int threads) {
    if (all_finite(values, threads)) { return {}; }
    const auto bad = std::find_if(values.begin(), values.end(), [](T v) { return !std::isfinite(v); });
    const auto at = bad - values.begin(), sample = at / shape.size(), pixel = at % shape.size() / shape.channels;
    return joined({"image ", sample, " of the batch", ids != nullptr ? joined({" (id ", ids[sample], ")"}) : "",
                   ", channel ", at % shape.channels, ", row ", pixel / shape.width, ", column ", pixel % shape.width,
                   " is ", std::isnan(*bad) ? "NaN" : (*bad > 0 ? "infinity" : "-infinity")});
}

/// What was found in a step, and whence it may come: from the input or the targets alone where they are not finite,
/// else from the parameters, which may be null, or the learning rate.
template <Network Net, class T>
std::string not_finite_source(const std::string& found, std::span<const T> input, std::span<const T> targets,
                              const std::uint32_t* ids, const T* parameters, int threads) {
    const std::string pixel = first_value_not_finite(input, Net::input_shape, ids, threads);
    if (!pixel.empty()) { return "the input is not: " + pixel; }
    const std::string target = first_value_not_finite(targets, Net::output_shape, ids, threads);
    if (!target.empty()) { return "the target is not: " + target; }
    const std::string parameter = parameters != nullptr ? first_not_finite<Net, T>(parameters, threads) : std::string{};
    return found + (parameter.empty() ? "" : "; the first parameter that is not: " + parameter) +
           "; lower the learning rate, warm up, or clip gradients";
}

/// Observes a forward pass. Where it searches, it remembers the first stage whose output is not finite; one type for
/// both, so that one instantiation of forward serves the step and the search behind a failed one.
template <class PlanType>
class FiniteWatch {
  public:
    using T = typename PlanType::value_type;

    FiniteWatch(Workspace<PlanType>& workspace, int samples, bool search)
        : workspace_{workspace}, samples_{samples}, search_{search} {}

    void operator()(int stage) {
        if (!search_ || broken_ >= 0) { return; }
        const auto s = static_cast<std::size_t>(stage);
        const auto n = static_cast<std::size_t>(samples_ * PlanType::StageList::at(s).out.size());
        if (!all_finite<T>(std::span<const T>{workspace_.at(s, Slot::output), n}, workspace_.threads())) {
            broken_ = stage;
        }
    }

    /// In words.
    [[nodiscard]] std::string found() const {
        if (broken_ < 0) { return "every layer's output is"; }
        const StageSpec& stage = PlanType::StageList::at(static_cast<std::size_t>(broken_));
        return joined({"the first output that is not: layer ", stage.begin, ", ",
                       PlanType::Net::description.layers[stage.begin].type,
                       stage.end > stage.begin + 1 ? joined({", to layer ", stage.end - 1}) : ""});
    }

  private:
    Workspace<PlanType>& workspace_;
    int samples_;
    bool search_;
    int broken_ = -1;
};

}  // namespace detail

/// The first tensor of a model with a number that is not finite, parameters before running statistics, and its layer,
/// "6.weight (layer 6, Linear)"; nothing where all are finite.
template <Network Net, class T>
std::string first_not_finite(ModelView<Net, T> model, int threads = default_threads()) {
    const std::string parameter = detail::first_not_finite<Net, T>(model.parameters, threads);
    return parameter.empty() ? detail::first_statistics_not_finite<Net, T>(model.buffers) : parameter;
}

}  // namespace ctnn::inline CTNN_ISA
