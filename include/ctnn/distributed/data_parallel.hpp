// What a training step does with those of other ranks, each of which has a share of the same batch.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <ctnn/core/config.hpp>
#include <ctnn/core/layout.hpp>
#include <ctnn/distributed/communicator.hpp>
#include <ctnn/kernels/normalization.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/train/targets.hpp>

namespace ctnn::inline CTNN_ISA::distributed {

/// A trainer's dealings with other ranks. Of a process alone, whose size the compiler knows, nothing is left.
template <Network Net, class T, Communicator Comm>
class DataParallel {
    using Layout = ParameterLayout<Net>;

  public:
    /// `sync_norms`: batch norm takes its statistics from all ranks' samples, not from each rank's.
    DataParallel(Comm& comm, bool sync_norms)
        : comm_{comm}, sync_norms_{sync_norms && Layout::buffer_size > 0 && comm.size() > 1} {
        if (!sync_norms_) { return; }
        int most = 0;
        for (const BufferSlot& slot : Layout::buffers) { most = std::max(most, slot.channels); }
        norm_memory_.resize(NormSum::size(most));
    }

    [[nodiscard]] const Comm& ranks() const { return comm_; }
    [[nodiscard]] bool alone() const { return comm_.size() == 1; }
    [[nodiscard]] bool sync_norms() const { return sync_norms_; }

    /// For the workspace of a trainer that stays where it is.
    [[nodiscard]] NormSum norm_sum() {
        if (!sync_norms_) { return {}; }
        return {[](void* context, std::span<double> values) { static_cast<Comm*>(context)->all_reduce(values); },
                &comm_, norm_memory_.data()};
    }

    /// The same for a pass that the other ranks do not make.
    [[nodiscard]] NormSum own_norm_sum() {
        if (!sync_norms_) { return {}; }
        return {[](void*, std::span<double>) {}, nullptr, norm_memory_.data()};
    }

    /// What is divided by and how many there are, over all ranks' samples.
    struct Batch {
        std::size_t samples;
        double divisor;
    };
    [[nodiscard]] Batch whole(std::size_t samples, double divisor) {
        if (alone()) { return {samples, divisor}; }
        std::array sums{static_cast<double>(samples), divisor};
        comm_.all_reduce(std::span<double>{sums});
        return {static_cast<std::size_t>(sums[0]), sums[1]};
    }

    /// Starts to sum a tensor's gradient, while backward goes on with the stages before it: weights alone. What else
    /// there is, biases and norms, is little and lies together: it goes as one, behind the last of all.
    void start(std::span<T> arena, const ParameterSlot& slot) {
        if (alone() || !slot.spec.decays) { return; }
        comm_.start_all_reduce(
            arena.subspan(static_cast<std::size_t>(slot.offset), static_cast<std::size_t>(slot.spec.dims.stored())));
    }
    void start_rest(std::span<T> arena) {
        if (!alone()) { comm_.start_all_reduce(arena.subspan(static_cast<std::size_t>(Layout::decayed))); }
    }

    /// Waits for the gradients, and sums the losses. Running statistics become the mean over all samples, where ranks
    /// took their own.
    void finish(LossSum& loss, Buffers<Net, T>& buffers, double share) {
        if (alone()) { return; }
        std::array sums{loss.loss_sum, static_cast<double>(loss.correct), static_cast<double>(loss.count), loss.weight};
        if (!sync_norms_ && !buffers.span().empty()) {
            for (T& value : buffers.span()) { value = static_cast<T>(static_cast<double>(value) * share); }
            comm_.start_all_reduce(buffers.span());
        }
        comm_.all_reduce(std::span<double>{sums});
        comm_.finish();
        loss = {sums[0], static_cast<std::int64_t>(sums[1]), static_cast<std::int64_t>(sums[2]), sums[3]};
    }

    /// One rank's text on all of them, with its number: the first one's of those that know most.
    [[nodiscard]] std::string one_text(std::string text, int knowledge) {
        if (alone()) { return text; }
        std::vector<double> known(ranks_as_size());
        known[static_cast<std::size_t>(comm_.rank())] = knowledge;
        comm_.all_reduce(std::span{known});
        const int root = static_cast<int>(std::max_element(known.begin(), known.end()) - known.begin());
        std::size_t size = text.size();
        comm_.broadcast(std::as_writable_bytes(std::span{&size, 1}), root);
        text.resize(size);
        comm_.broadcast(std::as_writable_bytes(std::span{text}), root);
        return "rank " + std::to_string(root) + ": " + text;
    }

    /// Every rank's become the first one's.
    void share(std::span<T> values) { comm_.broadcast(std::as_writable_bytes(values), 0); }
    void share(Model<Net, T>& model) {
        share(model.parameters().span());
        share(model.buffers().span());
        share_value(model.buffers().batches_tracked);
    }
    template <class Value>
        requires std::is_trivially_copyable_v<Value>
    void share_value(Value& value) {
        comm_.broadcast(std::as_writable_bytes(std::span{&value, 1}), 0);
    }

  private:
    [[nodiscard]] std::size_t ranks_as_size() const { return static_cast<std::size_t>(comm_.size()); }

    Comm& comm_;
    bool sync_norms_;
    std::vector<double> norm_memory_;
};

}  // namespace ctnn::inline CTNN_ISA::distributed
