// Mixup: every sample of a batch blended with another of it (Zhang, Cissé, Dauphin and Lopez-Paz, "mixup: beyond
// empirical risk minimization", ICLR 2018).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ctnn/core/random.hpp>
#include <ctnn/data/augment.hpp>
#include <ctnn/data/split.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline double open_unit(Random& random) { return (static_cast<double>(random.next()) + 0.5) * 0x1p-32; }

/// The logarithm of a Gamma(shape, 1) number (Marsaglia and Tsang, "A simple method for generating gamma variables",
/// 2000): numbers of small shapes are too small for a double.
inline double log_gamma_number(double shape, Random& random) {
    const double boost = shape < 1 ? std::log(open_unit(random)) / shape : 0.0;
    const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3.0, c = 1 / std::sqrt(9 * d);
    for (;;) {
        const double x = random.normal(), root = 1 + c * x, u = open_unit(random);
        if (root <= 0) { continue; }
        const double v = root * root * root;
        if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) { return std::log(d * v) + boost; }
    }
}

}  // namespace detail

/// A Beta(alpha, alpha) number in [0, 1], alpha > 0.
inline double symmetric_beta(double alpha, Random& random) {
    const double a = detail::log_gamma_number(alpha, random), b = detail::log_gamma_number(alpha, random);
    return a == b ? 0.5 : 1 / (1 + std::exp(b - a));  // of the smallest alphas both may be −∞
}

/// Mixes batches in place, with memory of its own for one sample and one order.
class Mixup {
  public:
    /// For batches of at most `batch` samples of `sample_size` elements. `alpha` > 0.
    Mixup(double alpha, int batch, std::size_t sample_size)
        : alpha_{alpha}, order_(static_cast<std::size_t>(batch)), first_(sample_size) {}

    /// Batch number `batch` of an epoch, of labels.size() samples: x_i becomes λ x_i + (1 − λ) x_π(i), and second[i]
    /// the label of π(i). Returns λ, one for the batch, from Beta(alpha, alpha). π is a random order of all samples as
    /// a circle, each followed by its partner: no sample is its own unless it is alone. From (seed, epoch, batch)
    /// alone.
    float operator()(std::uint64_t seed, int epoch, int batch, std::span<float> images,
                     std::span<const std::int32_t> labels, std::span<std::int32_t> second) {
        Random random = detail::augment_random(detail::Draw::mixup, seed, epoch, static_cast<std::uint32_t>(batch));
        const auto lambda = static_cast<float>(symmetric_beta(alpha_, random));
        const std::size_t n = labels.size(), size = first_.size();
        const std::span<std::uint32_t> order = std::span{order_}.first(n);
        for (std::size_t i = 0; i < n; ++i) { order[i] = static_cast<std::uint32_t>(i); }
        shuffle(order, random);
        const auto sample = [&](std::size_t i) { return images.data() + order[i] * size; };
        std::copy_n(sample(0), size, first_.data());
        for (std::size_t i = 0; i < n; ++i) {
            const bool last = i + 1 == n;
            const float* const partner = last ? first_.data() : sample(i + 1);
            float* const x = sample(i);
            for (std::size_t k = 0; k < size; ++k) { x[k] = lambda * x[k] + (1 - lambda) * partner[k]; }
            second[order[i]] = labels[order[last ? 0 : i + 1]];
        }
        return lambda;
    }

  private:
    double alpha_;
    std::vector<std::uint32_t> order_;
    std::vector<float> first_;
};

}  // namespace ctnn::inline CTNN_ISA
