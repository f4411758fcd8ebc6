#include "html.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "images.hpp"
#include "utf8.hpp"

namespace alexnet {

std::string escape_html(std::string_view text) {
    std::string out;
    for (const char c : utf8(text)) {
        const auto code = static_cast<unsigned char>(c);
        if (c == '&' || c == '<' || c == '>' || c == '"' || c == '\'') {
            fmt::format_to(std::back_inserter(out), "&#{};", code);
        } else if (code < 0x20 || code == 0x7F) {
            out += "\xEF\xBF\xBD";
        } else {
            out += c;
        }
    }
    return out;
}

std::string base64(std::span<const std::byte> bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
        unsigned bits = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            bits = bits << 8 | (k < count ? std::to_integer<unsigned>(bytes[i + k]) : 0);
        }
        for (std::size_t k = 0; k < 4; ++k) { out += k <= count ? digits[bits >> (18 - 6 * k) & 63] : '='; }
    }
    return out;
}

std::string html_image(const ctnn::ImageView& image, int zoom, std::string_view alt) {
    return fmt::format(R"(<img width="{}" height="{}" alt="{}" src="data:image/png;base64,{}">)",
                       zoom * image.shape.width, zoom * image.shape.height, escape_html(alt),
                       base64(encode_png(image)));
}

std::string grouped(std::int64_t number) {
    std::string digits = std::to_string(number);
    const auto first = static_cast<std::ptrdiff_t>(number < 0 ? 1 : 0);
    for (auto at = std::ssize(digits) - 3; at > first; at -= 3) {
        digits.insert(static_cast<std::size_t>(at), "\u202F");
    }
    return digits;
}

HtmlTable::HtmlTable(std::string& out, std::vector<Column> columns, std::string_view caption)
    : out_{out}, columns_{std::move(columns)} {
    out_ += "<div class=\"wide\"><table>";
    if (!caption.empty()) { out_ += fmt::format("<caption>{}</caption>", caption); }
    out_ += "<thead><tr>";
    for (const Column& column : columns_) {
        out_ += fmt::format("<th scope=\"col\"{}>{}</th>", column.number ? " class=\"n\"" : "", column.title);
    }
    out_ += "</tr></thead>\n<tbody>\n";
}

HtmlTable::~HtmlTable() { out_ += "</tbody></table></div>\n"; }

void HtmlTable::row(const std::vector<std::string>& cells, std::string_view classes) {
    out_ += classes.empty() ? "<tr>" : fmt::format("<tr class=\"{}\">", classes);
    for (std::size_t i = 0; i < cells.size(); ++i) {
        out_ += fmt::format("<{0}{1}>{2}</{3}>", i == 0 ? "th scope=\"row\"" : "td",
                            columns_.at(i).number ? " class=\"n\"" : "", cells[i], i == 0 ? "th" : "td");
    }
    out_ += "</tr>\n";
}

}  // namespace alexnet
