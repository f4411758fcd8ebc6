// What a stage reads and writes: bare pointers, filled in by the runner from the plan.
#pragma once

#include <cstddef>
#include <cstdint>

#include <ctnn/core/random.hpp>
#include <ctnn/kernels/normalization.hpp>

namespace ctnn::inline CTNN_ISA {

/// Keys of a training step's random numbers. Sample i of the batch draws by ids[i], or by i where ids is null.
struct RandomKey {
    std::uint64_t seed = 0;
    std::uint32_t epoch = 0;
    const std::uint32_t* ids = nullptr;

    [[nodiscard]] Random stream(int sample, std::size_t layer) const {
        const std::uint32_t id = ids != nullptr ? ids[sample] : static_cast<std::uint32_t>(sample);
        return {seed, Stream::dropout, (std::uint64_t{epoch} << 32) | id, static_cast<std::uint32_t>(layer)};
    }
};

/// Elements that a head asks of the plan: Slot::filters, Slot::transposed, a thread's scratch, and Slot::rows and
/// Slot::packed of a sample.
struct HeadSizes {
    std::ptrdiff_t filters = 0, transposed = 0, scratch = 0, rows = 0, packed = 0;
};

/// Arrays of one stage for a batch of `samples`. A pointer is null where the plan has no such buffer. Activations are
/// [sample][row][column][channel]; parameters and their gradients lie as in the arena.
template <class T>
struct StageIO {
    int samples = 0, threads = 1;
    const T* input = nullptr;
    T* output = nullptr;
    T* output_gradient = nullptr;  ///< backward may overwrite it
    T* input_gradient = nullptr;   ///< overwritten; null when nobody asked
    T* map = nullptr;              ///< this and the next seven: see Slot
    std::uint8_t* places = nullptr;
    std::uint8_t* mask = nullptr;
    T* rows = nullptr;
    T* packed = nullptr;
    T* saved = nullptr;
    T* filters = nullptr;
    T* transposed = nullptr;
    T* scratch = nullptr;  ///< the first thread's; the next one's is scratch_stride elements on
    std::ptrdiff_t scratch_stride = 0;
    const T *weight = nullptr, *bias = nullptr;  ///< of the head: its first and second tensor
    const T *norm_weight = nullptr, *norm_bias = nullptr;
    T *weight_gradient = nullptr, *bias_gradient = nullptr, *norm_weight_gradient = nullptr,
      *norm_bias_gradient = nullptr;
    const T *running_mean = nullptr, *running_variance = nullptr;
    T *next_running_mean = nullptr, *next_running_variance = nullptr;  ///< the same in training, where they move
    RandomKey random{};
    NormSum norm_sum{};  ///< over the processes that share the batch
};

}  // namespace ctnn::inline CTNN_ISA
