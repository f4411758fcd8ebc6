// Layers from outside the library: how to begin their description.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string_view>

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
///
/// One or two parameter tensors are added to the description by custom_parameter. Both functions then take them behind
/// the shape, and backward, behind dx, where this sample's part of their gradients goes, which it overwrites too:
///
///     forward(Shape in, const T* weight, const T* x, T* y);
///     backward(Shape in, const T* weight, const T* x, const T* y, const T* dy, T* dx, T* dweight);
///
/// The parts are added up in the samples' order. They lie in the workspace: as much memory for every sample as the
/// parameters take.
constexpr LayerInfo custom_layer(std::string_view type, Signal in, Shape out) {
    LayerInfo info = detail::start_layer(LayerKind::custom, type, in);
    // A vector that keeps its length keeps the order that it has from the map that was flattened.
    info.out = {out, in.flat, in.flat && out == in.shape ? in.source : out};
    return info;
}

/// Adds a parameter tensor of one to four dimensions to a custom layer. In memory it is row-major and without gaps, as
/// in files, where it is called `name` behind the layer's place: "3.weight". `init` counts as fan_in the elements of
/// one row. Weight decay spares it unless it `decays`. Behind Flatten, elements of a vector are in the order of memory,
/// [row][column][channel] of the map.
constexpr void custom_parameter(LayerInfo& info, std::string_view name, std::initializer_list<int> shape, Init init,
                                bool decays = false) {
    if (info.parameter_tensors == static_cast<int>(info.parameters.size())) {
        info.error << "parameter " << name << " is the third; put what it needs into two";
        return;
    }
    for (int i = 0; i < info.parameter_tensors; ++i) {
        if (info.parameters[static_cast<std::size_t>(i)].name == name) {
            info.error << "parameter " << name << " is there already; give each a name of its own";
            return;
        }
    }
    ParameterSpec spec;
    spec.name = name;
    spec.init = init;
    spec.decays = decays;
    int count = 1;
    for (const int n : shape) {
        if (n < 1 || spec.rank == 4) {
            info.error << "parameter " << name << " has a size below 1 or a fifth; write one to four sizes";
            return;
        }
        spec.shape[static_cast<std::size_t>(spec.rank++)] = n;
        count *= n;
    }
    spec.dims.out = count;  // a vector: storage in the order of files
    spec.fan_out = spec.rank > 0 ? *shape.begin() : 1;
    spec.fan_in = count / spec.fan_out;
    info.add(spec);
}

}  // namespace ctnn::inline CTNN_ISA
