// A stage at work: the head's kernels and the tail, forward and backward, over a batch and threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <ctnn/core/parallel.hpp>
#include <ctnn/network/direct_passes.hpp>
#include <ctnn/network/stage_io.hpp>
#include <ctnn/network/stages.hpp>
#include <ctnn/network/tail.hpp>
#include <ctnn/network/winograd_passes.hpp>

namespace ctnn::inline CTNN_ISA {

/// Stages with a convolution, a linear layer or nothing in front of their tail. `InGradient`: backward writes the
/// gradient with respect to the input. `Custom` is the layer where it is from outside the library.
///
/// The unit of work is a band: some output rows of one sample and the rows of the map they need, which stay in cache
/// between head and tail. Batch norm in training needs all samples between the two, and so keeps the map.
template <StageSpec S, class T, bool TrainingPass, bool InGradient, class Custom = void>
struct Stage {
    using Behind = Tail<S, T>;
    static constexpr bool linear = S.head == Head::linear;
    static constexpr bool weighted = linear || S.head == Head::convolution;
    static constexpr ConvolutionDims dims =
        linear ? ConvolutionDims{{static_cast<int>(S.in.size()), 1, 1}, {S.map.channels, 1, 1}, 1, {}}
               : ConvolutionDims{S.in, S.map, S.groups, S.window};
    static constexpr bool narrow = linear || (weighted && S.map.width < narrow_width);
    /// The head computes all samples before the tail begins.
    static constexpr bool whole = narrow || S.winograd;
    using Passes = std::conditional_t<S.winograd, WinogradPasses<dims, T>, DirectPasses<dims, linear, T>>;
    static constexpr bool train_norm = S.batch_norm && TrainingPass;
    /// The whole map is kept from forward to backward: a norm needs its input again.
    static constexpr bool keeps_map = weighted && TrainingPass && Behind::norms;
    /// The map is a buffer in forward: it is kept, or the head is done before the tail begins.
    static constexpr bool map_in_forward = keeps_map || (whole && (S.pooled || S.response_norm));
    static constexpr std::ptrdiff_t map_elements =
        weighted && (map_in_forward || (TrainingPass && S.pooled)) ? Behind::map_size : 0;
    static constexpr bool backward_needs_input = weighted || Behind::norms;
    static constexpr bool backward_needs_output = S.activation != Activation::identity && !S.response_norm;

    /// Bands per sample: what a band computes stays within the second-level cache.
    static constexpr int bands =
        S.dropout ? 1
                  : std::clamp(static_cast<int>(Behind::map_size * std::ptrdiff_t{sizeof(T)} / (512 * 1024)) + 1, 1,
                               std::min(Behind::pooled_shape.height, S.map.height));
    static constexpr int band_row(int band, int of) { return band * Behind::pooled_shape.height / of; }
    static constexpr int map_row(int band) { return band * S.map.height / bands; }
    /// Map rows that a band needs at most, also where bands are cut finer: what the map's edges cut off is not counted
    /// on.
    static constexpr int band_map_rows = [] {
        const int rows = ceil_div(Behind::pooled_shape.height, bands);
        return S.pooled ? std::min((rows - 1) * S.pool.y.stride + S.pool.y.extent, S.map.height) : rows;
    }();
    /// The bands of a sample are done in order, by one thread: they share rows of a map that is kept.
    static constexpr bool bands_in_order = keeps_map && !whole && !train_norm;

    static constexpr std::ptrdiff_t mask_bytes = S.dropout ? (Behind::mask_bits + 7) / 8 : 0;
    static constexpr std::ptrdiff_t saved_elements = S.batch_norm ? BatchNormVectors<T>::size(S.map.channels) : 0;
    static constexpr HeadSizes head_sizes = [] {
        if constexpr (weighted) {
            return Passes::template sizes < TrainingPass && InGradient > ;
        } else {
            return HeadSizes{};
        }
    }();
    static constexpr std::ptrdiff_t row_elements =
        std::max({std::ptrdiff_t{train_norm ? 2 * S.map.channels * bands : 0},
                  std::ptrdiff_t{weighted && S.bias ? S.map.channels : 0}, head_sizes.rows});
    static constexpr std::ptrdiff_t packed_elements = head_sizes.packed;
    static constexpr std::ptrdiff_t filter_elements = head_sizes.filters;
    static constexpr std::ptrdiff_t transposed_elements = head_sizes.transposed;

