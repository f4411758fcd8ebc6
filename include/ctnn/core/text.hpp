// Sentences written at compile time, and the one error a wrong network produces.
//
// GCC 12 and Clang 19 print the arguments of an undefined template when its size is asked for. A sentence is therefore
// cut at blanks into arrays of at most 32 characters (Clang abbreviates longer ones), and each becomes an argument of
// `wrong_network`, which is declared and never defined.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

/// A constexpr string of at most `Capacity` ASCII characters; what does not fit is cut off.
template <std::size_t Capacity>
struct Text {
    static constexpr std::size_t capacity = Capacity;
    char data[Capacity + 1] = {};
    std::size_t length = 0;

    constexpr Text() = default;
    constexpr Text(std::string_view text) {
        *this << text;
    }  // NOLINT(google-explicit-constructor): a literal is a text
    constexpr Text(const char* text) : Text(std::string_view{text}) {}

    constexpr Text& operator<<(std::string_view text) {
        for (const char c : text) {
            if (length < Capacity) { data[length++] = c; }
        }
        return *this;
    }
    constexpr Text& operator<<(long long value) {
        if (value < 0) {
            *this << std::string_view{"-"};
            value = -value;
        }
        char digits[20] = {};
        std::size_t n = 0;
        do {
            digits[n++] = static_cast<char>('0' + value % 10);
            value /= 10;
        } while (value != 0);
        while (n > 0) { *this << std::string_view{&digits[--n], 1}; }
        return *this;
    }
    constexpr Text& operator<<(int value) { return *this << static_cast<long long>(value); }

    [[nodiscard]] constexpr bool empty() const { return length == 0; }
    [[nodiscard]] constexpr std::string_view view() const { return {data, length}; }
    constexpr operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor)
    constexpr bool operator==(std::string_view other) const { return view() == other; }
};

using Sentence = Text<224>;
using Name = Text<64>;

/// A string literal as a template argument, for block names.
template <std::size_t N>
struct Literal {
    char data[N] = {};
    constexpr Literal(const char (&text)[N]) {  // NOLINT(google-explicit-constructor): written as a literal
        for (std::size_t i = 0; i < N; ++i) { data[i] = text[i]; }
    }
    [[nodiscard]] constexpr std::string_view view() const { return {data, N - 1}; }
};

/// A piece of a sentence of N − 1 characters and its final NUL, written explicitly so that Clang prints letters.
template <std::size_t N>
struct Words {
    char text[N] = {};
};

/// Never defined: its name is the error message.
template <auto... Pieces>
struct wrong_network;

/// What a right network is checked as.
struct right_network {};

namespace detail {

inline constexpr std::size_t words_limit = 31;  // characters before the NUL

/// Begin of piece `index` of a sentence cut at blanks; its end is the begin of the next.
constexpr std::size_t piece_begin(std::string_view sentence, std::size_t index) {
    std::size_t begin = 0;
    for (; index > 0 && begin < sentence.size(); --index) {
        if (sentence.size() - begin <= words_limit) { return sentence.size(); }
        std::size_t end = begin + words_limit;
        while (end > begin && sentence[end] != ' ') { --end; }
        begin = end == begin ? begin + words_limit : end + 1;
    }
    return begin;
}

constexpr std::size_t piece_count(std::string_view sentence) {
    std::size_t n = 0;
    while (piece_begin(sentence, n) < sentence.size()) { ++n; }
    return n;
}

constexpr std::string_view piece(std::string_view sentence, std::size_t index) {
    const std::size_t begin = piece_begin(sentence, index);
    std::string_view text = sentence.substr(begin, piece_begin(sentence, index + 1) - begin);
    while (!text.empty() && text.back() == ' ') { text.remove_suffix(1); }
    return text;
}

template <std::size_t N>
consteval Words<N> make_words(std::string_view text) {
    Words<N> w{};
    for (std::size_t i = 0; i + 1 < N; ++i) { w.text[i] = text[i]; }
    w.text[N - 1] = '\0';
    return w;
}

}  // namespace detail

/// Declared only; ask for `sizeof(decltype(verdict<Source>(pieces_of<Source>{})))`: complete when Source::error() is
/// empty, else the incomplete `wrong_network` that spells it. The return types are written out because GCC prints an
/// alias before what it stands for.
template <class Source>
right_network verdict(std::index_sequence<>);
template <class Source, std::size_t First, std::size_t... Rest>
wrong_network<
    detail::make_words<detail::piece(Source::error(), First).size() + 1>(detail::piece(Source::error(), First)),
    detail::make_words<detail::piece(Source::error(), Rest).size() + 1>(detail::piece(Source::error(), Rest))...>
    verdict(std::index_sequence<First, Rest...>);

template <class Source>
using pieces_of = std::make_index_sequence<detail::piece_count(Source::error())>;

}  // namespace ctnn::inline CTNN_ISA
