// Where a loader's images come from: memory, or whatever decodes them when they are wanted.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/data/image.hpp>

namespace ctnn::inline CTNN_ISA {

/// Labelled images that are read one by one, for example a folder of files. All functions are called by several threads
/// at once. What they return must not change while a loader uses them.
class ImageSource {
  public:
    ImageSource() = default;
    ImageSource(const ImageSource&) = delete;
    ImageSource& operator=(const ImageSource&) = delete;
    virtual ~ImageSource() = default;

    [[nodiscard]] virtual std::size_t size() const = 0;
    /// The shape of every image, or {} where they differ.
    [[nodiscard]] virtual Shape shape() const { return {}; }
    /// Of image `i`, below class_names().size().
    [[nodiscard]] virtual std::uint16_t label(std::size_t i) const = 0;
    [[nodiscard]] virtual const std::vector<std::string>& class_names() const = 0;
    [[nodiscard]] virtual const Normalization& normalization() const = 0;
    /// Image `i`: decoded into `scratch`, which the caller reuses, or a view of what is there already. Throws an Error
    /// that names the file where it cannot be read.
    virtual ImageView read(std::size_t i, Image& scratch) const = 0;
};

/// A data set in memory as a source. It must outlive the source.
class DatasetSource final : public ImageSource {
  public:
    /// Throws ArgumentError for a data set that contradicts itself.
    explicit DatasetSource(const Dataset& data) : data_{data} {
        const int least = std::min({data.shape.channels, data.shape.height, data.shape.width});
        if (least < 1) {
            raise<ArgumentError>({"data set: smallest extent of the images is ", least, ", expected at least 1"});
        }
        check_pixels();
    }

    explicit DatasetSource(const Dataset&& data) = delete;

    [[nodiscard]] std::size_t size() const override { return data_.size(); }
    [[nodiscard]] Shape shape() const override { return data_.shape; }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return data_.labels[i]; }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return data_.class_names; }
    [[nodiscard]] const Normalization& normalization() const override { return data_.normalization; }
    ImageView read(std::size_t i, Image& /*scratch*/) const override {
        check_pixels();  // costs nothing beside what follows, and what follows would read beyond the end
        return {data_.image(i), data_.shape};
    }

  private:
    void check_pixels() const {
        const auto each = static_cast<std::size_t>(data_.shape.size());
        if (data_.pixels.size() != data_.size() * each) {
            raise<ArgumentError>({"data set: number of pixel bytes is ", data_.pixels.size(), ", expected ",
                                  data_.size(), " samples of ", each});
        }
    }

    const Dataset& data_;
};

}  // namespace ctnn::inline CTNN_ISA
