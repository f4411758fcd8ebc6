// Workspace: all activations of one plan in one block. One per thread or request; nothing is allocated after it exists.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/network/plan.hpp>

namespace ctnn::inline CTNN_ISA {

/// Memory for passes over at most `batch` samples on at most `threads` threads: PlanType::bytes(batch, threads).
/// Throws ArgumentError for a batch or thread count below 1, std::bad_alloc when memory is short.
template <class PlanType>
class Workspace {
  public:
    using T = typename PlanType::value_type;
    static constexpr std::size_t stage_count = PlanType::stage_count;

    explicit Workspace(int batch, int threads = default_threads())
        : batch_{at_least_one("batch size", batch)},
          threads_{at_least_one("number of threads", threads)},
          block_(PlanType::bytes(batch, threads)) {}

    [[nodiscard]] int batch() const { return batch_; }
    [[nodiscard]] int threads() const { return threads_; }
    [[nodiscard]] std::span<std::byte> bytes() { return block_.span(); }

    /// Pointer to a buffer of the plan; null when the plan has none.
    template <class U = T>
    [[nodiscard]] U* at(std::size_t index) {
        if (PlanType::buffers[index].size == 0) { return nullptr; }
        return reinterpret_cast<U*>(block_.data() + PlanType::offset(index, batch_));
    }
    template <class U = T>
    [[nodiscard]] U* at(std::size_t stage, Slot slot) {
        return at<U>(PlanType::index(stage, slot));
    }
    [[nodiscard]] T* scratch() { return reinterpret_cast<T*>(block_.data() + PlanType::scratch_offset(batch_)); }

    /// The network's output: logits of `samples` samples, valid after forward until the next pass.
    [[nodiscard]] std::span<const T> output(int samples) {
        return {at(stage_count - 1, Slot::output),
                static_cast<std::size_t>(samples * PlanType::Net::output_shape.size())};
    }
    /// Where the caller of backward writes the gradient with respect to the output.
    [[nodiscard]] std::span<T> output_gradient(int samples) {
        return {at(stage_count - 1, Slot::gradient),
                static_cast<std::size_t>(samples * PlanType::Net::output_shape.size())};
    }
    /// The gradient with respect to the input, after backward, where the plan has it.
    [[nodiscard]] std::span<const T> input_gradient(int samples)
        requires PlanType::input_gradient
    {
        return {at(PlanType::input_gradient_index),
                static_cast<std::size_t>(samples * PlanType::Net::input_shape.size())};
    }

  private:
    static int at_least_one(const char* what, int value) {
        if (value < 1) {
            throw ArgumentError(std::string{what} + " is " + std::to_string(value) + "; expected at least 1");
        }
        return value;
    }

    int batch_, threads_;
    AlignedArray<std::byte> block_;
};

}  // namespace ctnn::inline CTNN_ISA
