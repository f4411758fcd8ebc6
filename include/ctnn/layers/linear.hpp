// Linear: an affine map of a vector, PyTorch's nn.Linear.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// y[n, o] = bias[o] + Σ_k weight[o, k] · x[n, k].
///
/// Shape: a vector of K features → OutFeatures. Behind Flatten, k runs in files over channel, row, column of the map
/// that was flattened; memory keeps it channels-last.
/// Parameters: weight (out, K), decays; bias (out).
/// Options: Bias<true>, WeightInit, BiasInit (both PyTorch's default, U(±1/√K)).
/// Remembers its input. Backward overwrites the parameters' gradients.
template <int OutFeatures, class... Options>
struct Linear {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::linear, "Linear", in);
        detail::check_options(info, options, O::bias | O::weight_init | O::bias_init,
                              "Linear takes Bias, WeightInit and BiasInit");
        if (!info.error.empty()) { return info; }
        if (!in.flat) {
            detail::write_size(info.error << "needs a flat input but meets a " << in.shape.channels << "x",
                               in.shape.height, in.shape.width)
                << " map; put Flatten before it";
            return info;
        }
        if (OutFeatures < 1) {
            info.error << OutFeatures << " output features; write at least 1";
            return info;
        }
        const Shape source = in.source;
        info.bias = options.with_bias;
        info.out = {{OutFeatures, 1, 1}, true, {OutFeatures, 1, 1}};
        ParameterSpec weight;
        weight.name = "weight";
        weight.shape = {OutFeatures, in.shape.size(), 0, 0};
        weight.rank = 2;
        weight.dims = {1, OutFeatures, source.height, source.width, source.channels};
        weight.init = options.weights;
        weight.fan_in = in.shape.size();
        weight.fan_out = OutFeatures;
        weight.decays = true;
        info.add(weight);
        if (options.with_bias) {
            info.add(detail::vector_parameter("bias", 1, OutFeatures, options.biases, weight.fan_in));
        }
        info.multiply_adds = in.shape.size() * OutFeatures;
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA
