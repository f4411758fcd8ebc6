// Figures as a table for people, and as JSON for programs.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <ctnn/io/file.hpp>
#include <ctnn/io/json.hpp>

namespace ctnn::inline CTNN_ISA::bench {

/// A column: its heading, and its width, negative for text, which stands left.
struct Column {
    std::string_view heading;
    int width;
};

/// Prints rows as they come, so that a long run shows where it is.
class Table {
  public:
    explicit Table(std::vector<Column> columns) : columns_{std::move(columns)} {
        std::vector<std::string> headings;
        for (const Column& column : columns_) { headings.emplace_back(column.heading); }
        row(headings);
    }
    void row(const std::vector<std::string>& cells) const {
        std::string line;
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const int width = columns_[i].width;
            line += width < 0 ? fmt::format("{:<{}} ", cells[i], -width) : fmt::format("{:>{}} ", cells[i], width);
        }
        line.resize(line.find_last_not_of(' ') + 1);
        fmt::print("{}\n", line);
        std::fflush(stdout);
    }

  private:
    std::vector<Column> columns_;
};

/// Writes `figures` to a file, unless `path` is empty.
inline void write_figures(const std::string& path, Json::Object figures) {
    if (path.empty()) { return; }
    const std::string text = write_json(Json{std::move(figures)}, 2) + "\n";
    write_file_atomically(path, std::as_bytes(std::span{text}));
}

}  // namespace ctnn::inline CTNN_ISA::bench
