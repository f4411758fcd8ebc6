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

    /// Every pixel lies in exactly one window.
    [[nodiscard]] constexpr bool tiles() const {
        const auto tiled = [](Axis axis, int size) {
            return axis.padding == 0 && axis.stride == axis.extent && size % axis.extent == 0;
        };
        return tiled(window.y, in.height) && tiled(window.x, in.width);
    }
};

/// Calls f(at, corner, first, for_taps) for every window of the output rows [row_begin, row_end): `at` is the offset of
/// the output's channels, `corner` that of the channels of its first pixel, which may lie in the padding, and `first`
/// the number, ky · kernel width + kx, of the first tap that meets a pixel. for_taps(g) calls g(tap, offset) for every
/// tap that does, with the pixel's offset behind `corner`.
template <PoolDims D, class F>
CTNN_ALWAYS_INLINE void for_max_windows(int row_begin, int row_end, F&& f) {
    constexpr Axis y = D.window.y, x = D.window.x;
    constexpr std::ptrdiff_t channels = D.in.channels;
    for (int oy = row_begin; oy < row_end; ++oy) {
        const int ky_begin = y.padding == 0 ? 0 : y.live_begin(oy);
        const int ky_end = y.padding == 0 ? y.extent : y.live_end(oy, D.in.height);
        for (int ox = 0; ox < D.out.width; ++ox) {
            const int kx_begin = x.padding == 0 ? 0 : x.live_begin(ox);
            const int kx_end = x.padding == 0 ? x.extent : x.live_end(ox, D.in.width);
            f((std::ptrdiff_t{oy} * D.out.width + ox) * channels,
              (std::ptrdiff_t{y.first(oy)} * D.in.width + x.first(ox)) * channels, ky_begin * x.extent + kx_begin,
              [&](auto&& g) {
                  for (int ky = ky_begin; ky < ky_end; ++ky) {
                      for (int kx = kx_begin; kx < kx_end; ++kx) {
                          g(ky * D.window.x.extent + kx, (std::ptrdiff_t{ky} * D.in.width + kx) * channels);
                      }
                  }
              });
        }
    }
}

/// Output rows [row_begin, row_end) of activation(max over the window of x or, if Affine, of x · scale + shift). `x` is
/// where input row 0 would be: only rows that the windows meet are read. `places` (may be null) gets the tap of the
/// maximum, ky · kernel width + kx, one byte per output. `y` and `places` begin at output row 0.
template <PoolDims D, Activation A, bool Affine, class T, class Arch = DefaultArch>
void max_pool_rows(const T* x, const T* scale, const T* shift, T* y, std::uint8_t* places, int row_begin, int row_end) {
    using V = Vec<T, Arch>;
    for_max_windows<D>(row_begin, row_end, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int first, auto&& for_taps) {
        for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            V best = V::broadcast(-std::numeric_limits<T>::infinity());
            V place = V::broadcast(static_cast<T>(first));
            const V factor = Affine ? load(scale + c) : V::broadcast(T{1});
            const V offset = Affine ? load(shift + c) : V::broadcast(T{});
            for_taps([&](int tap, std::ptrdiff_t pixel) {
                V value = load(x + corner + pixel + c);
                if constexpr (Affine) { value = fma(value, factor, offset); }
                place = where_greater_or_nan(value, best, V::broadcast(static_cast<T>(tap)), place);
                best = where_greater_or_nan(value, best, value, best);
            });
            store(y + at + c, activate<A>(best));
            if (places != nullptr) { store(places + at + c, place); }
        });
    });
}

/// Adds factor[c] · dy to dx at every output's place; factor may be null for 1. All of one sample.
template <PoolDims D, class T, class Arch = DefaultArch>
void max_pool_scatter(const T* dy, const std::uint8_t* places, const T* factor, T* dx) {
    using V = Vec<T, Arch>;
    for_max_windows<D>(0, D.out.height, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int, auto&& for_taps) {
        for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            V gradient = load(dy + at + c);
            if (factor != nullptr) { gradient = gradient * load(factor + c); }
            const V place = load(places + at + c);
            for_taps([&](int tap, std::ptrdiff_t pixel) {
                T* const to = dx + corner + pixel + c;
                const V here = V::broadcast(static_cast<T>(tap));
                store(to, load(to) + where_equal(place, here, gradient, V::broadcast(T{})));
            });
        });
    });
}

/// Gradient of a max pool with respect to its input, one sample: overwrites dx.
template <PoolDims D, class T, class Arch = DefaultArch>
void max_pool_gradient(const T* dy, const std::uint8_t* places, T* dx) {
    using V = Vec<T, Arch>;
    if constexpr (!D.tiles()) {
        std::fill_n(dx, D.in.size(), T{});
        max_pool_scatter<D, T, Arch>(dy, places, nullptr, dx);
    } else {
        for_max_windows<D>(0, D.out.height, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int, auto&& for_taps) {
            for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
                const V gradient = load(dy + at + c), place = load(places + at + c);
                for_taps([&](int tap, std::ptrdiff_t pixel) {
                    const V here = V::broadcast(static_cast<T>(tap));
                    store(dx + corner + pixel + c, where_equal(place, here, gradient, V::broadcast(T{})));
                });
            });
        });
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
