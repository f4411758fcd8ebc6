// Dropout and Dropout2d: PyTorch's layers of the same names; Srivastava et al. 2014, Tompson et al. 2015.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

constexpr LayerInfo describe_dropout(LayerKind kind, std::string_view type, Signal in, double p) {
    LayerInfo info = start_layer(kind, type, in);
    info.p = p;
    if (!(p >= 0 && p < 1)) { info.error << "probability must lie in [0, 1); write for example " << type << "<0.5>"; }
    return info;
}

}  // namespace detail

/// In training every element is zeroed with probability P and else multiplied by 1 / (1 − P); in inference y = x.
///
/// Any shape. The draw depends on (seed, epoch, sample, layer, element) alone. Remembers one bit per element.
template <double P = 0.5>
struct Dropout {
    static constexpr LayerInfo describe(Signal in) {
        return detail::describe_dropout(LayerKind::dropout, "Dropout", in, P);
    }
};

/// Dropout of whole channels: one draw per sample and channel. Remembers one bit each.
template <double P = 0.5>
struct Dropout2d {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = detail::describe_dropout(LayerKind::dropout2d, "Dropout2d", in, P);
        detail::need_map(info);
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA
