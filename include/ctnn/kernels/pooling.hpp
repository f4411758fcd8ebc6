// Max and average pooling over channels-last maps, forward and backward, band by band.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <ctnn/core/shape.hpp>
#include <ctnn/kernels/elementwise.hpp>
#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

struct PoolDims {
    Shape in, out;
    Window window;
    constexpr bool operator==(const PoolDims&) const = default;
};

/// Output rows [row_begin, row_end) of activation(max over the window of x · scale + shift); scale and shift may be
/// null. `x` is where input row 0 would be: only rows that the windows meet are read. `places` (may be null) gets the
/// tap of the maximum, ky · kernel width + kx, one byte per output. `y` and `places` begin at output row 0.
template <PoolDims D, Activation A, class T, class Arch = DefaultArch>
void max_pool_rows(const T* x, const T* scale, const T* shift, T* y, std::uint8_t* places, int row_begin, int row_end) {
    using V = Vec<T, Arch>;
    constexpr int channels = D.in.channels;
    for (int oy = row_begin; oy < row_end; ++oy) {
        const int ky_begin = D.window.y.live_begin(oy), ky_end = D.window.y.live_end(oy, D.in.height);
        for (int ox = 0; ox < D.out.width; ++ox) {
            const int kx_begin = D.window.x.live_begin(ox), kx_end = D.window.x.live_end(ox, D.in.width);
            const std::ptrdiff_t at = (std::ptrdiff_t{oy} * D.out.width + ox) * channels;
            const T* corner = x + (std::ptrdiff_t{D.window.y.first(oy)} * D.in.width + D.window.x.first(ox)) * channels;
            for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
                V best = V::broadcast(-std::numeric_limits<T>::infinity());
                V place = V::broadcast(static_cast<T>(ky_begin * D.window.x.extent + kx_begin));
                const V factor = scale != nullptr ? load(scale + c) : V::broadcast(T{1});
                const V offset = scale != nullptr ? load(shift + c) : V::broadcast(T{});
                for (int ky = ky_begin; ky < ky_end; ++ky) {
                    for (int kx = kx_begin; kx < kx_end; ++kx) {
                        V value = load(corner + (std::ptrdiff_t{ky} * D.in.width + kx) * channels + c);
                        if (scale != nullptr) { value = fma(value, factor, offset); }
                        const V tap = V::broadcast(static_cast<T>(ky * D.window.x.extent + kx));
                        place = where_greater_or_nan(value, best, tap, place);
                        best = where_greater_or_nan(value, best, value, best);
                    }
                }
                store(y + at + c, activate<A>(best));
                if (places != nullptr) {
                    T part[V::width];
                    place.store(part);
                    const int n = static_cast<int>(std::min<std::ptrdiff_t>(V::width, channels - c));
                    for (int i = 0; i < n; ++i) { places[at + c + i] = static_cast<std::uint8_t>(part[i]); }
                }
            });
        }
    }
}

/// Adds factor[c] · dy to the input gradient at every output's place; factor may be null for 1. All of one sample.
template <PoolDims D, class T>
void max_pool_scatter(const T* dy, const std::uint8_t* places, const T* factor, T* dx) {
    constexpr int channels = D.in.channels;
    for (int oy = 0; oy < D.out.height; ++oy) {
        for (int ox = 0; ox < D.out.width; ++ox) {
            const std::ptrdiff_t at = (std::ptrdiff_t{oy} * D.out.width + ox) * channels;
            T* corner = dx + (std::ptrdiff_t{D.window.y.first(oy)} * D.in.width + D.window.x.first(ox)) * channels;
            for (int c = 0; c < channels; ++c) {
                const int place = places[at + c];
                const std::ptrdiff_t tap =
                    std::ptrdiff_t{place / D.window.x.extent} * D.in.width + place % D.window.x.extent;
                corner[tap * channels + c] += factor != nullptr ? dy[at + c] * factor[c] : dy[at + c];
            }
        }
    }
}

