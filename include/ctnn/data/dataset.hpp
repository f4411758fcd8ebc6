// A labelled image set in memory: bytes stay bytes, and become numbers batch by batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ctnn/core/shape.hpp>

namespace ctnn::inline CTNN_ISA {

/// Per-channel normalisation: value = (byte / 255 − mean[c]) / std[c].
struct Normalization {
    std::vector<float> mean, std;
    bool operator==(const Normalization&) const = default;
};

/// CIFAR-10's training set statistics, and ImageNet's.
inline Normalization cifar10_normalization() { return {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}}; }
inline Normalization imagenet_normalization() { return {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}; }

/// Images of one shape with a class each.
struct Dataset {
    Shape shape{};
    std::vector<std::uint8_t> pixels{};   ///< planes as in CIFAR and PyTorch: sample, channel, row, column
    std::vector<std::uint16_t> labels{};  ///< one per sample, below class_names.size()
    std::vector<std::string> class_names{};
    Normalization normalization{};

    [[nodiscard]] std::size_t size() const { return labels.size(); }
    [[nodiscard]] int classes() const { return static_cast<int>(class_names.size()); }
    [[nodiscard]] std::span<const std::uint8_t> image(std::size_t i) const {
        const auto n = static_cast<std::size_t>(shape.size());
        return std::span{pixels}.subspan(i * n, n);
    }
};

/// A training and a test set of the same shape and classes.
struct TrainTest {
    Dataset train, test;
};

}  // namespace ctnn::inline CTNN_ISA
