// Stages without weights or tail: average pools, and layers from outside the library.
#pragma once

#include <cstddef>
#include <string_view>

#include <ctnn/core/parallel.hpp>
#include <ctnn/core/text.hpp>
#include <ctnn/kernels/elementwise.hpp>
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

namespace detail {

/// How a custom layer's functions are called, by the number of its parameter tensors.
template <class Layer, class T, int Tensors>
constexpr bool has_forward = requires(Shape in, const T* from, T* to) {
    requires Tensors == 0;
    Layer::forward(in, from, to);
} || requires(Shape in, const T* from, T* to) {
    requires Tensors == 1;
    Layer::forward(in, from, from, to);
} || requires(Shape in, const T* from, T* to) {
    requires Tensors == 2;
    Layer::forward(in, from, from, from, to);
};
template <class Layer, class T, int Tensors>
constexpr bool has_backward = requires(Shape in, const T* from, T* to) {
    requires Tensors == 0;
    Layer::backward(in, from, from, from, to);
} || requires(Shape in, const T* from, T* to) {
    requires Tensors == 1;
    Layer::backward(in, from, from, from, from, to, to);
} || requires(Shape in, const T* from, T* to) {
    requires Tensors == 2;
    Layer::backward(in, from, from, from, from, from, to, to, to);
};

/// The passes need a custom layer's functions.
template <class Custom, class T, bool TrainingPass>
struct CustomError {
    using Layer = typename Custom::type;
    static constexpr int tensors = Custom::info.parameter_tensors;
    static constexpr bool forward = has_forward<Layer, T, tensors>, backward = has_backward<Layer, T, tensors>;

    static constexpr Sentence sentence = [] {
        constexpr std::string_view parameters[] = {"", "const T* p, ", "const T* p, const T* q, "};
        constexpr std::string_view gradients[] = {"", ", T* dp", ", T* dp, T* dq"};
        Sentence text;
        if (forward && (backward || !TrainingPass)) { return text; }
        text << "layer " << Custom::key << ", " << Custom::info.type << ": has no "
             << (forward ? "backward" : "forward") << "(Shape in, " << parameters[tensors]
             << (forward ? "const T* x, const T* y, const T* dy, T* dx" : "const T* x, T* y")
             << (forward ? gradients[tensors] : "") << ") for T = " << (sizeof(T) == 4 ? "float" : "double");
        return text;
    }();
    static constexpr std::string_view error() { return sentence.view(); }
};

}  // namespace detail

/// Layers from outside the library: see layers/custom.hpp. `Custom` is their LayerAt.
template <StageSpec S, class T, bool TrainingPass, bool InGradient, class Custom>
    requires(S.head == Head::custom)
struct Stage<S, T, TrainingPass, InGradient, Custom> {
    using Error = detail::CustomError<Custom, T, TrainingPass>;
    static_assert(sizeof(decltype(verdict<Error>(pieces_of<Error>{}))) > 0);

    using Layer = typename Custom::type;
    static constexpr int tensors = Custom::info.parameter_tensors;
    /// Elements of the parameters' gradients, sample by sample, one tensor behind the other.
    static constexpr int first = Custom::info.parameters[0].dims.out, both = Custom::info.parameter_count();

    static constexpr bool backward_needs_input = true, backward_needs_output = true, map_in_forward = false;
    static constexpr std::ptrdiff_t map_elements = 0, mask_bytes = 0, row_elements = TrainingPass ? both : 0,
                                    packed_elements = 0, saved_elements = 0, filter_elements = 0,
                                    transposed_elements = 0;
    /// An input gradient that nobody asked for.
    static constexpr std::ptrdiff_t scratch_elements = row_elements > 0 && !InGradient ? S.in.size() : 0;

    static void forward(const StageIO<T>& io) {
        parallel_for(io.samples, io.threads, [&](int n, int) {
            const T* const x = io.input + n * S.in.size();
            T* const y = io.output + n * S.out.size();
            if constexpr (!Error::forward) {
                return;  // has been told
            } else if constexpr (tensors == 0) {
                Layer::forward(S.in, x, y);
            } else if constexpr (tensors == 1) {
                Layer::forward(S.in, io.weight, x, y);
            } else {
                Layer::forward(S.in, io.weight, io.bias, x, y);
            }
        });
    }
    static void backward(const StageIO<T>& io) {
        if (tensors == 0 && io.input_gradient == nullptr) { return; }
        parallel_for(io.samples, io.threads, [&](int n, int thread) {
            const T* const x = io.input + n * S.in.size();
            const T* const y = io.output + n * S.out.size();
            const T* const dy = io.output_gradient + n * S.out.size();
            T* const dx = io.input_gradient != nullptr ? io.input_gradient + n * S.in.size()
                                                       : io.scratch + thread * io.scratch_stride;
            T* const sums = io.rows + n * row_elements;
            if constexpr (!Error::backward) {
                return;
            } else if constexpr (tensors == 0) {
                Layer::backward(S.in, x, y, dy, dx);
            } else if constexpr (tensors == 1) {
                Layer::backward(S.in, io.weight, x, y, dy, dx, sums);
            } else {
                Layer::backward(S.in, io.weight, io.bias, x, y, dy, dx, sums, sums + first);
            }
        });
        if constexpr (tensors > 0) { add_rows(io.rows, row_elements, io.samples, first, io.weight_gradient); }
        if constexpr (tensors > 1) {
            add_rows(io.rows + first, row_elements, io.samples, both - first, io.bias_gradient);
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA
