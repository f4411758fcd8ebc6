// The three directions of a convolution, as correlations and weight gradients of fixed dimensions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <ctnn/kernels/correlation.hpp>
#include <ctnn/kernels/weight_gradient.hpp>

namespace ctnn::inline CTNN_ISA {

/// A two-dimensional convolution over channels-last maps. A linear layer is one over a 1×1 map.
struct ConvolutionDims {
    Shape in, out;
    int groups;
    Window window;
    constexpr bool operator==(const ConvolutionDims&) const = default;

    [[nodiscard]] constexpr int group_in() const { return in.channels / groups; }
    [[nodiscard]] constexpr int group_out() const { return out.channels / groups; }
    /// Stored weights of one group.
    [[nodiscard]] constexpr std::ptrdiff_t group_weights() const {
        return std::ptrdiff_t{ceil_div(group_out(), block_size)} * block_size * window.y.extent * window.x.extent *
               group_in();
    }
    /// Elements of a bias as stored: every group padded to whole blocks.
    [[nodiscard]] constexpr int group_bias() const { return ceil_div(group_out(), block_size) * block_size; }

    [[nodiscard]] constexpr CorrelationDims forward() const {
        return {group_in(),  in.height,    in.width,
                in.channels, group_out(),  out.height,
                out.width,   out.channels, out.width * out.channels,
                window.y,    window.x};
    }
};

/// One phase of the gradient with respect to the data along one axis: input coordinates φ, φ + stride, … receive from
/// taps ρ, ρ + stride, … alone, so each phase is a correlation of stride 1 over the output gradient with those taps
/// reversed.
struct Phase {
    int offset, first_tap, taps, padding, size;

