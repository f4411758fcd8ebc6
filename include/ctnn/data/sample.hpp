// The way of one sample into a batch: read, brought to its size, augmented, normalised, channels last.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include <ctnn/core/error.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/data/augment.hpp>
#include <ctnn/data/colour.hpp>
#include <ctnn/data/image.hpp>
#include <ctnn/data/loader_options.hpp>
#include <ctnn/data/normalize.hpp>
#include <ctnn/data/source.hpp>
#include <ctnn/data/transforms.hpp>

namespace ctnn::inline CTNN_ISA {

/// Prepares samples of a source one by one, in memory that it keeps: one for each thread. What it refers to must
/// outlive it; the options are valid ones.
class SamplePipeline {
  public:
    SamplePipeline(const ImageSource& source, const LoaderOptions& options, Shape shape, const ByteTable& table)
        : source_{source}, options_{options}, shape_{shape}, table_{table} {}

    /// Writes sample `id` as epoch `epoch` sees it to `out`, (H, W, C). Throws what the source throws, and
    /// ArgumentError where the sample has other channels.
    void operator()(std::uint32_t id, int epoch, float* out) {
        const ImageView read = source_.read(id, decoded_);
        if (read.shape.channels != shape_.channels && read.shape.channels != 1) {
            raise<ArgumentError>(
                {"batch loader: sample ", id, " has ", read.shape.channels, " channels, expected ", shape_.channels});
        }
        ImageView image = fitted(read, id, epoch).with_channels(shape_.channels);
        const Augmentation& more = options_.augmentation;
        if (more.jitter.on()) {
            coloured_.assign(image);
            jitter_colours(coloured_, more.jitter,
                           detail::augment_random(detail::Draw::colours, options_.seed, epoch, id));
            image = coloured_.view();
        }
        place_image(image, table_, placement(image.shape, id, epoch), shape_.height, shape_.width, out);
        if (more.lighting > 0) { light(id, epoch, out); }
        if (more.cutout > 0) {
            cut_out(random_cutout(more.cutout, options_.seed, epoch, id, shape_.height, shape_.width), shape_, out);
        }
    }

  private:
    /// The image at the size from which a crop is taken, resized only where it has another.
    ImageView fitted(const ImageView& image, std::uint32_t id, int epoch) {
        if (options_.augmentation.random_resized_crop) {
            const Box box = random_resized_box(options_.augmentation, options_.seed, epoch, id, image.shape.height,
                                               image.shape.width);
            return resized(image.crop(box.y, box.x, box.height, box.width), shape_);
        }
        return resized(
            image, options_.shorter_side > 0 ? shape_with_shorter_side(image.shape, options_.shorter_side) : shape_);
    }
    ImageView resized(const ImageView& image, Shape to) {
        if (image.shape.height == to.height && image.shape.width == to.width) { return image; }
        resize_(image, to.height, to.width, resized_);
        return resized_.view();
    }

    [[nodiscard]] Placement placement(Shape image, std::uint32_t id, int epoch) const {
        Placement placement{centre_offset(image.height, shape_.height), centre_offset(image.width, shape_.width)};
        if (options_.augment) {
            const int padding = options_.augmentation.random_resized_crop ? 0 : options_.crop_padding;
            placement = random_placement(options_.seed, epoch, id, padding, options_.flip, image.height - shape_.height,
                                         image.width - shape_.width);
            if (options_.alternate_flips && options_.flip) {
                placement.mirror = alternating_flip(options_.seed, epoch, id);
            }
            placement.reflect = options_.reflect_border;
        }
        return placement;
    }

    void light(std::uint32_t id, int epoch, float* out) const {
        const Random random = detail::augment_random(detail::Draw::lighting, options_.seed, epoch, id);
        std::array<float, 3> offset = lighting_offset(options_.augmentation.lighting, random);
        for (std::size_t c = 0; c < 3; ++c) { offset[c] /= source_.normalization().std[c]; }
        for (float* const end = out + shape_.size(); out != end; out += 3) {
            for (std::size_t c = 0; c < 3; ++c) { out[c] += offset[c]; }
        }
    }

    const ImageSource& source_;
    const LoaderOptions& options_;
    const Shape shape_;
    const ByteTable& table_;
    Image decoded_, resized_, coloured_;
    BilinearResizer resize_;
};

}  // namespace ctnn::inline CTNN_ISA
