// Geometry of byte images: antialiased bilinear resizing and centre crops, as PIL and torchvision do them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/data/image.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// One axis of a resize: output i is the sum of weights[i·taps + t] · input[first[i] + t] over t < count[i], in units
/// of 2^-22. A triangle filter about half-pixel centres, as wide as an output pixel where the image shrinks: PIL's
/// BILINEAR and torchvision's antialias=True. The integers are PIL's own, so that the bytes are.
class ResizeAxis {
  public:
    static constexpr int bits = 22;

    /// Keeps what is there when the sizes are those of the last call.
    void prepare(int in, int out) {
        if (in == in_ && out == out_) { return; }
        in_ = 0;  // until the tables are there
        const double scale = static_cast<double>(in) / out, filter = std::max(scale, 1.0), support = filter;
        taps_ = 2 * static_cast<int>(std::ceil(support)) + 1;
        const auto n = static_cast<std::size_t>(out);
        first_.resize(n);
        count_.resize(n);
        weights_.assign(n * static_cast<std::size_t>(taps_), 0);
        std::vector<double> exact(static_cast<std::size_t>(taps_));
        for (int i = 0; i < out; ++i) {
            const double centre = (i + 0.5) * scale;
            const int begin = std::max(static_cast<int>(std::lround(centre - support)), 0);
            const int end = std::min(static_cast<int>(std::lround(centre + support)), in);
            const auto k = static_cast<std::size_t>(i);
            first_[k] = begin;
            count_[k] = end - begin;
            double sum = 0;
            for (int t = 0; t < count_[k]; ++t) {
                const double distance = std::abs((t + begin - centre + 0.5) * (1.0 / filter));
                sum += exact[static_cast<std::size_t>(t)] = std::max(1.0 - distance, 0.0);
            }
            for (int t = 0; t < count_[k]; ++t) {
                weights_[k * static_cast<std::size_t>(taps_) + static_cast<std::size_t>(t)] =
                    static_cast<std::int32_t>(std::lround(exact[static_cast<std::size_t>(t)] / sum * (1 << bits)));
            }
        }
        in_ = in;
        out_ = out;
    }

    [[nodiscard]] int first(int i) const { return first_[static_cast<std::size_t>(i)]; }
    [[nodiscard]] int count(int i) const { return count_[static_cast<std::size_t>(i)]; }
    [[nodiscard]] const std::int32_t* weights(int i) const {
        return weights_.data() + static_cast<std::ptrdiff_t>(i) * taps_;
    }

    /// A sum that began at half a unit as a byte. It can be beyond 255 by what weights were rounded.
    static std::uint8_t byte(std::int32_t sum) { return static_cast<std::uint8_t>(std::min(sum >> bits, 255)); }
    static constexpr std::int32_t half = 1 << (bits - 1);

  private:
    int in_ = 0, out_ = 0, taps_ = 0;
    std::vector<int> first_, count_;
    std::vector<std::int32_t> weights_;
};

}  // namespace detail

/// Resizes images, and keeps filters and memory from one to the next: no allocation where sizes repeat.
class BilinearResizer {
  public:
    /// Resizes `image` to height × width, columns first, to bytes in between, as PIL does: the bytes equal those of
    /// Image.resize((width, height), BILINEAR). `out` is other memory than the image's. An image that has that size
    /// already is copied. Throws ArgumentError for sizes below 1.
    void operator()(const ImageView& image, int height, int width, Image& out) {
        const Shape in = image.shape;
        if (std::min({in.channels, in.height, in.width, height, width}) < 1) {
            raise<ArgumentError>({"resize: from ", in.height, "x", in.width, " to ", height, "x", width,
                                  ", expected sizes of at least 1"});
        }
        if (in.height == height) {
            resize_rows(image, width, out);
        } else if (in.width == width) {
            resize_columns(image, height, out);
        } else {
            resize_rows(image, width, between_);
            resize_columns(between_.view(), height, out);
        }
    }

  private:
    /// Every row by itself, to `width` pixels.
    void resize_rows(const ImageView& image, int width, Image& out) {
        if (image.shape.width == width) { return out.assign(image); }
        x_.prepare(image.shape.width, width);
        out.resize({image.shape.channels, image.shape.height, width});
        std::uint8_t* to = out.pixels.data();
        for (int c = 0; c < image.shape.channels; ++c) {
            for (int y = 0; y < image.shape.height; ++y) {
                const std::uint8_t* const row = image.row(c, y);
                for (int x = 0; x < width; ++x) {
                    const std::int32_t* const weight = x_.weights(x);
                    const std::uint8_t* const from = row + x_.first(x);
                    std::int32_t sum = detail::ResizeAxis::half;
                    for (int t = 0; t < x_.count(x); ++t) { sum += weight[t] * from[t]; }
                    *to++ = detail::ResizeAxis::byte(sum);
                }
            }
        }
    }

    /// Every column by itself, to `height` pixels.
    void resize_columns(const ImageView& image, int height, Image& out) {
        y_.prepare(image.shape.height, height);
        const auto width = static_cast<std::size_t>(image.shape.width);
        out.resize({image.shape.channels, height, image.shape.width});
        sums_.resize(width);
        std::uint8_t* to = out.pixels.data();
        for (int c = 0; c < image.shape.channels; ++c) {
            for (int y = 0; y < height; ++y, to += width) {
                std::fill(sums_.begin(), sums_.end(), detail::ResizeAxis::half);
                for (int t = 0; t < y_.count(y); ++t) {
                    const std::int32_t weight = y_.weights(y)[t];
                    const std::uint8_t* const row = image.row(c, y_.first(y) + t);
                    for (std::size_t x = 0; x < width; ++x) { sums_[x] += weight * row[x]; }
                }
                std::transform(sums_.begin(), sums_.end(), to, detail::ResizeAxis::byte);
            }
        }
    }

    detail::ResizeAxis y_, x_;
    Image between_;
    std::vector<std::int32_t> sums_;
};

/// `image` as height × width pixels, the aspect not kept; see BilinearResizer.
inline Image resize_bilinear(const ImageView& image, int height, int width) {
    Image out;
    BilinearResizer{}(image, height, width, out);
    return out;
}

/// The size at which the shorter side of an image is `side` and the aspect is kept, rounded down as torchvision's
/// Resize(side) does. Throws ArgumentError for more than 2^28 pixels, which a thin image would become.
constexpr Shape shape_with_shorter_side(Shape shape, int side) {
    const auto scaled = [&](int longer, int shorter) {
        const std::int64_t to = std::int64_t{side} * longer / std::max(shorter, 1);
        if (to > (std::int64_t{1} << 28) / std::max(side, 1)) {
            raise<ArgumentError>({"resize: ", shape.height, "x", shape.width, " with a shorter side of ", side, " is ",
                                  to, " pixels long, expected at most 2^28 pixels"});
        }
        return static_cast<int>(to);
    };
    return shape.width <= shape.height ? Shape{shape.channels, scaled(shape.height, shape.width), side}
                                       : Shape{shape.channels, side, scaled(shape.width, shape.height)};
}

/// torchvision's Resize(side).
inline Image resize_shorter_side(const ImageView& image, int side) {
    const Shape to = shape_with_shorter_side(image.shape, side);
    return resize_bilinear(image, to.height, to.width);
}

/// Pixels left of a centred piece of `inner` pixels; halves go to the even side, as in torchvision's CenterCrop.
constexpr int centre_offset(int outer, int inner) {
    const int half = (outer - inner) / 2;
    return (outer - inner) % 2 == 1 ? half + half % 2 : half;
}

/// The height × width pixels in the middle, not copied. Throws ArgumentError where the image is smaller.
inline ImageView centre_crop(const ImageView& image, int height, int width) {
    if (height < 1 || width < 1 || height > image.shape.height || width > image.shape.width) {
        raise<ArgumentError>({"centre crop: ", height, "x", width, ", expected 1x1 to the image's ", image.shape.height,
                              "x", image.shape.width});
    }
    return image.crop(centre_offset(image.shape.height, height), centre_offset(image.shape.width, width), height,
                      width);
}

}  // namespace ctnn::inline CTNN_ISA
