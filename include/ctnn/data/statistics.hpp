// Mean and standard deviation of a set's channels, for sets whose normalisation is not known.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/data/image.hpp>
#include <ctnn/data/source.hpp>

namespace ctnn::inline CTNN_ISA {

/// Mean and standard deviation of every channel over all pixels, bytes being divided by 255, of at most `most` images
/// spread evenly over the source. Grey images count for each of `channels`. Throws ArgumentError for no images and for
/// other channels, and what the source throws.
inline Normalization estimate_normalization(const ImageSource& source, int channels,
                                            std::size_t most = std::numeric_limits<std::size_t>::max()) {
    const std::size_t images = std::min(most, source.size());
    if (images == 0 || channels < 1) {
        raise<ArgumentError>(
            {"normalization: ", images, " images of ", channels, " channels, expected at least 1 of each"});
    }
    const auto n = static_cast<std::size_t>(channels);
    std::vector<std::uint64_t> sums(n), squares(n);
    double pixels = 0;
    Image scratch;
    for (std::size_t i = 0; i < images; ++i) {
        const std::size_t place = i * (source.size() / images) + i * (source.size() % images) / images;
        const ImageView image = source.read(place, scratch).with_channels(channels);
        for (std::size_t c = 0; c < n; ++c) {
            for (int y = 0; y < image.shape.height; ++y) {
                const std::uint8_t* const row = image.row(static_cast<int>(c), y);
                for (int x = 0; x < image.shape.width; ++x) {
                    sums[c] += row[x];
                    squares[c] += static_cast<std::uint64_t>(row[x]) * row[x];
                }
            }
        }
        pixels += image.shape.pixels();
    }
    Normalization found;
    for (std::size_t c = 0; c < n; ++c) {
        const double mean = static_cast<double>(sums[c]) / pixels;
        const double variance = static_cast<double>(squares[c]) / pixels - mean * mean;
        found.mean.push_back(static_cast<float>(mean / 255));
        found.std.push_back(static_cast<float>(std::sqrt(std::max(variance, 0.0)) / 255));
    }
    return found;
}
inline Normalization estimate_normalization(const Dataset& data) {
    return estimate_normalization(DatasetSource{data}, data.shape.channels);
}

}  // namespace ctnn::inline CTNN_ISA