    /// Scratch of a thread: rows of a band in forward, one map's gradient in backward, and a pixel of response norm.
    static constexpr std::ptrdiff_t forward_rows =
        (weighted && !map_in_forward && (S.pooled || S.response_norm)) || (S.response_norm && S.pooled)
            ? band_map_rows * Behind::map_row
            : 0;
    static constexpr std::ptrdiff_t backward_rows =
        TrainingPass && S.response_norm
            ? Behind::map_size * ((S.pooled ? 1 : 0) + (!weighted && S.activation != Activation::identity ? 1 : 0))
            : 0;
    static constexpr std::ptrdiff_t rows_elements = std::max(forward_rows, backward_rows);
    static constexpr std::ptrdiff_t scratch_elements =
        std::max(rows_elements + Behind::response_scratch, head_sizes.scratch);

    /// Overwrites the output; in training also what backward needs.
    static void forward(const StageIO<T>& io) { forward(io, io.weight); }
    /// The same with other weights of the head: a linear layer's in half precision.
    template <class W>
    static void forward(const StageIO<T>& io, const W* weight) {
        if constexpr (S.batch_norm && !TrainingPass) {
            batch_norm_from_running(io.running_mean, io.running_variance, S.map.channels, io.norm_weight, io.norm_bias,
                                    S.eps, vectors(io));
            if constexpr (weighted && S.bias) {  // the bias passes through the norm's scale
                for (int c = 0; c < S.map.channels; ++c) { vectors(io).shift[c] += vectors(io).scale[c] * io.bias[c]; }
            }
        }
        if constexpr (train_norm) {
            parallel_for(io.samples * bands, io.threads, [&](int item, int) {
                const int n = item / bands, band = item % bands;
                if constexpr (weighted && !whole) {
                    head_rows(io, n, map_row(band), map_row(band + 1), io.map + n * Behind::map_size, epilogue(io));
                }
                if constexpr (!whole) { moments(io, n, band); }
            });
            if constexpr (whole) {
                head_all(io, weight, io.map, epilogue(io));
                parallel_for(io.samples * bands, io.threads,
                             [&](int item, int) { moments(io, item / bands, item % bands); });
            }
            batch_norm_statistics(
                io.rows, io.samples * bands,
                [](int row) { return double{1} * (map_row(row % bands + 1) - map_row(row % bands)) * S.map.width; },
                S.map.channels, io.norm_weight, io.norm_bias, S.eps, S.momentum, vectors(io), io.next_running_mean,
                io.next_running_variance, io.norm_sum);
        } else if constexpr (whole) {
            head_all(io, weight, map_elements > 0 ? io.map : io.output, epilogue(io));
        }
        const int parts = bands_for(io), units = bands_in_order ? 1 : parts, run = parts / units;
        parallel_for(io.samples * units, io.threads, [&](int item, int thread) {
            const int n = item / units, first = item % units * run;
            T* const scratch = io.scratch + thread * io.scratch_stride;
            for (int part = first; part < first + run; ++part) {
                tail_band(io, n, band_row(part, parts), band_row(part + 1, parts), scratch);
            }
            if constexpr (S.dropout) {
                if constexpr (TrainingPass) {
                    Behind::drop(io.output + n * Behind::out_size, io.mask + n * mask_bytes,
                                 io.random.stream(n, S.dropout_layer));
                }
            }
        });
    }

