// A stage's convolution or linear layer as it is written down: its three directions over a batch and threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include <ctnn/core/parallel.hpp>
#include <ctnn/kernels/convolution.hpp>
#include <ctnn/kernels/linear.hpp>
#include <ctnn/network/stage_io.hpp>

namespace ctnn::inline CTNN_ISA {

/// `Linear`: D is over a 1×1 map and its weights outweigh the samples.
template <ConvolutionDims D, bool Linear, class T>
struct DirectPasses {
    using Forward = Correlation<D.forward(), T>;
    using Gradient = WeightGradient<D.forward(), T>;
    using LinearData = LinearDataGradient<LinearDims{D.in.channels, D.out.channels}, T>;

    /// Rows whose length is a multiple of 512 bytes fall into few sets of a cache. A linear layer, which walks many
    /// samples at once, copies such rows apart.
    static constexpr int apart(int row) { return Linear && row % 128 == 0 ? row + block_size : row; }
    static constexpr bool input_apart = apart(D.in.channels) != D.in.channels;
    static constexpr bool gradient_apart = apart(D.out.channels) != D.out.channels;

    /// Weights of few outputs cost less to transpose than what comes of the samples.
    static constexpr bool transposes_weights = !Linear || D.out.channels <= 2 * block_size;

    template <bool InGradient>
    static constexpr HeadSizes sizes{
        .transposed = InGradient && transposes_weights ? transposed_weights(D) : 0,
        .scratch = InGradient && !transposes_weights ? LinearData::sums : 0,
        .rows = std::max<std::ptrdiff_t>(
            InGradient && !transposes_weights ? LinearData::transposed : 0,
            (input_apart ? apart(D.in.channels) : 0) + (gradient_apart ? apart(D.out.channels) : 0)),
        .packed = input_apart ? apart(D.in.channels) : 0};

    /// Map rows [r0, r1) of sample n; `map` is where row 0 would be.
    static void rows(const StageIO<T>& io, int n, int r0, int r1, T* map, const Epilogue<T>& epilogue) {
        for (int g = 0; g < D.groups; ++g) {
            for (int b = 0; b < Forward::block_groups; ++b) {
                Forward::rows(io.input + n * D.in.size() + g * D.group_in(), io.weight + g * D.group_weights(),
                              map + g * D.group_out(), r0, r1, b, of_group(epilogue, g));
            }
        }
    }

    /// The maps of all samples, for heads that tile over samples. Long reductions run in pieces whose weights stay in
    /// the second-level cache. `weight` is io.weight, or the same in half precision.
    template <class W>
    static void forward(const StageIO<T>& io, const W* weight, T* map, const Epilogue<T>& epilogue) {
        constexpr int run = Linear ? 1024 : D.group_in();
        constexpr int channel_items = D.groups * Forward::block_groups;
        // A linear layer's weights are read once, unless threads would be left without channels: then they share out
        // the samples.
        const int sharers = Linear ? ceil_div(io.threads, channel_items) : 1;
        const int chunk = !Linear ? 64 : ceil_div(ceil_div(io.samples, sharers), 8) * 8;
        const int chunks = ceil_div(io.samples, chunk);
        const T* const input = io.samples > 1 ? set_apart<D.in.channels>(io.input, io.packed, io) : io.input;
        const std::ptrdiff_t in_sample = input == io.input ? D.in.size() : apart(D.in.channels);
        parallel_for(channel_items * chunks, io.threads, [&](int item, int) {
            const int c = item % chunks, b = item / chunks % Forward::block_groups,
                      g = item / chunks / Forward::block_groups;
            const int end = std::min(io.samples, (c + 1) * chunk);
            for (int first = 0; first < D.group_in(); first += run) {
                Epilogue<T> part;
                if (first + run >= D.group_in()) { part = of_group(epilogue, g); }
                part.accumulate = first > 0;
                Forward::samples(input + g * D.group_in(), in_sample, weight + g * D.group_weights(),
                                 map + g * D.group_out(), D.out.size(), c * chunk, end, b, part, first,
                                 std::min(run, D.group_in() - first));
            }
        });
    }

