// Passes over a network's arenas: the fused updates of the optimizers, sums of gradients, averages of weights.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include <ctnn/core/config.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/kernels/simd.hpp>
#include <ctnn/kernels/squares.hpp>

namespace ctnn::inline CTNN_ISA {

/// torch.optim.SGD: g = gradient_scale·g + weight_decay·w; v = momentum·v + g; w −= lr·(nesterov ? g + momentum·v : v).
/// Velocity, the first state, begins as zeros; with momentum 0 it is not touched.
struct SgdStep {
    double lr = 0.0, momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    double gradient_scale = 1.0;  ///< from clipping; applied before decay
};

/// torch.optim.Adam and AdamW: g = gradient_scale·g, and either g += weight_decay·w or, decoupled, w −=
/// lr·weight_decay·w; m = β₁m + (1 − β₁)g; v = β₂v + (1 − β₂)g²; w −= lr / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + eps).
/// The states are m and v, which begin as zeros.
struct AdamStep {
    double lr = 0.0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double weight_decay = 0.0;
    bool decoupled = false;
    double gradient_scale = 1.0;
    double correction1 = 1.0, correction2 = 1.0;  ///< 1 − β₁ᵗ and 1 − β₂ᵗ
};

/// Elements [begin, end) of an arena, which take a step of their own: a tensor's.
template <class Step>
struct UpdateRange {
    std::size_t begin = 0, end = 0;
    Step step{};
};

/// The arenas of an update, of one layout, which do not overlap; states that the step does not have are null.
template <class T>
struct UpdateArenas {
    T* weights = nullptr;
    const T* gradients = nullptr;
    T* first = nullptr;
    T* second = nullptr;
};

namespace detail {

/// Calls f(begin, size) for chunks of [0, n), each once, on all threads.
template <class F>
void for_chunks(std::size_t n, int threads, F&& f) {
    const auto chunks = static_cast<int>((n + update_chunk - 1) / update_chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * update_chunk;
        f(begin, std::min(update_chunk, n - begin));
    });
}

/// The largest magnitude of a loop's numbers, NaN being the largest: as whole numbers, whose maximum compilers
/// vectorise.
template <class T>
class Largest {
  public:
    void see(T x) { bits_ = std::max(bits_, std::bit_cast<Bits>(x) & ~sign); }
    [[nodiscard]] bool finite() const { return bits_ < std::bit_cast<Bits>(std::numeric_limits<T>::infinity()); }

  private:
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    static constexpr Bits sign = std::bit_cast<Bits>(T{-0.0});

