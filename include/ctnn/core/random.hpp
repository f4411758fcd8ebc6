// Counter-based random numbers: the value depends on the key and the counter alone, never on who asks, in which
// order, or on which thread. Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011), table 2.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

/// What the random numbers are for; two purposes of one seed never share a stream.
enum class Stream : std::uint32_t { init = 1, shuffle = 2, augment = 3, dropout = 4, synthetic = 5, test = 6 };

using PhiloxBlock = std::array<std::uint32_t, 4>;
/// Blocks side by side, word by word, in which form compilers make vectors of them.
template <std::size_t Count>
using PhiloxBlocks = std::array<std::array<std::uint32_t, Count>, 4>;

/// Four 32-bit words for a 64-bit key and each of a number of 128-bit counters.
template <std::size_t Count>
constexpr PhiloxBlocks<Count> philox(std::array<std::uint32_t, 2> key, PhiloxBlocks<Count> counter) {
    auto& [c0, c1, c2, c3] = counter;
    for (int round = 0; round < 10; ++round) {
        for (std::size_t i = 0; i < Count; ++i) {
            const std::uint64_t a = std::uint64_t{0xD2511F53u} * c0[i];
            const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * c2[i];
            c0[i] = static_cast<std::uint32_t>(b >> 32) ^ c1[i] ^ key[0];
            c1[i] = static_cast<std::uint32_t>(b);
            c2[i] = static_cast<std::uint32_t>(a >> 32) ^ c3[i] ^ key[1];
            c3[i] = static_cast<std::uint32_t>(a);
        }
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return counter;
}
constexpr PhiloxBlock philox(std::array<std::uint32_t, 2> key, PhiloxBlock counter) {
    const auto words = philox<1>(key, {{{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}}});
    return {words[0][0], words[1][0], words[2][0], words[3][0]};
}

/// A uniform number in [0, 1) with 24 random bits, exact in float.
constexpr float unit_float(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

/// A random stream: (seed, purpose) is the key; (a, b) names the item, for example (epoch, sample, layer), and a
/// running index counts within the item. `at(i)` is random access; `next()` walks.
class Random {
  public:
    constexpr Random(std::uint64_t seed, Stream stream, std::uint64_t a = 0, std::uint32_t b = 0)
        : key_{static_cast<std::uint32_t>(seed),
               static_cast<std::uint32_t>(seed >> 32) ^ (static_cast<std::uint32_t>(stream) << 24)},
          a_{static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(a >> 32)},
          b_{b} {}

    /// Words 4i … 4i+3 of the stream.
    [[nodiscard]] constexpr PhiloxBlock block(std::uint32_t i) const { return philox(key_, {i, b_, a_[0], a_[1]}); }

    /// Blocks first, first + 1, …
    template <std::size_t Count>
    [[nodiscard]] constexpr PhiloxBlocks<Count> blocks(std::uint32_t first) const {
        PhiloxBlocks<Count> counter;
        for (std::size_t i = 0; i < Count; ++i) {
            counter[0][i] = first + static_cast<std::uint32_t>(i);
            counter[1][i] = b_;
            counter[2][i] = a_[0];
            counter[3][i] = a_[1];
        }
        return philox(key_, counter);
    }

    [[nodiscard]] constexpr std::uint32_t at(std::uint32_t i) const { return block(i / 4)[i % 4]; }

    constexpr std::uint32_t next() {
        if (used_ % 4 == 0) { cached_ = block(used_ / 4); }
        return cached_[used_++ % 4];
    }

    /// What as many calls of next() would give, in less time.
    constexpr void fill(std::span<std::uint32_t> words) {
        constexpr std::size_t together = 16;
        for (; !words.empty() && used_ % 4 != 0; words = words.subspan(1)) { words.front() = next(); }
        for (; words.size() >= 4 * together; words = words.subspan(4 * together), used_ += 4 * together) {
            const auto found = blocks<together>(used_ / 4);
            for (std::size_t i = 0; i < 4 * together; ++i) { words[i] = found[i % 4][i / 4]; }
        }
        for (std::uint32_t& word : words) { word = next(); }
    }

    /// Uniform in [0, 1).
    constexpr float uniform() { return unit_float(next()); }
    constexpr float uniform(float low, float high) { return low + (high - low) * uniform(); }

    /// Uniform integer in [0, n), n ≥ 1, by Lemire's multiply-shift (bias below n / 2^32).
    constexpr std::uint32_t below(std::uint32_t n) {
        return static_cast<std::uint32_t>((std::uint64_t{next()} * n) >> 32);
    }

    /// Standard normal, by Box and Muller in double, one of the pair.
    double normal() {
        const double u = (static_cast<double>(next()) + 0.5) * 0x1p-32;
        const double v = (static_cast<double>(next()) + 0.5) * 0x1p-32;
        return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
    }

  private:
    std::array<std::uint32_t, 2> key_;
    std::array<std::uint32_t, 2> a_;
    std::uint32_t b_;
    std::uint32_t used_ = 0;
    PhiloxBlock cached_{};
};

}  // namespace ctnn::inline CTNN_ISA
