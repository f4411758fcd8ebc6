// Gradient of a convolution or linear layer with respect to its weights: sums over samples and pixels of
// input × output gradient, in register tiles of input channels × output channel blocks.
//
// Work is cut into items (group, output blocks, input channels, kernel row): every weight belongs to one item, and an
// item adds its samples in order, so results do not depend on the number of threads and no partial sums are needed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>

#include <ctnn/core/shape.hpp>
#include <ctnn/kernels/correlation.hpp>
#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

/// One item of work: a kernel row of a tile of weights. D is a convolution's forward() correlation; x and dy are the
/// first sample's elements of the first channel of the convolution's group.
template <CorrelationDims D, class T, class Arch = DefaultArch>
struct WeightGradient {
    using V = Vec<T, Arch>;

    /// With few input channels a tile runs over the contiguous (kernel column, channel) pairs of a kernel row instead.
    static constexpr bool fused_columns = D.in_channels < 8 && D.in_pixel == D.in_channels;
    static constexpr int columns = fused_columns ? 1 : D.x.extent;
    static constexpr int reduction = fused_columns ? D.x.extent * D.in_channels : D.in_channels;
    static constexpr RegisterTile tile = choose_tile<T, Arch>(reduction, D.blocks());
    static constexpr int tiles = ceil_div(reduction, tile.pixels);
    /// Tiles are as equal as can be: the first `larger` have one channel more than the others.
    static constexpr int least = reduction / tiles;
    static constexpr int larger = reduction % tiles;
    static constexpr int block_groups = D.blocks() / tile.blocks;
    static constexpr int items = block_groups * tiles * D.y.extent;
    /// A linear layer's, or of a convolution that is one.
    static constexpr bool one_tap = D.y.extent * D.x.extent == 1 && D.out_height * D.out_width == 1;
    /// Gradients that no cache holds go past them.
    static constexpr bool streams = one_tap && D.blocks() * D.block_weights() * std::ptrdiff_t{sizeof(T)} > (8 << 20);
    /// Tiles of one tap run over all output blocks before the next tiles follow, so that their inputs, of the whole
    /// batch, stay in the second-level cache, of which they take half a MiB.
    static constexpr int run_tiles(int batch) {
        return one_tap ? std::clamp((1 << 17) / batch / tile.pixels, 1, tiles) : tiles;
    }

    /// Adds samples [begin, end) of a batch to item `item` of the group's weight gradients, or overwrites it when
    /// `overwrite`.
    static void add(const T* x, std::ptrdiff_t in_sample, const T* dy, std::ptrdiff_t out_sample, T* gradient,
                    int begin, int end, int batch, int item, bool overwrite) {
        const int ky = item % D.y.extent;
        const int of_tiles = item / D.y.extent, whole_run = run_tiles(batch);
        const int run = of_tiles / (whole_run * block_groups);
        const int run_size = std::min(whole_run, tiles - run * whole_run);  // the last run has the rest
        const int in_run = of_tiles - run * whole_run * block_groups;
        const int index = run * whole_run + in_run % run_size;
        const int block_group = in_run / run_size;
        const int channel = index * least + std::min(index, larger);
        T* to = gradient + D.block_weights() * tile.blocks * block_group +
                (std::ptrdiff_t{ky} * D.x.extent * D.in_channels + channel) * block_size;
        const Span span{x,          in_sample, dy + block_group * tile.blocks * block_size,
                        out_sample, begin,     end,
                        ky,         channel,   D.out_channels - block_group * tile.blocks * block_size,
                        overwrite};
        if (index < larger) {
            item_columns<least + (larger > 0 ? 1 : 0)>(span, to);
        } else {
            item_columns<least>(span, to);
        }
    }

  private:
    static constexpr int vectors = tile.blocks * vectors_per_block<T, Arch>;
    static constexpr std::ptrdiff_t in_step = std::ptrdiff_t{D.x.stride} * D.in_pixel;

    struct Span {
        const T* x;
        std::ptrdiff_t in_sample;
        const T* dy;
        std::ptrdiff_t out_sample;
        int begin, end, ky, channel, out_channels;
        bool overwrite;
    };

    /// Output columns [begin, end) for which kernel column kx meets the input; with fused columns, those where all do.
    static constexpr int live_begin(int kx) {
        const int first = D.x.first(0) + (fused_columns ? 0 : kx);
        return first >= 0 ? 0 : std::min(D.out_width, ceil_div(-first, D.x.stride));
    }
    static constexpr int live_end(int kx) {
        const int last = D.in_width - D.x.first(0) - (fused_columns ? D.x.extent - 1 : kx);
        return last <= 0 ? 0 : std::min(D.out_width, ceil_div(last, D.x.stride));
    }

