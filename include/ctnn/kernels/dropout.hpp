// Dropout masks as bits, and their application.
#pragma once

#include <cstddef>
#include <cstdint>

#include <ctnn/core/random.hpp>
#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

/// Draws `count` bits, each 1 ("keep") with probability 1 − p, into ⌈count / 8⌉ bytes. Bit i depends on word i of the
/// stream alone.
inline void draw_mask(std::uint8_t* bits, int count, double p, const Random& random) {
    constexpr int together = 32;  // blocks of four words
    const auto threshold = static_cast<std::uint64_t>(p * 0x1p32);
    const int bytes = (count + 7) / 8;
    for (int first = 0; first < bytes; first += together / 2) {
        const auto words = random.blocks<together>(static_cast<std::uint32_t>(first) * 2);
        std::uint8_t nibbles[together];
        for (std::size_t i = 0; i < together; ++i) {
            unsigned value = 0;
            for (unsigned word = 0; word < 4; ++word) { value |= (words[word][i] >= threshold ? 1u : 0u) << word; }
            nibbles[i] = static_cast<std::uint8_t>(value);
        }
        for (std::ptrdiff_t i = 0; i < together / 2 && first + i < bytes; ++i) {
            bits[first + i] = static_cast<std::uint8_t>(nibbles[2 * i] | nibbles[2 * i + 1] << 4);
        }
    }
}

/// y[i] = kept ? x[i] · factor : 0 by bit i; y may be x.
template <class T, class Arch = DefaultArch>
void apply_mask(const T* x, const std::uint8_t* bits, T* y, std::ptrdiff_t count, T factor) {
    using V = Vec<T, Arch>;
    const V by = V::broadcast(factor), zero = V::broadcast(T{});
    for_vectors<T, Arch>(count, [&](std::ptrdiff_t i, auto load, auto store) {
        unsigned chosen = bits[i / 8] >> (i % 8);
        if constexpr (V::width > 8) {
            if (count - i > 8) { chosen |= static_cast<unsigned>(bits[i / 8 + 1]) << 8; }
        }
        store(y + i, where_bits(chosen, load(x + i) * by, zero));
    });
}

/// The same for pixels × channels, the bit chosen by channel where `per_channel`, else by element.
template <class T>
void apply_mask(const T* x, const std::uint8_t* bits, T* y, int pixels, int channels, bool per_channel, T factor) {
    if (!per_channel) { return apply_mask(x, bits, y, std::ptrdiff_t{pixels} * channels, factor); }
    for (std::ptrdiff_t p = 0; p < pixels; ++p) {
        apply_mask(x + p * channels, bits, y + p * channels, std::ptrdiff_t{channels}, factor);
    }
}

}  // namespace ctnn::inline CTNN_ISA