    Bits bits_ = 0;
};

enum class Velocity { none, plain, nesterov };

/// Weights become infinite or NaN where velocity does, also by a rate of 0.
template <Velocity V, class T>
bool sgd_range(T* __restrict w, const T* __restrict gradient, T* __restrict velocity, std::size_t n,
               const SgdStep& step) {
    const T lr = static_cast<T>(step.lr), momentum = static_cast<T>(step.momentum);
    const T decay = static_cast<T>(step.weight_decay), scale = static_cast<T>(step.gradient_scale);
    Largest<T> largest;
    for (std::size_t i = 0; i < n; ++i) {
        const T g = scale * gradient[i] + decay * w[i];
        if constexpr (V == Velocity::none) {
            w[i] -= lr * g;
        } else {
            const T v = momentum * velocity[i] + g;
            velocity[i] = v;
            w[i] -= lr * (V == Velocity::nesterov ? g + momentum * v : v);
        }
        largest.see(w[i]);
    }
    return largest.finite();
}

/// Whether what was written is finite.
template <class T>
bool update_range(const SgdStep& step, const UpdateArenas<T>& at, std::size_t begin, std::size_t n) {
    T* const w = at.weights + begin;
    const T* const g = at.gradients + begin;
    if (step.momentum == 0.0) { return sgd_range<Velocity::none>(w, g, static_cast<T*>(nullptr), n, step); }
    return step.nesterov ? sgd_range<Velocity::nesterov>(w, g, at.first + begin, n, step)
                         : sgd_range<Velocity::plain>(w, g, at.first + begin, n, step);
}

/// By vectors: compilers leave a loop with a square root, which may set errno, as it is. Where m is not finite the
/// weight is not, but an infinite v would stop it for ever.
template <class T>
bool update_range(const AdamStep& step, const UpdateArenas<T>& at, std::size_t begin, std::size_t n) {
    using V = Vec<T>;
    const auto number = [](double x) { return V::broadcast(static_cast<T>(x)); };
    const V beta1 = number(step.beta1), rest1 = number(1.0 - step.beta1);
    const V beta2 = number(step.beta2), rest2 = number(1.0 - step.beta2);
    const V lr = number(step.lr / step.correction1), eps = number(step.eps), scale = number(step.gradient_scale);
    const V root = number(1.0 / std::sqrt(step.correction2));
    const V into_gradient = number(step.decoupled ? 0.0 : step.weight_decay);
    const V kept = number(step.decoupled ? 1.0 - step.lr * step.weight_decay : 1.0);
    T *const weights = at.weights + begin, *const first = at.first + begin, *const second = at.second + begin;
    const T* const gradients = at.gradients + begin;
    const V zero = number(0.0);
    V none = zero;  // 0·x is 0 where x is finite, else NaN
    for_vectors<T>(static_cast<std::ptrdiff_t>(n), [&](std::ptrdiff_t i, auto load, auto store) {
        const V w = load(weights + i);
        const V g = fma(into_gradient, w, scale * load(gradients + i));
        const V m = fma(beta1, load(first + i), rest1 * g);
        const V v = fma(beta2, load(second + i), rest2 * g * g);
        store(first + i, m);
        store(second + i, v);
        const V moved = kept * w - lr * m / fma(sqrt(v), root, eps);
        store(weights + i, moved);
        none = none + fma(zero, moved, zero * v);
    });
    return sum(none) == T{};
}

}  // namespace detail

/// One step over an arena, each array read and written once. What no range holds stays as it is. Bit-identical for any
/// number of threads. Whether all that was written is finite, which costs no further look at it.
template <class Step, class T>
bool update_arena(std::span<const UpdateRange<Step>> ranges, const UpdateArenas<T>& arenas,
                  int threads = default_threads()) {
    std::size_t size = 0;
    std::atomic<bool> finite{true};
    for (const auto& range : ranges) { size = std::max(size, range.end); }
    detail::for_chunks(size, threads, [&](std::size_t begin, std::size_t n) {
        for (const auto& range : ranges) {
            const std::size_t first = std::max(begin, range.begin), last = std::min(begin + n, range.end);
            if (first < last && !detail::update_range(range.step, arenas, first, last - first)) {
                finite.store(false, std::memory_order_relaxed);
            }
        }
    });
    return finite.load(std::memory_order_relaxed);
}

/// sum += x. Equal sizes.
template <class T>
void add_to(std::span<T> sum, std::span<const T> x, int threads = default_threads()) {
    detail::for_chunks(sum.size(), threads, [&](std::size_t begin, std::size_t n) {
        T* __restrict to = sum.data() + begin;
        const T* __restrict from = x.data() + begin;
        for (std::size_t i = 0; i < n; ++i) { to[i] += from[i]; }
    });
}

/// average += share·(x − average). Equal sizes.
template <class T>
void move_average(std::span<T> average, std::span<const T> x, double share, int threads = default_threads()) {
    const T by = static_cast<T>(share);
    detail::for_chunks(x.size(), threads, [&](std::size_t begin, std::size_t n) {
        T* __restrict to = average.data() + begin;
        const T* __restrict from = x.data() + begin;
        for (std::size_t i = 0; i < n; ++i) { to[i] += by * (from[i] - to[i]); }
    });
}

}  // namespace ctnn::inline CTNN_ISA
