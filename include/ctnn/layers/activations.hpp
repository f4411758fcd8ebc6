// ReLU, Sigmoid and Tanh, element by element. All three derivatives follow from the output alone.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// y = max(x, 0); derivative 1 where y > 0, else 0. Any shape. PyTorch's nn.ReLU.
struct ReLU {
    static constexpr LayerInfo describe(Signal in) { return detail::start_layer(LayerKind::relu, "ReLU", in); }
};

/// y = 1 / (1 + e^−x); derivative y·(1 − y). Any shape. PyTorch's nn.Sigmoid.
struct Sigmoid {
    static constexpr LayerInfo describe(Signal in) { return detail::start_layer(LayerKind::sigmoid, "Sigmoid", in); }
};

/// y = tanh x; derivative 1 − y². Any shape. PyTorch's nn.Tanh.
struct Tanh {
    static constexpr LayerInfo describe(Signal in) { return detail::start_layer(LayerKind::tanh, "Tanh", in); }
};

}  // namespace ctnn::inline CTNN_ISA
