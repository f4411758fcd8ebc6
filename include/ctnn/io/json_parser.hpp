// The strict JSON parser.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#ifndef __cpp_lib_to_chars
#include <locale>
#include <sstream>
#endif

#include <ctnn/core/error.hpp>
#include <ctnn/io/json.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// Recursive descent. Offsets in messages count from the start of the text plus `first_offset`.
class JsonParser {
  public:
    JsonParser(std::string_view text, std::string_view source, std::size_t first_offset)
        : text_{text}, source_{source}, first_offset_{first_offset} {}

    Json document() {
        if (const auto valid = utf8_prefix(text_); valid != text_.size()) { fail(valid, found(valid), "UTF-8"); }
        Json result = value(0);
        skip_space();
        if (at_ != text_.size()) { fail("nothing more"); }
        return result;
    }

  private:
    [[noreturn]] void fail(std::size_t at, const std::string& found, std::string_view expected) const {
        raise<FileError>({source_, ": offset ", first_offset_ + at, ": found ", found, ", expected ", expected});
    }
    [[noreturn]] void fail(std::string_view expected) const { fail(at_, found(at_), expected); }

    [[nodiscard]] std::string found(std::size_t at) const {
        if (at >= text_.size()) { return "the end"; }
        const auto code = static_cast<unsigned char>(text_[at]);
        if (code > 0x20 && code < 0x7F) { return std::string{'\''} + text_[at] + '\''; }
        return joined({"the byte ", code});
    }

    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }  // a NUL fits no rule below
    [[nodiscard]] bool digit() const { return peek() >= '0' && peek() <= '9'; }
    bool take(char c) {
        if (at_ == text_.size() || text_[at_] != c) { return false; }
        ++at_;
        return true;
    }
    bool take(std::string_view word) {
        if (!text_.substr(at_).starts_with(word)) { return false; }
        at_ += word.size();
        return true;
    }
    void skip_space() {
        while (take(' ') || take('\n') || take('\t') || take('\r')) {}
    }

    Json value(int depth) {
        skip_space();
        switch (peek()) {
            case '{': return object(depth);
            case '[': return array(depth);
            case '"': return string();
            default: break;
        }
        if (take("null")) { return {}; }
        if (take("true")) { return true; }
        if (take("false")) { return false; }
        if (digit() || peek() == '-') { return number(); }
        fail("a value");
    }

    void enter(int depth) {
        if (depth == json_depth_limit) { fail(at_, "one level more", joined({"at most ", json_depth_limit})); }
        ++at_;
        skip_space();
    }

    Json array(int depth) {
        enter(depth);
        Json::Array items;
        if (take(']')) { return items; }
        do {
            items.push_back(value(depth + 1));
            skip_space();
        } while (take(','));
        if (!take(']')) { fail("',' or ']'"); }
        return items;
    }

    Json object(int depth) {
        enter(depth);
        Json::Object members;
        std::vector<std::size_t> offsets;
        if (take('}')) { return members; }
        do {
            skip_space();
            if (peek() != '"') { fail("a key in quotes"); }
            offsets.push_back(at_);
            std::string key = string();
            skip_space();
            if (!take(':')) { fail("':'"); }
            members.emplace_back(std::move(key), value(depth + 1));
            skip_space();
        } while (take(','));
        if (!take('}')) { fail("',' or '}'"); }
        if (const auto i = duplicate_key(members)) {
            fail(offsets[*i], joined({"the key ", shown(members[*i].first), " again"}), "each key once");
        }
        return members;
    }

    std::string string() {
        ++at_;
        std::string out;
        while (!take('"')) {
            const auto code = static_cast<unsigned char>(peek());
            if (at_ == text_.size()) { fail("a closing quote"); }
            if (code < 0x20) { fail("no control character in a string"); }
            if (take('\\')) {
                escape(out);
            } else {
                out += text_[at_++];
            }
        }
        return out;
    }

    void escape(std::string& out) {
        constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        if (const auto i = letters.find(peek()); i != std::string_view::npos) {
            out += meanings[i];
            ++at_;
        } else if (take('u')) {
            append_utf8(out, code_point());
        } else {
            fail("one of \" \\ / b f n r t u");
        }
    }

    /// What follows `\u`: one unit of UTF-16, or a pair of surrogates with the second `\u` between them.
    std::uint32_t code_point() {
        const std::size_t start = at_;
        const std::uint32_t first = utf16_unit();
        if (first < 0xD800 || first > 0xDFFF) { return first; }
        const std::uint32_t second = first < 0xDC00 && take("\\u") ? utf16_unit() : 0;
        if (second < 0xDC00 || second > 0xDFFF) { fail(start, "half a surrogate pair", "a whole one"); }
        return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    }

    std::uint32_t utf16_unit() {
        std::uint32_t unit = 0;
        for (int i = 0; i < 4; ++i, ++at_) {
            constexpr std::string_view digits = "0123456789abcdefABCDEF";
            const auto digit = digits.find(peek());
            if (digit == std::string_view::npos) { fail("a hexadecimal digit"); }
            unit = unit * 16 + static_cast<std::uint32_t>(digit < 16 ? digit : digit - 6);
        }
        return unit;
    }

    static void append_utf8(std::string& out, std::uint32_t code) {
        const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else if (code < 0x800) {
            out += static_cast<char>(0xC0 | (code >> 6));
            tail(0);
        } else if (code < 0x10000) {
            out += static_cast<char>(0xE0 | (code >> 12));
            tail(6), tail(0);
        } else {
            out += static_cast<char>(0xF0 | (code >> 18));
            tail(12), tail(6), tail(0);
        }
    }

    void digits() {
        if (!digit()) { fail("a digit"); }
        while (digit()) { ++at_; }
    }

    Json number() {
        const std::size_t start = at_;
        const bool negative = take('-');
        if (!take('0')) { digits(); }
        const std::size_t integer_end = at_;
        if (take('.')) { digits(); }
        if (take('e') || take('E')) {
            static_cast<void>(take('+') || take('-'));
            digits();
        }
        const std::string_view token = text_.substr(start, at_ - start);
        if (at_ != integer_end) { return real(token, start); }
        return negative ? integer<std::int64_t>(token, start) : integer<std::uint64_t>(token, start);
    }

    template <class T>
    Json integer(std::string_view token, std::size_t start) const {
        T x{};
        if (std::from_chars(token.data(), token.data() + token.size(), x).ec != std::errc{}) {
            fail(start, joined({"an integer of ", token.size(), " characters"}), "one of 64 bits");
        }
        return x;
    }

    Json real(std::string_view token, std::size_t start) const {
        double x = 0;
#ifdef __cpp_lib_to_chars
        const bool good = std::from_chars(token.data(), token.data() + token.size(), x).ec == std::errc{};
#else  // libc++ reads floating point with from_chars only since version 20
        std::istringstream stream{std::string{token}};
        stream.imbue(std::locale::classic());
        const bool good = static_cast<bool>(stream >> x);
#endif
        if (!good) { fail(start, "a number outside the range of a double", "one inside"); }
        return x;
    }

    std::string_view text_, source_;
    std::size_t first_offset_;
    std::size_t at_ = 0;
};

}  // namespace detail

/// Parses a whole text. Refuses, with a FileError "<source>: offset …: found …, expected …": what is not UTF-8, what is
/// not JSON, duplicate keys, more than json_depth_limit levels, integers beyond 64 bits, reals beyond double.
/// `first_offset` is the place of `text` in its file, for messages.
inline Json parse_json(std::string_view text, std::string_view source, std::size_t first_offset = 0) {
    return detail::JsonParser{text, source, first_offset}.document();
}

}  // namespace ctnn::inline CTNN_ISA
