// LocalResponseNorm: normalisation across neighbouring channels, PyTorch's nn.LocalResponseNorm; Krizhevsky 2012, 3.3.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// y[c] = x[c] / (k + alpha / Size · Σ_{j = c − Size/2}^{c + (Size − 1)/2} x[j]²)^beta, the sum over channels that
/// exist.
///
/// As in PyTorch alpha is divided by the size, where the paper's is not.
/// Shape: (C, H, W) → the same. No parameters. Options: Alpha<1e-4>, Beta<0.75>, K<1>.
/// Remembers its input.
template <int Size, class... Options>
struct LocalResponseNorm {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::local_response_norm, "LocalResponseNorm", in);
        detail::check_options(info, options, O::alpha | O::beta | O::k, "LocalResponseNorm takes Alpha, Beta and K");
        if (!detail::need_map(info)) { return info; }
        info.size = Size;
        info.alpha = options.has(O::alpha) ? options.alpha_value : 1e-4;
        info.beta = options.has(O::beta) ? options.beta_value : 0.75;
        info.k = options.has(O::k) ? options.k_value : 1.0;
        if (Size < 1) {
            info.error << "size " << Size << " is below 1; the paper uses LocalResponseNorm<5>";
        } else if (!(info.k > 0) || !(info.alpha >= 0)) {
            info.error << "k must be above 0 and alpha not below 0; drop the options for 1 and 1e-4";
        }
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA
