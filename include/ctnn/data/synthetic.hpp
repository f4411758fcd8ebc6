// A labelled image set that needs no file: ten classes of textured shapes, drawn in memory. Integer arithmetic
// throughout, so a seed gives the same bytes on every machine and with every compiler.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/data/image.hpp>
#include <ctnn/data/source.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

enum class Outline { disc, square, triangle, ring, cross };
enum class Texture { stripes, checks };

/// A rotation followed by a scaling, in fixed point: (x, y) → 2^20 · R(angle) (x, y) / unit.
struct Rotation {
    std::int32_t c, s;

    Rotation(std::uint32_t turn_4096, std::uint32_t unit) {
        const double angle = static_cast<double>(turn_4096) * (2.0 * std::numbers::pi / 4096.0);
        c = static_cast<std::int32_t>(std::lround(0x1p20 * std::cos(angle) / unit));
        s = static_cast<std::int32_t>(std::lround(0x1p20 * std::sin(angle) / unit));
    }
    [[nodiscard]] std::int32_t u(std::int32_t x, std::int32_t y) const { return c * x + s * y; }
    [[nodiscard]] std::int32_t v(std::int32_t x, std::int32_t y) const { return c * y - s * x; }
};

/// Whether (u, v), in 1/1024 of the radius of the circle that holds the figure, lies inside the outline.
inline bool inside(Outline outline, std::int32_t u, std::int32_t v) {
    const std::int32_t au = std::abs(u), av = std::abs(v);
    const std::int32_t far = au > av ? au : av, near = au > av ? av : au;
    switch (outline) {
        case Outline::disc: return u * u + v * v < 880 * 880;
        case Outline::square: return far < 724;
        case Outline::triangle: return v > -512 && 1774 * au < 1024 * (1024 - v);  // 1774 / 1024 = sqrt(3)
        case Outline::ring: return u * u + v * v < 1000 * 1000 && u * u + v * v > 520 * 520;
        case Outline::cross: return far < 960 && near < 300;
    }
    return false;
}

inline std::array<int, 3> random_colour(Random& random, int low, int high) {
    std::array<int, 3> colour{};
    for (int& channel : colour) {
        channel = low + static_cast<int>(random.below(static_cast<std::uint32_t>(high - low)));
    }
    return colour;
}

/// Sum over the channels of absolute differences.
inline int contrast(const std::array<int, 3>& a, const std::array<int, 3>& b) {
    return std::abs(a[0] - b[0]) + std::abs(a[1] - b[1]) + std::abs(a[2] - b[2]);
}

/// Draws one sample: 3 planes of 32×32 bytes. Lengths are in 1/16 pixel; a pixel is the mean of 2×2 points.
inline void draw_figure(Random random, Outline outline, Texture texture, std::span<std::uint8_t> planes) {
    constexpr std::int32_t side = 32, whole = side * 16;
    const std::uint32_t radius = 144 + random.below(81);  // 9 to 14 pixels
    const std::uint32_t room = whole - 2 * radius + 1;    // the figure never leaves the image
    const auto centre_x = static_cast<std::int32_t>(radius + random.below(room));
    const auto centre_y = static_cast<std::int32_t>(radius + random.below(room));
    const Rotation figure{random.below(4096), radius};
    const std::uint32_t cell = 40 + random.below(17);  // width of a stripe or a check: 2.5 to 3.5 pixels
    const Rotation weave{random.below(4096), cell};
    const auto phase = static_cast<std::int32_t>(random.below(1u << 21));

    // A dark background and two bright tones that differ clearly.
    std::array<std::array<int, 3>, 3> colours{random_colour(random, 0, 100), random_colour(random, 100, 256)};
    do { colours[2] = random_colour(random, 100, 256); } while (contrast(colours[1], colours[2]) < 180);
    const int noise = 4 + static_cast<int>(random.below(13));  // standard deviation in byte steps

    constexpr auto area = static_cast<std::size_t>(side) * side;
    for (std::int32_t y = 0; y < side; ++y) {
        for (std::int32_t x = 0; x < side; ++x) {
            std::array<int, 3> points{};  // how many of the four show each colour
            const std::int32_t from_x = 16 * x + 8 - centre_x, from_y = 16 * y + 8 - centre_y;
            // More than half of the pixels lie outside the circle, by half a pixel at least.
            const auto near = static_cast<std::int32_t>(radius) + 8;
            if (from_x * from_x + from_y * from_y > near * near) { points[0] = 4; }
            for (std::int32_t k = 0; k < 4 && points[0] < 4; ++k) {
                const std::int32_t dx = from_x - 4 + 8 * (k % 2), dy = from_y - 4 + 8 * (k / 2);
                if (!inside(outline, figure.u(dx, dy) >> 10, figure.v(dx, dy) >> 10)) {
                    ++points[0];
                    continue;
                }
                std::int32_t index = (weave.u(dx, dy) + phase) >> 20;
                if (texture == Texture::checks) { index += (weave.v(dx, dy) + phase) >> 20; }
                ++points[index % 2 == 0 ? 1 : 2];
            }
            for (std::size_t c = 0; c < 3; ++c) {
                planes[c * area + static_cast<std::size_t>(y * side + x)] = static_cast<std::uint8_t>(
                    (points[0] * colours[0][c] + points[1] * colours[1][c] + points[2] * colours[2][c]) / 4);
            }
        }
    }

    // Of each channel of a pixel, pixel by pixel. The sum of four random bytes is nearly normal, with mean 510 and
    // standard deviation 148.
    std::array<std::uint32_t, 3 * area> words;
    random.fill(words);
    std::array<std::int32_t, 3 * area> noises;
    for (std::size_t i = 0; i < noises.size(); ++i) {
        const std::uint32_t bits = words[i];
        const auto sum =
            static_cast<std::int32_t>((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
        noises[i] = (sum - 510) * noise / 148;
    }
    for (std::size_t c = 0; c < 3; ++c) {
        for (std::size_t i = 0; i < area; ++i) {
            std::uint8_t& byte = planes[c * area + i];
            byte = static_cast<std::uint8_t>(std::clamp(byte + noises[3 * i + c], 0, 255));
        }
    }
}

/// All but the images of a set of so many.
inline Dataset figure_labels(std::size_t count) {
    if (count > 0xFFFF'FFFFu) {
        raise<ArgumentError>({"synthetic set: ", count, " samples, expected fewer than 2^32"});
    }
    Dataset set{.shape = {3, 32, 32},
                .labels = std::vector<std::uint16_t>(count),
                .class_names = {"striped disc", "striped square", "striped triangle", "striped ring", "striped cross",
                                "checked disc", "checked square", "checked triangle", "checked ring", "checked cross"},
                .normalization = {{0.32f, 0.32f, 0.32f}, {0.25f, 0.25f, 0.25f}}};
    for (std::size_t i = 0; i < count; ++i) { set.labels[i] = static_cast<std::uint16_t>(i % 10); }
    return set;
}

constexpr std::size_t figure_bytes = std::size_t{3} * 32 * 32;

/// Draws samples `first`, `first` + 1, … of split 0, for training, or 1, as many as there is room for.
inline void draw_figures(std::uint64_t seed, std::uint64_t split, std::size_t first, std::span<std::uint8_t> pixels) {
    for (std::size_t i = first; !pixels.empty(); ++i, pixels = pixels.subspan(figure_bytes)) {
        draw_figure(Random{seed, Stream::synthetic, split, static_cast<std::uint32_t>(i)}, static_cast<Outline>(i % 5),
                    static_cast<Texture>(i % 10 / 5), pixels.first(figure_bytes));
    }
}

inline Dataset synthetic_set(std::size_t count, std::uint64_t seed, std::uint64_t split) {
    Dataset set = figure_labels(count);
    set.pixels.resize(count * figure_bytes);
    constexpr std::size_t chunk = 64;
    parallel_for(static_cast<int>((count + chunk - 1) / chunk), default_threads(), [&](int c, int) {
        const std::size_t first = static_cast<std::size_t>(c) * chunk;
        draw_figures(
            seed, split, first,
            std::span{set.pixels}.subspan(first * figure_bytes, std::min(chunk, count - first) * figure_bytes));
    });
    return set;
}

}  // namespace detail

/// Two sets of 3×32×32 images of ten classes, {striped, checked} × {disc, square, triangle, ring, cross}. Colours,
/// position, size, rotation, weave and noise vary per sample, so that no linear function of the pixels tells the
/// classes apart, while a small convolutional network does. Sample i has label i mod 10 and depends on (seed, split, i)
/// alone: a longer set begins with the shorter one. Throws ArgumentError from 2^32 samples on.
inline TrainTest make_synthetic(std::size_t train, std::size_t test, std::uint64_t seed) {
    return {detail::synthetic_set(train, seed, 0), detail::synthetic_set(test, seed, 1)};
}

/// One of make_synthetic()'s two sets as a source, whose images are drawn when they are first read: what reads a few of
/// many need not wait for all. Throws as make_synthetic() does.
class SyntheticSource final : public ImageSource {
  public:
    enum class Split { train, test };

    SyntheticSource(std::size_t size, std::uint64_t seed, Split split)
        : set_{detail::figure_labels(size)},
          seed_{seed},
          split_{split},
          pixels_{std::make_unique_for_overwrite<std::uint8_t[]>(size * detail::figure_bytes)},
          drawn_{std::make_unique<std::once_flag[]>((size + chunk - 1) / chunk)} {}

    [[nodiscard]] std::size_t size() const override { return set_.size(); }
    [[nodiscard]] Shape shape() const override { return set_.shape; }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return set_.labels[i]; }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return set_.class_names; }
    [[nodiscard]] const Normalization& normalization() const override { return set_.normalization; }
    ImageView read(std::size_t i, Image& /*scratch*/) const override {
        std::call_once(drawn_[i / chunk], [&] {
            const std::size_t first = i / chunk * chunk;
            detail::draw_figures(seed_, static_cast<std::uint64_t>(split_), first,
                                 images(first, std::min(chunk, size() - first)));
        });
        return {images(i, 1), set_.shape};
    }

  private:
    static constexpr std::size_t chunk = 16;

    [[nodiscard]] std::span<std::uint8_t> images(std::size_t first, std::size_t count) const {
        return {pixels_.get() + first * detail::figure_bytes, count * detail::figure_bytes};
    }

    Dataset set_;  // without pixels
    std::uint64_t seed_;
    Split split_;
    std::unique_ptr<std::uint8_t[]> pixels_;
    std::unique_ptr<std::once_flag[]> drawn_;
};

}  // namespace ctnn::inline CTNN_ISA
