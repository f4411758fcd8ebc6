// Which samples of a set are used, and in which order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/random.hpp>

namespace ctnn::inline CTNN_ISA {

/// 0, 1, …, size − 1. Throws ArgumentError when an index does not fit 32 bits.
inline std::vector<std::uint32_t> all_indices(std::size_t size) {
    if (size > 0xFFFF'FFFFu) { raise<ArgumentError>({"data set: ", size, " samples, expected fewer than 2^32"}); }
    std::vector<std::uint32_t> indices(size);
    std::iota(indices.begin(), indices.end(), 0u);
    return indices;
}

/// {training, validation}: the last `validation` of `size` samples validate, all before them train.
/// Throws ArgumentError when there are fewer samples than that.
inline std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> split_by_index(std::size_t size,
                                                                                        std::size_t validation) {
    if (validation > size) {
        raise<ArgumentError>(
            {"split: validation is ", validation, ", expected at most the ", size, " samples there are"});
    }
    std::vector<std::uint32_t> training = all_indices(size);
    const auto cut = training.end() - static_cast<std::ptrdiff_t>(validation);
    std::vector<std::uint32_t> held_out(cut, training.end());
    training.erase(cut, training.end());
    return {std::move(training), std::move(held_out)};
}

/// Samples [begin, end) of a batch.
struct Shard {
    std::size_t begin, end;
    [[nodiscard]] constexpr std::size_t size() const { return end - begin; }
};
/// What rank `rank` of `ranks` takes of n samples: shares in the ranks' order, which differ by one at most.
constexpr Shard shard_of(std::size_t n, int rank, int ranks) {
    const auto r = static_cast<std::size_t>(rank), all = static_cast<std::size_t>(ranks);
    return {n * r / all, n * (r + 1) / all};
}
/// Samples in the largest of these shares.
constexpr std::size_t largest_shard(std::size_t n, int ranks) {
    const auto all = static_cast<std::size_t>(ranks);
    return (n + all - 1) / all;
}

/// Shuffles in place (Fisher and Yates) with numbers from `random`.
constexpr void shuffle(std::span<std::uint32_t> indices, Random& random) {
    for (std::size_t i = indices.size(); i > 1; --i) {
        std::swap(indices[i - 1], indices[random.below(static_cast<std::uint32_t>(i))]);
    }
}

/// Shuffles in place; the order depends on (seed, epoch) and the order before.
constexpr void shuffle_indices(std::span<std::uint32_t> indices, std::uint64_t seed, int epoch) {
    Random random{seed, Stream::shuffle, static_cast<std::uint64_t>(epoch)};
    shuffle(indices, random);
}

}  // namespace ctnn::inline CTNN_ISA
