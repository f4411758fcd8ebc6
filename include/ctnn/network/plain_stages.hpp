// Stages without weights or tail: average pools, and layers from outside the library.
#pragma once

#include <cstddef>

#include <ctnn/core/parallel.hpp>
#include <ctnn/kernels/pooling.hpp>
#include <ctnn/network/stage.hpp>
#include <ctnn/network/stage_io.hpp>
#include <ctnn/network/stages.hpp>

namespace ctnn::inline CTNN_ISA {

/// Average pools.
template <StageSpec S, class T, bool TrainingPass, bool InGradient, class Custom>
    requires(S.head == Head::average)
struct Stage<S, T, TrainingPass, InGradient, Custom> {
    static constexpr PoolDims pool{S.in, S.map, S.window};
    static constexpr bool backward_needs_input = false, backward_needs_output = false, map_in_forward = false;
    static constexpr std::ptrdiff_t map_elements = 0, mask_bytes = 0, row_elements = 0, packed_elements = 0,
                                    saved_elements = 0, filter_elements = 0, transposed_elements = 0,
                                    scratch_elements = 0;

    static void forward(const StageIO<T>& io) {
        parallel_for(io.samples, io.threads, [&](int n, int) {
            average_pool<pool, S.adaptive, S.count_include_pad>(io.input + n * S.in.size(),
                                                                io.output + n * S.out.size());
        });
    }
    static void backward(const StageIO<T>& io) {
        if (io.input_gradient == nullptr) { return; }
        parallel_for(io.samples, io.threads, [&](int n, int) {
            average_pool_gradient<pool, S.adaptive, S.count_include_pad, T>(io.output_gradient + n * S.out.size(),
                                                                            io.input_gradient + n * S.in.size());
        });
    }
};

/// Layers from outside the library: see layers/custom.hpp.
template <StageSpec S, class T, bool TrainingPass, bool InGradient, class Custom>
    requires(S.head == Head::custom)
struct Stage<S, T, TrainingPass, InGradient, Custom> {
    static constexpr bool backward_needs_input = true, backward_needs_output = true, map_in_forward = false;
    static constexpr std::ptrdiff_t map_elements = 0, mask_bytes = 0, row_elements = 0, packed_elements = 0,
                                    saved_elements = 0, filter_elements = 0, transposed_elements = 0,
                                    scratch_elements = 0;

    static void forward(const StageIO<T>& io) {
        parallel_for(io.samples, io.threads, [&](int n, int) {
            Custom::forward(S.in, io.input + n * S.in.size(), io.output + n * S.out.size());
        });
    }
    static void backward(const StageIO<T>& io) {
        if (io.input_gradient == nullptr) { return; }
        parallel_for(io.samples, io.threads, [&](int n, int) {
            Custom::backward(S.in, io.input + n * S.in.size(), io.output + n * S.out.size(),
                             static_cast<const T*>(io.output_gradient + n * S.out.size()),
                             io.input_gradient + n * S.in.size());
        });
    }
};

}  // namespace ctnn::inline CTNN_ISA
