#include "pictures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace alexnet {

namespace {

constexpr int gap = 2;  // pixels between filters

std::uint8_t to_byte(double value) { return static_cast<std::uint8_t>(std::clamp(std::lround(value), 0L, 255L)); }

/// Pixel (y, x) of a plane, as a square of `side` pixels whose corner is there.
void fill_square(ctnn::Image& image, int c, int y, int x, int side, std::uint8_t value) {
    const auto plane = image.plane(c);
    for (int row = y; row < y + side; ++row) {
        std::fill_n(plane.begin() + std::ptrdiff_t{row} * image.shape.width + x, side, value);
    }
}

}  // namespace

bool has_filters_picture(const ctnn::ParameterSlot& slot) {
    const auto in = slot.spec.dims.in;
    return slot.layer == 0 && slot.spec.rank == 4 && (in == 1 || in == 3);
}

ctnn::Image filters_picture(const ctnn::ParameterSlot& slot, std::span<const float> stored) {
    const ctnn::WeightDims& dims = slot.spec.dims;
    const int filters = dims.groups * dims.out, columns = std::min(filters, filters <= 64 ? 8 : 16);
    const int rows = (filters + columns - 1) / columns;
    const int shorter = std::min(dims.kernel_y, dims.kernel_x), zoom = (24 + shorter - 1) / shorter;
    const int height = zoom * dims.kernel_y + gap, width = zoom * dims.kernel_x + gap;
    ctnn::Image image{{dims.in, rows * height + gap, columns * width + gap}};
    std::ranges::fill(image.pixels, std::uint8_t{255});

    const auto for_each_weight = [&](int filter, auto&& f) {
        for (int c = 0; c < dims.in; ++c) {
            for (int y = 0; y < dims.kernel_y; ++y) {
                for (int x = 0; x < dims.kernel_x; ++x) {
                    const auto at = dims.stored_offset(filter / dims.out, filter % dims.out, c, y, x);
                    f(c, y, x, static_cast<double>(stored[static_cast<std::size_t>(at)]));
                }
            }
        }
    };
    for (int filter = 0; filter < filters; ++filter) {
        double largest = 0;
        for_each_weight(filter, [&](int, int, int, double w) { largest = std::max(largest, std::abs(w)); });
        const int top = gap + filter / columns * height, left = gap + filter % columns * width;
        for_each_weight(filter, [&](int c, int y, int x, double w) {
            const double share = largest > 0 ? w / largest : 0;
            fill_square(image, c, top + zoom * y, left + zoom * x, zoom, to_byte(127.5 + 127.5 * share));
        });
    }
    return image;
}

ctnn::Image confusion_picture(const ctnn::Metrics& metrics, int classes) {
    constexpr std::array<double, 3> full{8, 48, 107};  // a dark blue; nothing is white
    const int side = std::clamp(320 / classes, 1, 32);
    ctnn::Image image{{3, classes * side, classes * side}};
    for (int truth = 0; truth < classes; ++truth) {
        std::int64_t samples = 0;
        for (int guess = 0; guess < metrics.classes(); ++guess) { samples += metrics.confusion(truth, guess); }
        for (int guess = 0; guess < classes; ++guess) {
            const auto count = static_cast<double>(metrics.confusion(truth, guess));
            const double depth = samples > 0 ? std::sqrt(count / static_cast<double>(samples)) : 0;
            for (int c = 0; c < 3; ++c) {
                const double value = 255 - depth * (255 - full[static_cast<std::size_t>(c)]);
                fill_square(image, c, truth * side, guess * side, side, to_byte(value));
            }
        }
    }
    return image;
}

ctnn::Image input_picture(std::span<const float> normalized, ctnn::Shape shape,
                          const ctnn::Normalization& normalization) {
    ctnn::Image image{shape};
    const auto channels = static_cast<std::size_t>(shape.channels);
    for (std::size_t c = 0; c < channels; ++c) {
        std::size_t from = c;
        for (std::uint8_t& pixel : image.plane(static_cast<int>(c))) {
            pixel = to_byte(255.0 * (static_cast<double>(normalized[from]) * static_cast<double>(normalization.std[c]) +
                                     static_cast<double>(normalization.mean[c])));
            from += channels;
        }
    }
    return image;
}

}  // namespace alexnet