/// Batch norm's two sums over one sample behind a max pool, where only the places of the maxima have a gradient:
/// sums[c] = Σ dy and sums[channels + c] = Σ dy · (x − mean)·istd.
template <PoolDims D, class T>
void max_pool_batch_norm_sums(const T* x, const T* dy, const std::uint8_t* places, const T* mean, const T* istd,
                              T* sums) {
    constexpr int channels = D.in.channels;
    std::fill_n(sums, 2 * channels, T{});
    for (int oy = 0; oy < D.out.height; ++oy) {
        for (int ox = 0; ox < D.out.width; ++ox) {
            const std::ptrdiff_t at = (std::ptrdiff_t{oy} * D.out.width + ox) * channels;
            const T* corner = x + (std::ptrdiff_t{D.window.y.first(oy)} * D.in.width + D.window.x.first(ox)) * channels;
            for (int c = 0; c < channels; ++c) {
                const int place = places[at + c];
                const std::ptrdiff_t tap =
                    std::ptrdiff_t{place / D.window.x.extent} * D.in.width + place % D.window.x.extent;
                sums[c] += dy[at + c];
                sums[channels + c] += dy[at + c] * ((corner[tap * channels + c] - mean[c]) * istd[c]);
            }
        }
    }
}

/// Calls f(oy, ox, rows [y0, y1), columns [x0, x1), weight) for every window of an average pool: the pixels it covers
/// and the factor of their sum. Adaptive windows follow PyTorch: from ⌊i·H/O⌋ to ⌈(i + 1)·H/O⌉.
template <PoolDims D, bool Adaptive, bool CountPadding, class T, class F>
CTNN_ALWAYS_INLINE void for_average_windows(F&& f) {
    for (int oy = 0; oy < D.out.height; ++oy) {
        for (int ox = 0; ox < D.out.width; ++ox) {
            int y0, y1, x0, x1, covered;
            if constexpr (Adaptive) {
                y0 = oy * D.in.height / D.out.height;
                y1 = ceil_div((oy + 1) * D.in.height, D.out.height);
                x0 = ox * D.in.width / D.out.width;
                x1 = ceil_div((ox + 1) * D.in.width, D.out.width);
                covered = (y1 - y0) * (x1 - x0);
            } else {
                y0 = D.window.y.first(oy) + D.window.y.live_begin(oy);
                y1 = D.window.y.first(oy) + D.window.y.live_end(oy, D.in.height);
                x0 = D.window.x.first(ox) + D.window.x.live_begin(ox);
                x1 = D.window.x.first(ox) + D.window.x.live_end(ox, D.in.width);
                covered = CountPadding ? D.window.y.extent * D.window.x.extent : (y1 - y0) * (x1 - x0);
            }
            f(oy, ox, y0, y1, x0, x1, T{1} / static_cast<T>(covered));
        }
    }
}

/// Average pool of one sample: overwrites y.
template <PoolDims D, bool Adaptive, bool CountPadding, class T, class Arch = DefaultArch>
void average_pool(const T* x, T* y) {
    constexpr int channels = D.in.channels;
    for_average_windows<D, Adaptive, CountPadding, T>([&](int oy, int ox, int y0, int y1, int x0, int x1, T weight) {
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            auto total = Vec<T, Arch>::broadcast(T{});
            for (int iy = y0; iy < y1; ++iy) {
                for (int ix = x0; ix < x1; ++ix) {
                    total = total + load(x + (std::ptrdiff_t{iy} * D.in.width + ix) * channels + c);
                }
            }
            store(y + (std::ptrdiff_t{oy} * D.out.width + ox) * channels + c, total * Vec<T, Arch>::broadcast(weight));
        });
    });
}

/// Gradient of an average pool with respect to its input, one sample: overwrites dx.
template <PoolDims D, bool Adaptive, bool CountPadding, class T, class Arch = DefaultArch>
void average_pool_gradient(const T* dy, T* dx) {
    constexpr int channels = D.in.channels;
    std::fill_n(dx, D.in.size(), T{});
    for_average_windows<D, Adaptive, CountPadding, T>([&](int oy, int ox, int y0, int y1, int x0, int x1, T weight) {
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            const auto share =
                load(dy + (std::ptrdiff_t{oy} * D.out.width + ox) * channels + c) * Vec<T, Arch>::broadcast(weight);
            for (int iy = y0; iy < y1; ++iy) {
                for (int ix = x0; ix < x1; ++ix) {
                    T* to = dx + (std::ptrdiff_t{iy} * D.in.width + ix) * channels + c;
                    store(to, load(to) + share);
                }
            }
        });
    });
}

}  // namespace ctnn::inline CTNN_ISA
