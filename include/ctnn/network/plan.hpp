// Plans: how many bytes a training step or an inference needs, and where everything lies, as constants of the network.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/liveness.hpp>
#include <ctnn/network/plain_stages.hpp>
#include <ctnn/network/sequential.hpp>
#include <ctnn/network/stage.hpp>
#include <ctnn/network/stages.hpp>

namespace ctnn::inline CTNN_ISA {

/// Whether a training step also computes the gradient with respect to the network's input.
enum class InputGradient : bool { no, yes };

/// What a stage may keep in the workspace.
enum class Slot : char {
    output,     ///< per sample: the stage's output
    gradient,   ///< per sample: the gradient with respect to the stage's output
    map,        ///< per sample: the head's full-size output, later its gradient
    places,     ///< per sample: one byte per pooled output
    mask,       ///< per sample: dropout's bits
    rows,       ///< per sample: partial sums of batch norm and biases, and a linear layer's transposed gradient
    packed,     ///< per sample: a linear layer's input, its rows apart, in forward
    saved,      ///< fixed: batch norm's vectors
    filters,    ///< fixed: Winograd's transformed filters, in forward
    transposed  ///< fixed: what backward makes of weights: transposed ones, transformed filters and their gradients
};
inline constexpr std::size_t slot_count = 10;

/// The plan of one pass over a network: Training (forward, loss, backward) or inference.
///
/// Per-sample buffers are placed in units of 64 bytes per sample and scaled by the batch, fixed ones in bytes, and
/// every thread has scratch of its own; so the same code serves every batch and thread count, and bytes() is a
/// constant.
template <class Net_, class T, Fusion F, bool Training_, InputGradient G>
struct Plan {
    using Net = Net_;
    using value_type = T;
    using StageList = Stages<Net, F>;
    static constexpr std::size_t stage_count = StageList::count;
    static constexpr bool training = Training_;
    static constexpr bool input_gradient = training && G == InputGradient::yes;

    template <std::size_t I>
    using Runner = Stage<StageList::at(I), T, training, (I > 0 || input_gradient),
                         std::conditional_t<StageList::at(I).head == Head::custom,
                                            detail::LayerAt<Net, StageList::at(I).head_layer>, void>>;

    /// Times: forward of stage s at s, the loss at stage_count, backward of stage s at 2·stage_count − s.
    static constexpr int forward_time(std::size_t s) { return static_cast<int>(s); }
    static constexpr int backward_time(std::size_t s) { return static_cast<int>(2 * stage_count - s); }
    static constexpr int end_time = static_cast<int>(2 * stage_count);

    static constexpr std::size_t index(std::size_t stage, Slot slot) {
        return stage * slot_count + static_cast<std::size_t>(slot);
    }
    /// The gradient with respect to the input is a buffer behind those of the stages.
    static constexpr std::size_t input_gradient_index = stage_count * slot_count;
    static constexpr std::size_t buffer_count = stage_count * slot_count + 1;
    static constexpr bool per_sample(std::size_t i) {
        return i == input_gradient_index || i % slot_count < static_cast<std::size_t>(Slot::saved);
    }

  private:
    struct Table {
        std::array<LiveBuffer, buffer_count> buffers{};  ///< per-sample ones in 64-byte units, fixed ones in bytes
        std::int64_t sample_lines = 0, fixed_bytes = 0, thread_bytes = 0;
    };

    static constexpr std::int64_t lines(std::int64_t bytes) {
        return (bytes + static_cast<std::int64_t>(block_alignment) - 1) / static_cast<std::int64_t>(block_alignment);
    }

    template <std::size_t S>
    static constexpr void describe(Table& t) {
        using R = Runner<S>;
        constexpr StageSpec spec = StageList::at(S);
        constexpr int forward = forward_time(S), backward = backward_time(S);
        constexpr auto element = static_cast<std::int64_t>(sizeof(T));
        const auto set = [&](Slot slot, std::int64_t bytes, int first, int last) {
            const bool scaled = slot < Slot::saved;
            t.buffers[index(S, slot)] = {scaled ? lines(bytes) : lines(bytes) * 64, first, last, 0};
        };
        const bool last_stage = S + 1 == stage_count;
        if constexpr (training) {
            // The next stage reads this output in forward and, where its weights or norm need it, in backward.
            int output_end = last_stage ? end_time : forward + 1;
            if constexpr (S + 1 < stage_count) {
                if (Runner<S + 1>::backward_needs_input) { output_end = backward_time(S + 1); }
            }
            if (R::backward_needs_output) { output_end = backward; }
            if (last_stage) { output_end = end_time; }  // the logits stay for the caller
            set(Slot::output, spec.out.size() * element, forward, output_end);
            set(Slot::gradient, spec.out.size() * element, backward - 1, backward);
            set(Slot::map, R::map_elements * element, R::map_in_forward ? forward : backward, backward);
            set(Slot::places, spec.pooled ? spec.out.size() : 0, forward, backward);
            set(Slot::mask, R::mask_bytes, forward, backward);
            set(Slot::rows, R::row_elements * element, spec.batch_norm ? forward : backward, backward);
            set(Slot::packed, R::packed_elements * element, forward, forward);
            set(Slot::saved, R::saved_elements * element, forward, backward);
            set(Slot::filters, R::filter_elements * element, forward, forward);
            set(Slot::transposed, R::transposed_elements * element, backward, backward);
        } else {
            set(Slot::output, spec.out.size() * element, forward, last_stage ? end_time : forward + 1);
            set(Slot::map, R::map_elements * element, forward, forward);
            set(Slot::packed, R::packed_elements * element, forward, forward);
            set(Slot::saved, R::saved_elements * element, forward, forward);
            set(Slot::filters, R::filter_elements * element, forward, forward);
        }
        const std::int64_t scratch = lines(R::scratch_elements * element) * 64;
        t.thread_bytes = t.thread_bytes > scratch ? t.thread_bytes : scratch;
    }

