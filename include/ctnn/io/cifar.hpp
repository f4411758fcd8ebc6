// CIFAR-10 and CIFAR-100 in their binary layout (Krizhevsky, "Learning multiple layers of features from tiny images",
// 2009): records of a label byte, in CIFAR-100 of a coarse and a fine one, and 3072 pixel bytes in planes R, G, B.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/io/file.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {
/// Out of line, for a list of strings is long code wherever it stands.
CTNN_ONE_COPY inline std::vector<std::string> strings(std::initializer_list<std::string_view> list) {
    return {list.begin(), list.end()};
}
}  // namespace detail

/// The names of CIFAR-10's classes, by label.
inline std::vector<std::string> cifar10_class_names() {
    return detail::strings({"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"});
}

/// The names of CIFAR-100's classes, by fine label.
inline std::vector<std::string> cifar100_class_names() {
    return detail::strings(
        {"apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
         "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
         "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
         "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
         "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
         "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
         "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
         "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
         "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
         "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
         "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
         "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
         "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
         "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
         "woman",      "worm"});
}

/// CIFAR-100's training set statistics.
inline Normalization cifar100_normalization() { return {{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}}; }

namespace detail {

inline constexpr Shape cifar_shape{3, 32, 32};
inline constexpr std::size_t cifar_pixels = std::size_t{3} * 32 * 32;

/// What the two sets differ in.
struct CifarLayout {
    std::vector<int> labels;  ///< classes that each label byte of a record tells apart; the last byte's are the set's
    Normalization normalization;

    [[nodiscard]] std::size_t record() const { return labels.size() + cifar_pixels; }
};

inline CifarLayout cifar10_layout() { return {{10}, cifar10_normalization()}; }
inline CifarLayout cifar100_layout() { return {{20, 100}, cifar100_normalization()}; }

/// A file of so many records, its size checked.
CTNN_ONE_COPY inline InputFile open_cifar(const CifarLayout& layout, std::filesystem::path path, std::size_t records) {
    InputFile file{std::move(path)};
    if (file.size() != records * layout.record()) {
        raise<FileError>({file.path().string(), ": found ", file.size(), " bytes, expected ", records * layout.record(),
                          " (", records, " records of ", layout.labels.size() == 1 ? "a label" : "two labels", " and ",
                          cifar_pixels, " pixels)"});
    }
    return file;
}

/// Files of a directory, so that all are known to be there before any is read.
CTNN_ONE_COPY inline std::vector<InputFile> open_cifar(const CifarLayout& layout,
                                                       const std::filesystem::path& directory,
                                                       std::initializer_list<const char*> names, std::size_t records) {
    std::vector<InputFile> files;
    for (const char* const name : names) { files.push_back(open_cifar(layout, directory / name, records)); }
    return files;
}

/// Reads whole files, one after the other, straight into place.
inline Dataset read_cifar(const CifarLayout& layout, std::span<InputFile> files, std::vector<std::string> class_names) {
    std::size_t records = 0;
    for (const InputFile& file : files) { records += static_cast<std::size_t>(file.size()) / layout.record(); }
    Dataset set{cifar_shape, std::vector<std::uint8_t>(records * cifar_pixels), std::vector<std::uint16_t>(records),
                std::move(class_names), layout.normalization};
    auto pixels = std::as_writable_bytes(std::span{set.pixels});
    auto label = set.labels.begin();
    for (InputFile& file : files) {
        for (std::size_t offset = 0; offset < file.size(); offset += layout.record()) {
            for (std::size_t i = 0; i < layout.labels.size(); ++i) {
                std::byte byte{};
                file.read({&byte, 1});
                if (std::to_integer<int>(byte) >= layout.labels[i]) {
                    raise<FileError>({file.path().string(), ": offset ", offset + i, ": found the label ",
                                      std::to_integer<int>(byte), ", expected 0 to ", layout.labels[i] - 1});
                }
                *label = std::to_integer<std::uint16_t>(byte);
            }
            ++label;
            file.read(pixels.first(cifar_pixels));
            pixels = pixels.subspan(cifar_pixels);
        }
    }
    return set;
}

/// The lines of a text file, without blank ones and blanks at their ends.
inline std::vector<std::string> read_names(const std::filesystem::path& path) {
    const auto bytes = read_file(path);
    std::istringstream text{std::string{reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
    std::vector<std::string> names;
    for (std::string line; std::getline(text, line);) {
        line.erase(line.find_last_not_of(" \t\r") + 1);
        if (!line.empty()) { names.push_back(line); }
    }
    return names;
}

/// The names in a file, or `standard` where there is none.
inline std::vector<std::string> read_cifar_class_names(const std::filesystem::path& path,
                                                       std::vector<std::string> standard) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) { return standard; }
    auto names = read_names(path);
    if (names.size() != standard.size()) {
        raise<FileError>({path.string(), ": found ", names.size(), " class names, expected ", standard.size()});
    }
    return names;
}

inline void require_cifar_directory(const std::filesystem::path& directory, const char* what) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(directory, ignored)) {
        raise<FileError>({directory.string(), ": found no directory, expected one with ", what});
    }
}

}  // namespace detail

/// One batch file of CIFAR-10: 10 000 samples under the standard class names. Throws FileError.
inline Dataset read_cifar10_batch(const std::filesystem::path& path) {
    const auto layout = detail::cifar10_layout();
    auto file = detail::open_cifar(layout, path, 10'000);
    return detail::read_cifar(layout, {&file, 1}, cifar10_class_names());
}

/// CIFAR-10 from a directory: data_batch_1.bin to data_batch_5.bin in this order for training, test_batch.bin for
/// testing, and class names from batches.meta.txt where it exists. Throws FileError, naming the file and offset, for a
/// missing directory or file, a wrong size, a label above 9.
inline TrainTest read_cifar10(const std::filesystem::path& directory) {
    detail::require_cifar_directory(directory, "CIFAR-10's data_batch_1.bin to data_batch_5.bin and test_batch.bin");
    const auto layout = detail::cifar10_layout();
    auto train = detail::open_cifar(
        layout, directory,
        {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"}, 10'000);
    auto test = detail::open_cifar(layout, directory, {"test_batch.bin"}, 10'000);
    const auto names = detail::read_cifar_class_names(directory / "batches.meta.txt", cifar10_class_names());
    return {detail::read_cifar(layout, train, names), detail::read_cifar(layout, test, names)};
}

/// CIFAR-100 from a directory, by its 100 fine labels: train.bin, test.bin, and class names from fine_label_names.txt
/// where it exists. Throws FileError as read_cifar10 does.
inline TrainTest read_cifar100(const std::filesystem::path& directory) {
    detail::require_cifar_directory(directory, "CIFAR-100's train.bin and test.bin");
    const auto layout = detail::cifar100_layout();
    auto train = detail::open_cifar(layout, directory, {"train.bin"}, 50'000);
    auto test = detail::open_cifar(layout, directory, {"test.bin"}, 10'000);
    const auto names = detail::read_cifar_class_names(directory / "fine_label_names.txt", cifar100_class_names());
    return {detail::read_cifar(layout, train, names), detail::read_cifar(layout, test, names)};
}

}  // namespace ctnn::inline CTNN_ISA
