// Workspace: all activations of one plan in one block. One per thread or request; nothing is allocated after it exists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/kernels/normalization.hpp>
#include <ctnn/network/plan.hpp>

namespace ctnn::inline CTNN_ISA {

/// Memory for passes over at most `batch` samples on at most `threads` threads: PlanType::bytes(batch, threads), its
/// own or, without any allocation, the caller's. Movable; what was moved from takes no pass. Throws ArgumentError for a
/// batch or thread count below 1 and for memory that is too short or not aligned, std::bad_alloc when there is none.
template <class PlanType>
class Workspace {
  public:
    using T = typename PlanType::value_type;
    static constexpr std::size_t stage_count = PlanType::stage_count;

    explicit Workspace(int batch, int threads = default_threads())
        : batch_{at_least_one("batch size", batch)},
          threads_{at_least_one("number of threads", threads)},
          own_(bytes_for(batch, threads)),
          bytes_{own_.span()} {}
    /// In memory of the caller's, which outlives the workspace and begins on 64 bytes. What it holds does not matter.
    Workspace(std::span<std::byte> memory, int batch, int threads)
        : batch_{at_least_one("batch size", batch)},
          threads_{at_least_one("number of threads", threads)},
          bytes_{memory} {
        const std::size_t needed = PlanType::bytes(batch, threads);
        if (memory.size() < needed || reinterpret_cast<std::uintptr_t>(memory.data()) % block_alignment != 0) {
            raise<ArgumentError>(
                {"workspace: found ", memory.size(), " bytes, expected ", needed, ", aligned to ", block_alignment});
        }
    }
    Workspace(Workspace&& other) noexcept
        : batch_{std::exchange(other.batch_, 0)},
          threads_{other.threads_},
          own_{std::move(other.own_)},
          bytes_{std::exchange(other.bytes_, {})},
          norm_sum_{other.norm_sum_} {}
    Workspace& operator=(Workspace&& other) noexcept {
        batch_ = std::exchange(other.batch_, 0);
        threads_ = other.threads_;
        own_ = std::move(other.own_);
        bytes_ = std::exchange(other.bytes_, {});
        norm_sum_ = other.norm_sum_;
        return *this;
    }
    ~Workspace() = default;

    [[nodiscard]] int batch() const { return batch_; }
    [[nodiscard]] int threads() const { return threads_; }
    [[nodiscard]] std::span<std::byte> bytes() { return bytes_; }
    /// How training passes sum batch norm's statistics over processes; {} is not at all, as at first.
    [[nodiscard]] const NormSum& norm_sum() const { return norm_sum_; }
    void set_norm_sum(const NormSum& sum) { norm_sum_ = sum; }

    /// Pointer to a buffer of the plan; null when the plan has none.
    template <class U = T>
    [[nodiscard]] U* at(std::size_t index) {
        if (PlanType::buffers[index].size == 0) { return nullptr; }
        return reinterpret_cast<U*>(bytes_.data() + PlanType::offset(index, batch_));
    }
    template <class U = T>
    [[nodiscard]] U* at(std::size_t stage, Slot slot) {
        return at<U>(PlanType::index(stage, slot));
    }
    [[nodiscard]] T* scratch() { return reinterpret_cast<T*>(bytes_.data() + PlanType::scratch_offset(batch_)); }

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
    static std::size_t bytes_for(int batch, int threads) {
        const std::size_t bytes = PlanType::bytes(batch, threads);
        if (bytes == std::numeric_limits<std::size_t>::max()) {
            raise<ArgumentError>({"workspace: a batch of ", batch, " samples takes more bytes than can be addressed"});
        }
        return bytes;
    }
    static int at_least_one(const char* what, int value) {
        if (value < 1) { raise<ArgumentError>({what, " is ", value, "; expected at least 1"}); }
        return value;
    }

    int batch_, threads_;
    AlignedArray<std::byte> own_;
    std::span<std::byte> bytes_;
    NormSum norm_sum_;
};

}  // namespace ctnn::inline CTNN_ISA
