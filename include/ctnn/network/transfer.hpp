// From one network's model to another's: what two networks have in common, such as the features in front of a new head.
#pragma once

#include <algorithm>
#include <cstddef>

#include <ctnn/core/layout.hpp>
#include <ctnn/network/model.hpp>

namespace ctnn::inline CTNN_ISA {

/// Copies every parameter tensor, and the running statistics of every batch norm, that both networks have under the
/// same name and of the same size; the others stay as they are. Returns the number of parameter tensors copied: of
/// ParameterLayout<To>::tensors, so that a caller notices names that do not match. As PyTorch's
/// load_state_dict(…, strict=False), but for passing over a tensor of another size too, which a new head's are.
template <Network From, Network To, class T>
std::size_t copy_matching(const Model<From, T>& from, Model<To, T>& to) {
    std::size_t copied = 0;
    for (const ParameterSlot& source : ParameterLayout<From>::slots) {
        for (const ParameterSlot& target : ParameterLayout<To>::slots) {
            // Equal dimensions are equal storage, which with the shape also tells tensors of custom layers apart.
            if (source.name != target.name.view() || source.spec.dims != target.spec.dims ||
                source.spec.shape != target.spec.shape) {
                continue;
            }
            std::copy_n(from.parameters().data() + source.offset, source.spec.dims.stored(),
                        to.parameters().data() + target.offset);
            ++copied;
        }
    }
    for (const BufferSlot& source : ParameterLayout<From>::buffers) {
        for (const BufferSlot& target : ParameterLayout<To>::buffers) {
            if (source.mean != target.mean.view() || source.channels != target.channels) { continue; }
            std::copy_n(from.buffers().data() + source.mean_offset, source.channels,
                        to.buffers().data() + target.mean_offset);
            std::copy_n(from.buffers().data() + source.variance_offset, source.channels,
                        to.buffers().data() + target.variance_offset);
            to.buffers().batches_tracked = from.buffers().batches_tracked;
        }
    }
    return copied;
}

}  // namespace ctnn::inline CTNN_ISA
