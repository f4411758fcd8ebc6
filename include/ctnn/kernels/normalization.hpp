// Batch norm's statistics and gradients, and local response norm.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <type_traits>

#include <ctnn/kernels/elementwise.hpp>
#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

/// Mean and sum of squared deviations of every channel over `pixels` pixels, in two passes over what is still in
/// cache: moments[c] and moments[channels + c].
template <class T, class Arch = DefaultArch>
void pixel_moments(const T* x, T* moments, int pixels, int channels) {
    using V = Vec<T, Arch>;
    const V share = V::broadcast(T{1} / static_cast<T>(pixels));
    for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
        V total = V::broadcast(T{});
        for (int p = 0; p < pixels; ++p) { total = total + load(x + std::ptrdiff_t{p} * channels + c); }
        const V mean = total * share;
        V squares = V::broadcast(T{});
        for (int p = 0; p < pixels; ++p) {
            const V d = load(x + std::ptrdiff_t{p} * channels + c) - mean;
            squares = fma(d, d, squares);
        }
        store(moments + c, mean);
        store(moments + channels + c, squares);
    });
}

/// What batch norm of C channels keeps between its passes, each array padded to whole blocks:
/// x̂ = (x − mean)·istd and y = x·scale + shift; in backward a = Σdy / N and b = Σ(dy·x̂) / N.
template <class T>
struct BatchNormVectors {
    T *mean, *istd, *scale, *shift, *a, *b;

    BatchNormVectors(T* base, int channels)
        : mean{base},
          istd{mean + padded(channels)},
          scale{istd + padded(channels)},
          shift{scale + padded(channels)},
          a{shift + padded(channels)},
          b{a + padded(channels)} {}
    static constexpr int padded(int channels) { return ceil_div(channels, block_size) * block_size; }
    static constexpr int size(int channels) { return 6 * padded(channels); }
};

/// Sums over the processes that share a batch, so that batch norm takes the statistics of all of it; {} where each
/// takes its own. Every process calls it as often as the others, with as many numbers.
struct NormSum {
    void (*sum)(void* context, std::span<double> values) = nullptr;  ///< in place
    void* context = nullptr;
    double* memory = nullptr;  ///< of size(channels) numbers

    static constexpr std::size_t size(int channels) { return 2 * static_cast<std::size_t>(channels) + 1; }
    explicit operator bool() const { return sum != nullptr; }
    void operator()(int channels) const { sum(context, {memory, size(channels)}); }
};

/// Merges the moments of `rows` runs of pixels in fixed order (Chan, Golub and LeVeque 1979), in double, writes the
/// vectors, and moves the running statistics as PyTorch does: unbiased variance, weight `momentum` on the new batch.
/// `pixels(row)` is the number of pixels of a run.
template <class T, class Pixels>
void batch_norm_statistics(const T* moments, int rows, Pixels&& pixels, int channels, const T* weight, const T* bias,
                           double eps, double momentum, BatchNormVectors<T> out, T* running_mean, T* running_variance,
                           const NormSum& across = {}) {
    double count = 0;
    for (int r = 0; r < rows; ++r) { count += pixels(r); }
    const auto write = [&](int c, double mean, double squares) {
        const double istd = 1.0 / std::sqrt(squares / count + eps);
        out.mean[c] = static_cast<T>(mean);
        out.istd[c] = static_cast<T>(istd);
        out.scale[c] = static_cast<T>(istd * static_cast<double>(weight[c]));
        out.shift[c] = static_cast<T>(static_cast<double>(bias[c]) - mean * istd * static_cast<double>(weight[c]));
        if (running_mean != nullptr) {
            const double unbiased = squares / std::max(count - 1, 1.0);
            running_mean[c] = static_cast<T>((1 - momentum) * static_cast<double>(running_mean[c]) + momentum * mean);
            running_variance[c] =
                static_cast<T>((1 - momentum) * static_cast<double>(running_variance[c]) + momentum * unbiased);
        }
    };
    for (int c = 0; c < channels; ++c) {
        double mean = 0;
        for (int r = 0; r < rows; ++r) {
            mean += pixels(r) * static_cast<double>(moments[std::ptrdiff_t{r} * 2 * channels + c]);
        }
        mean /= count;
        double squares = 0;
        for (int r = 0; r < rows; ++r) {
            const T* row = moments + std::ptrdiff_t{r} * 2 * channels;
            const double d = static_cast<double>(row[c]) - mean;
            squares += static_cast<double>(row[channels + c]) + pixels(r) * d * d;
        }
        if (across) {  // Σx and Σx²: in double, they lose nothing that a float would show
            across.memory[c] = count * mean;
            across.memory[channels + c] = squares + count * mean * mean;
        } else {
            write(c, mean, squares);
        }
    }
    if (!across) { return; }
    double& counts = across.memory[NormSum::size(channels) - 1];
    counts = count;
    across(channels);
    count = counts;
    for (int c = 0; c < channels; ++c) {
        const double mean = across.memory[c] / count;
        write(c, mean, std::max(across.memory[channels + c] - count * mean * mean, 0.0));
    }
}

