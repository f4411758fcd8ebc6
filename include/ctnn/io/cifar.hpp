// CIFAR-10 in its binary layout (Krizhevsky, "Learning multiple layers of features from tiny images", 2009): files of
// 10 000 records, each a label byte and 3072 pixel bytes in planes R, G, B.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/io/file.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline constexpr Shape cifar10_shape{3, 32, 32};
inline constexpr std::size_t cifar10_pixels = 3 * 32 * 32, cifar10_records = 10'000;

/// Opens a batch and checks its size, so that six files are known to be there before any is read.
inline InputFile open_cifar10_batch(const std::filesystem::path& path) {
    constexpr std::uintmax_t expected = cifar10_records * (1 + cifar10_pixels);
    InputFile file{path};
    if (file.size() != expected) {
        throw FileError{path.string() + ": found " + std::to_string(file.size()) + " bytes, expected " +
                        std::to_string(expected) + " (10000 records of a label and 3072 pixels)"};
    }
    return file;
}

/// Fills records [first, first + 10 000) of `out`.
inline void read_cifar10_records(InputFile& file, Dataset& out, std::size_t first) {
    const auto pixels = std::as_writable_bytes(std::span{out.pixels}).subspan(first * cifar10_pixels);
    for (std::size_t i = 0; i < cifar10_records; ++i) {
        std::byte label{};
        file.read({&label, 1});
        if (std::to_integer<std::size_t>(label) >= out.class_names.size()) {
            throw FileError{file.path().string() + ": offset " + std::to_string(i * (1 + cifar10_pixels)) +
                            ": found the label " + std::to_string(std::to_integer<int>(label)) + ", expected 0 to 9"};
        }
        out.labels[first + i] = std::to_integer<std::uint16_t>(label);
        file.read(pixels.subspan(i * cifar10_pixels, cifar10_pixels));
    }
}

inline Dataset read_cifar10_batches(std::span<InputFile> files, std::vector<std::string> class_names) {
    const std::size_t records = files.size() * cifar10_records;
    Dataset set{cifar10_shape, std::vector<std::uint8_t>(records * cifar10_pixels), std::vector<std::uint16_t>(records),
                std::move(class_names), cifar10_normalization()};
    for (std::size_t i = 0; i < files.size(); ++i) { read_cifar10_records(files[i], set, i * cifar10_records); }
    return set;
}

/// The ten names of batches.meta.txt, one a line, blank lines aside.
inline std::vector<std::string> read_cifar10_class_names(const std::filesystem::path& path) {
    const auto bytes = read_file(path);
    std::istringstream text{std::string{reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
    std::vector<std::string> names;
    for (std::string line; std::getline(text, line);) {
        line.erase(line.find_last_not_of(" \t\r") + 1);
        if (!line.empty()) { names.push_back(line); }
    }
    if (names.size() != 10) {
        throw FileError{path.string() + ": found " + std::to_string(names.size()) + " class names, expected 10"};
    }
    return names;
}

}  // namespace detail

/// The names of CIFAR-10's classes, by label.
inline std::vector<std::string> cifar10_class_names() {
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
}

/// One batch file: 10 000 samples under the standard class names. Throws FileError.
inline Dataset read_cifar10_batch(const std::filesystem::path& path) {
    auto file = detail::open_cifar10_batch(path);
    return detail::read_cifar10_batches({&file, 1}, cifar10_class_names());
}

/// The whole set from a directory: data_batch_1.bin to data_batch_5.bin in this order for training, test_batch.bin for
/// testing, and class names from batches.meta.txt where it exists. The pixels are read straight into place. Throws
/// FileError, naming the file and offset, for a missing directory or file, a wrong size, a label above 9.
inline TrainTest read_cifar10(const std::filesystem::path& directory) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(directory, ignored)) {
        throw FileError{directory.string() +
                        ": found no directory, expected one with CIFAR-10's data_batch_1.bin to "
                        "data_batch_5.bin and test_batch.bin"};
    }
    std::vector<InputFile> train;
    for (int i = 1; i <= 5; ++i) {
        train.push_back(detail::open_cifar10_batch(directory / ("data_batch_" + std::to_string(i) + ".bin")));
    }
    auto test = detail::open_cifar10_batch(directory / "test_batch.bin");
    const auto meta = directory / "batches.meta.txt";
    const auto names =
        std::filesystem::exists(meta, ignored) ? detail::read_cifar10_class_names(meta) : cifar10_class_names();
    return {detail::read_cifar10_batches(train, names), detail::read_cifar10_batches({&test, 1}, names)};
}

}  // namespace ctnn::inline CTNN_ISA
