// Gradient of a linear layer with respect to its input, from weights as they lie: no transposed copy of them exists.
//
// The output gradient is transposed instead, in tiles of 16 samples; vectors run over samples, weights are broadcast.
// The reduction over outputs is cut into runs whose tiles fit the second-level cache, and every weight is read once.
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
    static constexpr int per_lanes = vectors_per_block<T, Arch>;
    /// Outputs summed in one run: a transposed tile fills half of a first-level cache of 32 KiB, and the weights of a
    /// run are 16 streams, as many as hardware prefetchers follow.
    static constexpr int run = std::min(D.out, 256);
    static constexpr int runs = ceil_div(D.out, run);
    /// Inputs of one register tile, and items of work: runs of inputs that one thread computes whole.
    static constexpr int tile = std::max(1, std::min(D.in, (V::registers - 4) / per_lanes));
    static constexpr int items = ceil_div(D.in, tile);

    /// Transposes outputs [run·index, …) of samples [16·tile, …) into `transposed`: [sample tile][output][samples of
    /// it].
    static void transpose(const T* dy, T* transposed, int n, int sample_tile, int index) {
        const int first = sample_tile * lanes;
        const int count = std::min(lanes, n - first);
        const int begin = index * run;
        const int outputs = std::min(run, D.out - begin);
        T* to = transposed + std::ptrdiff_t{first} * run;
        for (int o = 0; o < outputs; ++o) {
            for (int s = 0; s < count; ++s) { to[o * count + s] = dy[std::ptrdiff_t{first + s} * D.out + begin + o]; }
        }
    }

    /// Adds run `index` to the gradients of the inputs of `item` (overwrites them in the first run), for all n samples.
    static void add(const T* transposed, const T* weights, T* dx, int n, int item, int index) {
        const int k = item * tile;
        for (int s = 0; s < n; s += lanes) {
            const T* dy = transposed + std::ptrdiff_t{s} * run;
            T* to = dx + std::ptrdiff_t{s} * D.in + k;
            if (D.in - k >= tile) {
                if (n - s >= lanes) {
                    sums<tile, true>(dy, weights, to, lanes, k, index);
                } else {
                    sums<tile, false>(dy, weights, to, n - s, k, index);
                }
            } else {
                for (int c = k; c < D.in; ++c) {
                    sums<1, false>(dy, weights, to + (c - k), std::min(lanes, n - s), c, index);
                }
            }
        }
    }

  private:
    template <int Inputs, bool Whole>
    static void sums(const T* dy, const T* weights, T* dx, int samples, int k, int index) {
        V sum[Inputs][per_lanes];
#pragma GCC unroll 32
        for (int i = 0; i < Inputs; ++i) {
#pragma GCC unroll 16
            for (int v = 0; v < per_lanes; ++v) { sum[i][v] = V::broadcast(T{}); }
        }
        const int begin = index * run;
        const int end = std::min(begin + run, D.out);
        const T* gradient = dy;
        for (int o = begin; o < end; ++o, gradient += samples) {
            V g[per_lanes];
#pragma GCC unroll 16
            for (int v = 0; v < per_lanes; ++v) {
                g[v] = Whole ? V::load(gradient + v * V::width)
                             : V::load(gradient + std::min(v * V::width, samples),
                                       std::clamp(samples - v * V::width, 0, V::width));
            }
            const T* w = weights + (std::ptrdiff_t{o / block_size} * D.in + k) * block_size + o % block_size;
#pragma GCC unroll 32
            for (int i = 0; i < Inputs; ++i) {
                const V weight = V::broadcast(w[i * block_size]);
#pragma GCC unroll 16
                for (int v = 0; v < per_lanes; ++v) { sum[i][v] = fma(weight, g[v], sum[i][v]); }
            }
        }
        T part[Inputs][lanes];
        for (int i = 0; i < Inputs; ++i) {
            for (int v = 0; v < per_lanes; ++v) { sum[i][v].store(part[i] + v * V::width); }
        }
        for (int s = 0; s < samples; ++s) {
            T* to = dx + std::ptrdiff_t{s} * D.in;
            for (int i = 0; i < Inputs; ++i) { to[i] = index == 0 ? part[i][s] : to[i] + part[i][s]; }
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA
