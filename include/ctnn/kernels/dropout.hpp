// Dropout masks as bits, and their application.
#pragma once

#include <cstddef>
#include <cstdint>

#include <ctnn/core/random.hpp>

namespace ctnn::inline CTNN_ISA {

/// Draws `count` bits, each 1 ("keep") with probability 1 − p, into ⌈count / 8⌉ bytes. Bit i depends on word i of the
/// stream alone.
inline void draw_mask(std::uint8_t* bits, int count, double p, const Random& random) {
    const auto threshold = static_cast<std::uint64_t>(p * 0x1p32);
    for (int byte = 0; byte * 8 < count; ++byte) {
        unsigned value = 0;
        for (unsigned half = 0; half < 2; ++half) {
            const PhiloxBlock words = random.block(static_cast<std::uint32_t>(byte) * 2 + half);
            for (unsigned i = 0; i < 4; ++i) { value |= (words[i] >= threshold ? 1u : 0u) << (half * 4u + i); }
        }
        bits[byte] = static_cast<std::uint8_t>(value);
    }
}

inline bool kept(const std::uint8_t* bits, std::ptrdiff_t i) { return ((bits[i / 8] >> (i % 8)) & 1) != 0; }

/// y[p, c] = kept ? x[p, c] · factor : 0, the bit chosen by channel where `per_channel`, else by element; y may be x.
template <class T>
void apply_mask(const T* x, const std::uint8_t* bits, T* y, int pixels, int channels, bool per_channel, T factor) {
    for (int p = 0; p < pixels; ++p) {
        const std::ptrdiff_t at = std::ptrdiff_t{p} * channels;
        const std::ptrdiff_t bit = per_channel ? 0 : at;
        for (int c = 0; c < channels; ++c) { y[at + c] = kept(bits, bit + c) ? x[at + c] * factor : T{}; }
    }
}

}  // namespace ctnn::inline CTNN_ISA
