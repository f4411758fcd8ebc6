// Optimizers as values: SGD, Adam and AdamW with PyTorch's semantics, and LARS.
#pragma once

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <string_view>
#include <variant>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// Throws ArgumentError unless `value` is finite and in [0, below).
inline void require_setting(std::string_view where, std::string_view what, double value,
                            double below = std::numeric_limits<double>::infinity()) {
    if (std::isfinite(value) && value >= 0.0 && value < below) { return; }
    raise<ArgumentError>({where, ": ", what, " is ", value, ", expected a finite number, at least 0",
                          std::isfinite(below) ? joined({" and below ", below}) : ""});
}

}  // namespace detail

/// torch.optim.SGD.
struct Sgd {
    static constexpr std::string_view name = "sgd";

    double momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    bool decay_biases_and_norms = true;  ///< as PyTorch does by default

    /// Throws ArgumentError on a negative or infinite number, or on Nesterov without momentum.
    void validate() const {
        detail::require_setting("SGD", "momentum", momentum);
        detail::require_setting("SGD", "weight_decay", weight_decay);
        if (nesterov && momentum == 0.0) { raise<ArgumentError>({"SGD: nesterov needs a momentum above 0, found 0"}); }
    }
};

namespace detail {

inline void validate_adam(std::string_view where, double beta1, double beta2, double eps, double weight_decay) {
    require_setting(where, "beta1", beta1, 1.0);
    require_setting(where, "beta2", beta2, 1.0);
    require_setting(where, "eps", eps);
    if (static_cast<float>(eps) < std::numeric_limits<float>::min()) {  // a gradient that is always 0 would be 0 / 0
        raise<ArgumentError>({where, ": eps is ", eps, ", expected at least ", std::numeric_limits<float>::min()});
    }
    require_setting(where, "weight_decay", weight_decay);
}

}  // namespace detail

/// torch.optim.Adam (Kingma and Ba 2015): decay is added to the gradient, as L2 regularisation would.
struct Adam {
    static constexpr std::string_view name = "adam";

    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double weight_decay = 0.0;
    bool decay_biases_and_norms = true;

    /// Throws ArgumentError.
    void validate() const { detail::validate_adam("Adam", beta1, beta2, eps, weight_decay); }
};

/// torch.optim.AdamW (Loshchilov and Hutter 2019): decay acts on the weights themselves.
struct AdamW {
    static constexpr std::string_view name = "adamw";

    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double weight_decay = 1e-2;
    bool decay_biases_and_norms = true;

    /// Throws ArgumentError.
    void validate() const { detail::validate_adam("AdamW", beta1, beta2, eps, weight_decay); }
};

/// Layer-wise adaptive rate scaling (You, Gitman and Ginsburg 2017, algorithm 1):
///
///     local = trust_coefficient·‖w‖ / (‖g‖ + weight_decay·‖w‖ + 1e-8)
///     v = momentum·v + lr·local·(g + weight_decay·w);  w −= v
///
/// of every weight tensor. Where ‖w‖ is below 1e-3 local is 1. Biases and batch norm's parameters have local 1 and do
/// not decay. The other convention, in which lr stays outside the velocity, is v = momentum·v + local·(g +
/// weight_decay·w); w −= lr·v: they differ while lr changes.
struct Lars {
    static constexpr std::string_view name = "lars";

    double momentum = 0.9;
    double weight_decay = 5e-4;
    double trust_coefficient = 1e-3;
    bool lr_in_velocity = true;

    /// The local rate of a weight tensor.
    [[nodiscard]] double local(double weight_norm, double gradient_norm) const {
        return weight_norm < 1e-3
                   ? 1.0
                   : trust_coefficient * weight_norm / (gradient_norm + weight_decay * weight_norm + 1e-8);
    }

    /// Throws ArgumentError.
    void validate() const {
        detail::require_setting("LARS", "momentum", momentum);
        detail::require_setting("LARS", "weight_decay", weight_decay);
        detail::require_setting("LARS", "trust_coefficient", trust_coefficient);
    }
};

/// Any of them; a default one is SGD without momentum.
using Optimizer = std::variant<Sgd, Adam, AdamW, Lars>;

/// The names of the arenas that an optimizer remembers from step to step, as PyTorch has them.
inline std::span<const std::string_view> state_names(const Optimizer& optimizer) {
    static constexpr std::array<std::string_view, 1> velocity{"velocity"};
    static constexpr std::array<std::string_view, 2> moments{"exp_avg", "exp_avg_sq"};
    if (const Sgd* sgd = std::get_if<Sgd>(&optimizer)) {
        return std::span{velocity}.first(sgd->momentum == 0.0 ? 0 : 1);
    }
    if (std::holds_alternative<Lars>(optimizer)) { return velocity; }
    return moments;
}

/// λ of the penalty ½λΣw² whose gradient an optimizer's decay is, and whether biases and norms have it too.
struct WeightDecay {
    double weight_decay = 0.0;
    bool biases_and_norms = false;
};
inline WeightDecay weight_decay(const Optimizer& optimizer) {
    return std::visit(
        [](const auto& o) -> WeightDecay {
            if constexpr (requires { o.decay_biases_and_norms; }) {
                return {o.weight_decay, o.decay_biases_and_norms};
            } else {
                return {o.weight_decay, false};
            }
        },
        optimizer);
}

}  // namespace ctnn::inline CTNN_ISA
