// Gradient of a linear layer with respect to its input, from weights as they lie: no transposed copy of them exists.
//
// The output gradient is transposed instead, in tiles of 16 samples; vectors run over samples, weights are broadcast.
// An item of work is a run of inputs: a panel of 16 outputs passes over it with the output gradients in registers, two
// vectors of samples at a time where there are as many, so that the weights of a panel are a stream and are used by up
// to `most_samples` samples while they are in cache.
#pragma once

#include <algorithm>
#include <cstddef>

#include <ctnn/core/arena.hpp>
#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

struct LinearDims {
    int in, out;
    constexpr bool operator==(const LinearDims&) const = default;
};

/// Loops of the data gradient dx[n, k] = Σ_o dy[n, o] · w[o, k]; weights are [out / 16][in][16].
template <LinearDims D, class T, class Arch = DefaultArch>
struct LinearDataGradient {
    using V = Vec<T, Arch>;
    static constexpr int lanes = block_size;  ///< samples of one tile
    static constexpr int panels = ceil_div(D.out, block_size);
    /// Inputs of an item.
    static constexpr int run = std::min(D.in, 128);
    static constexpr int items = ceil_div(D.in, run);
    /// Samples for which weights are read once.
    static constexpr int most_samples = 128;
    /// Elements of the transposed gradient of a sample, and of a thread's sums.
    static constexpr std::ptrdiff_t transposed = std::ptrdiff_t{panels} * block_size;
    static constexpr std::ptrdiff_t sums = std::ptrdiff_t{run} * most_samples;

    /// Transposes samples [16·tile, …) of n to `to`, [panel][sample tile][output of the panel][sample of the tile], in
    /// which order they are read; outputs that fill the last panel are zeros.
    static void transpose(const T* dy, T* to, int n, int tile) {
        const int first = tile * lanes, count = std::min(lanes, n - first);
        for (int panel = 0; panel < panels; ++panel) {
            // Rows of a power of two fall into few sets of a cache: each is read once.
            const int outputs = std::min(block_size, D.out - panel * block_size);
            alignas(block_alignment) T rows[lanes][block_size] = {};
            for (int s = 0; s < count; ++s) {
                std::copy_n(dy + std::ptrdiff_t{first + s} * D.out + panel * block_size, outputs, rows[s]);
            }
            T* const columns = to + (std::ptrdiff_t{panel} * n + first) * block_size;
            if (count == lanes) {  // a bound that the compiler can see
                for (int o = 0; o < block_size; ++o) {
                    for (int s = 0; s < lanes; ++s) { columns[o * lanes + s] = rows[s][o]; }
                }
            } else {
                for (int o = 0; o < block_size; ++o) {
                    for (int s = 0; s < count; ++s) { columns[o * count + s] = rows[s][o]; }
                }
            }
        }
    }

    /// Overwrites the gradients of the inputs of `item` for all n samples. `sum` is scratch of `sums` elements.
    static void inputs(const T* transposed_dy, const T* weights, T* dx, int n, int item, T* sum) {
        const int first = item * run, count = std::min(run, D.in - first);
        for (int begin = 0; begin < n; begin += most_samples) {
            const int tiles = ceil_div(std::min(most_samples, n - begin), lanes);
            std::fill_n(sum, std::ptrdiff_t{tiles} * count * lanes, T{});
            for (int panel = 0; panel < panels; ++panel) {
                const T* w = weights + (std::ptrdiff_t{panel} * D.in + first) * block_size;
                // The next panel's weights lie far away: no prefetcher of the machine's finds them.
                const T* next = panel + 1 < panels ? w + std::ptrdiff_t{D.in} * block_size : w;
                for (int t = 0; t < tiles;) {
                    const int sample = begin + t * lanes, left = n - sample;
                    const T* dy = transposed_dy + (std::ptrdiff_t{panel} * n + sample) * block_size;
                    T* to = sum + std::ptrdiff_t{t} * count * lanes;
                    if (left >= tiles_at_once * lanes && t + tiles_at_once <= tiles) {
                        add_panel<2, true>(dy, lanes, w, t == 0 ? next : nullptr, to, count);
                        t += tiles_at_once;
                    } else if (left >= lanes) {
                        add_panel<1, true>(dy, lanes, w, t == 0 ? next : nullptr, to, count);
                        ++t;
                    } else {
                        add_panel<1, false>(dy, left, w, t == 0 ? next : nullptr, to, count);
                        ++t;
                    }
                }
            }
            for (int s = begin; s < std::min(n, begin + most_samples); ++s) {
                const T* from = sum + std::ptrdiff_t{(s - begin) / lanes} * count * lanes + s % lanes;
                for (int i = 0; i < count; ++i) {
                    dx[std::ptrdiff_t{s} * D.in + first + i] = from[std::ptrdiff_t{i} * lanes];
                }
            }
        }
    }

