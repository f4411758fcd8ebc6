// The data sets that the tool knows by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ctnn/data/dataset.hpp>
#include <ctnn/data/source.hpp>

#include "images.hpp"
#include "settings.hpp"

namespace alexnet {

inline const std::vector<std::string> dataset_names{"cifar10", "cifar100", "fashion-mnist",
                                                    "idx",     "folder",   "synthetic"};

/// Where a set's files are looked for if nobody says: Debian's place for Fashion-MNIST, else datasets/NAME.
std::string default_data_dir(const std::string& dataset);

/// Reads a set:
///   cifar10, cifar100  the binary files;
///   fashion-mnist      IDX files as its authors and Debian's package name them;
///   idx                IDX files, grey or RGB: train_batch_1_images.idx, train_batch_1_labels.idx, … and
///                      test_batch_*.idx, or train-images-idx3-ubyte, … as MNIST has; one name a line in
///                      class_names.txt where it is; pixels normalised by the training set's statistics;
///   folder             train/ and val/ or test/, each with a folder of images per class, resized to `shape`;
///   synthetic          drawn in memory, always the same.
/// IDX files may be gzipped, with .gz behind their names. Throws FileError where files are missing or wrong,
/// ArgumentError for an unknown name.
ctnn::TrainTest open_data(const std::string& dataset, const std::string& data_dir, ctnn::Shape shape = {3, 32, 32});

/// A data set in memory that is its own source.
class MemorySource final : public ctnn::ImageSource {
  public:
    explicit MemorySource(ctnn::Dataset data) : data_{std::move(data)} {}

    [[nodiscard]] std::size_t size() const override { return source_.size(); }
    [[nodiscard]] ctnn::Shape shape() const override { return source_.shape(); }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return source_.label(i); }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return source_.class_names(); }
    [[nodiscard]] const ctnn::Normalization& normalization() const override { return source_.normalization(); }
    ctnn::ImageView read(std::size_t i, ctnn::Image& scratch) const override { return source_.read(i, scratch); }

  private:
    ctnn::Dataset data_;
    ctnn::DatasetSource source_{data_};
};

struct Sources {
    std::unique_ptr<ctnn::ImageSource> train, test;
};

/// The same sets for a loader that makes `fit` of them, grey pictures as so many equal channels: those of `folder` are
/// decoded when they are wanted, whatever their sizes. Of the test set the first `limit_test` images, or all where that
/// is 0. Throws as open_data() does, and FileError where there is nothing to test on.
Sources open_sources(const std::string& dataset, const std::string& data_dir, const ImageFit& fit,
                     std::int64_t limit_test = 0);

/// The first images of a source as a network evaluates them, resized and cut out of the middle, as a set for --whiten.
/// Throws ArgumentError for those of `folder`, whose sizes differ.
ctnn::Dataset first_images(const ctnn::ImageSource& source, std::size_t count, const ImageFit& fit);

/// "CIFAR-10 in datasets/cifar10".
std::string data_title(const std::string& dataset, const std::string& data_dir);

/// Whether there is anything like CIFAR-10 in that directory.
bool has_cifar10(const std::string& data_dir);

}  // namespace alexnet
