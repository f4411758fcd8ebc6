// Where every parameter and buffer lies: one arena for all, decayed weights first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// One parameter tensor in the arena.
struct ParameterSlot {
    Name name;  ///< state_dict's: "0.weight", "features.3.bias"
    ParameterSpec spec;
    std::size_t layer = 0;
    std::int64_t offset = 0;  ///< elements; every tensor begins on 64 bytes
};

/// The running statistics of one batch norm, in the buffers' arena.
struct BufferSlot {
    Name mean, variance, batches;  ///< "1.running_mean", "1.running_var", "1.num_batches_tracked"
    std::size_t layer = 0;
    int channels = 0;
    std::int64_t mean_offset = 0, variance_offset = 0;
};

/// The layout of a network's arena, the same for parameters, gradients and every optimizer state. Offsets are in
/// elements and multiples of 16: weights that decay fill [0, decayed), biases and norms [decayed, size).
template <class Net>
struct ParameterLayout {
    static constexpr std::size_t tensors = [] {
        std::size_t n = 0;
        for (std::size_t i = 0; i < Net::layer_count; ++i) {
            n += static_cast<std::size_t>(Net::description.layers[i].parameter_tensors);
        }
        return n;
    }();
    static constexpr std::size_t norms = [] {
        std::size_t n = 0;
        for (std::size_t i = 0; i < Net::layer_count; ++i) {
            n += Net::description.layers[i].kind == LayerKind::batch_norm2d ? 1u : 0u;
        }
        return n;
    }();

  private:
    struct Table {
        std::array<ParameterSlot, tensors> slots{};
        std::array<BufferSlot, norms> buffers{};
        std::int64_t decayed = 0, size = 0, buffer_size = 0;
    };
    static constexpr Table table = [] {
        Table t;
        std::size_t n = 0, b = 0;
        for (std::size_t i = 0; i < Net::layer_count; ++i) {
            const LayerInfo& info = Net::description.layers[i];
            const auto named = [&](std::string_view tensor) {
                Name name = Net::description.keys[i];
                name << "." << tensor;
                return name;
            };
            for (int j = 0; j < info.parameter_tensors; ++j) {
                const ParameterSpec& spec = info.parameters[static_cast<std::size_t>(j)];
                t.slots[n++] = {named(spec.name), spec, i, 0};
            }
            if (info.kind == LayerKind::batch_norm2d) {
                const int padded = (info.in.shape.channels + block_size - 1) / block_size * block_size;
                t.buffers[b++] = {named("running_mean"),  named("running_var"), named("num_batches_tracked"), i,
                                  info.in.shape.channels, t.buffer_size,        t.buffer_size + padded};
                t.buffer_size += 2 * padded;
            }
        }
        for (const bool decays : {true, false}) {
            for (ParameterSlot& slot : t.slots) {
                if (slot.spec.decays != decays) { continue; }
                slot.offset = t.size;
                t.size += slot.spec.dims.stored();
            }
            if (decays) { t.decayed = t.size; }
        }
        return t;
    }();

  public:
    /// In state_dict's order.
    static constexpr const auto& slots = table.slots;
    static constexpr const auto& buffers = table.buffers;
    static constexpr std::int64_t decayed = table.decayed;
    static constexpr std::int64_t size = table.size;
    static constexpr std::int64_t buffer_size = table.buffer_size;

    /// Offset of tensor `tensor` (0 weight, 1 bias) of a layer; −1 when it has none.
    static constexpr std::int64_t offset(std::size_t layer, int tensor) {
        for (const ParameterSlot& slot : table.slots) {
            if (slot.layer == layer && tensor-- == 0) { return slot.offset; }
        }
        return -1;
    }
    static constexpr const BufferSlot* buffer(std::size_t layer) {
        for (const BufferSlot& slot : table.buffers) {
            if (slot.layer == layer) { return &slot; }
        }
        return nullptr;
    }
};

}  // namespace ctnn::inline CTNN_ISA