  private:
    /// A weight is broadcast to two vectors of samples, of two tiles or of one; a last vector is alone.
    static constexpr int tiles_at_once = V::width == lanes ? 2 : 1;
    /// Outputs whose gradients stay in registers, and inputs that are summed side by side, for so many vectors.
    static constexpr int held(int vectors) { return std::min(block_size, V::registers / (2 * vectors)); }
    static constexpr int together(int vectors) {
        return std::max(1, vectors == 1 ? V::registers / 4 : V::registers * 3 / 16);
    }

    /// sum[i] += Σ_o dy[o] · w[i, o] over a panel, for `count` inputs and one tile of samples, or two.
    template <int Vectors, bool Whole>
    static void add_panel(const T* dy, int samples, const T* w, const T* next, T* sum, int count) {
        constexpr int outputs = held(Vectors), inputs = together(Vectors);
        constexpr bool two_tiles = Vectors * V::width > lanes;
        const std::ptrdiff_t dy_step = two_tiles ? lanes * block_size : V::width;
        const std::ptrdiff_t sum_step = two_tiles ? std::ptrdiff_t{count} * lanes : V::width;
        for (int s = 0; s < samples; s += two_tiles ? lanes : Vectors * V::width) {
            for (int o = 0; o < block_size; o += outputs) {
                V gradient[outputs][Vectors];
#pragma GCC unroll 16
                for (int h = 0; h < outputs; ++h) {
#pragma GCC unroll 2
                    for (int v = 0; v < Vectors; ++v) {
                        const T* from = dy + (o + h) * samples + s + v * dy_step;
                        gradient[h][v] = Whole ? V::load(from) : V::load(from, std::min(V::width, samples - s));
                    }
                }
                int i = 0;
                for (; i + inputs <= count; i += inputs) {
                    if (s == 0 && o == 0 && next != nullptr) {
#pragma GCC unroll 16
                        for (int j = 0; j < inputs; ++j) { prefetch(next + (i + j) * block_size); }
                    }
                    add<inputs, Vectors>(gradient, w + o, sum + s, sum_step, i);
                }
                for (; i < count; ++i) { add<1, Vectors>(gradient, w + o, sum + s, sum_step, i); }
            }
        }
    }

    template <int Inputs, int Vectors>
    static CTNN_ALWAYS_INLINE void add(const V (&gradient)[held(Vectors)][Vectors], const T* w, T* to,
                                       std::ptrdiff_t step, int i) {
        constexpr int outputs = held(Vectors);
        V sum[Inputs][Vectors];
#pragma GCC unroll 16
        for (int j = 0; j < Inputs; ++j) {
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) { sum[j][v] = V::load(to + (i + j) * lanes + v * step); }
        }
#pragma GCC unroll 16
        for (int h = 0; h < outputs; ++h) {
#pragma GCC unroll 16
            for (int j = 0; j < Inputs; ++j) {
                const V weight = V::broadcast(w[(i + j) * block_size + h]);
#pragma GCC unroll 2
                for (int v = 0; v < Vectors; ++v) { sum[j][v] = fma(weight, gradient[h][v], sum[j][v]); }
            }
        }
#pragma GCC unroll 16
        for (int j = 0; j < Inputs; ++j) {
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) { sum[j][v].store(to + (i + j) * lanes + v * step); }
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA
