// Convolutions of 3×3 and 5×5 with a fraction of the multiplications: Winograd's minimal filtering (1980) in the form
// of Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016).
//
// An output tile of m×m is Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)]A of the r×r filter g and the 6×6 input patch d, m + r − 1 = 6: both
// are taken as polynomials in two variables, at 36 points their values are multiplied, and the product is interpolated.
// Summed over input channels these are 36 matrix products over tiles; the rest is additions. F(4×4, 3×3) saves three
// quarters of the multiplications, F(2×2, 5×5) 64 %. Both cost about one of float's seven decimal digits.
#pragma once

#include <algorithm>
#include <cstddef>

#include <ctnn/kernels/correlation.hpp>
#include <ctnn/kernels/register_tile.hpp>
#include <ctnn/kernels/simd.hpp>
#include <ctnn/kernels/weight_gradient.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// The one-dimensional transforms over the points 0, 1, −1, 2, −2 and ∞.
template <class V>
struct WinogradTransforms {
    using T = decltype(sum(V{}));
    static CTNN_ALWAYS_INLINE V times(double factor, V x) { return V::broadcast(static_cast<T>(factor)) * x; }

    /// A, and G up to a factor for each point: the values of the polynomial with coefficients c.
    template <int N>
    static CTNN_ALWAYS_INLINE void evaluate(const V (&c)[N], V (&value)[6]) {
        V even = c[0], odd = c[1], even2 = c[0], odd2 = times(2, c[1]);
#pragma GCC unroll 8
        for (int i = 2; i < N; ++i) {
            (i % 2 == 0 ? even : odd) = (i % 2 == 0 ? even : odd) + c[i];
            (i % 2 == 0 ? even2 : odd2) = (i % 2 == 0 ? even2 : odd2) + times(1 << i, c[i]);
        }
        value[0] = c[0];
        value[1] = even + odd;
        value[2] = even - odd;
        value[3] = even2 + odd2;
        value[4] = even2 - odd2;
        value[5] = c[N - 1];
    }
    /// Aᵀ, and Gᵀ up to the factors: the transpose of `evaluate`.
    template <int N>
    static CTNN_ALWAYS_INLINE void gather(const V (&value)[6], V (&c)[N]) {
        const V even = value[1] + value[2], odd = value[1] - value[2];
        const V even2 = value[3] + value[4], odd2 = value[3] - value[4];
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) { c[i] = (i % 2 == 0 ? even : odd) + times(1 << i, i % 2 == 0 ? even2 : odd2); }
        c[0] = c[0] + value[0];
        c[N - 1] = c[N - 1] + value[5];
    }
    /// G's factors: what Lagrange's polynomials of the five finite points are divided by.
    static CTNN_ALWAYS_INLINE void scale(V (&value)[6]) {
        constexpr double factors[]{1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24};
#pragma GCC unroll 8
        for (int p = 0; p < 5; ++p) { value[p] = times(factors[p], value[p]); }
    }

    // Types, because neither a function passed by reference nor a lambda is inlined at every level of optimisation.

    /// Bᵀ: a patch to its points.
    struct Input {
        CTNN_ALWAYS_INLINE void operator()(const V (&d)[6], V (&t)[6]) const {
            const V even = d[4] - times(4, d[2]), odd = d[3] - times(4, d[1]);
            const V far = d[4] - d[2], near = times(2, d[3] - d[1]);
            t[0] = times(4, d[0]) - times(5, d[2]) + d[4];
            t[1] = even + odd;
            t[2] = even - odd;
            t[3] = far + near;
            t[4] = far - near;
            t[5] = times(4, d[1]) - times(5, d[3]) + d[5];
        }
    };
    struct Output {
        template <int N>
        CTNN_ALWAYS_INLINE void operator()(const V (&sums)[6], V (&y)[N]) const {
            gather(sums, y);
        }
    };
    struct OutputGradient {
        template <int N>
        CTNN_ALWAYS_INLINE void operator()(const V (&y)[N], V (&values)[6]) const {
            evaluate(y, values);
        }
    };
    struct Filter {
        template <int N>
        CTNN_ALWAYS_INLINE void operator()(const V (&g)[N], V (&values)[6]) const {
            evaluate(g, values);
            scale(values);
        }
    };
    struct FilterGradient {
        template <int N>
        CTNN_ALWAYS_INLINE void operator()(const V (&values)[6], V (&g)[N]) const {
            V scaled[6];
            std::copy_n(values, 6, scaled);
            scale(scaled);
            gather(scaled, g);
        }
    };
};

/// Applies a transform of In to Out numbers to the rows and then to the columns of a square.
template <class Transform, int In, int Out, class V>
CTNN_ALWAYS_INLINE void transform_square(const V (&in)[In][In], V (&out)[Out][Out]) {
    V half[Out][In];  // columns of `half` are transformed rows
#pragma GCC unroll 8
    for (int i = 0; i < In; ++i) {
        V to[Out];
        Transform{}(in[i], to);
#pragma GCC unroll 8
        for (int j = 0; j < Out; ++j) { half[j][i] = to[j]; }
    }
#pragma GCC unroll 8
    for (int j = 0; j < Out; ++j) {
        V to[Out];
        Transform{}(half[j], to);
#pragma GCC unroll 8
        for (int i = 0; i < Out; ++i) { out[i][j] = to[i]; }
    }
}

}  // namespace detail

/// The correlation D, of 3×3 or 5×5 with stride 1, and the gradient of its weights.
template <CorrelationDims D, class T, class Arch = DefaultArch>
struct WinogradCorrelation {
    static constexpr int taps = D.y.extent;
    static_assert((taps == 3 || taps == 5) && D.x.extent == taps && D.y.stride == 1 && D.x.stride == 1);

    static constexpr int points = 36;
    static constexpr int side = 7 - taps;  ///< of an output tile
    static constexpr int tiles_y = ceil_div(D.out_height, side), tiles_x = ceil_div(D.out_width, side);
    static constexpr int tiles = tiles_y * tiles_x;  ///< of a sample
    /// One point's product: a linear layer whose samples are tiles.
    static constexpr CorrelationDims product{
        D.in_channels, 1, 1, D.in_channels, D.out_channels, 1, 1, D.out_channels, D.out_channels, {1, 1, 0}, {1, 1, 0}};

    /// Elements from one point's matrix to the next one's: a line more than its size, because matrices a power of two
    /// apart would share the same few sets of a cache.
    static constexpr std::ptrdiff_t point_stride(std::ptrdiff_t elements) { return elements + block_size; }

    /// Elements of transformed filters, [point][out / 16][in][16], and of their gradients.
    static constexpr std::ptrdiff_t point_filters = point_stride(product.block_weights() * product.blocks());
    static constexpr std::ptrdiff_t filter_elements = points * point_filters;

    /// Samples that go through together: half a second-level cache of transformed patches.
    static constexpr int chunk = static_cast<int>(std::clamp<std::ptrdiff_t>(
        std::ptrdiff_t{512} * 1024 / (std::ptrdiff_t{points} * tiles * D.in_channels * std::ptrdiff_t{sizeof(T)}), 1,
        32));
    static constexpr RegisterTile tile = choose_tile<T, Arch>(chunk * tiles, D.blocks());
    static constexpr int block_groups = D.blocks() / tile.blocks;
    static constexpr int group_channels = tile.blocks * block_size;
    static constexpr int rows = ceil_div(chunk * tiles, tile.pixels) * tile.pixels;
    /// Elements of scratch for `correlate`.
    static constexpr std::ptrdiff_t patch_stride = point_stride(std::ptrdiff_t{rows} * D.in_channels);
    static constexpr std::ptrdiff_t sum_stride = point_stride(std::ptrdiff_t{rows} * group_channels);
    static constexpr std::ptrdiff_t scratch_elements = points * (patch_stride + sum_stride);