    /// The weights' gradients from that of the map. Threads share out the items; a run of samples small enough for the
    /// second-level cache passes through all items of a thread before the next run begins.
    static void weight_gradient(const StageIO<T>& io, const T* map_gradient) {
        constexpr int items = D.groups * Gradient::items;
        constexpr std::ptrdiff_t sample_bytes = (D.in.size() + D.out.size()) * std::ptrdiff_t{sizeof(T)};
        // A linear layer's weights are passed over once.
        constexpr int run =
            Linear ? 1 << 30 : static_cast<int>(std::max<std::ptrdiff_t>(1, std::ptrdiff_t{384} * 1024 / sample_bytes));
        const T* const input = set_apart<D.in.channels>(io.input, io.rows, io);
        const std::ptrdiff_t in_sample = Linear ? apart(D.in.channels) : D.in.size();
        T* const behind = io.rows + (input_apart ? std::ptrdiff_t{io.samples} * apart(D.in.channels) : 0);
        const T* const gradient = set_apart<D.out.channels>(map_gradient, behind, io);
        const std::ptrdiff_t out_sample = Linear ? apart(D.out.channels) : D.out.size();
        const int parts = std::min(io.threads, items);
        parallel_for(parts, io.threads, [&](int part, int) {
            for (int begin = 0, end; begin < io.samples; begin = end) {
                end = begin + std::min(run, io.samples - begin);
                for (int item = items * part / parts; item < items * (part + 1) / parts; ++item) {
                    const int g = item / Gradient::items;
                    Gradient::add(input + g * D.group_in(), in_sample, gradient + g * D.group_out(), out_sample,
                                  io.weight_gradient + g * D.group_weights(), begin, end, io.samples,
                                  item % Gradient::items, begin == 0);
                }
            }
            if constexpr (Gradient::streams) { finish_streams(); }
        });
    }

    /// The gradient with respect to the input from that of the map.
    static void data_gradient(const StageIO<T>& io, const T* map_gradient) {
        if constexpr (!transposes_weights) {
            parallel_for(ceil_div(io.samples, LinearData::lanes), io.threads,
                         [&](int tile, int) { LinearData::transpose(map_gradient, io.rows, io.samples, tile); });
            parallel_for(LinearData::items, io.threads, [&](int item, int thread) {
                LinearData::inputs(io.rows, io.weight, io.input_gradient, io.samples, item,
                                   io.scratch + thread * io.scratch_stride);
            });
        } else {
            constexpr int blocks = ceil_div(D.group_in(), block_size);
            parallel_for(D.groups * blocks, io.threads, [&](int item, int) {
                transpose_weights<D>(io.weight, io.transposed, item / blocks, item % blocks);
            });
            constexpr int chunk = ceil_div(D.in.width, D.window.x.stride) < narrow_width ? 32 : 1;
            parallel_for(ceil_div(io.samples, chunk), io.threads, [&](int item, int) {
                convolution_data_gradient<D>(map_gradient, io.transposed, io.input_gradient, item * chunk,
                                             std::min((item + 1) * chunk, io.samples));
            });
        }
    }

  private:
    /// The samples' rows of `Length` elements, as they lie or copied apart to `to`.
    template <int Length>
    static const T* set_apart(const T* from, T* to, const StageIO<T>& io) {
        if constexpr (apart(Length) == Length) {
            return from;
        } else {
            parallel_for(io.samples, io.threads, [&](int n, int) {
                std::copy_n(from + std::ptrdiff_t{n} * Length, Length, to + std::ptrdiff_t{n} * apart(Length));
            });
            return to;
        }
    }
    static Epilogue<T> of_group(Epilogue<T> e, int group) {
        if (e.scale != nullptr) { e.scale += group * D.group_bias(); }
        if (e.shift != nullptr) { e.shift += group * D.group_bias(); }
        return e;
    }
};

}  // namespace ctnn::inline CTNN_ISA
