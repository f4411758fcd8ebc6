// Colours of byte images: brightness, contrast, saturation and hue as torchvision changes them, and the lighting of the
// 2012 paper. Integers where a rounding could differ from machine to machine; hue alone is computed in float.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <ctnn/core/random.hpp>
#include <ctnn/data/image.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// factor · a + (1 − factor) · b, rounded and clamped to a byte; the factor is in units of 2^-16, from 0 to 2.
constexpr std::uint8_t blend(std::int32_t factor, std::int32_t a, std::int32_t b) {
    const std::int32_t value = (factor * a + ((1 << 16) - factor) * b + (1 << 15)) >> 16;
    return static_cast<std::uint8_t>(std::clamp(value, 0, 255));
}
inline std::int32_t fixed_factor(double factor) { return static_cast<std::int32_t>(std::lround(factor * (1 << 16))); }

/// PIL's grey of a pixel, 0.299 R + 0.587 G + 0.114 B.
constexpr std::int32_t grey(std::int32_t r, std::int32_t g, std::int32_t b) {
    return (19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16;
}

}  // namespace detail

/// Multiplies every byte by `factor` in [0, 2].
inline void adjust_brightness(Image& image, double factor) {
    const std::int32_t f = detail::fixed_factor(factor);
    for (std::uint8_t& byte : image.pixels) { byte = detail::blend(f, byte, 0); }
}

/// Blends with the mean of the grey image: factor 0 leaves that alone, 1 the image, 2 doubles the contrast. Of 3
/// channels or 1.
inline void adjust_contrast(Image& image, double factor) {
    const std::int32_t f = detail::fixed_factor(factor);
    const auto n = static_cast<std::size_t>(image.shape.pixels());
    const std::uint8_t* const p = image.pixels.data();
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        sum +=
            image.shape.channels == 3 ? static_cast<std::uint64_t>(detail::grey(p[i], p[n + i], p[2 * n + i])) : p[i];
    }
    const auto mean = static_cast<std::int32_t>((sum + n / 2) / n);
    for (std::uint8_t& byte : image.pixels) { byte = detail::blend(f, byte, mean); }
}

/// Blends every pixel with its grey; does nothing to an image of one channel.
inline void adjust_saturation(Image& image, double factor) {
    if (image.shape.channels != 3) { return; }
    const std::int32_t f = detail::fixed_factor(factor);
    const std::span<std::uint8_t> r = image.plane(0), g = image.plane(1), b = image.plane(2);
    for (std::size_t i = 0; i < r.size(); ++i) {
        const std::int32_t grey = detail::grey(r[i], g[i], b[i]);
        r[i] = detail::blend(f, r[i], grey);
        g[i] = detail::blend(f, g[i], grey);
        b[i] = detail::blend(f, b[i], grey);
    }
}

/// Turns the hue by `turn` in [−0.5, 0.5] of the circle; saturation and value (of HSV) stay. Does nothing to an image
/// of one channel.
inline void adjust_hue(Image& image, double turn) {
    if (image.shape.channels != 3) { return; }
    const auto shift = static_cast<float>(6.0 * (turn < 0 ? turn + 1 : turn));
    const std::span<std::uint8_t> red = image.plane(0), green = image.plane(1), blue = image.plane(2);
    for (std::size_t i = 0; i < red.size(); ++i) {
        const int r = red[i], g = green[i], b = blue[i];
        const int most = std::max({r, g, b}), least = std::min({r, g, b}), chroma = most - least;
        if (chroma == 0) { continue; }
        // In sixths of the circle, from red.
        float hue = most == r   ? static_cast<float>(g - b) / static_cast<float>(chroma) + 6.0f
                    : most == g ? static_cast<float>(b - r) / static_cast<float>(chroma) + 2.0f
                                : static_cast<float>(r - g) / static_cast<float>(chroma) + 4.0f;
        hue = std::fmod(hue + shift, 6.0f);
        const int sixth = std::min(static_cast<int>(hue), 5);
        const float exact = static_cast<float>(chroma) * (hue - static_cast<float>(sixth));
        const int part = static_cast<int>(std::floor(exact + 0.5f));
        const auto high = static_cast<std::uint8_t>(most), low = static_cast<std::uint8_t>(least);
        const auto rising = static_cast<std::uint8_t>(least + part), falling = static_cast<std::uint8_t>(most - part);
        const std::array<std::array<std::uint8_t, 3>, 6> colours{{{high, rising, low},
                                                                  {falling, high, low},
                                                                  {low, high, rising},
                                                                  {low, falling, high},
                                                                  {rising, low, high},
                                                                  {high, low, falling}}};
        red[i] = colours[static_cast<std::size_t>(sixth)][0];
        green[i] = colours[static_cast<std::size_t>(sixth)][1];
        blue[i] = colours[static_cast<std::size_t>(sixth)][2];
    }
}

/// Strengths of torchvision's ColorJitter, each in [0, 1], hue at most 0.5: factors are uniform in 1 ± strength, the
/// hue turns by ± its strength, in a random order.
struct ColourJitter {
    double brightness = 0, contrast = 0, saturation = 0, hue = 0;

    [[nodiscard]] bool on() const { return brightness > 0 || contrast > 0 || saturation > 0 || hue > 0; }
};

/// Changes an image of 3 channels or 1 by numbers from `random`, of which it always takes as many.
inline void jitter_colours(Image& image, const ColourJitter& jitter, Random random) {
    std::array<int, 4> order{0, 1, 2, 3};
    for (std::uint32_t i = 4; i > 1; --i) { std::swap(order[i - 1], order[random.below(i)]); }
    std::array<double, 4> u{};
    for (double& value : u) { value = 2.0 * static_cast<double>(random.uniform()) - 1.0; }
    for (const int what : order) {
        if (what == 0 && jitter.brightness > 0) { adjust_brightness(image, 1 + jitter.brightness * u[0]); }
        if (what == 1 && jitter.contrast > 0) { adjust_contrast(image, 1 + jitter.contrast * u[1]); }
        if (what == 2 && jitter.saturation > 0) { adjust_saturation(image, 1 + jitter.saturation * u[2]); }
        if (what == 3 && jitter.hue > 0) { adjust_hue(image, jitter.hue * u[3]); }
    }
}

/// Principal components of the colours of a training set, pixels being in [0, 1]: column i of `vectors` belongs to
/// values[i]. By default ImageNet's, as they are usually published.
struct ColourComponents {
    std::array<double, 3> values{0.2175, 0.0188, 0.0045};
    std::array<std::array<double, 3>, 3> vectors{
        {{-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}}};
};

/// What the 2012 paper adds to every pixel of an image (Krizhevsky, Sutskever and Hinton, section 4.1): for R, G and B,
/// in units where a pixel is in [0, 1], [p1 p2 p3] [α1 λ1, α2 λ2, α3 λ3]ᵀ with α normal of standard deviation
/// `strength`, 0.1 in the paper.
inline std::array<float, 3> lighting_offset(double strength, Random random, const ColourComponents& components = {}) {
    std::array<double, 3> sum{};
    for (std::size_t i = 0; i < 3; ++i) {
        const double weight = strength * random.normal() * components.values[i];
        for (std::size_t c = 0; c < 3; ++c) { sum[c] += components.vectors[c][i] * weight; }
    }
    return {static_cast<float>(sum[0]), static_cast<float>(sum[1]), static_cast<float>(sum[2])};
}

}  // namespace ctnn::inline CTNN_ISA
