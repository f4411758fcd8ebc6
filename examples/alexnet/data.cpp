#include "data.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctnn/core/error.hpp>
#include <ctnn/data/statistics.hpp>
#include <ctnn/data/synthetic.hpp>
#include <ctnn/io/cifar.hpp>
#include <ctnn/io/idx.hpp>

#include "gzip.hpp"
#include "image_folder.hpp"

namespace alexnet {

namespace {

namespace fs = std::filesystem;

// Always the same pictures: a run's seed changes the training, not what it is measured on.
constexpr std::size_t synthetic_train = 10'000, synthetic_test = 2'000;
constexpr std::uint64_t synthetic_seed = 1;

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

/// A file of images and one of labels.
struct IdxPair {
    fs::path images, labels;
};

/// The file, or the gzipped one where there is only that.
fs::path plain_or_gzipped(const fs::path& path) {
    const fs::path packed = path.string() + ".gz";
    return !is_there(path) && is_there(packed) ? packed : path;
}

IdxPair idx_pair(const fs::path& directory, const std::string& images, const std::string& labels) {
    return {plain_or_gzipped(directory / images), plain_or_gzipped(directory / labels)};
}

ctnn::IdxArray read_idx(const fs::path& path) { return ctnn::parse_idx(read_unpacked(path), path.string()); }

/// Joins pairs of files. Without names, classes are numbered.
ctnn::Dataset join_idx(const std::vector<IdxPair>& pairs, std::vector<std::string> class_names) {
    std::vector<ctnn::IdxArray> labels;
    labels.reserve(pairs.size());
    for (const IdxPair& pair : pairs) { labels.push_back(read_idx(pair.labels)); }
    if (class_names.empty()) { class_names = ctnn::numbered_classes(labels); }
    ctnn::Dataset set;
    set.class_names = std::move(class_names);
    for (std::size_t i = 0; i < pairs.size(); ++i) { ctnn::append_idx(set, read_idx(pairs[i].images), labels[i]); }
    return set;
}

/// Both sets with equal classes, shapes and normalisation.
ctnn::TrainTest idx_train_test(const std::vector<IdxPair>& train, const IdxPair& test,
                               const std::vector<std::string>& class_names, ctnn::Normalization normalization) {
    ctnn::TrainTest data;
    data.train = join_idx(train, class_names);
    data.test = join_idx({test}, data.train.class_names);
    if (data.train.size() == 0) {
        throw ctnn::FileError(train[0].images.string() + ": found 0 images, expected some to train on");
    }
    if (data.test.shape != data.train.shape) {
        throw ctnn::FileError(fmt::format("{}: found images of another shape than in {}, expected the same",
                                          test.images.string(), train[0].images.string()));
    }
    if (normalization.mean.empty()) { normalization = ctnn::estimate_normalization(data.train); }
    data.train.normalization = data.test.normalization = std::move(normalization);
    return data;
}

/// MNIST's four files.
ctnn::TrainTest open_mnist(const fs::path& directory, const std::vector<std::string>& class_names,
                           ctnn::Normalization normalization) {
    return idx_train_test({idx_pair(directory, "train-images-idx3-ubyte", "train-labels-idx1-ubyte")},
                          idx_pair(directory, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"), class_names,
                          std::move(normalization));
}

ctnn::TrainTest open_fashion_mnist(const fs::path& directory) {
    return open_mnist(
        directory,
        {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
        {{0.2860f}, {0.3530f}});
}

/// A file of training images that is not one of the first `batches` ones, or nothing.
std::string other_batch(const fs::path& directory, std::size_t batches) {
    constexpr std::string_view front = "train_batch_", back = "_images.idx";
    std::string found;
    std::error_code error;
    for (fs::directory_iterator at{directory, error}, end; !error && at != end; at.increment(error)) {
        const std::string file = at->path().filename().string();
        std::string_view digits = file;
        if (digits.ends_with(".gz")) { digits.remove_suffix(3); }
        if (!digits.starts_with(front) || !digits.ends_with(back)) { continue; }
        digits.remove_prefix(front.size());
        digits.remove_suffix(std::min(back.size(), digits.size()));
        std::size_t number = 0;
        const auto [read, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (bad != std::errc{} || read != digits.data() + digits.size()) { continue; }
        const bool taken = 1 <= number && number <= batches && std::to_string(number) == digits;
        if (!taken && (found.empty() || file < found)) { found = file; }
    }
    return found;
}

ctnn::TrainTest open_idx(const fs::path& directory) {
    const auto batch = [&](const std::string& name) {
        return idx_pair(directory, name + "_images.idx", name + "_labels.idx");
    };
    const fs::path list = directory / "class_names.txt";
    const auto names = is_there(list) ? ctnn::detail::read_names(list) : std::vector<std::string>{};
    std::vector<IdxPair> train;
    for (int i = 1; is_there(batch(fmt::format("train_batch_{}", i)).images); ++i) {
        train.push_back(batch(fmt::format("train_batch_{}", i)));
    }
    if (const std::string other = other_batch(directory, train.size()); !other.empty()) {
        throw ctnn::FileError(
            fmt::format("{}: found {} without train_batch_{}_images.idx, expected numbers from 1 on without a gap",
                        directory.string(), other, train.size() + 1));
    }
    if (!train.empty()) { return idx_train_test(train, batch("test_batch"), names, {}); }
    if (!is_there(idx_pair(directory, "train-images-idx3-ubyte", "").images)) {
        throw ctnn::FileError(directory.string() +
                              ": found no training images, expected train_batch_1_images.idx or "
                              "train-images-idx3-ubyte, or either with .gz");
    }
    return open_mnist(directory, names, {});
}

std::pair<std::unique_ptr<ImageFolder>, std::unique_ptr<ImageFolder>> image_folders(const fs::path& directory,
                                                                                    const ImageFit& fit) {
    const fs::path test_directory = directory / (is_there(directory / "test") ? "test" : "val");
    auto train = std::make_unique<ImageFolder>(directory / "train", fit),
         test = std::make_unique<ImageFolder>(test_directory, fit);
    if (test->class_names() != train->class_names()) {
        throw ctnn::FileError(test_directory.string() +
                              ": found other folders than in train, expected the same classes");
    }
    return {std::move(train), std::move(test)};
}

ctnn::TrainTest open_folder(const fs::path& directory, ctnn::Shape shape) {
    const auto [train, test] = image_folders(directory, {shape});
    return {load_images(*train, shape), load_images(*test, shape)};
}

/// Grey pictures for a network that wants more channels: the same in each.
ctnn::Dataset with_channels(ctnn::Dataset set, int channels) {
    if (set.shape.channels != 1 || channels == 1) { return set; }
    const auto plane = static_cast<std::size_t>(set.shape.size()), copies = static_cast<std::size_t>(channels);
    std::vector<std::uint8_t> pixels(set.pixels.size() * copies);
    for (std::size_t i = 0; i < set.size() * copies; ++i) {
        std::copy_n(set.pixels.begin() + static_cast<std::ptrdiff_t>(i / copies * plane), plane,
                    pixels.begin() + static_cast<std::ptrdiff_t>(i * plane));
    }
    set.pixels = std::move(pixels);
    set.shape.channels = channels;
    set.normalization = {std::vector(copies, set.normalization.mean[0]), std::vector(copies, set.normalization.std[0])};
    return set;
}

/// The first images of a source, which it owns.
class FirstImages final : public ctnn::ImageSource {
  public:
    FirstImages(std::unique_ptr<ctnn::ImageSource> all, std::size_t size) : all_{std::move(all)}, size_{size} {}

    [[nodiscard]] std::size_t size() const override { return size_; }
    [[nodiscard]] ctnn::Shape shape() const override { return all_->shape(); }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return all_->label(i); }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return all_->class_names(); }
    [[nodiscard]] const ctnn::Normalization& normalization() const override { return all_->normalization(); }
    ctnn::ImageView read(std::size_t i, ctnn::Image& scratch) const override { return all_->read(i, scratch); }

  private:
    std::unique_ptr<ctnn::ImageSource> all_;
    std::size_t size_;
};

}  // namespace

std::string default_data_dir(const std::string& dataset) {
    return (dataset == "fashion-mnist" ? "/usr/share/datasets/" : "datasets/") + dataset;
}

ctnn::TrainTest open_data(const std::string& dataset, const std::string& data_dir, ctnn::Shape shape) {
    if (dataset == "cifar10") { return ctnn::read_cifar10(data_dir); }
    if (dataset == "cifar100") { return ctnn::read_cifar100(data_dir); }
    if (dataset == "fashion-mnist") { return open_fashion_mnist(data_dir); }
    if (dataset == "idx") { return open_idx(data_dir); }
    if (dataset == "folder") { return open_folder(data_dir, shape); }
    if (dataset == "synthetic") { return ctnn::make_synthetic(synthetic_train, synthetic_test, synthetic_seed); }
    throw ctnn::ArgumentError(
        fmt::format("unknown data set '{}', expected one of {}", dataset, fmt::join(dataset_names, ", ")));
}

Sources open_sources(const std::string& dataset, const std::string& data_dir, const ImageFit& fit,
                     std::int64_t limit_test) {
    Sources sources;
    if (dataset == "folder") {
        std::tie(sources.train, sources.test) = image_folders(data_dir, fit);
    } else if (dataset == "synthetic") {  // drawn when they are wanted
        using ctnn::SyntheticSource;
        sources.train =
            std::make_unique<SyntheticSource>(synthetic_train, synthetic_seed, SyntheticSource::Split::train);
        sources.test = std::make_unique<SyntheticSource>(synthetic_test, synthetic_seed, SyntheticSource::Split::test);
    } else {
        ctnn::TrainTest data = open_data(dataset, data_dir);
        sources.train = std::make_unique<MemorySource>(with_channels(std::move(data.train), fit.input.channels));
        sources.test = std::make_unique<MemorySource>(with_channels(std::move(data.test), fit.input.channels));
    }
    if (sources.test->size() == 0) {
        throw ctnn::FileError(data_title(dataset, data_dir) + ": found 0 test images, expected some");
    }
    const auto limit = static_cast<std::size_t>(limit_test);
    if (0 < limit && limit < sources.test->size()) {
        sources.test = std::make_unique<FirstImages>(std::move(sources.test), limit);
    }
    return sources;
}

ctnn::Dataset first_images(const ctnn::ImageSource& source, std::size_t count, const ImageFit& fit) {
    if (source.shape() == ctnn::Shape{}) {
        throw ctnn::ArgumentError("--whiten: found a folder, expected images in memory");
    }
    ctnn::Dataset set{fit.input, {}, {}, source.class_names(), source.normalization()};
    ctnn::BilinearResizer resize;
    ctnn::Image scratch, resized, part;
    for (std::size_t i = 0; i < count; ++i) {
        ctnn::ImageView image = source.read(i, scratch);
        const ctnn::Shape to =
            fit.shorter_side > 0 ? ctnn::shape_with_shorter_side(image.shape, fit.shorter_side) : fit.input;
        if (image.shape.height != to.height || image.shape.width != to.width) {
            resize(image, to.height, to.width, resized);
            image = resized.view();
        }
        part.assign(image.crop(ctnn::centre_offset(to.height, set.shape.height),
                               ctnn::centre_offset(to.width, set.shape.width), set.shape.height, set.shape.width));
        set.pixels.insert(set.pixels.end(), part.pixels.begin(), part.pixels.end());
        set.labels.push_back(source.label(i));
    }
    return set;
}

std::string data_title(const std::string& dataset, const std::string& data_dir) {
    if (dataset == "synthetic") { return "the synthetic set, drawn in memory"; }
    const char* const title = dataset == "cifar10"         ? "CIFAR-10"
                              : dataset == "cifar100"      ? "CIFAR-100"
                              : dataset == "fashion-mnist" ? "Fashion-MNIST"
                              : dataset == "idx"           ? "IDX files"
                                                           : "image files";
    return fmt::format("{} in {}", title, data_dir);
}

bool has_cifar10(const std::string& data_dir) { return is_there(fs::path{data_dir} / "data_batch_1.bin"); }

}  // namespace alexnet
