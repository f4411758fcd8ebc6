// The tail of a stage, sample by sample: [batch norm ·] activation [· response norm] [· max pool] [· dropout].
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <ctnn/kernels/dropout.hpp>
#include <ctnn/kernels/elementwise.hpp>
#include <ctnn/kernels/normalization.hpp>
#include <ctnn/kernels/pooled_norm.hpp>
#include <ctnn/kernels/pooling.hpp>
#include <ctnn/network/stage_io.hpp>
#include <ctnn/network/stages.hpp>

namespace ctnn::inline CTNN_ISA {

template <StageSpec S, class T>
struct Tail {
    static constexpr int channels = S.map.channels;
    static constexpr std::ptrdiff_t map_size = S.map.size();
    static constexpr std::ptrdiff_t out_size = S.out.size();
    static constexpr std::ptrdiff_t map_row = std::ptrdiff_t{S.map.width} * channels;
    static constexpr Shape pooled_shape =
        S.pooled ? S.pool.output(S.map, channels) : S.map;  // S.out may be flattened: same elements
    static constexpr std::ptrdiff_t out_row = std::ptrdiff_t{pooled_shape.width} * channels;
    static constexpr PoolDims pool{S.map, pooled_shape, S.pool};
    static constexpr ResponseNormDims response{channels, S.size, S.alpha, S.beta, S.k};
    static constexpr bool norms = S.batch_norm || S.response_norm;
    /// Nothing left to do behind a head that applies the activation itself.
    static constexpr bool empty = !S.response_norm && !S.pooled && !S.dropout;

    static constexpr int mask_bits = S.channel_dropout ? channels : static_cast<int>(out_size);
    static constexpr T keep_factor = static_cast<T>(1.0 / (1.0 - S.p));

    /// Map rows [map_begin(r0), map_end(r1)) that output rows [r0, r1) need.
    static constexpr int map_begin(int r) { return S.pooled ? std::max(S.pool.y.first(r), 0) : r; }
    static constexpr int map_end(int r) {
        return S.pooled ? std::min(S.pool.y.first(r - 1) + S.pool.y.extent, S.map.height) : r;
    }

    /// Scratch of response norm: one pixel's squares, and where it is pooled or not yet activated, rows of the map.
    static constexpr std::ptrdiff_t response_scratch = S.response_norm ? response.scratch() : 0;

    /// Output rows [r0, r1) of a sample from map rows at `map` (where row 0 would be). Affine: the map still awaits
    /// scale and shift; Activated: it has been activated. `rows` is scratch where map row 0 would be, for response
    /// norm; it may be `map`.
    template <bool Affine, bool Activated>
    static void forward(const T* map, const T* scale, const T* shift, T* rows, T* scratch, T* out, std::uint8_t* places,
                        int r0, int r1) {
        constexpr Activation pending = Activated ? Activation::identity : S.activation;
        const int m0 = map_begin(r0), m1 = map_end(r1);
        if constexpr (S.response_norm) {
            const T* from = map + m0 * map_row;
            T* to = (S.pooled ? rows + m0 * map_row : out + r0 * out_row);
            const int pixels = (m1 - m0) * S.map.width;
            if constexpr (pending != Activation::identity) {
                activate<pending>(from, to, pixels * channels);
                from = to;
            }
            response_norm<response>(from, to, pixels, scratch);
            if constexpr (S.pooled) {
                max_pool_rows<pool, Activation::identity, false, T>(rows, nullptr, nullptr, out, places, r0, r1);
            }
        } else if constexpr (S.pooled) {
            max_pool_rows<pool, pending, Affine>(map, scale, shift, out, places, r0, r1);
        } else if constexpr (Affine) {
            scale_shift_activate<pending>(map + r0 * map_row, scale, shift, out + r0 * out_row, (r1 - r0) * S.map.width,
                                          channels);
        } else if (pending != Activation::identity || map != out) {
            activate<pending>(map + r0 * map_row, out + r0 * out_row, (r1 - r0) * map_row);
        }
    }

    /// Draws the mask of one sample and applies it to its output.
    static void drop(T* out, std::uint8_t* mask, const Random& random) {
        draw_mask(mask, mask_bits, S.p, random);
        apply_mask(out, mask, out, static_cast<int>(out_size / channels), channels, S.channel_dropout, keep_factor);
    }

    /// Takes the output gradient of one sample back in front of dropout and, unless a response norm lies between, of
    /// the activation, in place.
    static void undo_output(const T* out, const std::uint8_t* mask, T* gradient) {
        if constexpr (S.dropout) {
            apply_mask(gradient, mask, gradient, static_cast<int>(out_size / channels), channels, S.channel_dropout,
                       keep_factor);
        }
        if constexpr (S.activation != Activation::identity && !S.response_norm) {
            activation_gradient<S.activation>(out, gradient, gradient, out_size);
        }
    }

    /// Batch norm's sums over one sample from the gradient that undo_output left: sums[0, C) and sums[C, 2C).
    static void sums(const T* map, const T* gradient, const std::uint8_t* places, BatchNormVectors<T> v, T* to) {
        if constexpr (S.pooled) {
            max_pool_batch_norm_sums<pool>(map, gradient, places, v, to);
        } else {
            batch_norm_sums(map, gradient, v, to, S.map.pixels(), channels);
        }
    }

    /// The gradient with respect to the map from the gradient that undo_output left, one sample. `map` is what forward
    /// met (for response norm the activated map); `to` may be `map` or `gradient`. `rows` is scratch of one map.
    template <bool Activated>
    static void backward(const T* map, T* gradient, const std::uint8_t* places, BatchNormVectors<T> v, T* to, T* rows,
                         T* scratch) {
        if constexpr (S.batch_norm && S.pooled) {
            max_pool_batch_norm_gradient<pool>(map, gradient, places, v, to);
        } else if constexpr (S.batch_norm) {
            batch_norm_gradient<T>(map, gradient, v, to, S.map.pixels(), channels);
        } else if constexpr (S.response_norm) {
            const T* from = gradient;
            if constexpr (S.pooled) {
                max_pool_gradient<pool>(gradient, places, rows);
                from = rows;
            }
            if constexpr (!Activated && S.activation != Activation::identity) {
                T* activated = rows + (S.pooled ? map_size : 0);
                activate<S.activation>(map, activated, map_size);
                map = activated;
            }
            response_norm_gradient<response, S.activation>(map, from, to, S.map.pixels(), scratch);
        } else if constexpr (S.pooled) {
            max_pool_gradient<pool>(gradient, places, to);
        } else if (to != gradient) {
            std::copy_n(gradient, map_size, to);
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA
