// Cross-correlation of one channels-last map with blocked weights: the forward pass of a convolution, and its
// gradient with respect to the data, which is a correlation with transposed weights.
//
// A register tile is `pixels` neighbouring outputs × `blocks` channel blocks. For every live tap the tile walks the
// input channels: a vector of weights per block vector is loaded, every pixel's input is broadcast. Taps that meet
// only padding are never visited: vertical ones are loop bounds, horizontal ones vanish because every tile that
// touches a border is an instantiation of its own. Maps too narrow for a tile are tiled over samples instead.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <ctnn/core/shape.hpp>
#include <ctnn/kernels/register_tile.hpp>
#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

/// Dimensions of a correlation within one group. Pixel and row strides are in elements and allow for other groups'
/// channels between, and for outputs that are written with gaps (the phases of a strided gradient).
struct CorrelationDims {
    int in_channels, in_height, in_width, in_pixel;
    int out_channels, out_height, out_width, out_pixel, out_row;
    Axis y, x;
    constexpr bool operator==(const CorrelationDims&) const = default;

    [[nodiscard]] constexpr int blocks() const { return ceil_div(out_channels, block_size); }
    [[nodiscard]] constexpr int in_row() const { return in_width * in_pixel; }
    /// Elements of one block of weights: [kh][kw][in_channels][16].
    [[nodiscard]] constexpr std::ptrdiff_t block_weights() const {
        return std::ptrdiff_t{y.extent} * x.extent * in_channels * block_size;
    }
};

/// Maps narrower than this are tiled over samples.
inline constexpr int narrow_width = 4;

/// The correlation of dimensions D: which tiles cover it, and the loops over them.
template <CorrelationDims D, class T, class Arch = DefaultArch>
struct Correlation {
    /// True where one row has too few pixels for a tile, so that tiles run over samples at one pixel.
    static constexpr bool over_samples = D.out_width < narrow_width;
    static constexpr RegisterTile tile = choose_tile<T, Arch>(over_samples ? 64 : D.out_width, D.blocks());
    /// Groups of channel blocks that a tile takes at once.
    static constexpr int block_groups = D.blocks() / tile.blocks;
    static constexpr int channels_per_group = tile.blocks * block_size;

    /// Output rows [row_begin, row_end) of one sample, for one group of blocks. `x` and `out` are the sample's first
    /// elements, `out` shifted so that row r is at out + r·out_row; `w` is the first block of the whole correlation.
    static void rows(const T* x, const T* w, T* out, int row_begin, int row_end, int block_group,
                     const Epilogue<T>& epilogue) {
        const int channel = block_group * channels_per_group;
        const Epilogue<T> shifted = shift(epilogue, channel);
        const T* weights = w + D.block_weights() * tile.blocks * block_group;
        for (int row = row_begin; row < row_end; ++row) {
            const int tap_begin = D.y.live_begin(row);
            const int tap_end = D.y.live_end(row, D.in_height);
            const T* in = x + static_cast<std::ptrdiff_t>(D.y.first(row)) * D.in_row();
            T* to = out + static_cast<std::ptrdiff_t>(row) * D.out_row + channel;
            row_tiles(in, weights, to, tap_begin, tap_end, D.out_channels - channel, shifted,
                      std::make_integer_sequence<int, ceil_div(D.out_width, tile.pixels)>{});
        }
    }

    /// All pixels of samples [begin, end), for one group of blocks; samples lie in_sample and out_sample elements
    /// apart. Used where over_samples. `channel_begin` and `channel_count` cut the input channels, for accumulation
    /// over blocks of a long reduction. Weights W may be of half precision.
    template <class W>
    static void samples(const T* x, std::ptrdiff_t in_sample, const W* w, T* out, std::ptrdiff_t out_sample, int begin,
                        int end, int block_group, const Epilogue<T>& epilogue, int channel_begin = 0,
                        int channel_count = D.in_channels) {
        const int channel = block_group * channels_per_group;
        const Epilogue<T> shifted = shift(epilogue, channel);
        const W* weights = w + D.block_weights() * tile.blocks * block_group + channel_begin * block_size;
        for (int row = 0; row < D.out_height; ++row) {
            for (int column = 0; column < D.out_width; ++column) {
                T* to = out + static_cast<std::ptrdiff_t>(row) * D.out_row + column * D.out_pixel + channel;
                const auto run = [&]<int Pixels>(std::integral_constant<int, Pixels>, int n) {
                    sample_tile<Pixels>(x + n * in_sample + channel_begin, in_sample, weights, to + n * out_sample,
                                        out_sample, row, column, D.out_channels - channel, shifted, channel_count);
                };
                int n = begin;
                for (int i = whole_tiles(end - begin); i > 0; --i, n += tile.pixels) {
                    run(std::integral_constant<int, tile.pixels>{}, n);
                }
                if constexpr (tile.pixels > 8) {
                    for (; n + 8 <= end; n += 8) { run(std::integral_constant<int, 8>{}, n); }
                }
                if constexpr (tile.pixels > 4) {
                    for (; n + 4 <= end; n += 4) { run(std::integral_constant<int, 4>{}, n); }
                }
                if constexpr (tile.pixels > 2) {
                    for (; n + 2 <= end; n += 2) { run(std::integral_constant<int, 2>{}, n); }
                }
                for (; n < end; ++n) { run(std::integral_constant<int, 1>{}, n); }
            }
        }
    }

  private:
    /// No group of blocks has fewer channels than it has room for.
    static constexpr bool always_whole = D.out_channels % channels_per_group == 0;

    /// Whole tiles of so many samples: as many as leave a multiple of 4 where one, two or three fewer do. Tiles of 8
    /// and 4 have sums enough to keep the multiply-adds busy, those of 2 and 1 wait for their own.
    static constexpr int whole_tiles(int samples) {
        const int most = samples / tile.pixels;
        for (int n = most; n >= std::max(0, most - 3); --n) {
            if ((samples - n * tile.pixels) % 4 == 0) { return n; }
        }
        return most;
    }

    static Epilogue<T> shift(Epilogue<T> epilogue, int channel) {
        if (epilogue.scale != nullptr) { epilogue.scale += channel; }
        if (epilogue.shift != nullptr) { epilogue.shift += channel; }
        return epilogue;
    }

    template <int... Index>
    static void row_tiles(const T* in, const T* w, T* out, int tap_begin, int tap_end, int channels,
                          const Epilogue<T>& epilogue, std::integer_sequence<int, Index...>) {
        (one_row_tile<Index * tile.pixels>(in, w, out, tap_begin, tap_end, channels, epilogue), ...);
    }

    /// True where every tap of every pixel of the tile at `begin` meets the input: such tiles share one instantiation.
    static constexpr bool interior(int begin, int pixels) {
        return D.x.first(begin) >= 0 && D.x.first(begin + pixels - 1) + D.x.extent <= D.in_width;
    }

    template <int Begin>
    static void one_row_tile(const T* in, const T* w, T* out, int tap_begin, int tap_end, int channels,
                             const Epilogue<T>& epilogue) {
        constexpr int pixels = std::min(tile.pixels, D.out_width - Begin);
        if constexpr (interior(Begin, pixels)) {
            inner_tile<pixels>(in + D.x.first(Begin) * D.in_pixel, w, out + Begin * D.out_pixel, tap_begin, tap_end,
                               channels, epilogue);
        } else {
            edge_tile<Begin, pixels>(in, w, out + Begin * D.out_pixel, tap_begin, tap_end, channels, epilogue,
                                     std::make_integer_sequence<int, D.x.extent>{});
        }
    }

    template <int Pixels>
    static void inner_tile(const T* in, const T* w, T* out, int tap_begin, int tap_end, int channels,
                           const Epilogue<T>& epilogue) {
        Accumulators<T, Arch, Pixels, tile.blocks> sums;
        start(sums, out, D.out_pixel, channels, epilogue);
        constexpr std::ptrdiff_t step = std::ptrdiff_t{D.x.stride} * D.in_pixel;
        for (int ky = tap_begin; ky < tap_end; ++ky) {
            const T* row = in + ky * D.in_row();
            const T* weights = w + std::ptrdiff_t{ky} * D.x.extent * D.in_channels * block_size;
            if constexpr (D.in_pixel == D.in_channels) {  // a kernel row is contiguous in both
                sums.template add<0, Pixels>(row, step, weights, D.block_weights(), D.x.extent * D.in_channels);
            } else {
                for (int kx = 0; kx < D.x.extent; ++kx) {
                    sums.template add<0, Pixels>(row + kx * D.in_pixel, step, weights + kx * D.in_channels * block_size,
                                                 D.block_weights(), D.in_channels);
                }
            }
        }
        sums.template store<always_whole>(out, D.out_pixel, channels, epilogue);
    }

    template <int Begin, int Pixels, int... Kx>
    static void edge_tile(const T* in, const T* w, T* out, int tap_begin, int tap_end, int channels,
                          const Epilogue<T>& epilogue, std::integer_sequence<int, Kx...>) {
        Accumulators<T, Arch, Pixels, tile.blocks> sums;
        start(sums, out, D.out_pixel, channels, epilogue);
        constexpr std::ptrdiff_t step = std::ptrdiff_t{D.x.stride} * D.in_pixel;
        for (int ky = tap_begin; ky < tap_end; ++ky) {
            const T* row = in + ky * D.in_row();
            const T* weights = w + std::ptrdiff_t{ky} * D.x.extent * D.in_channels * block_size;
            (sums.template add<live_begin(D.x.first(Begin) + Kx, Pixels), live_end(D.x.first(Begin) + Kx, Pixels)>(
                 row + (D.x.first(Begin) + Kx) * D.in_pixel, step, weights + Kx * D.in_channels * block_size,
                 D.block_weights(), D.in_channels),
             ...);
        }
        sums.template store<always_whole>(out, D.out_pixel, channels, epilogue);
    }

    /// Pixels [begin, end) of a tile whose tap at input column `column` (of the first pixel) meets the input.
    static constexpr int live_begin(int column, int pixels) {
        return column >= 0 ? 0 : std::min(pixels, ceil_div(-column, D.x.stride));
    }
    static constexpr int live_end(int column, int pixels) {
        const int last = D.in_width - column;
        return last <= 0 ? 0 : std::min(pixels, ceil_div(last, D.x.stride));
    }

    template <int Pixels, class W>
    static void sample_tile(const T* x, std::ptrdiff_t in_sample, const W* w, T* out, std::ptrdiff_t out_sample,
                            int row, int column, int channels, const Epilogue<T>& epilogue, int channel_count) {
        Accumulators<T, Arch, Pixels, tile.blocks> sums;
        start(sums, out, out_sample, channels, epilogue);
        for (int ky = D.y.live_begin(row); ky < D.y.live_end(row, D.in_height); ++ky) {
            for (int kx = D.x.live_begin(column); kx < D.x.live_end(column, D.in_width); ++kx) {
                sums.template add<0, Pixels>(
                    x + (D.y.first(row) + ky) * D.in_row() + (D.x.first(column) + kx) * D.in_pixel, in_sample,
                    w + (std::ptrdiff_t{ky} * D.x.extent + kx) * D.in_channels * block_size, D.block_weights(),
                    channel_count);
            }
        }
        sums.template store<always_whole>(out, out_sample, channels, epilogue);
    }

    template <class Sums>
    static CTNN_ALWAYS_INLINE void start(Sums& sums, const T* out, std::ptrdiff_t step, int channels,
                                         const Epilogue<T>& epilogue) {
        if (epilogue.accumulate) {
            sums.template load<always_whole>(out, step, channels);
        } else {
            sums.clear();
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA
