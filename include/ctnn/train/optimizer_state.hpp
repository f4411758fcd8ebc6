// What an optimizer remembers of a network, and its step over the network's tensors.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include <ctnn/core/config.hpp>
#include <ctnn/core/layout.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/kernels/squares.hpp>
#include <ctnn/kernels/update.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/train/lr_scale.hpp>
#include <ctnn/train/optimizer.hpp>

namespace ctnn::inline CTNN_ISA {

/// A tensor's part of an arena, its padding included, which is zero.
template <class Arena>
auto tensor_of(Arena&& arena, const ParameterSlot& slot) {
    return arena.span().subspan(static_cast<std::size_t>(slot.offset),
                                static_cast<std::size_t>(slot.spec.dims.stored()));
}

/// Σx² of every tensor of an arena.
template <Network Net, class T>
TensorNumbers<Net> tensor_squares(const Parameters<Net, T>& arena, int threads = default_threads()) {
    TensorNumbers<Net> squares;
    for (std::size_t i = 0; i < squares.size(); ++i) {
        squares[i] = sum_of_squares<T>(tensor_of(arena, ParameterLayout<Net>::slots[i]), threads);
    }
    return squares;
}

/// The numbers of one step.
template <Network Net>
struct StepNumbers {
    double lr = 0.0;
    std::int64_t number = 1;        ///< of this step, the first being 1: Adam's corrections depend on it
    double gradient_scale = 1.0;    ///< from clipping; applied before decay
    TensorNumbers<Net> lr_scale{};  ///< factors of lr; 0 leaves a tensor as it is
    TensorNumbers<Net> squares{};   ///< Σg² of every tensor before clipping: clip() and LARS need tensor_squares()

    explicit StepNumbers(double rate, std::int64_t step = 1) : lr{rate}, number{step} { lr_scale.fill(1.0); }

    /// The norm of all gradients but frozen ones.
    [[nodiscard]] double gradient_norm() const {
        double sum = 0.0;
        for (std::size_t i = 0; i < squares.size(); ++i) { sum += lr_scale[i] != 0.0 ? squares[i] : 0.0; }
        return std::sqrt(sum);
    }
    /// torch.nn.utils.clip_grad_norm_: gradients are scaled by min(1, clip_norm / (norm + 1e-6)); 0 is off.
    void clip(double clip_norm) {
        gradient_scale = clip_norm > 0.0 ? std::min(1.0, clip_norm / (gradient_norm() + 1e-6)) : 1.0;
    }
};

/// An optimizer at work: its settings and the arenas that `state_names` lists, zero at first.
template <Network Net, class T = float>
class OptimizerState {
  public:
    using Layout = ParameterLayout<Net>;

    /// Throws ArgumentError for settings outside their ranges.
    explicit OptimizerState(const Optimizer& optimizer) : optimizer_{optimizer} {
        std::visit([](const auto& o) { o.validate(); }, optimizer_);
        arenas_.resize(names().size());
    }

    /// Moves parameters against their gradients, in one pass over the arenas; LARS reads the weights once more, for
    /// their norms: a pass of its own, because it keeps nothing from step to step, and the large batches that LARS is
    /// for take far longer than a look at the weights. Bit-identical for any number of threads; allocates nothing.
    /// Returns whether everything is finite that it moved.
    bool step(const StepNumbers<Net>& numbers, Parameters<Net, T>& parameters, const Parameters<Net, T>& gradients,
              int threads = default_threads()) {
        return std::visit(
            [&](const auto& o) {
                using Step = decltype(step_of(o, numbers, std::size_t{0}, parameters, threads));
                std::array<UpdateRange<Step>, Layout::tensors> ranges;
                std::size_t count = 0;
                for (std::size_t i = 0; i < Layout::tensors; ++i) {
                    if (numbers.lr_scale[i] == 0.0) {
                        ++frozen_steps_[i];
                        continue;
                    }
                    const ParameterSlot& slot = Layout::slots[i];
                    const auto begin = static_cast<std::size_t>(slot.offset);
                    ranges[count++] = {begin, begin + static_cast<std::size_t>(slot.spec.dims.stored()),
                                       step_of(o, numbers, i, parameters, threads)};
                }
                return update_arena<Step, T>(std::span{ranges}.first(count),
                                             {parameters.data(), gradients.data(), arena_data(0), arena_data(1)},
                                             threads);
            },
            optimizer_);
    }

    [[nodiscard]] const Optimizer& optimizer() const { return optimizer_; }
    [[nodiscard]] std::span<const std::string_view> names() const { return state_names(optimizer_); }
    /// In the order of names().
    [[nodiscard]] std::span<Parameters<Net, T>> arenas() { return arenas_; }
    [[nodiscard]] std::span<const Parameters<Net, T>> arenas() const { return arenas_; }
    /// Of every tensor, the steps that left it as it was: Adam's corrections depend on a tensor's own steps, as
    /// PyTorch's.
    using FrozenSteps = std::array<std::int64_t, Layout::tensors>;
    [[nodiscard]] FrozenSteps& frozen_steps() { return frozen_steps_; }
    [[nodiscard]] const FrozenSteps& frozen_steps() const { return frozen_steps_; }

  private:
    T* arena_data(std::size_t i) { return i < arenas_.size() ? arenas_[i].data() : nullptr; }

    /// The step of tensor `i`.
    static SgdStep step_of(const Sgd& sgd, const StepNumbers<Net>& numbers, std::size_t i, const Parameters<Net, T>&,
                           int) {
        return {numbers.lr * numbers.lr_scale[i], sgd.momentum, sgd.nesterov, decay_of(sgd, i), numbers.gradient_scale};
    }
    template <class AdamOrAdamW>
        requires(std::is_same_v<AdamOrAdamW, Adam> || std::is_same_v<AdamOrAdamW, AdamW>)
    AdamStep step_of(const AdamOrAdamW& adam, const StepNumbers<Net>& numbers, std::size_t i, const Parameters<Net, T>&,
                     int) const {
        const auto t = static_cast<double>(numbers.number - frozen_steps_[i]);
        return {numbers.lr * numbers.lr_scale[i],
                adam.beta1,
                adam.beta2,
                adam.eps,
                decay_of(adam, i),
                std::is_same_v<AdamOrAdamW, AdamW>,
                numbers.gradient_scale,
                1.0 - std::pow(adam.beta1, t),
                1.0 - std::pow(adam.beta2, t)};
    }
    /// LARS is a momentum step whose gradient is multiplied by the local rate.
    static SgdStep step_of(const Lars& lars, const StepNumbers<Net>& numbers, std::size_t i,
                           const Parameters<Net, T>& parameters, int threads) {
        const ParameterSlot& slot = Layout::slots[i];
        double local = 1.0;
        if (slot.spec.decays) {
            local = lars.local(std::sqrt(sum_of_squares<T>(tensor_of(parameters, slot), threads)),
                               numbers.gradient_scale * std::sqrt(numbers.squares[i]));
        }
        const double lr = numbers.lr * numbers.lr_scale[i];
        const double inside = lars.lr_in_velocity ? lr * local : local;
        return {lars.lr_in_velocity ? 1.0 : lr, lars.momentum, false,
                slot.spec.decays ? inside * lars.weight_decay : 0.0, inside * numbers.gradient_scale};
    }

    template <class O>
    static double decay_of(const O& o, std::size_t i) {
        return o.decay_biases_and_norms || Layout::slots[i].spec.decays ? o.weight_decay : 0.0;
    }

    Optimizer optimizer_;
    std::vector<Parameters<Net, T>> arenas_;
    FrozenSteps frozen_steps_{};
};

}  // namespace ctnn::inline CTNN_ISA
