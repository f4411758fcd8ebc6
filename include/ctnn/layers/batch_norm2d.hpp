// BatchNorm2d: normalisation over batch and pixels, PyTorch's nn.BatchNorm2d; Ioffe and Szegedy 2015.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// y = weight[c] · (x − mean[c]) / √(var[c] + eps) + bias[c].
///
/// Training takes mean and biased variance from the batch and moves the running statistics by `momentum`, with the
/// unbiased variance, as PyTorch does; inference takes the running statistics.
/// Shape: (C, H, W) → the same. Parameters: weight (C), begins at 1; bias (C), begins at 0; neither is a weight for
/// decay. Options: Eps<1e-5>, Momentum<0.1>. Remembers its input and two vectors. Backward overwrites the parameters'
/// gradients.
template <class... Options>
struct BatchNorm2d {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::batch_norm2d, "BatchNorm2d", in);
        detail::check_options(info, options, O::eps | O::momentum, "BatchNorm2d takes Eps and Momentum");
        if (!detail::need_map(info)) { return info; }
        info.eps = options.has(O::eps) ? options.eps_value : 1e-5;
        info.momentum = options.has(O::momentum) ? options.momentum_value : 0.1;
        if (!(info.eps > 0)) {
            info.error << "eps must be above 0; drop Eps for 1e-5";
        } else if (!(info.momentum >= 0 && info.momentum <= 1)) {
            info.error << "momentum must lie in [0, 1]; drop Momentum for 0.1";
        }
        info.add(detail::vector_parameter("weight", 1, in.shape.channels, {InitKind::ones}, 1));
        info.add(detail::vector_parameter("bias", 1, in.shape.channels, {InitKind::zeros}, 1));
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA
