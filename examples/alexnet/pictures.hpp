// Pictures of what a network has learnt.
#pragma once

#include <span>

#include <ctnn/core/layout.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/data/image.hpp>
#include <ctnn/train/metrics.hpp>

namespace alexnet {

/// Whether a parameter tensor is that of a convolution of grey or RGB images.
bool has_filters_picture(const ctnn::ParameterSlot& slot);

/// The filters of such a tensor, `stored` as it lies in memory, side by side: 8 in a row, or 16 of more than 64,
/// enlarged to at least 24 pixels, 2 white ones between. Grey is 0, and a filter's largest weight is black or white.
ctnn::Image filters_picture(const ctnn::ParameterSlot& slot, std::span<const float> stored);

/// Rows are true classes, columns guesses, each at most 32 pixels and all together about 320. The darker, the larger
/// the share of its row, by the share's square root, so that rare mistakes show. Of the first `classes` outputs.
ctnn::Image confusion_picture(const ctnn::Metrics& metrics, int classes);

/// A network's input as an image again; `normalized` is in rows of pixels of channels.
ctnn::Image input_picture(std::span<const float> normalized, ctnn::Shape shape,
                          const ctnn::Normalization& normalization);

}  // namespace alexnet
