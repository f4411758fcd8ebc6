// A network's parts in words.
#pragma once

#include <cstddef>
#include <string>

#include <ctnn/core/layer.hpp>
#include <ctnn/core/shape.hpp>

namespace alexnet {

/// "Conv2d 5, stride 2, padding 1".
std::string layer_title(const ctnn::LayerInfo& layer);

/// "32x16x16", or "10" of a vector.
std::string shape_text(const ctnn::Shape& shape);

constexpr double mib(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace alexnet