    /// Transforms the filters of one block of outputs, from the weights' layout [out / 16][row][column][in][16].
    static void transform_filters(const T* weights, T* filters, int block) {
        const T* from = weights + block * D.block_weights();
        T* to = filters + block * product.block_weights();
        for (int i = 0; i < D.in_channels * block_size; i += V::width) {
            V g[taps][taps], u[6][6];
            for (int k = 0; k < taps * taps; ++k) {
                g[k / taps][k % taps] = V::load(from + k * D.in_channels * block_size + i);
            }
            detail::transform_square<typename Transforms::Filter>(g, u);
            for (int p = 0; p < points; ++p) { u[p / 6][p % 6].store(to + p * point_filters + i); }
        }
    }
    /// The way back: overwrites the weights' gradients of one block.
    static void filters_to_weights(const T* filters, T* weights, int block) {
        const T* from = filters + block * product.block_weights();
        T* to = weights + block * D.block_weights();
        for (int i = 0; i < D.in_channels * block_size; i += V::width) {
            V u[6][6], g[taps][taps];
            for (int p = 0; p < points; ++p) { u[p / 6][p % 6] = V::load(from + p * point_filters + i); }
            detail::transform_square<typename Transforms::FilterGradient>(u, g);
            for (int k = 0; k < taps * taps; ++k) {
                g[k / taps][k % taps].store(to + k * D.in_channels * block_size + i);
            }
        }
    }

    /// Outputs of samples [begin, end), at most `chunk`, which lie in_sample and out_sample elements apart.
    static void correlate(const T* x, std::ptrdiff_t in_sample, const T* filters, T* out, std::ptrdiff_t out_sample,
                          int begin, int end, const Epilogue<T>& epilogue, T* scratch) {
        T* const sums = scratch + points * patch_stride;
        for (int n = begin; n < end; ++n) {
            transform_input(x + n * in_sample, scratch, patch_stride, (n - begin) * tiles);
        }
        // Rows behind the last tile hold what was there before; nobody reads what becomes of them.
        const int used = ceil_div((end - begin) * tiles, tile.pixels) * tile.pixels;
        for (int b = 0; b < block_groups; ++b) {
            for (int p = 0; p < points; ++p) {
                const T* patches = scratch + p * patch_stride;
                const T* w = filters + p * point_filters + product.block_weights() * tile.blocks * b;
                for (int row = 0; row < used; row += tile.pixels) {
                    Accumulators<T, Arch, tile.pixels, tile.blocks> products;
                    products.clear();
                    products.template add<0, tile.pixels>(patches + std::ptrdiff_t{row} * D.in_channels, D.in_channels,
                                                          w, product.block_weights(), D.in_channels);
                    products.template store<true>(sums + p * sum_stride + std::ptrdiff_t{row} * group_channels,
                                                  group_channels, group_channels, {});
                }
            }
            for (int n = begin; n < end; ++n) {
                transform_output(sums, (n - begin) * tiles, out + n * out_sample, b * group_channels, epilogue);
            }
        }
    }

