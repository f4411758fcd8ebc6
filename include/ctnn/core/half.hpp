// Numbers of half precision, for storage: IEEE 754's binary16, 11 significant bits, largest 65504, smallest 2⁻²⁴.
#pragma once

#include <bit>
#include <cstdint>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

/// One number: sign, 5 bits of exponent, 10 of fraction. Nothing is computed with it.
struct Half {
    std::uint16_t bits = 0;
};

/// Rounds to the nearest, ties to even: |x| from 65520 on becomes infinite, below 2⁻¹⁴ the steps stay 2⁻²⁴. What is not
/// a number stays so.
constexpr Half to_half(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    const auto signed_half = [sign](std::uint32_t half) { return Half{static_cast<std::uint16_t>(sign | half)}; };
    if (magnitude > 0x7F800000u) { return signed_half(0x7E00u | (magnitude >> 13 & 0x1FFu)); }
    if (magnitude >= 0x47800000u) { return signed_half(0x7C00u); }
    if (magnitude < 0x38800000u) {  // the steps of numbers from 0.5 on are 2⁻²⁴, too: their sum rounds as it must
        return signed_half(std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000u);
    }
    return signed_half((magnitude - 0x38000000u + 0x0FFFu + (magnitude >> 13 & 1u)) >> 13);
}

/// Exact.
constexpr float to_float(Half half) {
    const std::uint32_t sign = (half.bits & 0x8000u) << 16, shifted = (half.bits & 0x7FFFu) << 13;
    // The exponents' biases differ by 112; the largest exponent, infinite or not a number, goes up as much again.
    const std::uint32_t normal = shifted + (shifted >= 0x0F800000u ? 0x70000000u : 0x38000000u);
    // A fraction that no leading 1 belongs to: behind one, without it.
    const float small = std::bit_cast<float>(shifted + 0x38800000u) - 0x1p-14f;
    return std::bit_cast<float>(sign | (shifted < 0x00800000u ? std::bit_cast<std::uint32_t>(small) : normal));
}

}  // namespace ctnn::inline CTNN_ISA
