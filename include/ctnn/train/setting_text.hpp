// Settings as text that reads back as the same: what files and command lines hold of them.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/train/lr_scale.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

template <class Value>
struct ListTraits : std::false_type {};
template <class Element>
struct ListTraits<std::vector<Element>> : std::true_type {
    using element = Element;
};

template <class Value>
struct ChoiceTraits : std::false_type {};
template <class... Alternative>
struct ChoiceTraits<std::variant<Alternative...>> : std::true_type {
    static std::string names() {
        std::string all;
        ((all += all.empty() ? "" : ", ", all += Alternative::name), ...);
        return all;
    }
    /// Takes the alternative of that name with its defaults, unless it is the present one.
    static bool choose(std::string_view text, std::variant<Alternative...>& to) {
        const auto take = [&]<class A>(std::type_identity<A>) {
            if (A::name != text) { return false; }
            if (!std::holds_alternative<A>(to)) { to = A{}; }
            return true;
        };
        return (take(std::type_identity<Alternative>{}) || ...);
    }
};

}  // namespace detail

/// Whether a setting is a number or a bool, which JSON has too; all others are text there.
template <class Value>
inline constexpr bool is_number_setting = std::is_arithmetic_v<Value>;

/// Numbers with the fewest digits that read back as the same, bools as 0 and 1, an enumeration by its name, a variant
/// by its alternative's, a list with commas between, a factor of the learning rate as "0.bias=64" or "0.bias=0@3" for
/// one from epoch 3 on.
template <class Value>
std::string setting_text(const Value& value) {
    if constexpr (std::is_same_v<Value, bool>) {
        return value ? "1" : "0";
    } else if constexpr (std::is_integral_v<Value>) {
        return std::to_string(value);
    } else if constexpr (std::is_floating_point_v<Value>) {
        return fmt::format("{}", value);
    } else if constexpr (std::is_enum_v<Value>) {
        return std::string{name(value)};
    } else if constexpr (std::is_same_v<Value, LrScale>) {
        std::string text = value.tensors + "=" + setting_text(value.factor);
        if (value.from_epoch != 0) { text += "@" + setting_text(value.from_epoch); }
        return text;
    } else if constexpr (detail::ListTraits<Value>::value) {
        std::string text;
        for (const auto& element : value) { (text += text.empty() ? "" : ",") += setting_text(element); }
        return text;
    } else {
        static_assert(detail::ChoiceTraits<Value>::value);
        return std::visit([](const auto& v) { return std::string{std::remove_cvref_t<decltype(v)>::name}; }, value);
    }
}

/// Reads what setting_text wrote. Throws ArgumentError, and then leaves `to` as it was.
template <class Value>
void parse_setting(std::string_view text, Value& to) {
    if constexpr (std::is_same_v<Value, bool>) {
        if (text != "0" && text != "1") { raise<ArgumentError>({"found '", text, "', expected 0 or 1"}); }
        to = text == "1";
    } else if constexpr (std::is_arithmetic_v<Value>) {
        Value number{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || end != text.data() + text.size()) {
            raise<ArgumentError>({"found '", text, "', expected a number"});
        }
        to = number;
    } else if constexpr (std::is_enum_v<Value>) {
        parse_name(text, to);
    } else if constexpr (std::is_same_v<Value, LrScale>) {
        const std::size_t equals = text.rfind('='), at = text.find('@', equals);
        if (equals == std::string_view::npos || equals == 0) {
            raise<ArgumentError>({"found '", text, "', expected NAME=FACTOR or NAME=FACTOR@EPOCH"});
        }
        LrScale scale{std::string{text.substr(0, equals)}};
        parse_setting(text.substr(equals + 1, at == std::string_view::npos ? at : at - equals - 1), scale.factor);
        if (at != std::string_view::npos) { parse_setting(text.substr(at + 1), scale.from_epoch); }
        to = std::move(scale);
    } else if constexpr (detail::ListTraits<Value>::value) {
        Value list;
        while (!text.empty()) {
            const std::size_t comma = text.find(',');
            parse_setting(text.substr(0, comma), list.emplace_back());
            if (comma == std::string_view::npos) { break; }
            text.remove_prefix(comma + 1);
            if (text.empty()) { raise<ArgumentError>({"found a comma at the end of a list, expected an element"}); }
        }
        to = std::move(list);
    } else {
        using Choice = detail::ChoiceTraits<Value>;
        if (!Choice::choose(text, to)) {
            raise<ArgumentError>({"found '", text, "', expected one of ", Choice::names()});
        }
    }
}

}  // namespace ctnn::inline CTNN_ISA
