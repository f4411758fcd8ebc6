// Chance in the preparation of one sample: crops, flips, colours, lighting, cutout. Every number depends on
// (seed, epoch, sample) and its purpose alone, so that neither order nor threads nor what else is switched on matter.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <ctnn/core/error.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/data/colour.hpp>
#include <ctnn/data/normalize.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// What numbers of the stream `augment` are for.
enum class Draw : std::uint32_t { placement, first_flip, resized_crop, colours, lighting, cutout, mixup };

/// The numbers of one sample, or of one batch, in one epoch, which needs 31 bits.
constexpr Random augment_random(Draw draw, std::uint64_t seed, int epoch, std::uint32_t item) {
    return {seed, Stream::augment, static_cast<std::uint64_t>(draw) << 32 | static_cast<std::uint64_t>(epoch), item};
}

}  // namespace detail

/// What a loader does to samples beyond the padded crop and the flip; all is off by default.
struct Augmentation {
    bool random_resized_crop = false;  ///< torchvision's RandomResizedCrop, in place of the padded crop
    double scale_min = 0.08;           ///< its area, as a share of the image's
    double scale_max = 1.0;
    double ratio_min = 3.0 / 4.0;  ///< its width divided by its height
    double ratio_max = 4.0 / 3.0;
    ColourJitter jitter{};
    double lighting = 0.0;  ///< the 2012 paper's, 0.1 there: standard deviation of α; RGB images only
    int cutout = 0;         ///< side of the square that becomes 0 after normalisation

    /// Throws ArgumentError for a value out of range.
    void validate() const {
        const auto expect = [](bool good, const char* what, double value, const char* expected) {
            if (!good) { raise<ArgumentError>({"augmentation: ", what, " is ", value, ", expected ", expected}); }
        };
        expect(scale_min > 0 && scale_min <= 1, "scale_min", scale_min, "more than 0 and at most 1");
        expect(scale_max >= scale_min && scale_max <= 1, "scale_max", scale_max, "scale_min to 1");
        expect(ratio_min > 0 && ratio_min <= 1e3, "ratio_min", ratio_min, "more than 0 and at most 1000");
        expect(ratio_max >= ratio_min && ratio_max <= 1e3, "ratio_max", ratio_max, "ratio_min to 1000");
        expect(jitter.brightness >= 0 && jitter.brightness <= 1, "brightness", jitter.brightness, "0 to 1");
        expect(jitter.contrast >= 0 && jitter.contrast <= 1, "contrast", jitter.contrast, "0 to 1");
        expect(jitter.saturation >= 0 && jitter.saturation <= 1, "saturation", jitter.saturation, "0 to 1");
        expect(jitter.hue >= 0 && jitter.hue <= 0.5, "hue", jitter.hue, "0 to 0.5");
        expect(lighting >= 0 && lighting <= 1e3, "lighting", lighting, "0 to 1000");
        expect(cutout >= 0, "cutout", cutout, "at least 0");
    }
};

/// PyTorch's RandomCrop(size, padding), then RandomHorizontalFlip(0.5) where `flip` is set. An image that is larger
/// than the crop by `room` pixels has its offsets in [−padding, room + padding]. Depends on its arguments alone.
constexpr Placement random_placement(std::uint64_t seed, int epoch, std::uint32_t sample, int padding, bool flip,
                                     int room_y = 0, int room_x = 0) {
    Random random = detail::augment_random(detail::Draw::placement, seed, epoch, sample);
    Placement placement;
    placement.dy = static_cast<int>(random.below(static_cast<std::uint32_t>(room_y + 2 * padding + 1))) - padding;
    placement.dx = static_cast<int>(random.below(static_cast<std::uint32_t>(room_x + 2 * padding + 1))) - padding;
    placement.mirror = random.below(2) == 1 && flip;
    return placement;
}

/// Flips that alternate: chance says in which epochs, the even or the odd, a sample is mirrored (Jordan, "94 % on
/// CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3.6). Two epochs in a row show both sides of every sample.
constexpr bool alternating_flip(std::uint64_t seed, int epoch, std::uint32_t sample) {
    const bool first = detail::augment_random(detail::Draw::first_flip, seed, 0, sample).next() % 2 == 1;
    return first != (epoch % 2 == 1);
}

/// A rectangle of pixels.
struct Box {
    int y = 0, x = 0, height = 0, width = 0;
    bool operator==(const Box&) const = default;
};

/// The box of torchvision's RandomResizedCrop: area and aspect at random, ten attempts to fit it into the image, and
/// behind these the largest centred box whose aspect is in range.
inline Box random_resized_box(const Augmentation& options, std::uint64_t seed, int epoch, std::uint32_t sample,
                              int height, int width) {
    Random random = detail::augment_random(detail::Draw::resized_crop, seed, epoch, sample);
    const auto between = [&](double low, double high) {
        return low + (high - low) * static_cast<double>(random.uniform());
    };
    const double area = static_cast<double>(height) * width;
    for (int attempt = 0; attempt < 10; ++attempt) {
        const double target = area * between(options.scale_min, options.scale_max);
        const double ratio = std::exp(between(std::log(options.ratio_min), std::log(options.ratio_max)));
        const auto w = static_cast<int>(std::lround(std::sqrt(target * ratio)));
        const auto h = static_cast<int>(std::lround(std::sqrt(target / ratio)));
        if (w < 1 || h < 1 || w > width || h > height) { continue; }
        const auto y = static_cast<int>(random.below(static_cast<std::uint32_t>(height - h + 1)));
        const auto x = static_cast<int>(random.below(static_cast<std::uint32_t>(width - w + 1)));
        return {y, x, h, w};
    }
    const double ratio = static_cast<double>(width) / height;
    Box box{0, 0, height, width};
    if (ratio < options.ratio_min) {
        box.height = std::clamp(static_cast<int>(std::lround(width / options.ratio_min)), 1, height);
    } else if (ratio > options.ratio_max) {
        box.width = std::clamp(static_cast<int>(std::lround(height * options.ratio_max)), 1, width);
    }
    box.y = (height - box.height) / 2;
    box.x = (width - box.width) / 2;
    return box;
}

/// The square of `side` pixels about a pixel chosen at random, cut where it leaves the image (DeVries and Taylor,
/// "Improved regularization of convolutional neural networks with cutout", 2017).
constexpr Box random_cutout(int side, std::uint64_t seed, int epoch, std::uint32_t sample, int height, int width) {
    Random random = detail::augment_random(detail::Draw::cutout, seed, epoch, sample);
    const int y = static_cast<int>(random.below(static_cast<std::uint32_t>(height))) - side / 2;
    const int x = static_cast<int>(random.below(static_cast<std::uint32_t>(width))) - side / 2;
    const int top = std::max(y, 0), left = std::max(x, 0);
    return {top, left, std::min(y + side - top, height - top), std::min(x + side - left, width - left)};
}

/// Sets a box of a sample (H, W, C) to 0, which is the mean of normalised pixels.
inline void cut_out(const Box& box, Shape shape, float* image) {
    for (int y = box.y; y < box.y + box.height; ++y) {
        float* const first = image + (std::ptrdiff_t{y} * shape.width + box.x) * shape.channels;
        std::fill_n(first, std::ptrdiff_t{box.width} * shape.channels, 0.0f);
    }
}

}  // namespace ctnn::inline CTNN_ISA
