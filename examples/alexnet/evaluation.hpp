// What is evaluated: images as a network was trained on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ctnn/data/loader_options.hpp>
#include <ctnn/data/source.hpp>
#include <ctnn/io/weights.hpp>

#include "networks.hpp"
#include "settings.hpp"

namespace alexnet {

/// A rank's batches to evaluate: of the same sizes as its passes of the training, and nothing left to chance.
ctnn::LoaderOptions evaluation_options(const RunSettings& settings, ctnn::Shape shape, int workers, int rank = 0,
                                       int ranks = 1);

/// Throws ArgumentError, which names `title` as the images, where they have more classes than the network has outputs.
void require_outputs(const NetworkEntry& entry, const ctnn::ImageSource& images, const std::string& title);

/// Throws ArgumentError, which names `place`, where pixels of so many channels cannot be normalised like this.
void require_normalization(const ctnn::Normalization& normalization, int channels, const std::string& place);

/// A file from elsewhere may name no classes. One that does was not trained on images of other ones: throws
/// ArgumentError, which names `title` as the images.
void require_same_classes(const std::filesystem::path& weights, const ctnn::ModelInfo& info,
                          const ctnn::ImageSource& images, const std::string& title);

/// The images as the network was trained on them, where its file says how.
class Renormalized final : public ctnn::ImageSource {
  public:
    Renormalized(const ctnn::ImageSource& images, const ctnn::Normalization& normalization)
        : images_{images}, normalization_{normalization.mean.empty() ? images.normalization() : normalization} {}

    [[nodiscard]] std::size_t size() const override { return images_.size(); }
    [[nodiscard]] ctnn::Shape shape() const override { return images_.shape(); }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return images_.label(i); }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return images_.class_names(); }
    [[nodiscard]] const ctnn::Normalization& normalization() const override { return normalization_; }
    ctnn::ImageView read(std::size_t i, ctnn::Image& scratch) const override { return images_.read(i, scratch); }

  private:
    const ctnn::ImageSource& images_;
    const ctnn::Normalization& normalization_;
};

}  // namespace alexnet