    static constexpr Table table = []<std::size_t... S>(std::index_sequence<S...>) {
        Table t;
        (describe<S>(t), ...);
        if (input_gradient) {
            t.buffers[input_gradient_index] = {lines(Net::input_shape.size() * static_cast<std::int64_t>(sizeof(T))),
                                               end_time, end_time, 0};
        }
        // Two arenas: buffers that grow with the batch, and fixed ones.
        t.sample_lines = place_buffers(t.buffers, [](std::size_t i) { return per_sample(i); });
        t.fixed_bytes = place_buffers(t.buffers, [](std::size_t i) { return !per_sample(i); });
        return t;
    }(std::make_index_sequence<stage_count>{});

  public:
    static constexpr const auto& buffers = table.buffers;
    /// Bytes per sample, fixed, and per thread.
    static constexpr std::size_t sample_bytes = static_cast<std::size_t>(table.sample_lines) * block_alignment;
    static constexpr std::size_t fixed_bytes = static_cast<std::size_t>(table.fixed_bytes);
    static constexpr std::size_t thread_bytes = static_cast<std::size_t>(table.thread_bytes);

    /// Bytes of a workspace for at most `batch` samples and `threads` threads; the largest number there is, which no
    /// memory has, where 32 bits are too few for them.
    static constexpr std::size_t bytes(int batch, int threads) {
        const std::uint64_t all = std::uint64_t{sample_bytes} * static_cast<std::uint64_t>(batch) + fixed_bytes +
                                  std::uint64_t{thread_bytes} * static_cast<std::uint64_t>(threads);
        return std::in_range<std::size_t>(all) ? static_cast<std::size_t>(all)
                                               : std::numeric_limits<std::size_t>::max();
    }

    /// Byte offset of a buffer in a workspace made for `batch` samples: per-sample buffers first, fixed ones, scratch.
    static constexpr std::size_t offset(std::size_t i, int batch) {
        const auto at = static_cast<std::size_t>(table.buffers[i].offset);
        return per_sample(i) ? at * block_alignment * static_cast<std::size_t>(batch)
                             : sample_bytes * static_cast<std::size_t>(batch) + at;
    }
    /// Bytes of a buffer in such a workspace.
    static constexpr std::size_t buffer_bytes(std::size_t i, int batch) {
        const auto size = static_cast<std::size_t>(table.buffers[i].size);
        return per_sample(i) ? size * block_alignment * static_cast<std::size_t>(batch) : size;
    }
    static constexpr std::size_t scratch_offset(int batch) {
        return sample_bytes * static_cast<std::size_t>(batch) + fixed_bytes;
    }
};

/// The plan of training steps: Workspace<Training<Net>> runs them.
template <Network Net, class T = float, Fusion F = Fusion::full, InputGradient G = InputGradient::no>
using Training = Plan<Net, T, F, true, G>;

/// The plan of inference: Workspace<Inference<Net>> runs it.
template <Network Net, class T = float, Fusion F = Fusion::full>
using Inference = Plan<Net, T, F, false, InputGradient::no>;

/// A number of samples, for TrainingPlan and InferencePlan.
template <int N>
struct Batch : std::integral_constant<int, N> {};
/// A number of threads, for TrainingPlan and InferencePlan.
template <int N>
struct Threads : std::integral_constant<int, N> {};

/// The bytes of a training's workspace: `TrainingPlan<Net, Batch<128>, Threads<2>>::bytes`.
template <Network Net, class B, class Th = Threads<1>, class T = float>
struct TrainingPlan {
    static constexpr std::size_t bytes = Training<Net, T>::bytes(B::value, Th::value);
};
/// The bytes of an inference's workspace.
template <Network Net, class B, class Th = Threads<1>, class T = float>
struct InferencePlan {
    static constexpr std::size_t bytes = Inference<Net, T>::bytes(B::value, Th::value);
};

}  // namespace ctnn::inline CTNN_ISA
