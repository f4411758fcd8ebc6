// Register tiles: which shape covers a row best, and the accumulators of a correlation.
#pragma once

#include <algorithm>
#include <cstddef>

#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

/// What happens to a sum before it is stored: sum · scale[o] + shift[o], a null pointer standing for 1 or 0, then ReLU
/// on request. Both arrays are padded to whole blocks. With `accumulate` the sum starts from what the output holds.
template <class T>
struct Epilogue {
    const T* scale = nullptr;
    const T* shift = nullptr;
    bool relu = false;
    bool accumulate = false;
};

/// A register tile: neighbouring pixels (or samples, or input channels) × blocks of output channels.
struct RegisterTile {
    int pixels, blocks;
};

/// The tile that covers `width` neighbours and `blocks` channel blocks with the fewest loads per multiply-add, its
/// accumulators within the registers. Tiles of at least twice as many pixels as blocks are preferred: weights then
/// stay in registers while pixels stream.
template <class T, class Arch>
constexpr RegisterTile choose_tile(int width, int blocks) {
    using V = Vec<T, Arch>;
    RegisterTile best{1, 1};
    double best_cost = 1e9;
    for (int b = 1; b <= 4; ++b) {
        const int vectors = b * vectors_per_block<T, Arch>;
        // Besides the sums, one pixel's weights and its input: a register too few, and compilers keep sums in memory.
        const int room = std::min(V::registers * 7 / 8, V::registers - vectors - V::broadcast_registers);
        if (blocks % b != 0 || (b > 1 && vectors > room)) { continue; }
        const int pixels = ceil_div(width, ceil_div(width, std::max(1, room / vectors)));
        const double sums = pixels * vectors;
        const double cost = (pixels + vectors) / sums + (pixels < 2 * b ? 0.5 : 0.0) + (sums < 8 ? 0.5 : 0.0);
        if (cost < best_cost) {
            best_cost = cost;
            best = {pixels, b};
        }
    }
    return best;
}

/// One register tile: accumulators of `Pixels` outputs × `Blocks` channel blocks.
template <class T, class Arch, int Pixels, int Blocks>
struct Accumulators {
    using V = Vec<T, Arch>;
    static constexpr int per_block = vectors_per_block<T, Arch>;
    static constexpr int vectors = Blocks * per_block;
    V sum[Pixels][vectors];

    CTNN_ALWAYS_INLINE void clear() {
#pragma GCC unroll 32
        for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) { sum[p][v] = V::broadcast(T{}); }
        }
    }

    /// sum[p] += x[p·step + c] · w[c] for c in [0, count) and p in [Lo, Hi). Blocks of weights lie `block_stride`
    /// apart. They may be of half precision.
    template <int Lo, int Hi, class W>
    CTNN_ALWAYS_INLINE void add(const T* x, std::ptrdiff_t step, const W* w, std::ptrdiff_t block_stride, int count) {
        if constexpr (Lo < Hi) {
#pragma GCC unroll 1
            for (int c = 0; c < count; ++c) {
                V weight[vectors];
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) {
                    weight[v] =
                        V::load(w + (v / per_block) * block_stride + c * block_size + (v % per_block) * V::width);
                }
#pragma GCC unroll 32
                for (int p = Lo; p < Hi; ++p) {
                    const V input = V::broadcast(x[p * step + c]);
#pragma GCC unroll 8
                    for (int v = 0; v < vectors; ++v) { sum[p][v] = fma(input, weight[v], sum[p][v]); }
                }
            }
        }
    }

    /// Loads what the output holds into the sums.
    template <bool Whole>
    CTNN_ALWAYS_INLINE void load(const T* out, std::ptrdiff_t step, int channels) {
#pragma GCC unroll 32
        for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const int left = channels - v * V::width;
                sum[p][v] = Whole || left >= V::width ? V::load(out + p * step + v * V::width)
                                                      : V::load(out + p * step + v * V::width, std::max(left, 0));
            }
        }
    }

    /// Stores the first `channels` channels of every pixel, `step` elements apart.
    template <bool Whole>
    CTNN_ALWAYS_INLINE void store(T* out, std::ptrdiff_t step, int channels, const Epilogue<T>& epilogue) {
        if (epilogue.scale != nullptr) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const V scale = V::load(epilogue.scale + v * V::width);
#pragma GCC unroll 32
                for (int p = 0; p < Pixels; ++p) { sum[p][v] = sum[p][v] * scale; }
            }
        }
        if (epilogue.shift != nullptr) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const V shift = V::load(epilogue.shift + v * V::width);
#pragma GCC unroll 32
                for (int p = 0; p < Pixels; ++p) { sum[p][v] = sum[p][v] + shift; }
            }
        }
        if (epilogue.relu) {
#pragma GCC unroll 32
            for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) { sum[p][v] = max(V::broadcast(T{}), sum[p][v]); }
            }
        }
        if (Whole || channels >= vectors * V::width) {
#pragma GCC unroll 32
            for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) { sum[p][v].store(out + p * step + v * V::width); }
            }
        } else {
#pragma GCC unroll 32
            for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) {
                    const int left = channels - v * V::width;
                    if (left >= V::width) {
                        sum[p][v].store(out + p * step + v * V::width);
                    } else if (left > 0) {
                        sum[p][v].store(out + p * step + v * V::width, left);
                    }
                }
            }
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA
