// How a step's batch is cut: into a share for each rank, and that into passes which a workspace has room for.
#pragma once

#include <cstddef>

#include <ctnn/core/error.hpp>
#include <ctnn/data/split.hpp>

namespace ctnn::inline CTNN_ISA::detail {

/// Batches of at most `batch_size` samples over all ranks. All ranks make as many passes, which differ by one sample at
/// most on each; those of a rank with fewer samples than passes are in part empty.
struct BatchCut {
    std::size_t batch_size;
    std::size_t pass_size;  ///< the most samples of a pass
    int rank, ranks;

    [[nodiscard]] std::size_t passes(std::size_t samples) const {
        return (largest_shard(samples, ranks) + pass_size - 1) / pass_size;
    }
    /// Some pass of some rank has a single sample. Where one is empty there is one, too: shares differ by one at most.
    [[nodiscard]] bool has_single(std::size_t samples) const { return smallest_pass(samples) <= 1; }
    [[nodiscard]] Shard own_share(std::size_t samples) const { return shard_of(samples, rank, ranks); }
    /// Pass i of a share: where it lies in it.
    [[nodiscard]] static Shard pass(std::size_t share, std::size_t i, std::size_t passes) {
        return {share * i / passes, share * (i + 1) / passes};
    }

    /// Throws ArgumentError.
    void check_batch(std::size_t samples) const {
        if (samples < 1 || samples > batch_size) {
            raise<ArgumentError>(
                {"a batch of ", samples, " samples; expected 1 to ", batch_size, ", the trainer's batch size"});
        }
    }
    /// Throws ArgumentError where `share` is not this rank's number of such a batch's samples.
    void check_share(std::size_t samples, std::size_t share) const {
        check_batch(samples);
        if (const std::size_t expected = own_share(samples).size(); share != expected) {
            raise<ArgumentError>({"a share of ", share, " of a batch of ", samples, " samples; expected ", expected,
                                  " on rank ", rank, " of ", ranks});
        }
    }
    /// Throws ArgumentError where synchronised batch norm would wait for a rank without a sample.
    void check_full(std::size_t samples) const {
        if (smallest_pass(samples) < 1) {
            raise<ArgumentError>({"synchronised batch norm: a batch of ", samples, " samples in ", passes(samples),
                                  " passes on each of ", ranks,
                                  " ranks, expected at least one sample in each; change the batch size"});
        }
    }

  private:
    [[nodiscard]] std::size_t smallest_pass(std::size_t samples) const {
        return samples / static_cast<std::size_t>(ranks) / passes(samples);
    }
};

}  // namespace ctnn::inline CTNN_ISA::detail
