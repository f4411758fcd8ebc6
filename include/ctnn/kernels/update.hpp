// Passes over contiguous parameter memory: the fused SGD update and the sum of squares that clipping needs.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/config.hpp>
#include <ctnn/core/parallel.hpp>

namespace ctnn::inline CTNN_ISA {

/// The numbers of one update.
struct SgdStep {
    double lr = 0.0, momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    double gradient_scale = 1.0;  ///< from clipping; applied before decay
};

namespace detail {

/// Elements a thread takes at a time: 64 KiB of floats from each array, enough to make starting it worth while.
inline constexpr std::size_t update_chunk = 16384;

enum class Velocity { none, plain, nesterov };

template <Velocity V, class T>
void sgd_chunk(T* __restrict w, const T* __restrict gradient, T* __restrict velocity, std::size_t n,
               const SgdStep& step) {
    const T lr = static_cast<T>(step.lr), momentum = static_cast<T>(step.momentum);
    const T decay = static_cast<T>(step.weight_decay), scale = static_cast<T>(step.gradient_scale);
    for (std::size_t i = 0; i < n; ++i) {
        const T g = scale * gradient[i] + decay * w[i];
        if constexpr (V == Velocity::none) {
            w[i] -= lr * g;
        } else {
            const T v = momentum * velocity[i] + g;
            velocity[i] = v;
            w[i] -= lr * (V == Velocity::nesterov ? g + momentum * v : v);
        }
    }
}

template <Velocity V, class T>
void sgd_chunks(std::span<T> weights, std::span<const T> gradients, std::span<T> velocity, const SgdStep& step,
                int threads) {
    const std::size_t n = weights.size();
    const auto chunks = static_cast<int>((n + update_chunk - 1) / update_chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * update_chunk;
        sgd_chunk<V>(weights.data() + begin, gradients.data() + begin,
                     V == Velocity::none ? nullptr : velocity.data() + begin, std::min(update_chunk, n - begin), step);
    });
}

/// In 16 double sums, added pairwise at the end: independent of the vector width. A float's square is exact in
/// double, so for floats the result is also independent of fused multiply-add.
template <class T>
double sum_of_squares_chunk(const T* x, std::size_t n) {
    constexpr std::size_t lanes = 16;
    std::array<double, lanes> sum{};
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (std::size_t k = 0; k < lanes; ++k) {
            const auto v = static_cast<double>(x[i + k]);
            sum[k] += v * v;
        }
    }
    for (std::size_t k = 0; i < n; ++i, ++k) {
        const auto v = static_cast<double>(x[i]);
        sum[k] += v * v;
    }
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
        for (std::size_t k = 0; k < half; ++k) { sum[k] += sum[k + half]; }
    }
    return sum[0];
}

}  // namespace detail

/// One step of torch.optim.SGD over a contiguous range, each array read and written once:
/// g = scale·g + decay·w; v = momentum·v + g; w −= lr·(nesterov ? g + momentum·v : v). Velocity begins as zeros.
/// All spans have one size and do not overlap; with momentum 0 velocity is not touched and may be empty.
template <class T>
void sgd_update(std::span<T> weights, std::span<const T> gradients, std::span<T> velocity, const SgdStep& step,
                int threads = default_threads()) {
    using detail::Velocity;
    if (step.momentum == 0.0) {
        detail::sgd_chunks<Velocity::none>(weights, gradients, velocity, step, threads);
    } else if (step.nesterov) {
        detail::sgd_chunks<Velocity::nesterov>(weights, gradients, velocity, step, threads);
    } else {
        detail::sgd_chunks<Velocity::plain>(weights, gradients, velocity, step, threads);
    }
}

/// Σx² in double, bit-identical for any number of threads: chunks depend on the size alone and are added in order.
/// For floats it is finite exactly when every element is.
template <class T>
double sum_of_squares(std::span<const T> x, int threads = default_threads()) {
    constexpr std::size_t most = 1024;  // partial sums, on the stack
    std::array<double, most> partial;
    const std::size_t chunk = std::max(detail::update_chunk, round_up((x.size() + most - 1) / most, 16));
    const auto chunks = static_cast<int>((x.size() + chunk - 1) / chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * chunk;
        partial[static_cast<std::size_t>(c)] =
            detail::sum_of_squares_chunk(x.data() + begin, std::min(chunk, x.size() - begin));
    });
    double sum = 0.0;
    for (int c = 0; c < chunks; ++c) { sum += partial[static_cast<std::size_t>(c)]; }
    return sum;
}

/// Whether no element is infinite or NaN; the second look is for doubles whose squares overflow.
template <class T>
bool all_finite(std::span<const T> x, int threads = default_threads()) {
    return std::isfinite(sum_of_squares(x, threads)) ||
           std::all_of(x.begin(), x.end(), [](T v) { return std::isfinite(v); });
}

}  // namespace ctnn::inline CTNN_ISA
