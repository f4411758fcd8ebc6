// Layers from outside the library: how to begin their description.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// The description of a layer without parameters that maps a signal to one of shape `out`. A layer is then
///
///     struct Swish {
///         static constexpr LayerInfo describe(Signal in) { return custom_layer("Swish", in, in.shape); }
///         template <class T> static void forward(Shape in, const T* x, T* y);
///         template <class T> static void backward(Shape in, const T* x, const T* y, const T* dy, T* dx);
///     };
///
/// forward overwrites y from x, backward overwrites dx from the gradient dy with respect to y; both see one sample,
/// [row][column][channel], on any thread, and must not throw. testing/gradient_check.hpp checks the pair.
constexpr LayerInfo custom_layer(std::string_view type, Signal in, Shape out) {
    LayerInfo info = detail::start_layer(LayerKind::custom, type, in);
    info.out = {out, in.flat, out};
    return info;
}

}  // namespace ctnn::inline CTNN_ISA
