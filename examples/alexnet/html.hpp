// Pieces of HTML pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ctnn/data/image.hpp>

namespace alexnet {

/// Any bytes as text that is itself in HTML and in its quoted attributes. What is not UTF-8, and control characters,
/// become U+FFFD.
std::string escape_html(std::string_view text);

/// RFC 4648, 4, with padding.
std::string base64(std::span<const std::byte> bytes);

/// An img element that holds the picture, as PNG; `zoom` page pixels for one of it. The texts are escaped here.
std::string html_image(const ctnn::ImageView& image, int zoom, std::string_view alt);

/// "1 234 567", with narrow spaces that do not break.
std::string grouped(std::int64_t number);

/// A table, written as it is told. Cells are HTML; the first of a row is its heading.
class HtmlTable {
  public:
    struct Column {
        std::string title;
        bool number = true;  ///< to be aligned by its digits
    };
    HtmlTable(std::string& out, std::vector<Column> columns, std::string_view caption = "");
    HtmlTable(const HtmlTable&) = delete;
    HtmlTable& operator=(const HtmlTable&) = delete;
    ~HtmlTable();

    /// `classes` are the row's in the style sheet.
    void row(const std::vector<std::string>& cells, std::string_view classes = "");

  private:
    std::string& out_;
    std::vector<Column> columns_;
};

}  // namespace alexnet