    /// Patches of a sample, transformed: [point][row][channel], its tiles in rows [first, first + tiles).
    static void transform_input(const T* x, T* to, std::ptrdiff_t stride, int first) {
        for (int t = 0; t < tiles; ++t) {
            const int y0 = t / tiles_x * side - D.y.padding, x0 = t % tiles_x * side - D.x.padding;
            for_vectors<T, Arch>(D.in_channels, [&](std::ptrdiff_t c, auto load, auto store) {
                V d[6][6], v[6][6];
                for (int i = 0; i < 6; ++i) {
                    for (int j = 0; j < 6; ++j) {
                        const int row = y0 + i, column = x0 + j;
                        const bool inside = row >= 0 && row < D.in_height && column >= 0 && column < D.in_width;
                        d[i][j] = inside ? load(x + std::ptrdiff_t{row} * D.in_row() + column * D.in_pixel + c)
                                         : V::broadcast(T{});
                    }
                }
                detail::transform_square<typename Transforms::Input>(d, v);
                for (int p = 0; p < points; ++p) {
                    store(to + p * stride + std::ptrdiff_t{first + t} * D.in_channels + c, v[p / 6][p % 6]);
                }
            });
        }
    }
    /// Output gradients of a sample, likewise.
    static void transform_gradient(const T* dy, T* to, std::ptrdiff_t stride, int first) {
        for (int t = 0; t < tiles; ++t) {
            const int y0 = t / tiles_x * side, x0 = t % tiles_x * side;
            for_vectors<T, Arch>(D.out_channels, [&](std::ptrdiff_t c, auto load, auto store) {
                V d[side][side], v[6][6];
                for (int i = 0; i < side; ++i) {
                    for (int j = 0; j < side; ++j) {
                        const bool inside = y0 + i < D.out_height && x0 + j < D.out_width;
                        d[i][j] = inside ? load(dy + std::ptrdiff_t{y0 + i} * D.out_row + (x0 + j) * D.out_pixel + c)
                                         : V::broadcast(T{});
                    }
                }
                detail::transform_square<typename Transforms::OutputGradient>(d, v);
                for (int p = 0; p < points; ++p) {
                    store(to + p * stride + std::ptrdiff_t{first + t} * D.out_channels + c, v[p / 6][p % 6]);
                }
            });
        }
    }

    /// Items of the weights' gradient: runs of filter gradients that one thread adds up whole.
    using Gradient = WeightGradient<product, T, Arch>;
    static constexpr int gradient_items = points * Gradient::items;
    static constexpr bool gradient_streams = Gradient::streams;
    /// Adds rows [0, count) of transformed patches × transformed gradients to item `item`, or overwrites it.
    static void add_gradient(const T* patches, std::ptrdiff_t patch_step, const T* gradients,
                             std::ptrdiff_t gradient_step, T* filters, int count, int item, bool overwrite) {
        const int p = item / Gradient::items;
        Gradient::add(patches + p * patch_step, D.in_channels, gradients + p * gradient_step, D.out_channels,
                      filters + p * point_filters, 0, count, 1, item % Gradient::items, overwrite);
    }

  private:
    using V = Vec<T, Arch>;
    using Transforms = detail::WinogradTransforms<V>;

    static void transform_output(const T* sums, int first, T* out, int channel, const Epilogue<T>& e) {
        const int channels = std::min(group_channels, D.out_channels - channel);
        for (int t = 0; t < tiles; ++t) {
            const int y0 = t / tiles_x * side, x0 = t % tiles_x * side;
            const int height = std::min(side, D.out_height - y0), width = std::min(side, D.out_width - x0);
            T* to = out + std::ptrdiff_t{y0} * D.out_row + x0 * D.out_pixel + channel;
            for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto, auto store) {
                V m[6][6], y[side][side];
                for (int p = 0; p < points; ++p) {
                    m[p / 6][p % 6] = V::load(sums + p * sum_stride + std::ptrdiff_t{first + t} * group_channels + c);
                }
                detail::transform_square<typename Transforms::Output>(m, y);
                const V scale = e.scale != nullptr ? V::load(e.scale + channel + c) : V::broadcast(T{1});
                const V shift = e.shift != nullptr ? V::load(e.shift + channel + c) : V::broadcast(T{});
                for (int i = 0; i < height; ++i) {
                    for (int j = 0; j < width; ++j) {
                        V value = fma(y[i][j], scale, shift);
                        if (e.relu) { value = max(V::broadcast(T{}), value); }
                        store(to + std::ptrdiff_t{i} * D.out_row + j * D.out_pixel + c, value);
                    }
                }
            });
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA
