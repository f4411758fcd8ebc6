// From bytes in planes to normalised numbers, channels last: what a network reads.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/data/image.hpp>

namespace ctnn::inline CTNN_ISA {

/// The normalised value of every byte, 256 entries per channel: normalising is one load.
class ByteTable {
  public:
    /// Throws ArgumentError unless `normalization` has a mean and a positive std, both finite, for each of `channels`.
    ByteTable(const Normalization& normalization, int channels) {
        const auto n = static_cast<std::size_t>(channels);
        if (normalization.mean.size() != n || normalization.std.size() != n) {
            raise<ArgumentError>({"normalization: ", normalization.mean.size(), " means and ", normalization.std.size(),
                                  " stds, expected ", n, " of each, one per channel"});
        }
        values_.resize(n * 256);
        for (std::size_t c = 0; c < n; ++c) {
            const float mean = normalization.mean[c], std = normalization.std[c];
            if (!(std > 0)) {
                raise<ArgumentError>({"normalization: std of channel ", c, " is ", std, ", expected more than 0"});
            }
            if (!std::isfinite(std) || !std::isfinite(mean)) {
                raise<ArgumentError>({"normalization: mean and std of channel ", c, " are ", mean, " and ", std,
                                      ", expected finite ones"});
            }
            for (std::size_t byte = 0; byte < 256; ++byte) {
                values_[c * 256 + byte] = (static_cast<float>(byte) / 255.0f - mean) / std;
            }
        }
    }

    [[nodiscard]] int channels() const { return static_cast<int>(values_.size() / 256); }
    /// The 256 values of channel `c`.
    [[nodiscard]] const float* channel(int c) const { return values_.data() + 256 * static_cast<std::size_t>(c); }

  private:
    std::vector<float> values_;
};

/// Output pixel (y, x) shows input pixel (y + dy, x + dx); `mirror` then reverses x. Beyond the border there is byte 0,
/// or, with `reflect`, the image mirrored at its outermost pixels as PyTorch's ReflectionPad2d does, again and again.
struct Placement {
    int dy = 0, dx = 0;
    bool mirror = false, reflect = false;
    bool operator==(const Placement&) const = default;
};

namespace detail {

/// Position `i` on an axis of n ≥ 1 pixels that is continued by reflection: … 2 1 [0 1 2 … n−1] n−2 …
constexpr std::ptrdiff_t reflected(std::ptrdiff_t i, std::ptrdiff_t n) {
    if (n == 1) { return 0; }
    const std::ptrdiff_t period = 2 * (n - 1), at = (i % period + period) % period;
    return at < n ? at : period - at;
}

}  // namespace detail

/// Writes height × width pixels of a byte image to `out` as normalised floats, channels last. Padding of byte 0 is
/// normalised too, as in the usual PyTorch pipeline, which crops before ToTensor and Normalize. Throws ArgumentError
/// where the image has other channels than the table.
inline void place_image(const ImageView& image, const ByteTable& table, Placement placement, int height, int width,
                        float* out) {
    if (image.shape.channels != table.channels()) {
        raise<ArgumentError>(
            {"normalization: of ", table.channels(), " channels, expected the image's ", image.shape.channels});
    }
    const std::ptrdiff_t channels = image.shape.channels, in_height = image.shape.height, in_width = image.shape.width;
    const std::ptrdiff_t dx = placement.dx, out_width = width;
    // Columns [begin, end) of the unmirrored output lie on the image.
    const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(-dx, 0, out_width);
    const std::ptrdiff_t end = std::clamp<std::ptrdiff_t>(in_width - dx, begin, out_width);
    const std::ptrdiff_t step = placement.mirror ? -channels : channels;
    for (std::ptrdiff_t y = 0; y < height; ++y) {
        std::ptrdiff_t from = y + placement.dy;
        if (placement.reflect) { from = detail::reflected(from, in_height); }
        const bool row_exists = from >= 0 && from < in_height;
        for (std::ptrdiff_t c = 0; c < channels; ++c) {
            const float* const value = table.channel(static_cast<int>(c));
            float* const first = out + (y * out_width + (placement.mirror ? out_width - 1 : 0)) * channels + c;
            if (!row_exists) {
                for (std::ptrdiff_t x = 0; x < out_width; ++x) { first[x * step] = value[0]; }
                continue;
            }
            const std::uint8_t* const row = image.row(static_cast<int>(c), static_cast<int>(from));
            const auto beyond = [&](std::ptrdiff_t x) {
                return value[placement.reflect ? row[detail::reflected(x + dx, in_width)] : 0];
            };
            for (std::ptrdiff_t x = 0; x < begin; ++x) { first[x * step] = beyond(x); }
            for (std::ptrdiff_t x = begin; x < end; ++x) { first[x * step] = value[row[x + dx]]; }
            for (std::ptrdiff_t x = end; x < out_width; ++x) { first[x * step] = beyond(x); }
        }
    }
}

/// The same for dense planes (C, H, W) that keep their size; both have shape.size() elements.
inline void place_image(std::span<const std::uint8_t> planes, Shape shape, const ByteTable& table, Placement placement,
                        float* out) {
    place_image({planes, shape}, table, placement, shape.height, shape.width, out);
}

/// RGB images as bytes (N, 3, H, W) to floats as a network reads them, (N, H, W, 3): (byte / 255 − mean) / std. `shape`
/// is that of one image. Throws ArgumentError where sizes do not fit or a std is not positive.
inline void normalize_rgb(std::span<const std::uint8_t> images, Shape shape, const std::array<float, 3>& mean,
                          const std::array<float, 3>& std, std::span<float> out) {
    const auto each = static_cast<std::size_t>(shape.size());
    if (shape.channels != 3 || each == 0 || images.size() % each != 0 || out.size() != images.size()) {
        raise<ArgumentError>({"normalize_rgb: ", images.size(), " bytes, ", out.size(), " floats and images of ",
                              shape.channels, "x", shape.height, "x", shape.width,
                              ", expected whole images of 3 channels, and as many floats"});
    }
    const ByteTable table{{{mean.begin(), mean.end()}, {std.begin(), std.end()}}, 3};
    for (std::size_t i = 0; i < images.size(); i += each) {
        place_image(images.subspan(i, each), shape, table, {}, out.data() + i);
    }
}

/// Mirrors images (N, H, W, C) left to right, for predictions that are averaged over both. `shape` is that of one
/// image; `out` has as many elements and is either the same memory or other memory. Throws ArgumentError where sizes
/// differ.
inline void mirror_images(std::span<const float> images, Shape shape, std::span<float> out) {
    const std::ptrdiff_t channels = shape.channels, row = shape.width * channels;
    if (out.size() != images.size() || shape.size() < 1 ||
        images.size() % static_cast<std::size_t>(shape.size()) != 0) {
        raise<ArgumentError>({"mirror_images: ", images.size(), " and ", out.size(),
                              " elements, expected equal numbers of whole images of ", shape.size()});
    }
    const float* from = images.data();
    float* to = out.data();
    for (; from != images.data() + images.size(); from += row, to += row) {
        for (std::ptrdiff_t left = 0, right = row - channels; left <= right; left += channels, right -= channels) {
            for (std::ptrdiff_t c = 0; c < channels; ++c) {
                const float a = from[left + c], b = from[right + c];
                to[left + c] = b;
                to[right + c] = a;
            }
        }
    }
}

/// Moves images (N, H, W, C) by so many pixels down and to the right, or up and to the left for a negative `by`; what
/// comes in from outside is the image mirrored at its border, as by ReflectionPad2d. `out` is other memory. Throws
/// ArgumentError where sizes differ.
inline void shift_images(std::span<const float> images, Shape shape, std::ptrdiff_t by, std::span<float> out) {
    const auto size = static_cast<std::size_t>(shape.size());
    if (out.size() != images.size() || size < 1 || images.size() % size != 0) {
        raise<ArgumentError>({"shift_images: ", images.size(), " and ", out.size(),
                              " elements, expected equal numbers of whole images of ", size});
    }
    const std::ptrdiff_t channels = shape.channels, row = shape.width * channels;
    float* to = out.data();
    for (const float* image = images.data(); image != images.data() + images.size(); image += size) {
        for (int y = 0; y < shape.height; ++y) {
            const float* const from = image + detail::reflected(y - by, shape.height) * row;
            for (int x = 0; x < shape.width; ++x) {
                to = std::copy_n(from + detail::reflected(x - by, shape.width) * channels, channels, to);
            }
        }
    }
}

}  // namespace ctnn::inline CTNN_ISA