    template <int Channels>
    static void item_columns(const Span& s, T* to) {
        constexpr bool always_whole = D.out_channels % (tile.blocks * block_size) == 0;
        if (always_whole || s.out_channels >= tile.blocks * block_size) {
            for (int kx = 0; kx < columns; ++kx) { one_column<Channels, true>(s, to, kx); }
        } else if constexpr (!always_whole) {
            for (int kx = 0; kx < columns; ++kx) { one_column<Channels, false>(s, to, kx); }
        }
    }

    template <bool Whole>
    static CTNN_ALWAYS_INLINE void load_gradient(V (&out)[vectors], const T* dy, int channels) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            const int left = channels - v * V::width;
            out[v] = Whole || left >= V::width ? V::load(dy + v * V::width)
                                               : V::load(dy + (left > 0 ? v * V::width : 0), std::max(left, 0));
        }
    }

    template <int Channels, bool Whole>
    static void one_column(const Span& s, T* to, int kx) {
        const int begin = live_begin(kx), end = live_end(kx);
        T* weights = to + std::ptrdiff_t{kx} * D.in_channels * block_size;
        const int column = D.x.first(0) + kx;
        V sum[Channels][vectors];
        constexpr int per_block = vectors_per_block<T, Arch>;
#pragma GCC unroll 32
        for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const T* w =
                    weights + (v / per_block) * D.block_weights() + c * block_size + (v % per_block) * V::width;
                sum[c][v] = s.overwrite ? V::broadcast(T{}) : V::load(w);
            }
        }
        const int row_begin = first_row(s.ky);
        const int row_end = last_row(s.ky);
        for (int n = s.begin; n < s.end; ++n) {
            for (int row = row_begin; row < row_end; ++row) {
                const T* x = s.x + n * s.in_sample + std::ptrdiff_t{D.y.first(row) + s.ky} * D.in_row() +
                             column * D.in_pixel + s.channel;
                const T* dy = s.dy + n * s.out_sample + std::ptrdiff_t{row} * D.out_width * D.out_pixel;
                if constexpr (fused_columns) { edge_pixels<Channels, Whole>(sum, x, dy, s, 0, begin); }
#pragma GCC unroll 1
                for (int ox = begin; ox < end; ++ox) {
                    V gradient[vectors];
                    load_gradient<Whole>(gradient, dy + ox * D.out_pixel, s.out_channels);
#pragma GCC unroll 32
                    for (int c = 0; c < Channels; ++c) {
                        const V input = V::broadcast(x[ox * in_step + c]);
#pragma GCC unroll 8
                        for (int v = 0; v < vectors; ++v) { sum[c][v] = fma(input, gradient[v], sum[c][v]); }
                    }
                }
                if constexpr (fused_columns) {
                    edge_pixels<Channels, Whole>(sum, x, dy, s, std::max(begin, end), D.out_width);
                }
            }
        }
#pragma GCC unroll 32
        for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                T* const to_vector =
                    weights + (v / per_block) * D.block_weights() + c * block_size + (v % per_block) * V::width;
                if constexpr (streams) {
                    stream(to_vector, sum[c][v]);
                } else {
                    sum[c][v].store(to_vector);
                }
            }
        }
    }

    /// Pixels where some columns of a fused tile meet padding: those inputs count as zeros and are not read.
    template <int Channels, bool Whole>
    static CTNN_ALWAYS_INLINE void edge_pixels(V (&sum)[Channels][vectors], const T* x, const T* dy, const Span& s,
                                               int begin, int end) {
#pragma GCC unroll 1
        for (int ox = begin; ox < end; ++ox) {
            V gradient[vectors];
            load_gradient<Whole>(gradient, dy + ox * D.out_pixel, s.out_channels);
            const int live_from = -D.x.first(ox) * D.in_channels - s.channel;
            const int live_to = (D.in_width - D.x.first(ox)) * D.in_channels - s.channel;
#pragma GCC unroll 32
            for (int c = 0; c < Channels; ++c) {
                const V input = V::broadcast(c >= live_from && c < live_to ? x[ox * in_step + c] : T{});
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) { sum[c][v] = fma(input, gradient[v], sum[c][v]); }
            }
        }
    }

    /// Output rows [first, last) for which kernel row ky meets the input.
    static constexpr int first_row(int ky) {
        const int first = D.y.first(0) + ky;
        return first >= 0 ? 0 : std::min(D.out_height, ceil_div(-first, D.y.stride));
    }
    static constexpr int last_row(int ky) {
        const int last = D.in_height - D.y.first(0) - ky;
        return last <= 0 ? 0 : std::min(D.out_height, ceil_div(last, D.y.stride));
    }
};

}  // namespace ctnn::inline CTNN_ISA
