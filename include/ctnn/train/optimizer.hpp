// Stochastic gradient descent with momentum, weight decay and clipping by the global norm: PyTorch's semantics.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/kernels/update.hpp>

namespace ctnn::inline CTNN_ISA {

/// Settings of torch.optim.SGD, and of torch.nn.utils.clip_grad_norm_ before it.
struct Sgd {
    double momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    bool decay_biases_and_norms = true;  ///< as PyTorch does by default
    double clip_norm = 0.0;              ///< 0 is off; else gradients are scaled by min(1, clip_norm / (norm + 1e-6))

    /// Throws ArgumentError on a negative or infinite number, or on Nesterov without momentum.
    void validate() const {
        const auto require = [](std::string_view what, double value) {
            if (!(std::isfinite(value) && value >= 0.0)) {
                throw ArgumentError(fmt::format("SGD: {} is {}, expected a finite number, at least 0", what, value));
            }
        };
        require("momentum", momentum);
        require("weight_decay", weight_decay);
        require("clip_norm", clip_norm);
        if (nesterov && momentum == 0.0) { throw ArgumentError("SGD: nesterov needs a momentum above 0, found 0"); }
    }
};

/// One step with valid settings over a whole arena: elements [0, decayed) are weights, which decay, the rest biases
/// and norms. Returns the gradients' norm before clipping, 0 where clipping is off. Where that norm is not finite
/// nothing is changed, so that the caller can report it and the weights are still good. Velocity begins as zeros and
/// may be empty where momentum is 0. Bit-identical for any number of threads; allocates nothing. Throws
/// ArgumentError where sizes differ.
template <class T>
double sgd_step(const Sgd& sgd, double lr, std::span<T> weights, std::span<const T> gradients, std::span<T> velocity,
                std::size_t decayed, int threads = default_threads()) {
    const std::size_t n = weights.size();
    const bool moving = sgd.momentum != 0.0;
    if (gradients.size() != n || (moving && velocity.size() != n) || decayed > n) {
        throw ArgumentError(fmt::format("SGD: {} weights, {} gradients, {} velocities, {} decayed, expected one size",
                                        n, gradients.size(), velocity.size(), decayed));
    }
    SgdStep step{lr, sgd.momentum, sgd.nesterov, sgd.weight_decay, 1.0};
    double norm = 0.0;
    if (sgd.clip_norm > 0.0) {
        norm = std::sqrt(sum_of_squares(gradients, threads));
        if (!std::isfinite(norm)) { return norm; }
        step.gradient_scale = std::min(1.0, sgd.clip_norm / (norm + 1e-6));
    }
    const std::size_t first = sgd.decay_biases_and_norms || sgd.weight_decay == 0.0 ? n : decayed;
    const auto update = [&](std::size_t begin, std::size_t size) {
        sgd_update(weights.subspan(begin, size), gradients.subspan(begin, size),
                   moving ? velocity.subspan(begin, size) : velocity, step, threads);
    };
    update(0, first);
    step.weight_decay = 0.0;
    update(first, n - first);
    return norm;
}

}  // namespace ctnn::inline CTNN_ISA