    /// Overwrites the gradients of the parameters and, where asked, of the input. The output gradient is used up.
    static void backward(const StageIO<T>& io) {
        // Without a norm or pool the output gradient becomes the map's in place.
        T* const map_gradient = !weighted ? io.input_gradient : map_elements > 0 ? io.map : io.output_gradient;
        const T* const map = weighted ? io.map : io.input;
        if constexpr (S.batch_norm) {
            parallel_for(io.samples, io.threads, [&](int n, int) {
                undo_output(io, n);
                Behind::sums(map + n * Behind::map_size, io.output_gradient + n * Behind::out_size, places(io, n),
                             vectors(io), io.rows + std::ptrdiff_t{n} * 2 * S.map.channels);
            });
            merge_norm_sums(io);
        }
        parallel_for(io.samples, io.threads, [&](int n, int thread) {
            T* scratch = io.scratch + thread * io.scratch_stride;
            if constexpr (!S.batch_norm) { undo_output(io, n); }
            if (map_gradient != nullptr) {
                T* to = map_gradient + n * Behind::map_size;
                Behind::template backward<weighted>(sample(map, n, Behind::map_size),
                                                    io.output_gradient + n * Behind::out_size, places(io, n),
                                                    vectors(io), to, scratch, scratch + rows_elements);
                if constexpr (weighted && S.bias) {
                    sum_pixels(to, io.rows + std::ptrdiff_t{n} * S.map.channels, S.map.pixels(), S.map.channels);
                }
            }
        });
        if constexpr (weighted) {
            if constexpr (S.bias) { merge_bias(io); }
            Passes::weight_gradient(io, map_gradient);
            if constexpr (InGradient) { Passes::data_gradient(io, map_gradient); }
        }
    }

  private:
    /// Bands of this pass. Inference cuts finer where there are too few samples for the threads: one image is shared
    /// out by rows, all of which read the same weights, so that no thread waits for another's channels to pool them.
    static int bands_for(const StageIO<T>& io) {
        if constexpr (TrainingPass) {
            return bands;
        } else {
            const int wanted = io.samples < io.threads ? ceil_div(2 * io.threads, io.samples) : 1;
            return std::clamp(wanted, bands, std::max(bands, Behind::pooled_shape.height));
        }
    }
    static BatchNormVectors<T> vectors(const StageIO<T>& io) { return {io.saved, S.batch_norm ? S.map.channels : 0}; }
    /// Sample n of a buffer that the plan may lack.
    static const T* sample(const T* buffer, int n, std::ptrdiff_t size) {
        return buffer == nullptr ? nullptr : buffer + n * size;
    }
    static const std::uint8_t* places(const StageIO<T>& io, int n) {
        return io.places == nullptr ? nullptr : io.places + n * Behind::out_size;
    }
    static void undo_output(const StageIO<T>& io, int n) {
        Behind::undo_output(io.output + n * Behind::out_size, io.mask == nullptr ? nullptr : io.mask + n * mask_bytes,
                            io.output_gradient + n * Behind::out_size);
    }
    static void moments(const StageIO<T>& io, int n, int band) {
        const T* map = (weighted ? io.map : io.input) + n * Behind::map_size + map_row(band) * Behind::map_row;
        pixel_moments(map, io.rows + (std::ptrdiff_t{n} * bands + band) * 2 * S.map.channels,
                      (map_row(band + 1) - map_row(band)) * S.map.width, S.map.channels);
    }

    /// What the head does to its sums: batch norm's scale and shift in inference, else the bias; ReLU unless batch norm
    /// is still to come.
    static Epilogue<T> epilogue(const StageIO<T>& io) {
        Epilogue<T> e;
        if constexpr (S.batch_norm && !TrainingPass) {
            e.scale = vectors(io).scale;
            e.shift = vectors(io).shift;
        } else if constexpr (S.bias) {
            e.shift = io.bias;
        }
        e.relu = S.activation == Activation::relu && !train_norm;
        return e;
    }
    /// Sigmoid and tanh are too long for a register tile's epilogue: they follow while the rows are in cache.
    static void finish_activation(T* rows, std::ptrdiff_t count) {
        if constexpr (!train_norm && (S.activation == Activation::sigmoid || S.activation == Activation::tanh)) {
            activate<S.activation>(rows, rows, count);
        }
    }

    /// Map rows [r0, r1) of sample n; `map` is where row 0 would be.
    static void head_rows(const StageIO<T>& io, int n, int r0, int r1, T* map, const Epilogue<T>& e) {
        Passes::rows(io, n, r0, r1, map, e);
        finish_activation(map + r0 * Behind::map_row, (r1 - r0) * Behind::map_row);
    }
    /// The maps of all samples.
    template <class W>
    static void head_all(const StageIO<T>& io, const W* weight, T* map, const Epilogue<T>& e) {
        Passes::forward(io, weight, map, e);
        if constexpr (!train_norm && (S.activation == Activation::sigmoid || S.activation == Activation::tanh)) {
            parallel_for(io.samples, io.threads,
                         [&](int n, int) { finish_activation(map + n * Behind::map_size, Behind::map_size); });
        }
    }

    /// Output rows [r0, r1) of sample n.
    static void tail_band(const StageIO<T>& io, int n, int r0, int r1, T* scratch) {
        T* out = io.output + n * Behind::out_size;
        std::uint8_t* to_places = S.pooled && TrainingPass ? io.places + n * Behind::out_size : nullptr;
        T* rows = scratch - Behind::map_begin(r0) * Behind::map_row;
        T* pixel = scratch + rows_elements;
        const BatchNormVectors<T> v = vectors(io);
        if constexpr (!weighted) {
            Behind::template forward<S.batch_norm, false>(io.input + n * Behind::map_size, v.scale, v.shift, rows,
                                                          pixel, out, to_places, r0, r1);
        } else if constexpr (train_norm && S.batch_norm) {
            Behind::template forward<true, false>(io.map + n * Behind::map_size, v.scale, v.shift, rows, pixel, out,
                                                  to_places, r0, r1);
        } else if constexpr (whole) {
            if constexpr (!Behind::empty) {
                const T* map = map_elements > 0 ? io.map + n * Behind::map_size : out;
                Behind::template forward<false, true>(map, nullptr, nullptr, rows, pixel, out, to_places, r0, r1);
            }
        } else {
            T* map = keeps_map ? io.map + n * Behind::map_size : S.pooled || S.response_norm ? rows : out;
            int m0 = Behind::map_begin(r0), m1 = Behind::map_end(r1);
            if constexpr (bands_in_order) {  // each row once, and those that no window has: backward reads all
                m0 = r0 == 0 ? 0 : Behind::map_end(r0);
                if (r1 == Behind::pooled_shape.height) { m1 = S.map.height; }
            }
            head_rows(io, n, m0, m1, map, epilogue(io));
            Behind::template forward<false, true>(map, nullptr, nullptr, rows, pixel, out, to_places, r0, r1);
        }
    }

    /// dγ and dβ from the samples' sums in order, and the means a and b of what backward sums up: over all processes
    /// that share the batch, while dγ and dβ are this one's part.
    static void merge_norm_sums(const StageIO<T>& io) {
        const BatchNormVectors<T> v = vectors(io);
        constexpr int channels = S.map.channels;
        const T count = static_cast<T>(io.samples) * static_cast<T>(S.map.pixels());
        add_rows(io.rows, 2 * channels, io.samples, channels, io.norm_bias_gradient);
        add_rows(io.rows + channels, 2 * channels, io.samples, channels, io.norm_weight_gradient);
        if (io.norm_sum) {
            double* const sums = io.norm_sum.memory;
            double& counts = sums[NormSum::size(channels) - 1];
            std::copy_n(io.norm_bias_gradient, channels, sums);
            std::copy_n(io.norm_weight_gradient, channels, sums + channels);
            counts = static_cast<double>(count);
            io.norm_sum(channels);
            for (int c = 0; c < channels; ++c) {
                v.a[c] = static_cast<T>(sums[c] / counts);
                v.b[c] = static_cast<T>(sums[channels + c] / counts);
            }
            return;
        }
        for (int c = 0; c < channels; ++c) {
            v.a[c] = io.norm_bias_gradient[c] / count;
            v.b[c] = io.norm_weight_gradient[c] / count;
        }
    }

    static void merge_bias(const StageIO<T>& io) {
        for (int g = 0; g < dims.groups; ++g) {
            add_rows(io.rows + g * dims.group_out(), S.map.channels, io.samples, dims.group_out(),
                     io.bias_gradient + g * dims.group_bias());
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA
