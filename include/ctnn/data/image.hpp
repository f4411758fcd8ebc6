// Images as bytes, in planes of channels as in CIFAR and PyTorch, and views of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/shape.hpp>

namespace ctnn::inline CTNN_ISA {

/// Somebody else's bytes as an image: pixel (c, y, x) is data[c·plane_stride + y·row_stride + x]. A part of an image is
/// a view with its strides, and a grey image shown as RGB one whose planes coincide: neither copies.
struct ImageView {
    const std::uint8_t* data = nullptr;
    Shape shape;
    std::ptrdiff_t plane_stride = 0, row_stride = 0;

    ImageView() = default;
    /// Of dense planes (C, H, W). Throws ArgumentError unless there are shape.size() bytes.
    ImageView(std::span<const std::uint8_t> planes, Shape of)
        : data{planes.data()}, shape{of}, plane_stride{std::ptrdiff_t{of.height} * of.width}, row_stride{of.width} {
        if (static_cast<std::int64_t>(planes.size()) != of.size()) {
            raise<ArgumentError>({"image: ", planes.size(), " bytes, expected ", of.size()});
        }
    }

    [[nodiscard]] const std::uint8_t* row(int c, int y) const { return data + c * plane_stride + y * row_stride; }

    /// `height` × `width` pixels from (y, x) on, which must lie inside.
    [[nodiscard]] ImageView crop(int y, int x, int height, int width) const {
        ImageView part = *this;
        part.data = row(0, y) + x;
        part.shape.height = height;
        part.shape.width = width;
        return part;
    }

    /// This image, or a grey one shown with `channels` equal planes. Throws ArgumentError for other numbers of
    /// channels.
    [[nodiscard]] ImageView with_channels(int channels) const {
        if (shape.channels != channels && shape.channels != 1) {
            raise<ArgumentError>({"image: ", shape.channels, " channels, expected ", channels});
        }
        ImageView view = *this;
        if (shape.channels != channels) { view.plane_stride = 0; }
        view.shape.channels = channels;
        return view;
    }
};

/// An image that owns its bytes, dense planes (C, H, W). One that is used again keeps its memory.
struct Image {
    Shape shape;
    std::vector<std::uint8_t> pixels;

    Image() = default;
    explicit Image(Shape of) { resize(of); }

    /// Takes another shape; the bytes are then unspecified.
    void resize(Shape to) {
        shape = to;
        pixels.resize(static_cast<std::size_t>(to.size()));
    }
    /// Copies `image`, which must not be a view of this one.
    void assign(const ImageView& image) {
        resize(image.shape);
        auto to = pixels.begin();
        for (int c = 0; c < shape.channels; ++c) {
            for (int y = 0; y < shape.height; ++y) {
                const std::uint8_t* const from = image.row(c, y);
                to = std::copy(from, from + shape.width, to);
            }
        }
    }
    [[nodiscard]] std::span<std::uint8_t> plane(int c) {
        const auto n = static_cast<std::size_t>(shape.pixels());
        return std::span{pixels}.subspan(static_cast<std::size_t>(c) * n, n);
    }
    [[nodiscard]] ImageView view() const { return {pixels, shape}; }
};

}  // namespace ctnn::inline CTNN_ISA
