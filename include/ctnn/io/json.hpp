// JSON as RFC 8259 has it and nothing beyond: a value and its writer. The parser is in json_parser.hpp.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <ctnn/core/error.hpp>

namespace ctnn::inline CTNN_ISA {

/// Arrays and objects within each other, at most.
inline constexpr int json_depth_limit = 64;

namespace detail {

/// Length of the longest prefix that is well-formed UTF-8 (Unicode Standard, table 3-7: no overlong forms, no
/// surrogates, nothing above U+10FFFF).
constexpr std::size_t utf8_prefix(std::string_view text) {
    std::size_t i = 0;
    while (i < text.size()) {
        const unsigned lead = static_cast<unsigned char>(text[i]);
        const std::size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (length == 0 || lead > 0xF4 || length > text.size() - i) { return i; }
        for (std::size_t k = 1; k < length; ++k) {
            const unsigned low = k > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
            const unsigned high = k > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
            const unsigned next = static_cast<unsigned char>(text[i + k]);
            if (next < low || next > high) { return i; }
        }
        i += length;
    }
    return i;
}

/// Appends `text` as a JSON string: the two characters that must be escaped, and control characters.
inline void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            (out += '\\') += c;
        } else if (code < 0x20 || code == 0x7F) {
            (out += "\\u") += hex(code, 4);
        } else {
            out += c;
        }
    }
    out += '"';
}

/// A name from a file, fit for one line of a message: quoted, escaped and cut.
inline std::string shown(std::string_view text) {
    constexpr std::size_t limit = 80;
    std::size_t end = std::min(text.size(), limit);
    while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) { --end; }
    std::string out;
    append_quoted(out, text.substr(0, end));
    return end < text.size() ? out + "..." : out;
}

/// The fewest digits that read back as the same double.
inline std::string shortest(double x) {
    std::array<char, 32> digits;  // at most 24 are needed
    return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), x).ptr};
}

/// The first member, in file order, whose key an earlier one has too.
template <class Members>
std::optional<std::size_t> duplicate_key(const Members& members) {
    std::vector<std::size_t> order(members.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        const int order_of_keys = members[a].first.compare(members[b].first);
        return order_of_keys != 0 ? order_of_keys < 0 : a < b;
    });
    std::optional<std::size_t> found;
    for (std::size_t i = 1; i < order.size(); ++i) {
        if (members[order[i]].first == members[order[i - 1]].first) {
            found = std::min(found.value_or(order[i]), order[i]);
        }
    }
    return found;
}

}  // namespace detail

/// One JSON value. Objects keep the order of their members. Integers from −2^63 to 2^64 − 1 are exact; a number
/// written with a fraction or an exponent is a double.
class Json {
  public:
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;
    /// std::int64_t holds negative integers only, so that equal numbers are equal values.
    using Value = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object>;

    Json() = default;
    Json(bool value) : value_{value} {}
    template <std::integral T>
    Json(T value) {
        if (std::cmp_less(value, 0)) {
            value_ = static_cast<std::int64_t>(value);
        } else {
            value_ = static_cast<std::uint64_t>(value);
        }
    }
    Json(double value) : value_{value} {}
    Json(std::string value) : value_{std::move(value)} {}
    Json(std::string_view value) : value_{std::string{value}} {}
    Json(const char* value) : value_{std::string{value}} {}
    Json(Array value) : value_{std::move(value)} {}
    Json(Object value) : value_{std::move(value)} {}

    [[nodiscard]] const Value& value() const { return value_; }

    /// The member `key` of an object; nullptr where there is none, or no object.
    [[nodiscard]] const Json* find(std::string_view key) const {
        if (const auto* object = std::get_if<Object>(&value_)) {
            for (const auto& [name, member] : *object) {
                if (name == key) { return &member; }
            }
        }
        return nullptr;
    }

