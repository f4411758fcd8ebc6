// Shapes of feature maps and the arithmetic of sliding windows, all constexpr.
#pragma once

#include <cstdint>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

/// Elements of one channel block: the innermost dimension of every weight tensor on every instruction set.
inline constexpr int block_size = 16;

/// Channels, height and width of one sample. In memory channels come last: element (c, y, x) of a sample is at
/// (y·width + x)·channels + c. A vector is a shape of height and width 1.
struct Shape {
    int channels = 0, height = 0, width = 0;

    [[nodiscard]] constexpr std::int64_t size() const { return std::int64_t{channels} * height * width; }
    [[nodiscard]] constexpr int pixels() const { return height * width; }
    [[nodiscard]] constexpr bool flat() const { return height == 1 && width == 1; }
    constexpr bool operator==(const Shape&) const = default;
};

/// One axis of a sliding window: `extent` taps, `stride` apart from window to window, `padding` on both sides.
struct Axis {
    int extent = 1, stride = 1, padding = 0;

    /// Number of window positions on `size` input pixels, rounded down as PyTorch does; 0 when the window is larger
    /// than the padded input.
    [[nodiscard]] constexpr int output(int size) const {
        return size + 2 * padding < extent ? 0 : (size + 2 * padding - extent) / stride + 1;
    }
    /// Input coordinate of the window's first tap at position `o`; negative inside the leading padding.
    [[nodiscard]] constexpr int first(int o) const { return o * stride - padding; }
    /// Taps [begin, end) of the window at position `o` that meet input pixels rather than padding.
    [[nodiscard]] constexpr int live_begin(int o) const { return first(o) < 0 ? -first(o) : 0; }
    [[nodiscard]] constexpr int live_end(int o, int size) const {
        const int last = size - first(o);
        return last < extent ? (last < 0 ? 0 : last) : extent;
    }
    /// Sum over all positions of the number of taps that meet input pixels.
    [[nodiscard]] constexpr std::int64_t live_taps(int size) const {
        std::int64_t taps = 0;
        for (int o = 0; o < output(size); ++o) {
            const int n = live_end(o, size) - live_begin(o);
            taps += n > 0 ? n : 0;
        }
        return taps;
    }
    constexpr bool operator==(const Axis&) const = default;
};

/// A two-dimensional window.
struct Window {
    Axis y, x;

    [[nodiscard]] constexpr Shape output(Shape in, int channels) const {
        return {channels, y.output(in.height), x.output(in.width)};
    }
    [[nodiscard]] constexpr std::int64_t live_taps(Shape in) const {
        return y.live_taps(in.height) * x.live_taps(in.width);
    }
    constexpr bool operator==(const Window&) const = default;
};

}  // namespace ctnn::inline CTNN_ISA