/// The vectors of inference, from running statistics.
template <class T>
void batch_norm_from_running(const T* running_mean, const T* running_variance, int channels, const T* weight,
                             const T* bias, double eps, BatchNormVectors<T> out) {
    for (int c = 0; c < channels; ++c) {
        const double scale = static_cast<double>(weight[c]) / std::sqrt(static_cast<double>(running_variance[c]) + eps);
        out.scale[c] = static_cast<T>(scale);
        out.shift[c] = static_cast<T>(static_cast<double>(bias[c]) - static_cast<double>(running_mean[c]) * scale);
    }
}

/// sums[c] = Σ dy and sums[channels + c] = Σ dy · x̂ over `pixels` pixels.
template <class T, class Arch = DefaultArch>
void batch_norm_sums(const T* x, const T* dy, BatchNormVectors<T> v, T* sums, int pixels, int channels) {
    for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
        auto plain = Vec<T, Arch>::broadcast(T{});
        auto scaled = Vec<T, Arch>::broadcast(T{});
        const auto mean = load(v.mean + c);
        const auto istd = load(v.istd + c);
        for (int p = 0; p < pixels; ++p) {
            const std::ptrdiff_t at = std::ptrdiff_t{p} * channels + c;
            const auto g = load(dy + at);
            plain = plain + g;
            scaled = fma(g, (load(x + at) - mean) * istd, scaled);
        }
        store(sums + c, plain);
        store(sums + channels + c, scaled);
    });
}

/// dx = scale · (dy − a − x̂ · b), with x̂ = (x − mean) · istd.
template <class V>
CTNN_ALWAYS_INLINE V batch_norm_gradient(V x, V dy, V mean, V istd, V scale, V a, V b) {
    return scale * (dy - a - (x - mean) * istd * b);
}
/// The same for `pixels` pixels; dy may be null for zeros. dx may be x or dy.
template <class T, class Arch = DefaultArch>
void batch_norm_gradient(const T* x, const T* dy, BatchNormVectors<T> v, T* dx, int pixels, int channels) {
    for (int p = 0; p < pixels; ++p) {
        const std::ptrdiff_t row = std::ptrdiff_t{p} * channels;
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            const auto gradient = dy != nullptr ? load(dy + row + c) : Vec<T, Arch>::broadcast(T{});
            store(dx + row + c, batch_norm_gradient(load(x + row + c), gradient, load(v.mean + c), load(v.istd + c),
                                                    load(v.scale + c), load(v.a + c), load(v.b + c)));
        });
    }
}

struct ResponseNormDims {
    int channels, size;
    double alpha, beta, k;
    constexpr bool operator==(const ResponseNormDims&) const = default;

    /// Channels before and behind that a sum reaches, and the length of a padded row of channels.
    [[nodiscard]] constexpr int before() const { return size / 2; }
    [[nodiscard]] constexpr int row() const { return channels + size - 1 + block_size; }
    /// Elements of scratch that one pixel needs.
    [[nodiscard]] constexpr int scratch() const { return 2 * (row() + block_size); }
};

/// base^−beta, by square roots for the paper's 3/4 and for 1/2 and 1.
template <ResponseNormDims D, class V>
CTNN_ALWAYS_INLINE V response_power(V base) {
    using T = std::remove_cvref_t<decltype(sum(base))>;
    const V one = V::broadcast(T{1});
    if constexpr (D.beta == 0.75) {
        const V root = sqrt(base);
        return one / (root * sqrt(root));
    } else if constexpr (D.beta == 0.5) {
        return one / sqrt(base);
    } else if constexpr (D.beta == 1.0) {
        return one / base;
    } else {
        return pow(base, V::broadcast(static_cast<T>(-D.beta)));
    }
}

namespace detail {

/// k + alpha / size · Σ of squares around channel c, from a row of squares padded in front by before() zeros.
template <ResponseNormDims D, class V, class T>
CTNN_ALWAYS_INLINE V response_base(const T* squares, std::ptrdiff_t c) {
    V total = V::load(squares + c);
    for (int j = 1; j < D.size; ++j) { total = total + V::load(squares + c + j); }
    return fma(total, V::broadcast(static_cast<T>(D.alpha / D.size)), V::broadcast(static_cast<T>(D.k)));
}

}  // namespace detail

/// Local response norm of `pixels` pixels; y may be x. `scratch` has D.scratch() elements.
template <ResponseNormDims D, class T, class Arch = DefaultArch>
void response_norm(const T* x, T* y, int pixels, T* scratch) {
    using V = Vec<T, Arch>;
    std::fill_n(scratch, D.row(), T{});
    for (int p = 0; p < pixels; ++p) {
        const T* in = x + std::ptrdiff_t{p} * D.channels;
        T* out = y + std::ptrdiff_t{p} * D.channels;
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            store(scratch + D.before() + c, load(in + c) * load(in + c));
        });
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            store(out + c, load(in + c) * response_power<D>(detail::response_base<D, V>(scratch, c)));
        });
    }
}

/// Gradient of the local response norm: dx[c] = dy[c]·s[c]^−β − 2αβ/size · x[c] · Σ_j dy[j]·x[j]·s[j]^−β−1, the sum
/// over the outputs j whose windows reach c; then through the activation whose output x is. dx may be dy or x.
/// `scratch` has D.scratch() elements.
template <ResponseNormDims D, Activation A, class T, class Arch = DefaultArch>
void response_norm_gradient(const T* x, const T* dy, T* dx, int pixels, T* scratch) {
    using V = Vec<T, Arch>;
    T* squares = scratch;
    T* ratios = scratch + D.row() + block_size;
    std::fill_n(scratch, D.scratch(), T{});
    // Output j sums inputs j − before … j + size − 1 − before, so input c reaches outputs c − (size − 1 − before) … c +
    // before.
    constexpr int front = D.size - 1 - D.before();
    const V factor = V::broadcast(static_cast<T>(-2 * D.alpha * D.beta / D.size));
    for (int p = 0; p < pixels; ++p) {
        const T* in = x + std::ptrdiff_t{p} * D.channels;
        const T* gradient = dy + std::ptrdiff_t{p} * D.channels;
        T* out = dx + std::ptrdiff_t{p} * D.channels;
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            store(squares + D.before() + c, load(in + c) * load(in + c));
        });
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            const V base = detail::response_base<D, V>(squares, c);
            store(ratios + front + c, load(gradient + c) * load(in + c) * response_power<D>(base) / base);
        });
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            V total = V::load(ratios + c);
            for (int j = 1; j < D.size; ++j) { total = total + V::load(ratios + c + j); }
            const V power = response_power<D>(detail::response_base<D, V>(squares, c));
            const V value = load(in + c);
            store(out + c, activation_gradient<A>(value, fma(value * factor, total, load(gradient + c) * power)));
        });
    }
}

}  // namespace ctnn::inline CTNN_ISA