    /// The value as T: bool, an integer type (must fit), float or double (integers convert), or a reference to
    /// std::string, Array or Object. Throws FileError "<place>: found …, expected …" for anything else.
    template <class T>
    [[nodiscard]] std::conditional_t<std::is_arithmetic_v<T>, T, const T&> get(std::string_view place) const {
        if constexpr (std::is_floating_point_v<T>) {
            if (const auto* x = std::get_if<double>(&value_)) { return static_cast<T>(*x); }
            if (const auto* x = std::get_if<std::uint64_t>(&value_)) { return static_cast<T>(*x); }
            if (const auto* x = std::get_if<std::int64_t>(&value_)) { return static_cast<T>(*x); }
            wrong(place, "a number");
        } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
            const auto* natural = std::get_if<std::uint64_t>(&value_);
            if (natural && std::in_range<T>(*natural)) { return static_cast<T>(*natural); }
            const auto* negative = std::get_if<std::int64_t>(&value_);
            if (negative && std::in_range<T>(*negative)) { return static_cast<T>(*negative); }
            wrong(place, detail::joined({"an integer from ", std::numeric_limits<T>::min(), " to ",
                                         std::numeric_limits<T>::max()}));
        } else {
            if (const auto* x = std::get_if<T>(&value_)) { return *x; }
            wrong(place, std::is_same_v<T, bool>          ? "true or false"
                         : std::is_same_v<T, std::string> ? "a string"
                         : std::is_same_v<T, Array>       ? "an array"
                                                          : "an object");
        }
    }

    /// The member `key` as T. Throws FileError where it is missing or something else.
    template <class T>
    [[nodiscard]] std::conditional_t<std::is_arithmetic_v<T>, T, const T&> field(std::string_view key,
                                                                                 std::string_view place) const {
        const Json* member = find(key);
        const std::string member_place = detail::joined({place, ": key ", detail::shown(key)});
        if (member == nullptr) {
            static_cast<void>(get<Object>(place));
            raise<FileError>({member_place, ": found nothing, expected the key and a value"});
        }
        return member->get<T>(member_place);
    }

    friend bool operator==(const Json& a, const Json& b) { return a.value_ == b.value_; }

  private:
    [[noreturn]] void wrong(std::string_view place, std::string_view expected) const;

    Value value_;
};

namespace detail {

/// Appends `value`. With indent > 0 every member stands on a line of its own.
class JsonWriter {
  public:
    explicit JsonWriter(int indent) : indent_{indent} {}

    void write(const Json& value, int depth) {
        std::visit([&](const auto& x) { append(x, depth); }, value.value());
    }

    std::string text;

  private:
    void append(std::nullptr_t, int) { text += "null"; }
    void append(bool x, int) { text += x ? "true" : "false"; }
    void append(std::int64_t x, int) { text += std::to_string(x); }
    void append(std::uint64_t x, int) { text += std::to_string(x); }
    void append(double x, int) {
        if (!std::isfinite(x)) {
            raise<ArgumentError>({"JSON number: found ", shortest(x), ", expected a finite one"});
        }
        const std::string digits = shortest(x);
        text += digits;
        if (digits.find_first_of(".e") == std::string::npos) { text += ".0"; }  // a double stays one
    }
    void append(const std::string& x, int) {
        if (const auto valid = utf8_prefix(x); valid != x.size()) {
            raise<ArgumentError>({"JSON string ", shown(std::string_view{x}.substr(0, valid)),
                                  ": found a byte that is not UTF-8 behind it, expected UTF-8"});
        }
        append_quoted(text, x);
    }
    void append(const Json::Array& x, int depth) {
        list('[', ']', x, depth, [&](const Json& item) { write(item, depth + 1); });
    }
    void append(const Json::Object& x, int depth) {
        if (const auto i = duplicate_key(x)) {
            raise<ArgumentError>({"JSON object: found the key ", shown(x[*i].first), " twice, expected it once"});
        }
        list('{', '}', x, depth, [&](const auto& member) {
            append(member.first, depth);
            text += indent_ > 0 ? ": " : ":";
            write(member.second, depth + 1);
        });
    }

    template <class Items, class WriteItem>
    void list(char open, char close, const Items& items, int depth, WriteItem write_item) {
        if (depth == json_depth_limit) {
            raise<ArgumentError>({"JSON value: found more than ", json_depth_limit, " levels, expected no more"});
        }
        text += open;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (i > 0) { text += ','; }
            new_line(depth + 1);
            write_item(items[i]);
        }
        if (!items.empty()) { new_line(depth); }
        text += close;
    }
    void new_line(int depth) {
        if (indent_ > 0) {
            (text += '\n').append(static_cast<std::size_t>(indent_) * static_cast<std::size_t>(depth), ' ');
        }
    }

    int indent_;
};

}  // namespace detail

/// The text of a value, on one line without blanks, or with `indent` blanks a level. parse_json gives back an equal
/// value. Throws ArgumentError for what parse_json would refuse: numbers that are not finite, strings that are not
/// UTF-8, duplicate keys, too many levels.
inline std::string write_json(const Json& value, int indent = 0) {
    detail::JsonWriter writer{indent};
    writer.write(value, 0);
    return std::move(writer.text);
}

inline void Json::wrong(std::string_view place, std::string_view expected) const {
    struct Describe {
        std::string operator()(std::nullptr_t) const { return "null"; }
        std::string operator()(bool x) const { return x ? "true" : "false"; }
        std::string operator()(double x) const { return "the number " + detail::shortest(x); }
        std::string operator()(std::int64_t x) const { return "the number " + std::to_string(x); }
        std::string operator()(std::uint64_t x) const { return "the number " + std::to_string(x); }
        std::string operator()(const std::string& x) const { return "the string " + detail::shown(x); }
        std::string operator()(const Array&) const { return "an array"; }
        std::string operator()(const Object&) const { return "an object"; }
    };
    raise<FileError>({place, ": found ", std::visit(Describe{}, value_), ", expected ", expected});
}

}  // namespace ctnn::inline CTNN_ISA
