// Flatten: a map read as a vector, PyTorch's nn.Flatten.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// Shape: (C, H, W) → C·H·W features. Moves nothing: memory stays channels-last, and the weights of a Linear behind it
/// are permuted where files are read and written, so that files agree with PyTorch's order.
struct Flatten {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = detail::start_layer(LayerKind::flatten, "Flatten", in);
        if (!in.flat) { info.out = {{static_cast<int>(in.shape.size()), 1, 1}, true, in.shape}; }
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA
