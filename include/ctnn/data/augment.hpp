// What happens to one sample on its way into a batch: random crop, horizontal flip, normalisation, channels last.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/data/dataset.hpp>

namespace ctnn::inline CTNN_ISA {

/// The normalised value of every byte, 256 entries per channel: normalising is one load.
class ByteTable {
  public:
    /// Throws ArgumentError unless `normalization` has a mean and a positive std for each of `channels`.
    ByteTable(const Normalization& normalization, int channels) {
        const auto n = static_cast<std::size_t>(channels);
        if (normalization.mean.size() != n || normalization.std.size() != n) {
            throw ArgumentError{"normalization: " + std::to_string(normalization.mean.size()) + " means and " +
                                std::to_string(normalization.std.size()) + " stds, expected " + std::to_string(n) +
                                " of each, one per channel"};
        }
        values_.resize(n * 256);
        for (std::size_t c = 0; c < n; ++c) {
            const float mean = normalization.mean[c], std = normalization.std[c];
            if (!(std > 0)) {
                throw ArgumentError{"normalization: std of channel " + std::to_string(c) + " is " +
                                    std::to_string(std) + ", expected more than 0"};
            }
            for (std::size_t byte = 0; byte < 256; ++byte) {
                values_[c * 256 + byte] = (static_cast<float>(byte) / 255.0f - mean) / std;
            }
        }
    }

    /// The 256 values of channel `c`.
    [[nodiscard]] const float* channel(int c) const { return values_.data() + 256 * static_cast<std::size_t>(c); }

  private:
    std::vector<float> values_;
};

/// Output pixel (y, x) shows input pixel (y + dy, x + dx), or byte 0 beyond the border; `mirror` then reverses x.
struct Placement {
    int dy = 0, dx = 0;
    bool mirror = false;
    bool operator==(const Placement&) const = default;
};

/// PyTorch's RandomCrop(size, padding) with both offsets in [−padding, padding], then RandomHorizontalFlip(0.5)
/// where `flip` is set. Depends on its arguments alone.
constexpr Placement random_placement(std::uint64_t seed, int epoch, std::uint32_t sample, int padding, bool flip) {
    Random random{seed, Stream::augment, static_cast<std::uint64_t>(epoch), sample};
    const auto offsets = static_cast<std::uint32_t>(2 * padding + 1);
    Placement placement;
    placement.dy = static_cast<int>(random.below(offsets)) - padding;
    placement.dx = static_cast<int>(random.below(offsets)) - padding;
    placement.mirror = random.below(2) == 1 && flip;
    return placement;
}

/// Writes one sample, byte planes (C, H, W), to `out` as normalised floats (H, W, C); both have shape.size()
/// elements. Padding is byte 0 and so is normalised too, as in the usual PyTorch pipeline, which crops before
/// ToTensor and Normalize.
inline void place_image(std::span<const std::uint8_t> planes, Shape shape, const ByteTable& table, Placement placement,
                        float* out) {
    const std::ptrdiff_t channels = shape.channels, height = shape.height, width = shape.width;
    // Columns [begin, end) of the unmirrored output lie on the image.
    const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(-placement.dx, 0, width);
    const std::ptrdiff_t end = std::clamp<std::ptrdiff_t>(width - placement.dx, begin, width);
    const std::ptrdiff_t step = placement.mirror ? -channels : channels;
    for (std::ptrdiff_t y = 0; y < height; ++y) {
        const std::ptrdiff_t from = y + placement.dy;
        const bool row_exists = from >= 0 && from < height;
        for (std::ptrdiff_t c = 0; c < channels; ++c) {
            const float* const value = table.channel(static_cast<int>(c));
            float* const first = out + (y * width + (placement.mirror ? width - 1 : 0)) * channels + c;
            if (!row_exists) {
                for (std::ptrdiff_t x = 0; x < width; ++x) { first[x * step] = value[0]; }
                continue;
            }
            const std::uint8_t* const row = planes.data() + (c * height + from) * width;
            for (std::ptrdiff_t x = 0; x < begin; ++x) { first[x * step] = value[0]; }
            for (std::ptrdiff_t x = begin; x < end; ++x) { first[x * step] = value[row[x + placement.dx]]; }
            for (std::ptrdiff_t x = end; x < width; ++x) { first[x * step] = value[0]; }
        }
    }
}

}  // namespace ctnn::inline CTNN_ISA
