// TensorBoard's event files: records of protobuf messages, each behind its length and with checksums. The field numbers
// are those of tensorflow/tensorboard's event.proto, summary.proto, histogram.proto and hparams/plugin_data.proto.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <ctnn/data/image.hpp>
#include <ctnn/io/json.hpp>

#include "histogram.hpp"

namespace alexnet {

/// What an event says: named values, encoded as they are added.
class Summary {
  public:
    void scalar(std::string_view tag, double value);
    void histogram(std::string_view tag, const Histogram& histogram);
    /// As PNG; 1 or 3 channels.
    void image(std::string_view tag, const ctnn::ImageView& image);
    /// For the HParams plugin: a run's settings, which are numbers, strings and truths; and that it is complete.
    void session_start(const ctnn::Json::Object& settings);
    void session_end();

    [[nodiscard]] const std::string& bytes() const { return bytes_; }

  private:
    void value(std::string_view tag, int field, std::string_view content, std::string_view metadata = {});
    void plugin_data(std::string_view tag, int field, std::string_view message);

    std::string bytes_;
};

/// A new event file in a folder. Records gather in memory and are written when there are enough of them, or by flush().
class EventFile {
  public:
    /// Makes the file events.out.tfevents.<seconds>.<host>.<pid>.<n>. What an earlier file in the folder has of `step`
    /// and later is void: a process that was killed left it, and the steps are made again. Throws FileError.
    EventFile(const std::filesystem::path& folder, std::int64_t step);

    /// Throws FileError where it writes.
    void add(std::int64_t step, const Summary& summary);
    void flush();

  private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    void append(std::string_view event);

    std::filesystem::path path_;
    std::unique_ptr<std::FILE, Close> file_;
    std::string buffer_;
};

}  // namespace alexnet
