// Gradient of a linear layer with respect to its input, from weights as they lie: no transposed copy of them exists.
//
// The output gradient is transposed instead, in tiles of 16 samples; vectors run over samples, weights are broadcast.
// An item of work is a run of inputs: a panel of 16 outputs passes over it with the output gradients in registers, so
// that the weights of a panel are a stream and are used by up to `most_samples` samples while they are in cache.
#pragma once

#include <algorithm>
#include <cstddef>

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
        for (int o = 0; o < panels * block_size; ++o) {
            T* const row = to + (std::ptrdiff_t{o / block_size} * n + first) * block_size + o % block_size * count;
            for (int s = 0; s < count; ++s) { row[s] = o < D.out ? dy[std::ptrdiff_t{first + s} * D.out + o] : T{}; }
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
                for (int t = 0; t < tiles; ++t) {
                    const int sample = begin + t * lanes, samples = std::min(lanes, n - sample);
                    const T* dy = transposed_dy + (std::ptrdiff_t{panel} * n + sample) * block_size;
                    T* to = sum + std::ptrdiff_t{t} * count * lanes;
                    // The next panel's weights lie far away: no prefetcher of the machine's finds them.
                    const T* next = t == 0 && panel + 1 < panels ? w + std::ptrdiff_t{D.in} * block_size : w;
                    if (samples == lanes) {
                        add_panel<true>(dy, lanes, w, next, to, count);
                    } else {
                        add_panel<false>(dy, samples, w, next, to, count);
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
    /// Outputs whose gradients stay in registers, and inputs that are summed side by side.
    static constexpr int held = std::min(block_size, V::registers / 2);
    static constexpr int together = std::max(1, V::registers / 4);

    /// sum[i] += Σ_o dy[o] · w[i, o] over a panel, for `count` inputs and a tile of samples.
    template <bool Whole>
    static void add_panel(const T* dy, int samples, const T* w, const T* next, T* sum, int count) {
        for (int v = 0; v < samples; v += V::width) {
            for (int o = 0; o < block_size; o += held) {
                V gradient[held];
#pragma GCC unroll 16
                for (int h = 0; h < held; ++h) {
                    const T* from = dy + (o + h) * samples + v;
                    gradient[h] = Whole ? V::load(from) : V::load(from, std::min(V::width, samples - v));
                }
                int i = 0;
                for (; i + together <= count; i += together) {
                    if (v == 0 && o == 0) {
#pragma GCC unroll 16
                        for (int j = 0; j < together; ++j) { prefetch(next + (i + j) * block_size); }
                    }
                    add<together>(gradient, w + o, sum + v, i);
                }
                for (; i < count; ++i) { add<1>(gradient, w + o, sum + v, i); }
            }
        }
    }

    template <int Inputs>
    static CTNN_ALWAYS_INLINE void add(const V (&gradient)[held], const T* w, T* to, int i) {
        V sum[Inputs];
#pragma GCC unroll 16
        for (int j = 0; j < Inputs; ++j) { sum[j] = V::load(to + (i + j) * lanes); }
#pragma GCC unroll 16
        for (int h = 0; h < held; ++h) {
#pragma GCC unroll 16
            for (int j = 0; j < Inputs; ++j) {
                sum[j] = fma(V::broadcast(w[(i + j) * block_size + h]), gradient[h], sum[j]);
            }
        }
#pragma GCC unroll 16
        for (int j = 0; j < Inputs; ++j) { sum[j].store(to + (i + j) * lanes); }
    }
};

}  // namespace ctnn::inline CTNN_ISA
