// A folder of images as a data set: a folder per class, as torchvision's ImageFolder has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ctnn/data/source.hpp>

#include "images.hpp"

namespace alexnet {

/// All files below a folder with an image's name, in the order of their paths; files and folders whose names begin with
/// a dot are passed over. Throws FileError where there is no such folder, or no image in it.
std::vector<std::filesystem::path> list_images(const std::filesystem::path& folder);

/// Lists the images once, and decodes each when it is wanted. Classes are the folders in the order of their names,
/// images what list_images finds in each. Every stretch of them has all classes in proportion, so that the first or the
/// last so many can stand for all: image k, from 0, of a class of n is at the place (k + 0.5) / n, and of equal places
/// the lower class comes first. Pixels are normalised by ImageNet's statistics.
class ImageFolder final : public ctnn::ImageSource {
  public:
    /// Throws FileError where there is no such folder, none in it, or one without an image.
    ImageFolder(const std::filesystem::path& root, const ImageFit& fit);

    [[nodiscard]] std::size_t size() const override { return paths_.size(); }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return labels_[i]; }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return class_names_; }
    [[nodiscard]] const ctnn::Normalization& normalization() const override { return normalization_; }
    /// 3 planes. Throws FileError that names the file, also where it cannot be made to fit.
    ctnn::ImageView read(std::size_t i, ctnn::Image& scratch) const override;
    [[nodiscard]] const std::filesystem::path& path(std::size_t i) const { return paths_[i]; }

  private:
    ImageFit fit_;
    std::vector<std::filesystem::path> paths_;
    std::vector<std::uint16_t> labels_;
    std::vector<std::string> class_names_;
    ctnn::Normalization normalization_ = ctnn::imagenet_normalization();
};

/// All images of a folder in memory, resized to `shape` (bilinear, antialiased, the aspect not kept). Throws FileError.
ctnn::Dataset load_images(const ImageFolder& folder, ctnn::Shape shape);

}  // namespace alexnet
