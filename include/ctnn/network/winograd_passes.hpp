// A stage's convolution by Winograd's filtering: its three directions over a batch and threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include <ctnn/core/parallel.hpp>
#include <ctnn/kernels/convolution.hpp>
#include <ctnn/kernels/winograd.hpp>
#include <ctnn/network/stage_io.hpp>

namespace ctnn::inline CTNN_ISA {

template <ConvolutionDims D, class T>
struct WinogradPasses {
    using Forward = WinogradCorrelation<D.forward(), T>;
    /// The gradient with respect to the data is a correlation with the transposed filters.
    using Backward = WinogradCorrelation<
        data_gradient_dims(D, phase_of(D.window.y, D.in.height, 0), phase_of(D.window.x, D.in.width, 0)), T>;
    /// Samples between two rounds of adding to the filters' gradients: as many as fill a second-level cache, or as are
    /// read and written as often as these gradients themselves.
    static constexpr int chunk = static_cast<int>(std::clamp<std::ptrdiff_t>(
        std::max<std::ptrdiff_t>(Forward::filter_elements, (1 << 20) / std::ptrdiff_t{sizeof(T)}) /
            (std::ptrdiff_t{Forward::points} * Forward::tiles * (D.in.channels + D.out.channels)),
        1, 32));
    static constexpr std::ptrdiff_t patch_stride =
        Forward::point_stride(std::ptrdiff_t{chunk} * Forward::tiles * D.in.channels);
    static constexpr std::ptrdiff_t gradient_stride =
        Forward::point_stride(std::ptrdiff_t{chunk} * Forward::tiles * D.out.channels);

    /// Backward has no use for the gradients' part and the data's at the same time.
    template <bool InGradient>
    static constexpr HeadSizes sizes{
        .filters = Forward::filter_elements,
        .transposed = std::max(Forward::filter_elements + Forward::points * (patch_stride + gradient_stride),
                               InGradient ? transposed_weights(D) + Backward::filter_elements : 0),
        .scratch = std::max(Forward::scratch_elements, InGradient ? Backward::scratch_elements : 0)};

    /// All samples' maps.
    static void forward(const StageIO<T>& io, const T* weight, T* map, const Epilogue<T>& epilogue) {
        correlate<Forward>(io, io.input, D.in.size(), weight, io.filters, map, D.out.size(), epilogue);
    }

    static void weight_gradient(const StageIO<T>& io, const T* map_gradient) {
        T* const filters = io.transposed;
        T* const patches = filters + Forward::filter_elements;
        T* const gradients = patches + Forward::points * patch_stride;
        for (int begin = 0; begin < io.samples; begin += chunk) {
            const int count = std::min(chunk, io.samples - begin);
            parallel_for(count, io.threads, [&](int n, int) {
                Forward::transform_input(io.input + (begin + n) * D.in.size(), patches, patch_stride,
                                         n * Forward::tiles);
                Forward::transform_gradient(map_gradient + (begin + n) * D.out.size(), gradients, gradient_stride,
                                            n * Forward::tiles);
            });
            parallel_for(Forward::gradient_items, io.threads, [&](int item, int) {
                Forward::add_gradient(patches, patch_stride, gradients, gradient_stride, filters,
                                      count * Forward::tiles, item, begin == 0);
                if constexpr (Forward::gradient_streams) { finish_streams(); }
            });
        }
        parallel_for(D.forward().blocks(), io.threads,
                     [&](int block, int) { Forward::filters_to_weights(filters, io.weight_gradient, block); });
    }

    static void data_gradient(const StageIO<T>& io, const T* map_gradient) {
        T* const filters = io.transposed + transposed_weights(D);
        parallel_for(ceil_div(D.in.channels, block_size), io.threads,
                     [&](int block, int) { transpose_weights<D, Taps::all>(io.weight, io.transposed, 0, block); });
        correlate<Backward>(io, map_gradient, D.out.size(), io.transposed, filters, io.input_gradient, D.in.size(), {});
    }

  private:
    template <class Kernel>
    static void correlate(const StageIO<T>& io, const T* x, std::ptrdiff_t in_sample, const T* weights, T* filters,
                          T* out, std::ptrdiff_t out_sample, const Epilogue<T>& epilogue) {
        parallel_for(Kernel::product.blocks(), io.threads,
                     [&](int block, int) { Kernel::transform_filters(weights, filters, block); });
        parallel_for(ceil_div(io.samples, Kernel::chunk), io.threads, [&](int item, int thread) {
            Kernel::correlate(x, in_sample, filters, out, out_sample, item * Kernel::chunk,
                              std::min((item + 1) * Kernel::chunk, io.samples), epilogue,
                              io.scratch + thread * io.scratch_stride);
        });
    }
};

}  // namespace ctnn::inline CTNN_ISA
