// Activations and their derivatives, and the sums over pixels that biases and batch norm need.
#pragma once

#include <cstddef>
#include <type_traits>

#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

enum class Activation : char { identity, relu, sigmoid, tanh };

template <Activation A, class V>
CTNN_ALWAYS_INLINE V activate(V x) {
    using T = std::remove_cvref_t<decltype(sum(x))>;
    if constexpr (A == Activation::relu) {
        return max(V::broadcast(T{}), x);  // in this order a NaN stays one, as in PyTorch
    } else if constexpr (A == Activation::sigmoid) {
        const V one = V::broadcast(T{1});
        return one / (one + exp(V::broadcast(T{}) - x));
    } else if constexpr (A == Activation::tanh) {
        return tanh(x);
    } else {
        return x;
    }
}

/// gradient · derivative of the activation, from the activation's output y.
template <Activation A, class V>
CTNN_ALWAYS_INLINE V activation_gradient(V y, V gradient) {
    using T = std::remove_cvref_t<decltype(sum(y))>;
    if constexpr (A == Activation::relu) {
        return where_greater(y, V::broadcast(T{}), gradient, V::broadcast(T{}));
    } else if constexpr (A == Activation::sigmoid) {
        return gradient * y * (V::broadcast(T{1}) - y);
    } else if constexpr (A == Activation::tanh) {
        return gradient * (V::broadcast(T{1}) - y * y);
    } else {
        return gradient;
    }
}

/// y[i] = activation(x[i]); y may be x.
template <Activation A, class T, class Arch = DefaultArch>
void activate(const T* x, T* y, std::ptrdiff_t count) {
    for_vectors<T, Arch>(count,
                         [&](std::ptrdiff_t i, auto load, auto store) { store(y + i, activate<A>(load(x + i))); });
}

/// dx[i] = dy[i] · activation'(at output y[i]); dx may be dy or y.
template <Activation A, class T, class Arch = DefaultArch>
void activation_gradient(const T* y, const T* dy, T* dx, std::ptrdiff_t count) {
    for_vectors<T, Arch>(count, [&](std::ptrdiff_t i, auto load, auto store) {
        store(dx + i, activation_gradient<A>(load(y + i), load(dy + i)));
    });
}

/// y[p, c] = activation(x[p, c] · scale[c] + shift[c]); y may be x.
template <Activation A, class T, class Arch = DefaultArch>
void scale_shift_activate(const T* x, const T* scale, const T* shift, T* y, int pixels, int channels) {
    for (int p = 0; p < pixels; ++p) {
        const std::ptrdiff_t at = std::ptrdiff_t{p} * channels;
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            store(y + at + c, activate<A>(fma(load(x + at + c), load(scale + c), load(shift + c))));
        });
    }
}

/// sums[c] = Σ_p x[p, c].
template <class T, class Arch = DefaultArch>
void sum_pixels(const T* x, T* sums, int pixels, int channels) {
    for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
        auto total = Vec<T, Arch>::broadcast(T{});
        for (int p = 0; p < pixels; ++p) { total = total + load(x + std::ptrdiff_t{p} * channels + c); }
        store(sums + c, total);
    });
}

/// out[c] = Σ_row rows[row, c] in row order, accumulated in double; rows lie `stride` elements apart. Not worth a copy
/// for every number of channels.
template <class T>
CTNN_ONE_COPY void add_rows(const T* rows, std::ptrdiff_t stride, int count, int channels, T* out) {
    constexpr int chunk = 64;
    for (int first = 0; first < channels; first += chunk) {
        double total[chunk] = {};
        const int n = channels - first < chunk ? channels - first : chunk;
        for (int row = 0; row < count; ++row) {
            const T* from = rows + row * stride + first;
            for (int c = 0; c < n; ++c) { total[c] += static_cast<double>(from[c]); }
        }
        for (int c = 0; c < n; ++c) { out[first + c] = static_cast<T>(total[c]); }
    }
}

}  // namespace ctnn::inline CTNN_ISA