    /// Whether the phase's tap meets more than padding anywhere, in a gradient of `out_size`.
    [[nodiscard]] constexpr bool live(int tap, int out_size) const {
        return tap > padding - size && tap < padding + out_size;
    }
};

constexpr Phase phase_of(Axis axis, int in_size, int offset) {
    const int rho = (offset + axis.padding) % axis.stride;
    const int taps = rho < axis.extent ? (axis.extent - rho + axis.stride - 1) / axis.stride : 0;
    return {offset, rho, taps, taps - 1 - (offset + axis.padding - rho) / axis.stride,
            in_size > offset ? (in_size - offset + axis.stride - 1) / axis.stride : 0};
}

/// The correlation that computes one pair of phases of the data gradient.
constexpr CorrelationDims data_gradient_dims(const ConvolutionDims& d, Phase y, Phase x) {
    return {d.group_out(),
            d.out.height,
            d.out.width,
            d.out.channels,
            d.group_in(),
            y.size,
            x.size,
            d.window.x.stride * d.in.channels,
            d.window.y.stride * d.in.width * d.in.channels,
            {y.taps, 1, y.padding},
            {x.taps, 1, x.padding}};
}

/// Elements of transposed weights: [groups][phases][in / 16][taps y][taps x][out][16].
constexpr std::ptrdiff_t transposed_weights(const ConvolutionDims& d) {
    return std::ptrdiff_t{d.groups} * ceil_div(d.group_in(), block_size) * block_size * d.window.y.extent *
           d.window.x.extent * d.group_out();
}

/// Begin of a phase's transposed weights within a group.
constexpr std::ptrdiff_t phase_begin(const ConvolutionDims& d, int phase_y, int phase_x) {
    std::ptrdiff_t taps = 0;
    for (int py = 0; py < d.window.y.stride; ++py) {
        for (int px = 0; px < d.window.x.stride; ++px) {
            if (py == phase_y && px == phase_x) {
                return taps * ceil_div(d.group_in(), block_size) * block_size * d.group_out();
            }
            taps +=
                std::ptrdiff_t{phase_of(d.window.y, d.in.height, py).taps} * phase_of(d.window.x, d.in.width, px).taps;
        }
    }
    return 0;
}

namespace detail {

/// Transposes the first `channels` of 16 rows of 16 weights, with zeros for the others, and writes the first `outs`
/// rows of what that gives. Four perfect shuffles, each of which interleaves the halves of what the one before wrote:
/// loops that GCC and Clang turn into permutations of whole vectors, where a plain transposition is 256 loads and
/// stores.
template <class T>
CTNN_ONE_COPY void transpose_block(const T* from, int channels, int outs, T* to) {
    constexpr int size = block_size * block_size;
    static_assert(block_size == 16);
    alignas(64) T a[size], b[size];
    const auto shuffle = [](const T* x, T* y) {
        for (std::ptrdiff_t i = 0; i < size / 2; ++i) {
            y[2 * i] = x[i];
            y[2 * i + 1] = x[i + size / 2];
        }
    };
    std::fill(std::copy(from, from + channels * block_size, a), a + size, T{});
    shuffle(a, b);
    shuffle(b, a);
    shuffle(a, b);
    shuffle(b, a);
    std::copy(a, a + outs * block_size, to);
}

}  // namespace detail

/// Which taps transpose_weights writes.
enum class Taps { live, all };

/// Writes the transposed weights of input block `block` of group `group`; blocks may be written in parallel. Taps that
/// only meet padding are no part of the gradient, and left out unless all are asked for.
template <ConvolutionDims D, Taps Which = Taps::live, class T>
void transpose_weights(const T* weights, T* transposed, int group, int block) {
    constexpr std::ptrdiff_t tap_size = std::ptrdiff_t{D.group_in()} * block_size;
    constexpr std::ptrdiff_t block_stride = tap_size * D.window.y.extent * D.window.x.extent;
    const T* from = weights + group * D.group_weights() + std::ptrdiff_t{block} * block_size * block_size;
    T* group_to = transposed + transposed_weights(D) / D.groups * group;
    const int channels = std::min(block_size, D.group_in() - block * block_size);
    for (int py = 0; py < D.window.y.stride; ++py) {
        for (int px = 0; px < D.window.x.stride; ++px) {
            const Phase y = phase_of(D.window.y, D.in.height, py);
            const Phase x = phase_of(D.window.x, D.in.width, px);
            T* to = group_to + phase_begin(D, py, px) +
                    std::ptrdiff_t{block} * y.taps * x.taps * D.group_out() * block_size;
            for (int tap = 0; tap < y.taps * x.taps; ++tap, to += std::ptrdiff_t{D.group_out()} * block_size) {
                const int ty = tap / x.taps, tx = tap % x.taps;
                if (Which == Taps::live && !(y.live(ty, D.out.height) && x.live(tx, D.out.width))) { continue; }
                const int ky = y.first_tap + (y.taps - 1 - ty) * D.window.y.stride;
                const int kx = x.first_tap + (x.taps - 1 - tx) * D.window.x.stride;
                const T* tap_from = from + (ky * D.window.x.extent + kx) * tap_size;
                for (int o = 0; o < D.group_out(); o += block_size) {
                    detail::transpose_block(tap_from + o / block_size * block_stride, channels,
                                            std::min(block_size, D.group_out() - o), to + o * block_size);
                }
            }
        }
    }
}

/// Calls f<CorrelationDims>(offset into a group's transposed weights, offset into the input gradient) for each phase.
template <ConvolutionDims D, class F>
CTNN_ALWAYS_INLINE void for_phases(F&& f) {
    constexpr int sx = D.window.x.stride;
    [&]<int... I>(std::integer_sequence<int, I...>) {
        (
            [&] {
                constexpr Phase y = phase_of(D.window.y, D.in.height, I / sx);
                constexpr Phase x = phase_of(D.window.x, D.in.width, I % sx);
                if constexpr (y.size > 0 && x.size > 0) {
                    f.template operator()<data_gradient_dims(D, y, x)>(
                        phase_begin(D, I / sx, I % sx),
                        (std::ptrdiff_t{y.offset} * D.in.width + x.offset) * D.in.channels);
                }
            }(),
            ...);
    }(std::make_integer_sequence<int, D.window.y.stride * sx>{});
}

/// Gradient with respect to the data of samples [begin, end): overwrites dx. `transposed` is what transpose_weights
/// wrote.
template <ConvolutionDims D, class T, class Arch = DefaultArch>
void convolution_data_gradient(const T* dy, const T* transposed, T* dx, int begin, int end) {
    for_phases<D>([&]<CorrelationDims C>(std::ptrdiff_t weight_offset, std::ptrdiff_t out_offset) {
        using Kernel = Correlation<C, T, Arch>;
        for (int g = 0; g < D.groups; ++g) {
            const T* w = transposed + transposed_weights(D) / D.groups * g + weight_offset;
            const T* from = dy + g * D.group_out();
            T* to = dx + out_offset + g * D.group_in();
            if constexpr (Kernel::over_samples) {
                for (int b = 0; b < Kernel::block_groups; ++b) {
                    Kernel::samples(from, D.out.size(), w, to, D.in.size(), begin, end, b, {});
                }
            } else {
                for (int n = begin; n < end; ++n) {
                    for (int b = 0; b < Kernel::block_groups; ++b) {
                        Kernel::rows(from + n * D.out.size(), w, to + n * D.in.size(), 0, C.out_height, b, {});
                    }
                }
            }
        }
    });
}

}  // namespace ctnn::inline CTNN_ISA
