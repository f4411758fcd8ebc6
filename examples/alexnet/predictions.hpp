// What becomes of predictions: a table for people, JSON and CSV for programs.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "terminal.hpp"

namespace alexnet {

/// One class and its probability.
struct Guess {
    std::size_t index;
    std::string_view name;
    double probability;
};

/// Takes the predictions image by image, in their order.
class PredictionWriter {
  public:
    PredictionWriter() = default;
    PredictionWriter(const PredictionWriter&) = delete;
    PredictionWriter& operator=(const PredictionWriter&) = delete;
    virtual ~PredictionWriter() = default;

    /// The likeliest classes of an image, the likeliest first.
    virtual void add(std::string_view file, std::span<const Guess> guesses) = 0;
    virtual void add_unreadable(std::string_view file, std::string_view reason) = 0;
    /// Behind a batch.
    virtual void flush() {}
    /// Behind everything. A file appears here, whole, and never where this is not called.
    virtual void finish() {}
};

/// Rows of a file, a class and its probability, on standard output; the other classes of a file are below its first.
/// Images that are unreadable have no row.
std::unique_ptr<PredictionWriter> table_writer(Terminal& terminal, std::size_t file_width, std::size_t class_width);

/// {"model": …, "weights": …, "images": [{"file": …, "predictions": [{"class": …, "index": …, "probability": …}, …]},
/// …]} with a line for each image; of those that are unreadable {"file": …, "error": …}. Bytes in names that are not
/// UTF-8 become U+FFFD. `path` "-" is standard output. Throws FileError where it cannot be written.
std::unique_ptr<PredictionWriter> json_writer(const std::filesystem::path& path, Terminal& terminal,
                                              std::string_view model, std::string_view weights);

/// The columns file, rank (from 1), class, index, probability, quoted where RFC 4180 has it so. Images that are
/// unreadable have no row. `path` and errors as with json_writer.
std::unique_ptr<PredictionWriter> csv_writer(const std::filesystem::path& path, Terminal& terminal);

}  // namespace alexnet
