// ctnn 0.1.0 in one file, made by single_include/generate.py: do not edit.
// Copyright (c) 2026 ctnn authors. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <numbers>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

// ---- ctnn/core/config.hpp
// What the compiler was told to build for: library version, the namespace of the instruction set, OpenMP.

#define CTNN_VERSION_MAJOR 0
#define CTNN_VERSION_MINOR 1
#define CTNN_VERSION_PATCH 0

// All of ctnn lives in an inline namespace named after the instruction set, so that objects compiled for different
// vector units can be linked into one program without the linker merging their kernels. Extensions that no kernel asks
// for (VNNI, VBMI, …) do not enter the name.
#if defined(CTNN_FORCE_SCALAR)
#define CTNN_ISA scalar
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512CD__)
#define CTNN_ISA avx512
#elif defined(__AVX512F__)
#define CTNN_ISA avx512f
#elif defined(__AVX2__) && defined(__FMA__)
#define CTNN_ISA avx2_fma
#elif defined(__AVX2__)
#define CTNN_ISA avx2
#elif defined(__AVX__)
#define CTNN_ISA avx
#elif defined(__SSE4_2__)
#define CTNN_ISA sse4_2
#elif defined(__SSE4_1__)
#define CTNN_ISA sse4_1
#elif defined(__SSSE3__)
#define CTNN_ISA ssse3
#elif defined(__SSE3__)
#define CTNN_ISA sse3
#elif defined(__SSE2__) || defined(_M_X64)
#define CTNN_ISA sse2
#elif defined(__ARM_NEON) || defined(_M_ARM64)
#define CTNN_ISA neon
#else
#define CTNN_ISA scalar
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define CTNN_ALWAYS_INLINE __forceinline
#else
#define CTNN_ALWAYS_INLINE inline __attribute__((always_inline))
#endif

// A function that is never inlined, cloned or specialised.
#if defined(_MSC_VER) && !defined(__clang__)
#define CTNN_ONE_COPY __declspec(noinline)
#elif defined(__clang__)
#define CTNN_ONE_COPY __attribute__((noinline))
#else
#define CTNN_ONE_COPY __attribute__((noipa))
#endif

namespace ctnn::inline CTNN_ISA {

/// The library's version.
struct Version {
    int major, minor, patch;
};
inline constexpr Version version{CTNN_VERSION_MAJOR, CTNN_VERSION_MINOR, CTNN_VERSION_PATCH};

/// The instruction set that this was compiled for: "avx512".
#define CTNN_DETAIL_TEXT(x) #x
#define CTNN_DETAIL_TEXT_OF(x) CTNN_DETAIL_TEXT(x)
inline constexpr const char* isa = CTNN_DETAIL_TEXT_OF(CTNN_ISA);
#undef CTNN_DETAIL_TEXT
#undef CTNN_DETAIL_TEXT_OF

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/arena.hpp
// One aligned heap block. Everything large in ctnn lives in one of these: nothing large is ever on the stack.

namespace ctnn::inline CTNN_ISA {

/// Alignment of every block and of every tensor inside one: a cache line, and the widest vector.
inline constexpr std::size_t block_alignment = 64;

constexpr std::size_t round_up(std::size_t n, std::size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// An owning, zero-initialised, 64-byte aligned array of trivial elements whose size is fixed at construction.
/// Movable and copyable: a copy is deep, and copying to one of the same size allocates nothing. Throws std::bad_alloc.
template <class T>
class AlignedArray {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    AlignedArray() = default;
    explicit AlignedArray(std::size_t size) : data_{allocate(size)}, size_{size} {
        std::fill_n(data_.get(), size, T{});
    }
    AlignedArray(const AlignedArray& other) : data_{allocate(other.size_)}, size_{other.size_} {
        std::copy_n(other.data(), size_, data());
    }
    AlignedArray(AlignedArray&& other) noexcept : data_{std::move(other.data_)}, size_{std::exchange(other.size_, 0)} {}
    AlignedArray& operator=(const AlignedArray& other) {
        if (size_ != other.size_) { return *this = AlignedArray{other}; }
        std::copy_n(other.data(), size_, data());
        return *this;
    }
    AlignedArray& operator=(AlignedArray&& other) noexcept {
        data_ = std::move(other.data_);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }
    ~AlignedArray() = default;

    [[nodiscard]] T* data() { return data_.get(); }
    [[nodiscard]] const T* data() const { return data_.get(); }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] T* begin() { return data(); }
    [[nodiscard]] T* end() { return data() + size_; }
    [[nodiscard]] const T* begin() const { return data(); }
    [[nodiscard]] const T* end() const { return data() + size_; }
    T& operator[](std::size_t i) { return data()[i]; }
    const T& operator[](std::size_t i) const { return data()[i]; }
    [[nodiscard]] std::span<T> span() { return {data(), size_}; }
    [[nodiscard]] std::span<const T> span() const { return {data(), size_}; }

  private:
    struct Release {
        void operator()(T* p) const { ::operator delete[](p, std::align_val_t{block_alignment}); }
    };
    static T* allocate(std::size_t size) {
        if (size == 0) { return nullptr; }
        return static_cast<T*>(
            ::operator new[](round_up(size * sizeof(T), block_alignment), std::align_val_t{block_alignment}));
    }

    std::unique_ptr<T[], Release> data_;
    std::size_t size_ = 0;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/error.hpp
// The exceptions of ctnn. Every message is one line that names the place, what was found and what was expected.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// The lowest `digits` hexadecimal digits of a number.
inline std::string hex(std::uint64_t number, std::size_t digits) {
    std::string text(digits, '0');
    for (auto at = text.rbegin(); at != text.rend(); ++at, number >>= 4) { *at = "0123456789abcdef"[number & 15]; }
    return text;
}

/// Control characters, which names from files can have, as JSON escapes them.
CTNN_ONE_COPY inline std::string one_line(std::string_view text) {
    std::string line;
    line.reserve(text.size());
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (code < 0x20 || code == 0x7F) {
            line.append("\\u").append(hex(code, 4));
        } else {
            line.push_back(c);
        }
    }
    return line;
}

/// The same of a message, without the middle of one that quotes a file's megabytes.
CTNN_ONE_COPY inline std::string message_line(std::string_view text) {
    constexpr std::size_t end = 4096;  // a path and what was found
    if (text.size() <= 2 * end) { return one_line(text); }
    return one_line(text.substr(0, end)) + " ... " + one_line(text.substr(text.size() - end));
}

}  // namespace detail

/// Base of everything ctnn throws at run time. `what()` is one line without control characters, of kilobytes at most,
/// whatever was found.
class Error : public std::runtime_error {
  public:
    explicit Error(const std::string& message) : std::runtime_error{detail::message_line(message)} {}
};

/// A file that cannot be read or written: missing, truncated, malformed, disk full. Names the path.
class FileError : public Error {
    using Error::Error;
};

/// A setting or an argument outside its range. Names the argument, its value and the range.
class ArgumentError : public Error {
    using Error::Error;
};

/// A number that is not finite where training or inference needs one. Names the step and the tensor.
class NumericError : public Error {
    using Error::Error;
};

/// Throws `error`; all of ctnn's errors come through here. A program without exceptions (-fno-exceptions) ends here
/// instead: with the same line on stderr, by std::abort. Cold, as a throw is, so that messages are not put together
/// in the middle of what is hot.
template <class E>
[[noreturn, gnu::cold]] void raise(const E& error) {
#if defined(__cpp_exceptions)
    throw error;
#else
    std::fprintf(stderr, "error: %s\n", error.what());
    std::abort();
#endif
}

namespace detail {

/// A piece of a message: text that outlives the message's making, or a number in its shortest form. Overloads instead
/// of templates, which cost compilers much for every message.
class MessagePart {
  public:
    MessagePart(std::string_view text) : text_{text} {}
    MessagePart(const std::string& text) : text_{text} {}
    MessagePart(const char* text) : text_{text} {}
    MessagePart(int number) : MessagePart(static_cast<long long>(number)) {}
    MessagePart(long number) : MessagePart(static_cast<long long>(number)) {}
    MessagePart(long long number) : kind_{Kind::integer}, integer_{number} {}
    MessagePart(unsigned number) : MessagePart(static_cast<unsigned long long>(number)) {}
    MessagePart(unsigned long number) : MessagePart(static_cast<unsigned long long>(number)) {}
    MessagePart(unsigned long long number) : kind_{Kind::natural}, natural_{number} {}
    MessagePart(float number) : kind_{Kind::single}, real_{number} {}
    MessagePart(double number) : kind_{Kind::real}, real_{number} {}
    MessagePart(char) = delete;  // text or a number?
    MessagePart(bool) = delete;

    void append_to(std::string& message) const {
        char digits[32];
        char* const last = digits + sizeof(digits);
        char* end = digits;
        switch (kind_) {
            case Kind::text: message.append(text_); break;
            case Kind::integer: end = std::to_chars(digits, last, integer_).ptr; break;
            case Kind::natural: end = std::to_chars(digits, last, natural_).ptr; break;
            case Kind::single: end = std::to_chars(digits, last, static_cast<float>(real_)).ptr; break;
            case Kind::real: end = std::to_chars(digits, last, real_).ptr; break;
        }
        message.append(digits, end);
    }

  private:
    enum class Kind : char { text, integer, natural, single, real };
    Kind kind_ = Kind::text;
    std::string_view text_;
    union {
        std::int64_t integer_ = 0;
        std::uint64_t natural_;
        double real_;
    };
};

/// The parts in a row. In one copy, because text put together where it is needed makes much of a program's code.
CTNN_ONE_COPY inline std::string joined(std::initializer_list<MessagePart> parts) {
    std::string message;
    for (const MessagePart& part : parts) { part.append_to(message); }
    return message;
}

}  // namespace detail

/// Throws an E whose message is made of the parts: raise<ArgumentError>({"found ", n, " samples, expected ", m}).
template <class E>
[[noreturn, gnu::cold]] CTNN_ONE_COPY void raise(std::initializer_list<detail::MessagePart> parts) {
    raise(E{detail::joined(parts)});
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/init.hpp
// How a parameter tensor begins: the description a layer carries. The numbers come from core/initialize.hpp.

namespace ctnn::inline CTNN_ISA {

/// The initialisers, by torch.nn.init's formulas. `fan_in` and `fan_out` are the numbers of inputs that one output
/// sees and of outputs that one input feeds, kernel taps included.
enum class InitKind {
    zeros,
    ones,
    constant,         ///< Init::value
    normal,           ///< N(0, Init::value²)
    he_uniform,       ///< U(±√(6 / fan_in)): He et al. 2015, gain √2 of ReLU
    he_normal,        ///< N(0, 2 / fan_in)
    xavier_uniform,   ///< U(±√(6 / (fan_in + fan_out))): Glorot and Bengio 2010, gain 1
    xavier_normal,    ///< N(0, 2 / (fan_in + fan_out))
    pytorch_default,  ///< U(±1 / √fan_in), what PyTorch's Linear and Conv2d do for weights and biases alike
    dirac,            ///< of each group, the first filters pass on one input channel each; further ones as by default
};

/// An initialiser and its number: the standard deviation of `normal`, the value of `constant`, else unused.
/// Structural, so that it can be a template argument.
struct Init {
    InitKind kind = InitKind::pytorch_default;
    double value = 0.0;

    constexpr bool operator==(const Init&) const = default;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/shape.hpp
// Shapes of feature maps and the arithmetic of sliding windows, all constexpr.

namespace ctnn::inline CTNN_ISA {

/// Elements of one channel block: the innermost dimension of every weight tensor on every instruction set.
inline constexpr int block_size = 16;

/// Channels, height and width of one sample. In memory channels come last: element (c, y, x) of a sample is at
/// (y·width + x)·channels + c. A vector is a shape of height and width 1.
struct Shape {
    int channels = 0, height = 0, width = 0;

    [[nodiscard]] constexpr std::int64_t size() const { return std::int64_t{channels} * height * width; }
    [[nodiscard]] constexpr int pixels() const { return height * width; }
    [[nodiscard]] constexpr bool flat() const { return height == 1 && width == 1; }
    constexpr bool operator==(const Shape&) const = default;
};

/// One axis of a sliding window: `extent` taps, `stride` apart from window to window, `padding` on both sides.
struct Axis {
    int extent = 1, stride = 1, padding = 0;

    /// Number of window positions on `size` input pixels, rounded down as PyTorch does; 0 when the window is larger
    /// than the padded input.
    [[nodiscard]] constexpr int output(int size) const {
        return size + 2 * padding < extent ? 0 : (size + 2 * padding - extent) / stride + 1;
    }
    /// Input coordinate of the window's first tap at position `o`; negative inside the leading padding.
    [[nodiscard]] constexpr int first(int o) const { return o * stride - padding; }
    /// Taps [begin, end) of the window at position `o` that meet input pixels rather than padding.
    [[nodiscard]] constexpr int live_begin(int o) const { return first(o) < 0 ? -first(o) : 0; }
    [[nodiscard]] constexpr int live_end(int o, int size) const {
        const int last = size - first(o);
        return last < extent ? (last < 0 ? 0 : last) : extent;
    }
    /// Sum over all positions of the number of taps that meet input pixels.
    [[nodiscard]] constexpr std::int64_t live_taps(int size) const {
        std::int64_t taps = 0;
        for (int o = 0; o < output(size); ++o) {
            const int n = live_end(o, size) - live_begin(o);
            taps += n > 0 ? n : 0;
        }
        return taps;
    }
    constexpr bool operator==(const Axis&) const = default;
};

/// A two-dimensional window.
struct Window {
    Axis y, x;

    [[nodiscard]] constexpr Shape output(Shape in, int channels) const {
        return {channels, y.output(in.height), x.output(in.width)};
    }
    [[nodiscard]] constexpr std::int64_t live_taps(Shape in) const {
        return y.live_taps(in.height) * x.live_taps(in.width);
    }
    constexpr bool operator==(const Window&) const = default;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/options.hpp
// Options of layers: empty tags, written in any order behind a layer's own arguments.

namespace ctnn::inline CTNN_ISA {

template <int Height, int Width = Height>
struct Kernel {};
template <int Height, int Width = Height>
struct Stride {};
template <int Height, int Width = Height>
struct Padding {};
/// A convolution of 3×3 or 5×5 by minimal filtering: about half the time, and a decimal digit less of accuracy.
struct Winograd {};
/// Output and input channels are split into this many groups that do not see each other.
template <int Count>
struct Groups {};
/// Whether a convolution or linear layer adds a bias; default true.
template <bool Value>
struct Bias {};
/// Whether average pooling divides by the whole window (default, as PyTorch) or by the pixels inside the map.
template <bool Value>
struct CountIncludePad {};
template <double Value>
struct Eps {};
/// Weight of the new batch in running statistics: running ← (1 − momentum)·running + momentum·batch.
template <double Value>
struct Momentum {};
template <double Value>
struct Alpha {};
template <double Value>
struct Beta {};
template <double Value>
struct K {};
/// How weights begin: WeightInit<InitKind::he_normal>, WeightInit<InitKind::normal, 0.01>. The number is the standard
/// deviation of `normal` or the value of `constant`.
template <InitKind Kind, double Value = 1.0>
struct WeightInit {};
/// How biases begin: BiasInit<InitKind::zeros>, BiasInit<InitKind::constant, 1.0>.
template <InitKind Kind, double Value = 0.0>
struct BiasInit {};

/// Everything an option can say, and what was said. A layer accepts some; the rest is an error it reports.
struct OptionValues {
    enum Flag : unsigned {
        kernel = 1,
        stride = 2,
        padding = 4,
        groups = 8,
        bias = 16,
        count_include_pad = 32,
        eps = 64,
        momentum = 128,
        alpha = 256,
        beta = 512,
        k = 1024,
        weight_init = 2048,
        bias_init = 4096,
        winograd = 8192,
        unknown = 16384,
        repeated = 32768
    };
    unsigned given = 0;
    int kernel_y = 0, kernel_x = 0, stride_y = 0, stride_x = 0, padding_y = 0, padding_x = 0;
    int group_count = 1;
    bool with_bias = true;
    bool count_padding = true;
    double eps_value = 0, momentum_value = 0, alpha_value = 0, beta_value = 0, k_value = 0;
    Init weights{}, biases{};

    constexpr void mark(unsigned flag) {
        if ((given & flag) != 0) { given |= repeated; }
        given |= flag;
    }
    [[nodiscard]] constexpr bool has(unsigned flag) const { return (given & flag) != 0; }

    template <int Y, int X>
    constexpr void read(Kernel<Y, X>) {
        mark(kernel);
        kernel_y = Y;
        kernel_x = X;
    }
    template <int Y, int X>
    constexpr void read(Stride<Y, X>) {
        mark(stride);
        stride_y = Y;
        stride_x = X;
    }
    template <int Y, int X>
    constexpr void read(Padding<Y, X>) {
        mark(padding);
        padding_y = Y;
        padding_x = X;
    }
    template <int N>
    constexpr void read(Groups<N>) {
        mark(groups);
        group_count = N;
    }
    constexpr void read(Winograd) { mark(winograd); }
    template <bool V>
    constexpr void read(Bias<V>) {
        mark(bias);
        with_bias = V;
    }
    template <bool V>
    constexpr void read(CountIncludePad<V>) {
        mark(count_include_pad);
        count_padding = V;
    }
    template <double V>
    constexpr void read(Eps<V>) {
        mark(eps);
        eps_value = V;
    }
    template <double V>
    constexpr void read(Momentum<V>) {
        mark(momentum);
        momentum_value = V;
    }
    template <double V>
    constexpr void read(Alpha<V>) {
        mark(alpha);
        alpha_value = V;
    }
    template <double V>
    constexpr void read(Beta<V>) {
        mark(beta);
        beta_value = V;
    }
    template <double V>
    constexpr void read(K<V>) {
        mark(k);
        k_value = V;
    }
    template <InitKind Kind, double V>
    constexpr void read(WeightInit<Kind, V>) {
        mark(weight_init);
        weights = {Kind, V};
    }
    template <InitKind Kind, double V>
    constexpr void read(BiasInit<Kind, V>) {
        mark(bias_init);
        biases = {Kind, V};
    }
    /// Anything that is no option: flagged here, reported with the layer's number by the describe pass.
    constexpr void read(...) { given |= unknown; }
};

template <class... Options>
constexpr OptionValues read_options() {
    OptionValues values;
    (values.read(Options{}), ...);
    return values;
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/text.hpp
// Sentences written at compile time, and the one error a wrong network produces.
//
// GCC 12 and Clang 19 print the arguments of an undefined template when its size is asked for. A sentence is therefore
// cut at blanks into arrays of at most 32 characters (Clang abbreviates longer ones), and each becomes an argument of
// `wrong_network`, which is declared and never defined.

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

// ---- ctnn/core/layer.hpp
// What a layer type says about itself: the description from which shapes, parameters, plans and fusion follow.

namespace ctnn::inline CTNN_ISA {

enum class LayerKind : char {
    conv2d,
    linear,
    batch_norm2d,
    local_response_norm,
    relu,
    sigmoid,
    tanh,
    max_pool2d,
    avg_pool2d,
    dropout,
    dropout2d,
    flatten,
    custom
};

/// What flows between two layers: a map, or after Flatten a vector that remembers the map it came from, because files
/// order a flattened map by channel, row, column and memory by row, column, channel.
struct Signal {
    Shape shape{};
    bool flat = false;
    Shape source{};  ///< the map before Flatten; shape itself when the vector was never a map
};

/// Storage of a weight tensor: [groups][out / 16][kernel_y][kernel_x][in][16], `out` and `in` per group, the last block
/// padded with zeros. A linear layer behind Flatten is a convolution whose kernel is the whole map, so one layout and
/// one conversion serve both. Vectors (biases, batch norm) have kernel 1×1 and in 1.
struct WeightDims {
    int groups = 1, out = 0, kernel_y = 1, kernel_x = 1, in = 1;

    [[nodiscard]] constexpr int blocks() const { return (out + block_size - 1) / block_size; }
    [[nodiscard]] constexpr std::int64_t stored() const {
        return std::int64_t{groups} * blocks() * kernel_y * kernel_x * in * block_size;
    }
    [[nodiscard]] constexpr std::int64_t count() const { return std::int64_t{groups} * out * kernel_y * kernel_x * in; }
    /// Place of weight (o, i, y, x) of group g in storage.
    [[nodiscard]] constexpr std::int64_t stored_offset(int g, int o, int i, int y, int x) const {
        return ((((std::int64_t{g} * blocks() + o / block_size) * kernel_y + y) * kernel_x + x) * in + i) * block_size +
               o % block_size;
    }
    /// Calls f(place in storage) for every weight in the order of files: out, in, row, column.
    template <class F>
    constexpr void for_canonical(F&& f) const {
        for (int g = 0; g < groups; ++g) {
            for (int o = 0; o < out; ++o) {
                for (int i = 0; i < in; ++i) {
                    for (int y = 0; y < kernel_y; ++y) {
                        for (int x = 0; x < kernel_x; ++x) { f(stored_offset(g, o, i, y, x)); }
                    }
                }
            }
        }
    }
    constexpr bool operator==(const WeightDims&) const = default;
};

/// One parameter tensor.
struct ParameterSpec {
    std::string_view name;                ///< "weight" or "bias", PyTorch's names
    std::array<std::int64_t, 4> shape{};  ///< as in files: out, in, height, width; unused dimensions are 0
    int rank = 0;
    WeightDims dims{};
    Init init{};
    std::int64_t fan_in = 1, fan_out = 1;
    bool decays = false;  ///< weights decay; biases and norms lie behind them and may be spared
};

/// The description of one layer on one input signal.
struct LayerInfo {
    LayerKind kind = LayerKind::custom;
    std::string_view type;  ///< "Conv2d"
    Signal in{}, out{};
    std::array<ParameterSpec, 2> parameters{};
    int parameter_tensors = 0;
    std::int64_t multiply_adds = 0;  ///< live ones: taps that meet padding are not counted
    Window window{};
    int groups = 1;
    bool bias = false;
    bool winograd = false;
    bool count_include_pad = true;
    bool adaptive = false;
    double p = 0;                  ///< dropout probability
    double eps = 0, momentum = 0;  ///< batch norm
    int size = 0;                  ///< local response norm
    double alpha = 0, beta = 0, k = 0;
    Sentence error{};  ///< empty when the layer fits

    constexpr void add(const ParameterSpec& spec) { parameters[static_cast<std::size_t>(parameter_tensors++)] = spec; }
    [[nodiscard]] constexpr std::int64_t parameter_count() const {
        std::int64_t n = 0;
        for (int i = 0; i < parameter_tensors; ++i) { n += parameters[static_cast<std::size_t>(i)].dims.count(); }
        return n;
    }
};

/// A layer is a type that describes itself on an input signal. Layers outside the library also have `forward` and
/// `backward`: see layers/custom.hpp.
template <class L>
concept Layer = requires(Signal in) {
    { L::describe(in) } -> std::same_as<LayerInfo>;
};

namespace detail {

constexpr Sentence& write_size(Sentence& text, int height, int width) { return text << height << "x" << width; }

/// A description that computes nothing and changes nothing: what a failed layer leaves, so that nothing cascades.
constexpr LayerInfo start_layer(LayerKind kind, std::string_view type, Signal in) {
    LayerInfo info;
    info.kind = kind;
    info.type = type;
    info.in = info.out = in;
    return info;
}

/// Reports an option that is unknown, repeated or not among `accepted`.
constexpr void check_options(LayerInfo& info, const OptionValues& options, unsigned accepted, std::string_view cure) {
    if (!info.error.empty()) { return; }
    if (options.has(OptionValues::unknown)) {
        info.error << "an argument is not an option; " << cure;
    } else if (options.has(OptionValues::repeated)) {
        info.error << "an option is given twice; keep one";
    } else if ((options.given & ~accepted) != 0) {
        info.error << "an option does not belong to this layer; " << cure;
    }
}

/// Fills the window from options and reports what cannot slide over the input. True when all is well.
constexpr bool read_window(LayerInfo& info, const OptionValues& options, bool stride_is_kernel) {
    if (!info.error.empty()) { return false; }
    if (!options.has(OptionValues::kernel)) {
        info.error << "has no kernel size; add Kernel<n>";
        return false;
    }
    const bool stride = options.has(OptionValues::stride);
    const int stride_y = stride ? options.stride_y : stride_is_kernel ? options.kernel_y : 1;
    const int stride_x = stride ? options.stride_x : stride_is_kernel ? options.kernel_x : 1;
    if (options.kernel_y < 1 || options.kernel_x < 1) {
        write_size(info.error << "kernel ", options.kernel_y, options.kernel_x)
            << " is below 1; write Kernel<n> with n >= 1";
        return false;
    }
    if (stride_y < 1 || stride_x < 1) {
        write_size(info.error << "stride ", stride_y, stride_x) << " is below 1; write Stride<n> with n >= 1";
        return false;
    }
    if (options.padding_y < 0 || options.padding_x < 0) {
        write_size(info.error << "padding ", options.padding_y, options.padding_x) << " is below 0; drop Padding";
        return false;
    }
    info.window = {{options.kernel_y, stride_y, options.padding_y}, {options.kernel_x, stride_x, options.padding_x}};
    const Shape in = info.in.shape;
    if (info.window.y.output(in.height) < 1 || info.window.x.output(in.width) < 1) {
        write_size(info.error << "window ", options.kernel_y, options.kernel_x);
        write_size(info.error << " is larger than its ", in.height, in.width) << " input";
        if (options.has(OptionValues::padding)) {
            write_size(info.error << " padded by ", options.padding_y, options.padding_x);
        }
        const int short_y = options.kernel_y - in.height - 2 * options.padding_y;
        const int short_x = options.kernel_x - in.width - 2 * options.padding_x;
        const int missing = short_y > short_x ? short_y : short_x;
        const int most = options.padding_y > options.padding_x ? options.padding_y : options.padding_x;
        info.error << "; use Padding<" << most + (missing + 1) / 2 << "> or drop the layer";
        return false;
    }
    return true;
}

/// Reports a flattened vector where a map is needed.
constexpr bool need_map(LayerInfo& info) {
    if (info.error.empty() && info.in.flat) {
        info.error << "needs a map but its input is flat; move it before Flatten";
    }
    return info.error.empty();
}

constexpr ParameterSpec vector_parameter(std::string_view name, int groups, int per_group, Init init,
                                         std::int64_t fan_in) {
    ParameterSpec spec;
    spec.name = name;
    spec.shape = {std::int64_t{groups} * per_group, 0, 0, 0};
    spec.rank = 1;
    spec.dims = {groups, per_group, 1, 1, 1};
    spec.init = init;
    spec.fan_in = fan_in;
    spec.fan_out = fan_in;
    return spec;
}

}  // namespace detail

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/layout.hpp
// Where every parameter and buffer lies: one arena for all, decayed weights first.

namespace ctnn::inline CTNN_ISA {

/// One parameter tensor in the arena.
struct ParameterSlot {
    Name name;  ///< state_dict's: "0.weight", "features.3.bias"
    ParameterSpec spec;
    std::size_t layer = 0;
    std::int64_t offset = 0;  ///< elements; every tensor begins on 64 bytes
};

/// The running statistics of one batch norm, in the buffers' arena.
struct BufferSlot {
    Name mean, variance, batches;  ///< "1.running_mean", "1.running_var", "1.num_batches_tracked"
    std::size_t layer = 0;
    int channels = 0;
    std::int64_t mean_offset = 0, variance_offset = 0;
};

/// The layout of a network's arena, the same for parameters, gradients and every optimizer state. Offsets are in
/// elements and multiples of 16: weights that decay fill [0, decayed), biases and norms [decayed, size).
template <class Net>
struct ParameterLayout {
    static constexpr std::size_t tensors = [] {
        std::size_t n = 0;
        for (std::size_t i = 0; i < Net::layer_count; ++i) {
            n += static_cast<std::size_t>(Net::description.layers[i].parameter_tensors);
        }
        return n;
    }();
    static constexpr std::size_t norms = [] {
        std::size_t n = 0;
        for (std::size_t i = 0; i < Net::layer_count; ++i) {
            n += Net::description.layers[i].kind == LayerKind::batch_norm2d ? 1u : 0u;
        }
        return n;
    }();

  private:
    struct Table {
        std::array<ParameterSlot, tensors> slots{};
        std::array<BufferSlot, norms> buffers{};
        std::int64_t decayed = 0, size = 0, buffer_size = 0;
    };
    static constexpr Table table = [] {
        Table t;
        std::size_t n = 0, b = 0;
        for (std::size_t i = 0; i < Net::layer_count; ++i) {
            const LayerInfo& info = Net::description.layers[i];
            const auto named = [&](std::string_view tensor) {
                Name name = Net::description.keys[i];
                name << "." << tensor;
                return name;
            };
            for (int j = 0; j < info.parameter_tensors; ++j) {
                const ParameterSpec& spec = info.parameters[static_cast<std::size_t>(j)];
                t.slots[n++] = {named(spec.name), spec, i, 0};
            }
            if (info.kind == LayerKind::batch_norm2d) {
                const int padded = (info.in.shape.channels + block_size - 1) / block_size * block_size;
                t.buffers[b++] = {named("running_mean"),  named("running_var"), named("num_batches_tracked"), i,
                                  info.in.shape.channels, t.buffer_size,        t.buffer_size + padded};
                t.buffer_size += 2 * padded;
            }
        }
        for (const bool decays : {true, false}) {
            for (ParameterSlot& slot : t.slots) {
                if (slot.spec.decays != decays) { continue; }
                slot.offset = t.size;
                t.size += slot.spec.dims.stored();
            }
            if (decays) { t.decayed = t.size; }
        }
        return t;
    }();

  public:
    /// In state_dict's order.
    static constexpr const auto& slots = table.slots;
    static constexpr const auto& buffers = table.buffers;
    static constexpr std::int64_t decayed = table.decayed;
    static constexpr std::int64_t size = table.size;
    static constexpr std::int64_t buffer_size = table.buffer_size;

    /// Offset of tensor `tensor` (0 weight, 1 bias) of a layer; −1 when it has none.
    static constexpr std::int64_t offset(std::size_t layer, int tensor) {
        for (const ParameterSlot& slot : table.slots) {
            if (slot.layer == layer && tensor-- == 0) { return slot.offset; }
        }
        return -1;
    }
    static constexpr const BufferSlot* buffer(std::size_t layer) {
        for (const BufferSlot& slot : table.buffers) {
            if (slot.layer == layer) { return &slot; }
        }
        return nullptr;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/liveness.hpp
// Memory reuse by liveness: buffers that are never needed at the same time share their place.

namespace ctnn::inline CTNN_ISA {

/// A buffer of `size` units that is live at times [first, last], both included. Size 0 is no buffer.
struct LiveBuffer {
    std::int64_t size = 0;
    int first = 0, last = 0;
    std::int64_t offset = 0;

    [[nodiscard]] constexpr bool live_at(int time) const { return size > 0 && first <= time && time <= last; }
    [[nodiscard]] constexpr bool overlaps(const LiveBuffer& o) const { return first <= o.last && o.first <= last; }
};

/// Gives every buffer for which chosen(index) holds an offset, largest first, each at the lowest place that no chosen
/// buffer live at the same time holds. Returns the units needed in all. Compilers count the steps of constant
/// evaluation, so empty buffers are passed over once, at the start.
template <std::size_t Count, class Chosen>
constexpr std::int64_t place_buffers(std::array<LiveBuffer, Count>& buffers, Chosen chosen) {
    std::array<LiveBuffer*, Count> order{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < Count; ++i) {
        if (buffers[i].size == 0 || !chosen(i)) { continue; }
        std::size_t at = count++;
        for (; at > 0 && order[at - 1]->size < buffers[i].size; --at) { order[at] = order[at - 1]; }
        order[at] = &buffers[i];
    }
    std::int64_t total = 0;
    for (std::size_t next = 0; next < count; ++next) {
        LiveBuffer& buffer = *order[next];
        for (std::size_t i = 0; i < next; ++i) {
            const LiveBuffer& other = *order[i];
            if (buffer.overlaps(other) && buffer.offset < other.offset + other.size &&
                other.offset < buffer.offset + buffer.size) {
                buffer.offset = other.offset + other.size;
                i = static_cast<std::size_t>(-1);  // what was passed may now be in the way
            }
        }
        total = total > buffer.offset + buffer.size ? total : buffer.offset + buffer.size;
    }
    return total;
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/processor.hpp
// A program that was compiled for more than the processor has ends with a line of text, not with an illegal
// instruction.

// The function must itself run on any processor, so it is compiled for the least of its kind.
#if defined(__x86_64__) && defined(__GNUC__)
#define CTNN_ANY_PROCESSOR __attribute__((target("no-sse3,no-bmi,no-bmi2,no-lzcnt,no-movbe,no-popcnt")))
#else
#define CTNN_ANY_PROCESSOR
#endif

namespace ctnn::inline CTNN_ISA {

/// Returns where the processor has every instruction set that the calling file was compiled for; otherwise prints one
/// line to standard error, which names those it lacks, and ends the process with status 1. Nothing is thrown, because
/// what would catch it was compiled for the other processor, too.
///
/// For the same reason it must come before all other code of the program, constructors of global objects included:
///
///     [[gnu::constructor(101)]] static void before_everything() { ctnn::require_processor(); }
///
/// A call at the start of main is enough where no global object of the program needs a constructor. Checked are the
/// sets that GCC 12 and Clang 19 use without being asked. On processors other than x86-64 it does nothing.
///
/// Every file has its own: the namespace does not tell apart all that two files can be compiled for.
CTNN_ANY_PROCESSOR CTNN_ONE_COPY static inline void require_processor() {
#if defined(__x86_64__) && defined(__GNUC__)
    int missing = 0;
    __builtin_cpu_init();
// The macro of a set that the compiler may use is 1; of any other, its own name.
#define CTNN_TEXT(macro) #macro
#define CTNN_NEEDS(macro, name)                                                                   \
    if (CTNN_TEXT(macro)[0] == '1' && !__builtin_cpu_supports(name)) {                            \
        std::fputs(missing++ == 0 ? "ctnn: found a processor without " name : ", " name, stderr); \
    }
    CTNN_NEEDS(__SSE3__, "sse3")
    CTNN_NEEDS(__SSSE3__, "ssse3")
    CTNN_NEEDS(__SSE4_1__, "sse4.1")
    CTNN_NEEDS(__SSE4_2__, "sse4.2")
    CTNN_NEEDS(__SSE4A__, "sse4a")
    CTNN_NEEDS(__XOP__, "xop")
    CTNN_NEEDS(__FMA4__, "fma4")
    CTNN_NEEDS(__TBM__, "tbm")
    CTNN_NEEDS(__POPCNT__, "popcnt")
    CTNN_NEEDS(__LZCNT__, "lzcnt")
    CTNN_NEEDS(__MOVBE__, "movbe")
    CTNN_NEEDS(__BMI__, "bmi")
    CTNN_NEEDS(__BMI2__, "bmi2")
    CTNN_NEEDS(__AVX__, "avx")
    CTNN_NEEDS(__F16C__, "f16c")
    CTNN_NEEDS(__FMA__, "fma")
    CTNN_NEEDS(__AVX2__, "avx2")
    CTNN_NEEDS(__AVXVNNI__, "avxvnni")
    CTNN_NEEDS(__GFNI__, "gfni")
    CTNN_NEEDS(__AVX512F__, "avx512f")
    CTNN_NEEDS(__AVX512CD__, "avx512cd")
    CTNN_NEEDS(__AVX512VL__, "avx512vl")
    CTNN_NEEDS(__AVX512DQ__, "avx512dq")
    CTNN_NEEDS(__AVX512BW__, "avx512bw")
    CTNN_NEEDS(__AVX512IFMA__, "avx512ifma")
    CTNN_NEEDS(__AVX512VBMI__, "avx512vbmi")
    CTNN_NEEDS(__AVX512VBMI2__, "avx512vbmi2")
    CTNN_NEEDS(__AVX512VNNI__, "avx512vnni")
    CTNN_NEEDS(__AVX512BITALG__, "avx512bitalg")
    CTNN_NEEDS(__AVX512VPOPCNTDQ__, "avx512vpopcntdq")
    CTNN_NEEDS(__AVX512BF16__, "avx512bf16")
    CTNN_NEEDS(__AVX512FP16__, "avx512fp16")
#undef CTNN_NEEDS
#undef CTNN_TEXT
    if (missing > 0) {
        std::fputs(", expected one that has what this program was compiled for (-march)\n", stderr);
        std::_Exit(1);
    }
#endif
}

}  // namespace ctnn::inline CTNN_ISA

#undef CTNN_ANY_PROCESSOR

// ---- ctnn/core/random.hpp
// Counter-based random numbers: the value depends on the key and the counter alone, never on who asks, in which
// order, or on which thread. Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011), table 2.

namespace ctnn::inline CTNN_ISA {

/// What the random numbers are for; two purposes of one seed never share a stream.
enum class Stream : std::uint32_t { init = 1, shuffle = 2, augment = 3, dropout = 4, synthetic = 5, test = 6 };

using PhiloxBlock = std::array<std::uint32_t, 4>;
/// Blocks side by side, word by word, in which form compilers make vectors of them.
template <std::size_t Count>
using PhiloxBlocks = std::array<std::array<std::uint32_t, Count>, 4>;

/// Four 32-bit words for a 64-bit key and each of a number of 128-bit counters.
template <std::size_t Count>
constexpr PhiloxBlocks<Count> philox(std::array<std::uint32_t, 2> key, PhiloxBlocks<Count> counter) {
    auto& [c0, c1, c2, c3] = counter;
    for (int round = 0; round < 10; ++round) {
        for (std::size_t i = 0; i < Count; ++i) {
            const std::uint64_t a = std::uint64_t{0xD2511F53u} * c0[i];
            const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * c2[i];
            c0[i] = static_cast<std::uint32_t>(b >> 32) ^ c1[i] ^ key[0];
            c1[i] = static_cast<std::uint32_t>(b);
            c2[i] = static_cast<std::uint32_t>(a >> 32) ^ c3[i] ^ key[1];
            c3[i] = static_cast<std::uint32_t>(a);
        }
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return counter;
}
constexpr PhiloxBlock philox(std::array<std::uint32_t, 2> key, PhiloxBlock counter) {
    const auto words = philox<1>(key, {{{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}}});
    return {words[0][0], words[1][0], words[2][0], words[3][0]};
}

/// A uniform number in [0, 1) with 24 random bits, exact in float.
constexpr float unit_float(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

/// A random stream: (seed, purpose) is the key; (a, b) names the item, for example (epoch, sample, layer), and a
/// running index counts within the item. `at(i)` is random access; `next()` walks.
class Random {
  public:
    constexpr Random(std::uint64_t seed, Stream stream, std::uint64_t a = 0, std::uint32_t b = 0)
        : key_{static_cast<std::uint32_t>(seed),
               static_cast<std::uint32_t>(seed >> 32) ^ (static_cast<std::uint32_t>(stream) << 24)},
          a_{static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(a >> 32)},
          b_{b} {}

    /// Words 4i … 4i+3 of the stream.
    [[nodiscard]] constexpr PhiloxBlock block(std::uint32_t i) const { return philox(key_, {i, b_, a_[0], a_[1]}); }

    /// Blocks first, first + 1, …
    template <std::size_t Count>
    [[nodiscard]] constexpr PhiloxBlocks<Count> blocks(std::uint32_t first) const {
        PhiloxBlocks<Count> counter;
        for (std::size_t i = 0; i < Count; ++i) {
            counter[0][i] = first + static_cast<std::uint32_t>(i);
            counter[1][i] = b_;
            counter[2][i] = a_[0];
            counter[3][i] = a_[1];
        }
        return philox(key_, counter);
    }

    [[nodiscard]] constexpr std::uint32_t at(std::uint32_t i) const { return block(i / 4)[i % 4]; }

    constexpr std::uint32_t next() {
        if (used_ % 4 == 0) { cached_ = block(used_ / 4); }
        return cached_[used_++ % 4];
    }

    /// What as many calls of next() would give, in less time.
    constexpr void fill(std::span<std::uint32_t> words) {
        constexpr std::size_t together = 16;
        for (; !words.empty() && used_ % 4 != 0; words = words.subspan(1)) { words.front() = next(); }
        for (; words.size() >= 4 * together; words = words.subspan(4 * together), used_ += 4 * together) {
            const auto found = blocks<together>(used_ / 4);
            for (std::size_t i = 0; i < 4 * together; ++i) { words[i] = found[i % 4][i / 4]; }
        }
        for (std::uint32_t& word : words) { word = next(); }
    }

    /// Uniform in [0, 1).
    constexpr float uniform() { return unit_float(next()); }
    constexpr float uniform(float low, float high) { return low + (high - low) * uniform(); }

    /// Uniform integer in [0, n), n ≥ 1, by Lemire's multiply-shift (bias below n / 2^32).
    constexpr std::uint32_t below(std::uint32_t n) {
        return static_cast<std::uint32_t>((std::uint64_t{next()} * n) >> 32);
    }

    /// Standard normal, by Box and Muller in double, one of the pair.
    double normal() {
        const double u = (static_cast<double>(next()) + 0.5) * 0x1p-32;
        const double v = (static_cast<double>(next()) + 0.5) * 0x1p-32;
        return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
    }

  private:
    std::array<std::uint32_t, 2> key_;
    std::array<std::uint32_t, 2> a_;
    std::uint32_t b_;
    std::uint32_t used_ = 0;
    PhiloxBlock cached_{};
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/image.hpp
// Images as bytes, in planes of channels as in CIFAR and PyTorch, and views of them.

namespace ctnn::inline CTNN_ISA {

/// Somebody else's bytes as an image: pixel (c, y, x) is data[c·plane_stride + y·row_stride + x]. A part of an image is
/// a view with its strides, and a grey image shown as RGB one whose planes coincide: neither copies.
struct ImageView {
    const std::uint8_t* data = nullptr;
    Shape shape;
    std::ptrdiff_t plane_stride = 0, row_stride = 0;

    ImageView() = default;
    /// Of dense planes (C, H, W). Throws ArgumentError unless there are shape.size() bytes.
    ImageView(std::span<const std::uint8_t> planes, Shape of)
        : data{planes.data()}, shape{of}, plane_stride{std::ptrdiff_t{of.height} * of.width}, row_stride{of.width} {
        if (static_cast<std::int64_t>(planes.size()) != of.size()) {
            raise<ArgumentError>({"image: ", planes.size(), " bytes, expected ", of.size()});
        }
    }

    [[nodiscard]] const std::uint8_t* row(int c, int y) const { return data + c * plane_stride + y * row_stride; }

    /// `height` × `width` pixels from (y, x) on, which must lie inside.
    [[nodiscard]] ImageView crop(int y, int x, int height, int width) const {
        ImageView part = *this;
        part.data = row(0, y) + x;
        part.shape.height = height;
        part.shape.width = width;
        return part;
    }

    /// This image, or a grey one shown with `channels` equal planes. Throws ArgumentError for other numbers of
    /// channels.
    [[nodiscard]] ImageView with_channels(int channels) const {
        if (shape.channels != channels && shape.channels != 1) {
            raise<ArgumentError>({"image: ", shape.channels, " channels, expected ", channels});
        }
        ImageView view = *this;
        if (shape.channels != channels) { view.plane_stride = 0; }
        view.shape.channels = channels;
        return view;
    }
};

/// An image that owns its bytes, dense planes (C, H, W). One that is used again keeps its memory.
struct Image {
    Shape shape;
    std::vector<std::uint8_t> pixels;

    Image() = default;
    explicit Image(Shape of) { resize(of); }

    /// Takes another shape; the bytes are then unspecified.
    void resize(Shape to) {
        shape = to;
        pixels.resize(static_cast<std::size_t>(to.size()));
    }
    /// Copies `image`, which must not be a view of this one.
    void assign(const ImageView& image) {
        resize(image.shape);
        auto to = pixels.begin();
        for (int c = 0; c < shape.channels; ++c) {
            for (int y = 0; y < shape.height; ++y) {
                const std::uint8_t* const from = image.row(c, y);
                to = std::copy(from, from + shape.width, to);
            }
        }
    }
    [[nodiscard]] std::span<std::uint8_t> plane(int c) {
        const auto n = static_cast<std::size_t>(shape.pixels());
        return std::span{pixels}.subspan(static_cast<std::size_t>(c) * n, n);
    }
    [[nodiscard]] ImageView view() const { return {pixels, shape}; }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/colour.hpp
// Colours of byte images: brightness, contrast, saturation and hue as torchvision changes them, and the lighting of the
// 2012 paper. Integers where a rounding could differ from machine to machine; hue alone is computed in float.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// factor · a + (1 − factor) · b, rounded and clamped to a byte; the factor is in units of 2^-16, from 0 to 2.
constexpr std::uint8_t blend(std::int32_t factor, std::int32_t a, std::int32_t b) {
    const std::int32_t value = (factor * a + ((1 << 16) - factor) * b + (1 << 15)) >> 16;
    return static_cast<std::uint8_t>(std::clamp(value, 0, 255));
}
inline std::int32_t fixed_factor(double factor) { return static_cast<std::int32_t>(std::lround(factor * (1 << 16))); }

/// PIL's grey of a pixel, 0.299 R + 0.587 G + 0.114 B.
constexpr std::int32_t grey(std::int32_t r, std::int32_t g, std::int32_t b) {
    return (19595 * r + 38470 * g + 7471 * b + (1 << 15)) >> 16;
}

}  // namespace detail

/// Multiplies every byte by `factor` in [0, 2].
inline void adjust_brightness(Image& image, double factor) {
    const std::int32_t f = detail::fixed_factor(factor);
    for (std::uint8_t& byte : image.pixels) { byte = detail::blend(f, byte, 0); }
}

/// Blends with the mean of the grey image: factor 0 leaves that alone, 1 the image, 2 doubles the contrast. Of 3
/// channels or 1.
inline void adjust_contrast(Image& image, double factor) {
    const std::int32_t f = detail::fixed_factor(factor);
    const auto n = static_cast<std::size_t>(image.shape.pixels());
    const std::uint8_t* const p = image.pixels.data();
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        sum +=
            image.shape.channels == 3 ? static_cast<std::uint64_t>(detail::grey(p[i], p[n + i], p[2 * n + i])) : p[i];
    }
    const auto mean = static_cast<std::int32_t>((sum + n / 2) / n);
    for (std::uint8_t& byte : image.pixels) { byte = detail::blend(f, byte, mean); }
}

/// Blends every pixel with its grey; does nothing to an image of one channel.
inline void adjust_saturation(Image& image, double factor) {
    if (image.shape.channels != 3) { return; }
    const std::int32_t f = detail::fixed_factor(factor);
    const std::span<std::uint8_t> r = image.plane(0), g = image.plane(1), b = image.plane(2);
    for (std::size_t i = 0; i < r.size(); ++i) {
        const std::int32_t grey = detail::grey(r[i], g[i], b[i]);
        r[i] = detail::blend(f, r[i], grey);
        g[i] = detail::blend(f, g[i], grey);
        b[i] = detail::blend(f, b[i], grey);
    }
}

/// Turns the hue by `turn` in [−0.5, 0.5] of the circle; saturation and value (of HSV) stay. Does nothing to an image
/// of one channel.
inline void adjust_hue(Image& image, double turn) {
    if (image.shape.channels != 3) { return; }
    const auto shift = static_cast<float>(6.0 * (turn < 0 ? turn + 1 : turn));
    const std::span<std::uint8_t> red = image.plane(0), green = image.plane(1), blue = image.plane(2);
    for (std::size_t i = 0; i < red.size(); ++i) {
        const int r = red[i], g = green[i], b = blue[i];
        const int most = std::max({r, g, b}), least = std::min({r, g, b}), chroma = most - least;
        if (chroma == 0) { continue; }
        // In sixths of the circle, from red.
        float hue = most == r   ? static_cast<float>(g - b) / static_cast<float>(chroma) + 6.0f
                    : most == g ? static_cast<float>(b - r) / static_cast<float>(chroma) + 2.0f
                                : static_cast<float>(r - g) / static_cast<float>(chroma) + 4.0f;
        hue = std::fmod(hue + shift, 6.0f);
        const int sixth = std::min(static_cast<int>(hue), 5);
        const float exact = static_cast<float>(chroma) * (hue - static_cast<float>(sixth));
        const int part = static_cast<int>(std::floor(exact + 0.5f));
        const auto high = static_cast<std::uint8_t>(most), low = static_cast<std::uint8_t>(least);
        const auto rising = static_cast<std::uint8_t>(least + part), falling = static_cast<std::uint8_t>(most - part);
        const std::array<std::array<std::uint8_t, 3>, 6> colours{{{high, rising, low},
                                                                  {falling, high, low},
                                                                  {low, high, rising},
                                                                  {low, falling, high},
                                                                  {rising, low, high},
                                                                  {high, low, falling}}};
        red[i] = colours[static_cast<std::size_t>(sixth)][0];
        green[i] = colours[static_cast<std::size_t>(sixth)][1];
        blue[i] = colours[static_cast<std::size_t>(sixth)][2];
    }
}

/// Strengths of torchvision's ColorJitter, each in [0, 1], hue at most 0.5: factors are uniform in 1 ± strength, the
/// hue turns by ± its strength, in a random order.
struct ColourJitter {
    double brightness = 0, contrast = 0, saturation = 0, hue = 0;

    [[nodiscard]] bool on() const { return brightness > 0 || contrast > 0 || saturation > 0 || hue > 0; }
};

/// Changes an image of 3 channels or 1 by numbers from `random`, of which it always takes as many.
inline void jitter_colours(Image& image, const ColourJitter& jitter, Random random) {
    std::array<int, 4> order{0, 1, 2, 3};
    for (std::uint32_t i = 4; i > 1; --i) { std::swap(order[i - 1], order[random.below(i)]); }
    std::array<double, 4> u{};
    for (double& value : u) { value = 2.0 * static_cast<double>(random.uniform()) - 1.0; }
    for (const int what : order) {
        if (what == 0 && jitter.brightness > 0) { adjust_brightness(image, 1 + jitter.brightness * u[0]); }
        if (what == 1 && jitter.contrast > 0) { adjust_contrast(image, 1 + jitter.contrast * u[1]); }
        if (what == 2 && jitter.saturation > 0) { adjust_saturation(image, 1 + jitter.saturation * u[2]); }
        if (what == 3 && jitter.hue > 0) { adjust_hue(image, jitter.hue * u[3]); }
    }
}

/// Principal components of the colours of a training set, pixels being in [0, 1]: column i of `vectors` belongs to
/// values[i]. By default ImageNet's, as they are usually published.
struct ColourComponents {
    std::array<double, 3> values{0.2175, 0.0188, 0.0045};
    std::array<std::array<double, 3>, 3> vectors{
        {{-0.5675, 0.7192, 0.4009}, {-0.5808, -0.0045, -0.8140}, {-0.5836, -0.6948, 0.4203}}};
};

/// What the 2012 paper adds to every pixel of an image (Krizhevsky, Sutskever and Hinton, section 4.1): for R, G and B,
/// in units where a pixel is in [0, 1], [p1 p2 p3] [α1 λ1, α2 λ2, α3 λ3]ᵀ with α normal of standard deviation
/// `strength`, 0.1 in the paper.
inline std::array<float, 3> lighting_offset(double strength, Random random, const ColourComponents& components = {}) {
    std::array<double, 3> sum{};
    for (std::size_t i = 0; i < 3; ++i) {
        const double weight = strength * random.normal() * components.values[i];
        for (std::size_t c = 0; c < 3; ++c) { sum[c] += components.vectors[c][i] * weight; }
    }
    return {static_cast<float>(sum[0]), static_cast<float>(sum[1]), static_cast<float>(sum[2])};
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/dataset.hpp
// A labelled image set in memory: bytes stay bytes, and become numbers batch by batch.

namespace ctnn::inline CTNN_ISA {

/// Per-channel normalisation: value = (byte / 255 − mean[c]) / std[c].
struct Normalization {
    std::vector<float> mean, std;
    bool operator==(const Normalization&) const = default;
};

/// CIFAR-10's training set statistics, and ImageNet's.
inline Normalization cifar10_normalization() { return {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}}; }
inline Normalization imagenet_normalization() { return {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}; }

/// Images of one shape with a class each.
struct Dataset {
    Shape shape{};
    std::vector<std::uint8_t> pixels{};   ///< planes as in CIFAR and PyTorch: sample, channel, row, column
    std::vector<std::uint16_t> labels{};  ///< one per sample, below class_names.size()
    std::vector<std::string> class_names{};
    Normalization normalization{};

    [[nodiscard]] std::size_t size() const { return labels.size(); }
    [[nodiscard]] int classes() const { return static_cast<int>(class_names.size()); }
    [[nodiscard]] std::span<const std::uint8_t> image(std::size_t i) const {
        const auto n = static_cast<std::size_t>(shape.size());
        return std::span{pixels}.subspan(i * n, n);
    }
};

/// A training and a test set of the same shape and classes.
struct TrainTest {
    Dataset train, test;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/normalize.hpp
// From bytes in planes to normalised numbers, channels last: what a network reads.

namespace ctnn::inline CTNN_ISA {

/// The normalised value of every byte, 256 entries per channel: normalising is one load.
class ByteTable {
  public:
    /// Throws ArgumentError unless `normalization` has a mean and a positive std, both finite, for each of `channels`.
    ByteTable(const Normalization& normalization, int channels) {
        const auto n = static_cast<std::size_t>(channels);
        if (normalization.mean.size() != n || normalization.std.size() != n) {
            raise<ArgumentError>({"normalization: ", normalization.mean.size(), " means and ", normalization.std.size(),
                                  " stds, expected ", n, " of each, one per channel"});
        }
        values_.resize(n * 256);
        for (std::size_t c = 0; c < n; ++c) {
            const float mean = normalization.mean[c], std = normalization.std[c];
            if (!(std > 0)) {
                raise<ArgumentError>({"normalization: std of channel ", c, " is ", std, ", expected more than 0"});
            }
            if (!std::isfinite(std) || !std::isfinite(mean)) {
                raise<ArgumentError>({"normalization: mean and std of channel ", c, " are ", mean, " and ", std,
                                      ", expected finite ones"});
            }
            for (std::size_t byte = 0; byte < 256; ++byte) {
                values_[c * 256 + byte] = (static_cast<float>(byte) / 255.0f - mean) / std;
            }
        }
    }

    [[nodiscard]] int channels() const { return static_cast<int>(values_.size() / 256); }
    /// The 256 values of channel `c`.
    [[nodiscard]] const float* channel(int c) const { return values_.data() + 256 * static_cast<std::size_t>(c); }

  private:
    std::vector<float> values_;
};

/// Output pixel (y, x) shows input pixel (y + dy, x + dx); `mirror` then reverses x. Beyond the border there is byte 0,
/// or, with `reflect`, the image mirrored at its outermost pixels as PyTorch's ReflectionPad2d does, again and again.
struct Placement {
    int dy = 0, dx = 0;
    bool mirror = false, reflect = false;
    bool operator==(const Placement&) const = default;
};

namespace detail {

/// Position `i` on an axis of n ≥ 1 pixels that is continued by reflection: … 2 1 [0 1 2 … n−1] n−2 …
constexpr std::ptrdiff_t reflected(std::ptrdiff_t i, std::ptrdiff_t n) {
    if (n == 1) { return 0; }
    const std::ptrdiff_t period = 2 * (n - 1), at = (i % period + period) % period;
    return at < n ? at : period - at;
}

}  // namespace detail

/// Writes height × width pixels of a byte image to `out` as normalised floats, channels last. Padding of byte 0 is
/// normalised too, as in the usual PyTorch pipeline, which crops before ToTensor and Normalize. Throws ArgumentError
/// where the image has other channels than the table.
inline void place_image(const ImageView& image, const ByteTable& table, Placement placement, int height, int width,
                        float* out) {
    if (image.shape.channels != table.channels()) {
        raise<ArgumentError>(
            {"normalization: of ", table.channels(), " channels, expected the image's ", image.shape.channels});
    }
    const std::ptrdiff_t channels = image.shape.channels, in_height = image.shape.height, in_width = image.shape.width;
    const std::ptrdiff_t dx = placement.dx, out_width = width;
    // Columns [begin, end) of the unmirrored output lie on the image.
    const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(-dx, 0, out_width);
    const std::ptrdiff_t end = std::clamp<std::ptrdiff_t>(in_width - dx, begin, out_width);
    const std::ptrdiff_t step = placement.mirror ? -channels : channels;
    for (std::ptrdiff_t y = 0; y < height; ++y) {
        std::ptrdiff_t from = y + placement.dy;
        if (placement.reflect) { from = detail::reflected(from, in_height); }
        const bool row_exists = from >= 0 && from < in_height;
        for (std::ptrdiff_t c = 0; c < channels; ++c) {
            const float* const value = table.channel(static_cast<int>(c));
            float* const first = out + (y * out_width + (placement.mirror ? out_width - 1 : 0)) * channels + c;
            if (!row_exists) {
                for (std::ptrdiff_t x = 0; x < out_width; ++x) { first[x * step] = value[0]; }
                continue;
            }
            const std::uint8_t* const row = image.row(static_cast<int>(c), static_cast<int>(from));
            const auto beyond = [&](std::ptrdiff_t x) {
                return value[placement.reflect ? row[detail::reflected(x + dx, in_width)] : 0];
            };
            for (std::ptrdiff_t x = 0; x < begin; ++x) { first[x * step] = beyond(x); }
            for (std::ptrdiff_t x = begin; x < end; ++x) { first[x * step] = value[row[x + dx]]; }
            for (std::ptrdiff_t x = end; x < out_width; ++x) { first[x * step] = beyond(x); }
        }
    }
}

/// The same for dense planes (C, H, W) that keep their size; both have shape.size() elements.
inline void place_image(std::span<const std::uint8_t> planes, Shape shape, const ByteTable& table, Placement placement,
                        float* out) {
    place_image({planes, shape}, table, placement, shape.height, shape.width, out);
}

/// RGB images as bytes (N, 3, H, W) to floats as a network reads them, (N, H, W, 3): (byte / 255 − mean) / std. `shape`
/// is that of one image. Throws ArgumentError where sizes do not fit or a std is not positive.
inline void normalize_rgb(std::span<const std::uint8_t> images, Shape shape, const std::array<float, 3>& mean,
                          const std::array<float, 3>& std, std::span<float> out) {
    const auto each = static_cast<std::size_t>(shape.size());
    if (shape.channels != 3 || each == 0 || images.size() % each != 0 || out.size() != images.size()) {
        raise<ArgumentError>({"normalize_rgb: ", images.size(), " bytes, ", out.size(), " floats and images of ",
                              shape.channels, "x", shape.height, "x", shape.width,
                              ", expected whole images of 3 channels, and as many floats"});
    }
    const ByteTable table{{{mean.begin(), mean.end()}, {std.begin(), std.end()}}, 3};
    for (std::size_t i = 0; i < images.size(); i += each) {
        place_image(images.subspan(i, each), shape, table, {}, out.data() + i);
    }
}

/// Mirrors images (N, H, W, C) left to right, for predictions that are averaged over both. `shape` is that of one
/// image; `out` has as many elements and is either the same memory or other memory. Throws ArgumentError where sizes
/// differ.
inline void mirror_images(std::span<const float> images, Shape shape, std::span<float> out) {
    const std::ptrdiff_t channels = shape.channels, row = shape.width * channels;
    if (out.size() != images.size() || shape.size() < 1 ||
        images.size() % static_cast<std::size_t>(shape.size()) != 0) {
        raise<ArgumentError>({"mirror_images: ", images.size(), " and ", out.size(),
                              " elements, expected equal numbers of whole images of ", shape.size()});
    }
    const float* from = images.data();
    float* to = out.data();
    for (; from != images.data() + images.size(); from += row, to += row) {
        for (std::ptrdiff_t left = 0, right = row - channels; left <= right; left += channels, right -= channels) {
            for (std::ptrdiff_t c = 0; c < channels; ++c) {
                const float a = from[left + c], b = from[right + c];
                to[left + c] = b;
                to[right + c] = a;
            }
        }
    }
}

/// Moves images (N, H, W, C) by so many pixels down and to the right, or up and to the left for a negative `by`; what
/// comes in from outside is the image mirrored at its border, as by ReflectionPad2d. `out` is other memory. Throws
/// ArgumentError where sizes differ.
inline void shift_images(std::span<const float> images, Shape shape, std::ptrdiff_t by, std::span<float> out) {
    const auto size = static_cast<std::size_t>(shape.size());
    if (out.size() != images.size() || size < 1 || images.size() % size != 0) {
        raise<ArgumentError>({"shift_images: ", images.size(), " and ", out.size(),
                              " elements, expected equal numbers of whole images of ", size});
    }
    const std::ptrdiff_t channels = shape.channels, row = shape.width * channels;
    float* to = out.data();
    for (const float* image = images.data(); image != images.data() + images.size(); image += size) {
        for (int y = 0; y < shape.height; ++y) {
            const float* const from = image + detail::reflected(y - by, shape.height) * row;
            for (int x = 0; x < shape.width; ++x) {
                to = std::copy_n(from + detail::reflected(x - by, shape.width) * channels, channels, to);
            }
        }
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/augment.hpp
// Chance in the preparation of one sample: crops, flips, colours, lighting, cutout. Every number depends on
// (seed, epoch, sample) and its purpose alone, so that neither order nor threads nor what else is switched on matter.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// What numbers of the stream `augment` are for.
enum class Draw : std::uint32_t { placement, first_flip, resized_crop, colours, lighting, cutout, mixup };

/// The numbers of one sample, or of one batch, in one epoch, which needs 31 bits.
constexpr Random augment_random(Draw draw, std::uint64_t seed, int epoch, std::uint32_t item) {
    return {seed, Stream::augment, static_cast<std::uint64_t>(draw) << 32 | static_cast<std::uint64_t>(epoch), item};
}

}  // namespace detail

/// What a loader does to samples beyond the padded crop and the flip; all is off by default.
struct Augmentation {
    bool random_resized_crop = false;  ///< torchvision's RandomResizedCrop, in place of the padded crop
    double scale_min = 0.08;           ///< its area, as a share of the image's
    double scale_max = 1.0;
    double ratio_min = 3.0 / 4.0;  ///< its width divided by its height
    double ratio_max = 4.0 / 3.0;
    ColourJitter jitter{};
    double lighting = 0.0;  ///< the 2012 paper's, 0.1 there: standard deviation of α; RGB images only
    int cutout = 0;         ///< side of the square that becomes 0 after normalisation

    /// Throws ArgumentError for a value out of range.
    void validate() const {
        const auto expect = [](bool good, const char* what, double value, const char* expected) {
            if (!good) { raise<ArgumentError>({"augmentation: ", what, " is ", value, ", expected ", expected}); }
        };
        expect(scale_min > 0 && scale_min <= 1, "scale_min", scale_min, "more than 0 and at most 1");
        expect(scale_max >= scale_min && scale_max <= 1, "scale_max", scale_max, "scale_min to 1");
        expect(ratio_min > 0 && ratio_min <= 1e3, "ratio_min", ratio_min, "more than 0 and at most 1000");
        expect(ratio_max >= ratio_min && ratio_max <= 1e3, "ratio_max", ratio_max, "ratio_min to 1000");
        expect(jitter.brightness >= 0 && jitter.brightness <= 1, "brightness", jitter.brightness, "0 to 1");
        expect(jitter.contrast >= 0 && jitter.contrast <= 1, "contrast", jitter.contrast, "0 to 1");
        expect(jitter.saturation >= 0 && jitter.saturation <= 1, "saturation", jitter.saturation, "0 to 1");
        expect(jitter.hue >= 0 && jitter.hue <= 0.5, "hue", jitter.hue, "0 to 0.5");
        expect(lighting >= 0 && lighting <= 1e3, "lighting", lighting, "0 to 1000");
        expect(cutout >= 0, "cutout", cutout, "at least 0");
    }
};

/// PyTorch's RandomCrop(size, padding), then RandomHorizontalFlip(0.5) where `flip` is set. An image that is larger
/// than the crop by `room` pixels has its offsets in [−padding, room + padding]. Depends on its arguments alone.
constexpr Placement random_placement(std::uint64_t seed, int epoch, std::uint32_t sample, int padding, bool flip,
                                     int room_y = 0, int room_x = 0) {
    Random random = detail::augment_random(detail::Draw::placement, seed, epoch, sample);
    Placement placement;
    placement.dy = static_cast<int>(random.below(static_cast<std::uint32_t>(room_y + 2 * padding + 1))) - padding;
    placement.dx = static_cast<int>(random.below(static_cast<std::uint32_t>(room_x + 2 * padding + 1))) - padding;
    placement.mirror = random.below(2) == 1 && flip;
    return placement;
}

/// Flips that alternate: chance says in which epochs, the even or the odd, a sample is mirrored (Jordan, "94 % on
/// CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3.6). Two epochs in a row show both sides of every sample.
constexpr bool alternating_flip(std::uint64_t seed, int epoch, std::uint32_t sample) {
    const bool first = detail::augment_random(detail::Draw::first_flip, seed, 0, sample).next() % 2 == 1;
    return first != (epoch % 2 == 1);
}

/// A rectangle of pixels.
struct Box {
    int y = 0, x = 0, height = 0, width = 0;
    bool operator==(const Box&) const = default;
};

/// The box of torchvision's RandomResizedCrop: area and aspect at random, ten attempts to fit it into the image, and
/// behind these the largest centred box whose aspect is in range.
inline Box random_resized_box(const Augmentation& options, std::uint64_t seed, int epoch, std::uint32_t sample,
                              int height, int width) {
    Random random = detail::augment_random(detail::Draw::resized_crop, seed, epoch, sample);
    const auto between = [&](double low, double high) {
        return low + (high - low) * static_cast<double>(random.uniform());
    };
    const double area = static_cast<double>(height) * width;
    for (int attempt = 0; attempt < 10; ++attempt) {
        const double target = area * between(options.scale_min, options.scale_max);
        const double ratio = std::exp(between(std::log(options.ratio_min), std::log(options.ratio_max)));
        const auto w = static_cast<int>(std::lround(std::sqrt(target * ratio)));
        const auto h = static_cast<int>(std::lround(std::sqrt(target / ratio)));
        if (w < 1 || h < 1 || w > width || h > height) { continue; }
        const auto y = static_cast<int>(random.below(static_cast<std::uint32_t>(height - h + 1)));
        const auto x = static_cast<int>(random.below(static_cast<std::uint32_t>(width - w + 1)));
        return {y, x, h, w};
    }
    const double ratio = static_cast<double>(width) / height;
    Box box{0, 0, height, width};
    if (ratio < options.ratio_min) {
        box.height = std::clamp(static_cast<int>(std::lround(width / options.ratio_min)), 1, height);
    } else if (ratio > options.ratio_max) {
        box.width = std::clamp(static_cast<int>(std::lround(height * options.ratio_max)), 1, width);
    }
    box.y = (height - box.height) / 2;
    box.x = (width - box.width) / 2;
    return box;
}

/// The square of `side` pixels about a pixel chosen at random, cut where it leaves the image (DeVries and Taylor,
/// "Improved regularization of convolutional neural networks with cutout", 2017).
constexpr Box random_cutout(int side, std::uint64_t seed, int epoch, std::uint32_t sample, int height, int width) {
    Random random = detail::augment_random(detail::Draw::cutout, seed, epoch, sample);
    const int y = static_cast<int>(random.below(static_cast<std::uint32_t>(height))) - side / 2;
    const int x = static_cast<int>(random.below(static_cast<std::uint32_t>(width))) - side / 2;
    const int top = std::max(y, 0), left = std::max(x, 0);
    return {top, left, std::min(y + side - top, height - top), std::min(x + side - left, width - left)};
}

/// Sets a box of a sample (H, W, C) to 0, which is the mean of normalised pixels.
inline void cut_out(const Box& box, Shape shape, float* image) {
    for (int y = box.y; y < box.y + box.height; ++y) {
        float* const first = image + (std::ptrdiff_t{y} * shape.width + box.x) * shape.channels;
        std::fill_n(first, std::ptrdiff_t{box.width} * shape.channels, 0.0f);
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/loader_options.hpp
// What decides the batches of a loader, as one value that files can hold.

namespace ctnn::inline CTNN_ISA {

/// What a loader does with samples, and how it cuts them into batches.
struct LoaderOptions {
    int batch_size = 128;
    std::uint64_t seed = 0;
    bool shuffle = true;           ///< a new order every epoch, from (seed, epoch)
    bool augment = false;          ///< random crop and flip, from (seed, epoch, sample)
    int crop_padding = 4;          ///< used where `augment` is set
    bool flip = true;              ///< used where `augment` is set
    bool drop_last = false;        ///< leave out the last batch where it is not full
    bool reflect_border = false;   ///< the crop's padding is the image reflected instead of byte 0
    bool alternate_flips = false;  ///< flips alternate from epoch to epoch instead of being random in each
    Augmentation augmentation{};   ///< what else is left to chance; needs no `augment`
    double mixup = 0.0;            ///< α of mixup's Beta(α, α); 0 is off

    /// Of the batches' samples; {} is that of the images. Images of other sizes are resized, grey ones become RGB.
    Shape shape{};
    /// How they are resized: 0 is to `shape` exactly, the aspect not kept. Any other number is the shorter side to
    /// which they are brought with their aspect kept; then the middle is taken, or with `augment` a crop anywhere.
    int shorter_side = 0;
    /// Threads that prepare batches. They decide no numbers.
    int workers = 1;
    /// Which share of every batch is prepared where processes train together: the others are other ranks'. The batches
    /// themselves are the same for any number of ranks.
    int rank = 0, ranks = 1;

    /// Throws ArgumentError for a value out of range.
    void validate() const {
        const auto expect = [](bool good, const char* what, auto value, const std::string& expected) {
            if (!good) { raise<ArgumentError>({"batch loader: ", what, " is ", value, ", expected ", expected}); }
        };
        expect(batch_size >= 1, "batch_size", batch_size, "at least 1");
        expect(crop_padding >= 0 && crop_padding <= 1 << 20, "crop_padding", crop_padding,
               "at least 0 and at most 2^20");
        expect(mixup >= 0 && mixup <= 1e3, "mixup", mixup, "0 to 1000");
        if (shape != Shape{}) {
            const int least = std::min({shape.channels, shape.height, shape.width});
            expect(least >= 1, "smallest extent of the shape", least, "at least 1");
        }
        expect(shorter_side >= 0, "shorter_side", shorter_side, "at least 0");
        expect(workers >= 1 && workers <= 256, "workers", workers, "1 to 256");
        expect(ranks >= 1, "ranks", ranks, "at least 1");
        expect(rank >= 0 && rank < ranks, "rank", rank, "0 to " + std::to_string(ranks - 1));
        augmentation.validate();
    }
};

/// Calls f(key, value) for every option that decides what batches hold, values being numbers and bools: one list for
/// whoever writes, reads or compares them. The numbers of workers and ranks are none. batch_size and seed have keys
/// that differ from the trainer's, beside which they are written.
template <class Options, class F>
    requires std::same_as<std::remove_const_t<Options>, LoaderOptions>
void for_each_setting(Options& o, F&& f) {
    f("loader_batch_size", o.batch_size);
    f("loader_seed", o.seed);
    f("shuffle", o.shuffle);
    f("augment", o.augment);
    f("crop_padding", o.crop_padding);
    f("flip", o.flip);
    f("drop_last", o.drop_last);
    f("reflect_border", o.reflect_border);
    f("alternate_flips", o.alternate_flips);
    f("random_resized_crop", o.augmentation.random_resized_crop);
    f("scale_min", o.augmentation.scale_min);
    f("scale_max", o.augmentation.scale_max);
    f("ratio_min", o.augmentation.ratio_min);
    f("ratio_max", o.augmentation.ratio_max);
    f("brightness", o.augmentation.jitter.brightness);
    f("contrast", o.augmentation.jitter.contrast);
    f("saturation", o.augmentation.jitter.saturation);
    f("hue", o.augmentation.jitter.hue);
    f("lighting", o.augmentation.lighting);
    f("cutout", o.augmentation.cutout);
    f("mixup", o.mixup);
    f("input_channels", o.shape.channels);
    f("input_height", o.shape.height);
    f("input_width", o.shape.width);
    f("shorter_side", o.shorter_side);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/split.hpp
// Which samples of a set are used, and in which order.

namespace ctnn::inline CTNN_ISA {

/// 0, 1, …, size − 1. Throws ArgumentError when an index does not fit 32 bits.
inline std::vector<std::uint32_t> all_indices(std::size_t size) {
    if (size > 0xFFFF'FFFFu) { raise<ArgumentError>({"data set: ", size, " samples, expected fewer than 2^32"}); }
    std::vector<std::uint32_t> indices(size);
    std::iota(indices.begin(), indices.end(), 0u);
    return indices;
}

/// {training, validation}: the last `validation` of `size` samples validate, all before them train.
/// Throws ArgumentError when there are fewer samples than that.
inline std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> split_by_index(std::size_t size,
                                                                                        std::size_t validation) {
    if (validation > size) {
        raise<ArgumentError>(
            {"split: validation is ", validation, ", expected at most the ", size, " samples there are"});
    }
    std::vector<std::uint32_t> training = all_indices(size);
    const auto cut = training.end() - static_cast<std::ptrdiff_t>(validation);
    std::vector<std::uint32_t> held_out(cut, training.end());
    training.erase(cut, training.end());
    return {std::move(training), std::move(held_out)};
}

/// Samples [begin, end) of a batch.
struct Shard {
    std::size_t begin, end;
    [[nodiscard]] constexpr std::size_t size() const { return end - begin; }
};
/// What rank `rank` of `ranks` takes of n samples: shares in the ranks' order, which differ by one at most.
constexpr Shard shard_of(std::size_t n, int rank, int ranks) {
    const auto r = static_cast<std::size_t>(rank), all = static_cast<std::size_t>(ranks);
    return {n * r / all, n * (r + 1) / all};
}
/// Samples in the largest of these shares.
constexpr std::size_t largest_shard(std::size_t n, int ranks) {
    const auto all = static_cast<std::size_t>(ranks);
    return (n + all - 1) / all;
}

/// Shuffles in place (Fisher and Yates) with numbers from `random`.
constexpr void shuffle(std::span<std::uint32_t> indices, Random& random) {
    for (std::size_t i = indices.size(); i > 1; --i) {
        std::swap(indices[i - 1], indices[random.below(static_cast<std::uint32_t>(i))]);
    }
}

/// Shuffles in place; the order depends on (seed, epoch) and the order before.
constexpr void shuffle_indices(std::span<std::uint32_t> indices, std::uint64_t seed, int epoch) {
    Random random{seed, Stream::shuffle, static_cast<std::uint64_t>(epoch)};
    shuffle(indices, random);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/mixup.hpp
// Mixup: every sample of a batch blended with another of it (Zhang, Cissé, Dauphin and Lopez-Paz, "mixup: beyond
// empirical risk minimization", ICLR 2018).

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline double open_unit(Random& random) { return (static_cast<double>(random.next()) + 0.5) * 0x1p-32; }

/// The logarithm of a Gamma(shape, 1) number (Marsaglia and Tsang, "A simple method for generating gamma variables",
/// 2000): numbers of small shapes are too small for a double.
inline double log_gamma_number(double shape, Random& random) {
    const double boost = shape < 1 ? std::log(open_unit(random)) / shape : 0.0;
    const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3.0, c = 1 / std::sqrt(9 * d);
    for (;;) {
        const double x = random.normal(), root = 1 + c * x, u = open_unit(random);
        if (root <= 0) { continue; }
        const double v = root * root * root;
        if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) { return std::log(d * v) + boost; }
    }
}

}  // namespace detail

/// A Beta(alpha, alpha) number in [0, 1], alpha > 0.
inline double symmetric_beta(double alpha, Random& random) {
    const double a = detail::log_gamma_number(alpha, random), b = detail::log_gamma_number(alpha, random);
    return a == b ? 0.5 : 1 / (1 + std::exp(b - a));  // of the smallest alphas both may be −∞
}

/// Mixes batches in place, with memory of its own for one sample and one order.
class Mixup {
  public:
    /// For batches of at most `batch` samples of `sample_size` elements. `alpha` > 0.
    Mixup(double alpha, int batch, std::size_t sample_size)
        : alpha_{alpha}, order_(static_cast<std::size_t>(batch)), first_(sample_size) {}

    /// Batch number `batch` of an epoch, of labels.size() samples: x_i becomes λ x_i + (1 − λ) x_π(i), and second[i]
    /// the label of π(i). Returns λ, one for the batch, from Beta(alpha, alpha). π is a random order of all samples as
    /// a circle, each followed by its partner: no sample is its own unless it is alone. From (seed, epoch, batch)
    /// alone.
    float operator()(std::uint64_t seed, int epoch, int batch, std::span<float> images,
                     std::span<const std::int32_t> labels, std::span<std::int32_t> second) {
        Random random = detail::augment_random(detail::Draw::mixup, seed, epoch, static_cast<std::uint32_t>(batch));
        const auto lambda = static_cast<float>(symmetric_beta(alpha_, random));
        const std::size_t n = labels.size(), size = first_.size();
        const std::span<std::uint32_t> order = std::span{order_}.first(n);
        for (std::size_t i = 0; i < n; ++i) { order[i] = static_cast<std::uint32_t>(i); }
        shuffle(order, random);
        const auto sample = [&](std::size_t i) { return images.data() + order[i] * size; };
        std::copy_n(sample(0), size, first_.data());
        for (std::size_t i = 0; i < n; ++i) {
            const bool last = i + 1 == n;
            const float* const partner = last ? first_.data() : sample(i + 1);
            float* const x = sample(i);
            for (std::size_t k = 0; k < size; ++k) { x[k] = lambda * x[k] + (1 - lambda) * partner[k]; }
            second[order[i]] = labels[order[last ? 0 : i + 1]];
        }
        return lambda;
    }

  private:
    double alpha_;
    std::vector<std::uint32_t> order_;
    std::vector<float> first_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/source.hpp
// Where a loader's images come from: memory, or whatever decodes them when they are wanted.

namespace ctnn::inline CTNN_ISA {

/// Labelled images that are read one by one, for example a folder of files. All functions are called by several threads
/// at once. What they return must not change while a loader uses them.
class ImageSource {
  public:
    ImageSource() = default;
    ImageSource(const ImageSource&) = delete;
    ImageSource& operator=(const ImageSource&) = delete;
    virtual ~ImageSource() = default;

    [[nodiscard]] virtual std::size_t size() const = 0;
    /// The shape of every image, or {} where they differ.
    [[nodiscard]] virtual Shape shape() const { return {}; }
    /// Of image `i`, below class_names().size().
    [[nodiscard]] virtual std::uint16_t label(std::size_t i) const = 0;
    [[nodiscard]] virtual const std::vector<std::string>& class_names() const = 0;
    [[nodiscard]] virtual const Normalization& normalization() const = 0;
    /// Image `i`: decoded into `scratch`, which the caller reuses, or a view of what is there already. Throws an Error
    /// that names the file where it cannot be read.
    virtual ImageView read(std::size_t i, Image& scratch) const = 0;
};

/// A data set in memory as a source. It must outlive the source.
class DatasetSource final : public ImageSource {
  public:
    /// Throws ArgumentError for a data set that contradicts itself.
    explicit DatasetSource(const Dataset& data) : data_{data} {
        const int least = std::min({data.shape.channels, data.shape.height, data.shape.width});
        if (least < 1) {
            raise<ArgumentError>({"data set: smallest extent of the images is ", least, ", expected at least 1"});
        }
        check_pixels();
    }

    explicit DatasetSource(const Dataset&& data) = delete;

    [[nodiscard]] std::size_t size() const override { return data_.size(); }
    [[nodiscard]] Shape shape() const override { return data_.shape; }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return data_.labels[i]; }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return data_.class_names; }
    [[nodiscard]] const Normalization& normalization() const override { return data_.normalization; }
    ImageView read(std::size_t i, Image& /*scratch*/) const override {
        check_pixels();  // costs nothing beside what follows, and what follows would read beyond the end
        return {data_.image(i), data_.shape};
    }

  private:
    void check_pixels() const {
        const auto each = static_cast<std::size_t>(data_.shape.size());
        if (data_.pixels.size() != data_.size() * each) {
            raise<ArgumentError>({"data set: number of pixel bytes is ", data_.pixels.size(), ", expected ",
                                  data_.size(), " samples of ", each});
        }
    }

    const Dataset& data_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/transforms.hpp
// Geometry of byte images: antialiased bilinear resizing and centre crops, as PIL and torchvision do them.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// One axis of a resize: output i is the sum of weights[i·taps + t] · input[first[i] + t] over t < count[i], in units
/// of 2^-22. A triangle filter about half-pixel centres, as wide as an output pixel where the image shrinks: PIL's
/// BILINEAR and torchvision's antialias=True. The integers are PIL's own, so that the bytes are.
class ResizeAxis {
  public:
    static constexpr int bits = 22;

    /// Keeps what is there when the sizes are those of the last call.
    void prepare(int in, int out) {
        if (in == in_ && out == out_) { return; }
        in_ = 0;  // until the tables are there
        const double scale = static_cast<double>(in) / out, filter = std::max(scale, 1.0), support = filter;
        taps_ = 2 * static_cast<int>(std::ceil(support)) + 1;
        const auto n = static_cast<std::size_t>(out);
        first_.resize(n);
        count_.resize(n);
        weights_.assign(n * static_cast<std::size_t>(taps_), 0);
        std::vector<double> exact(static_cast<std::size_t>(taps_));
        for (int i = 0; i < out; ++i) {
            const double centre = (i + 0.5) * scale;
            const int begin = std::max(static_cast<int>(std::lround(centre - support)), 0);
            const int end = std::min(static_cast<int>(std::lround(centre + support)), in);
            const auto k = static_cast<std::size_t>(i);
            first_[k] = begin;
            count_[k] = end - begin;
            double sum = 0;
            for (int t = 0; t < count_[k]; ++t) {
                const double distance = std::abs((t + begin - centre + 0.5) * (1.0 / filter));
                sum += exact[static_cast<std::size_t>(t)] = std::max(1.0 - distance, 0.0);
            }
            for (int t = 0; t < count_[k]; ++t) {
                weights_[k * static_cast<std::size_t>(taps_) + static_cast<std::size_t>(t)] =
                    static_cast<std::int32_t>(std::lround(exact[static_cast<std::size_t>(t)] / sum * (1 << bits)));
            }
        }
        in_ = in;
        out_ = out;
    }

    [[nodiscard]] int first(int i) const { return first_[static_cast<std::size_t>(i)]; }
    [[nodiscard]] int count(int i) const { return count_[static_cast<std::size_t>(i)]; }
    [[nodiscard]] const std::int32_t* weights(int i) const {
        return weights_.data() + static_cast<std::ptrdiff_t>(i) * taps_;
    }

    /// A sum that began at half a unit as a byte. It can be beyond 255 by what weights were rounded.
    static std::uint8_t byte(std::int32_t sum) { return static_cast<std::uint8_t>(std::min(sum >> bits, 255)); }
    static constexpr std::int32_t half = 1 << (bits - 1);

  private:
    int in_ = 0, out_ = 0, taps_ = 0;
    std::vector<int> first_, count_;
    std::vector<std::int32_t> weights_;
};

}  // namespace detail

/// Resizes images, and keeps filters and memory from one to the next: no allocation where sizes repeat.
class BilinearResizer {
  public:
    /// Resizes `image` to height × width, columns first, to bytes in between, as PIL does: the bytes equal those of
    /// Image.resize((width, height), BILINEAR). `out` is other memory than the image's. An image that has that size
    /// already is copied. Throws ArgumentError for sizes below 1.
    void operator()(const ImageView& image, int height, int width, Image& out) {
        const Shape in = image.shape;
        if (std::min({in.channels, in.height, in.width, height, width}) < 1) {
            raise<ArgumentError>({"resize: from ", in.height, "x", in.width, " to ", height, "x", width,
                                  ", expected sizes of at least 1"});
        }
        if (in.height == height) {
            resize_rows(image, width, out);
        } else if (in.width == width) {
            resize_columns(image, height, out);
        } else {
            resize_rows(image, width, between_);
            resize_columns(between_.view(), height, out);
        }
    }

  private:
    /// Every row by itself, to `width` pixels.
    void resize_rows(const ImageView& image, int width, Image& out) {
        if (image.shape.width == width) { return out.assign(image); }
        x_.prepare(image.shape.width, width);
        out.resize({image.shape.channels, image.shape.height, width});
        std::uint8_t* to = out.pixels.data();
        for (int c = 0; c < image.shape.channels; ++c) {
            for (int y = 0; y < image.shape.height; ++y) {
                const std::uint8_t* const row = image.row(c, y);
                for (int x = 0; x < width; ++x) {
                    const std::int32_t* const weight = x_.weights(x);
                    const std::uint8_t* const from = row + x_.first(x);
                    std::int32_t sum = detail::ResizeAxis::half;
                    for (int t = 0; t < x_.count(x); ++t) { sum += weight[t] * from[t]; }
                    *to++ = detail::ResizeAxis::byte(sum);
                }
            }
        }
    }

    /// Every column by itself, to `height` pixels.
    void resize_columns(const ImageView& image, int height, Image& out) {
        y_.prepare(image.shape.height, height);
        const auto width = static_cast<std::size_t>(image.shape.width);
        out.resize({image.shape.channels, height, image.shape.width});
        sums_.resize(width);
        std::uint8_t* to = out.pixels.data();
        for (int c = 0; c < image.shape.channels; ++c) {
            for (int y = 0; y < height; ++y, to += width) {
                std::fill(sums_.begin(), sums_.end(), detail::ResizeAxis::half);
                for (int t = 0; t < y_.count(y); ++t) {
                    const std::int32_t weight = y_.weights(y)[t];
                    const std::uint8_t* const row = image.row(c, y_.first(y) + t);
                    for (std::size_t x = 0; x < width; ++x) { sums_[x] += weight * row[x]; }
                }
                std::transform(sums_.begin(), sums_.end(), to, detail::ResizeAxis::byte);
            }
        }
    }

    detail::ResizeAxis y_, x_;
    Image between_;
    std::vector<std::int32_t> sums_;
};

/// `image` as height × width pixels, the aspect not kept; see BilinearResizer.
inline Image resize_bilinear(const ImageView& image, int height, int width) {
    Image out;
    BilinearResizer{}(image, height, width, out);
    return out;
}

/// The size at which the shorter side of an image is `side` and the aspect is kept, rounded down as torchvision's
/// Resize(side) does. Throws ArgumentError for more than 2^28 pixels, which a thin image would become.
constexpr Shape shape_with_shorter_side(Shape shape, int side) {
    const auto scaled = [&](int longer, int shorter) {
        const std::int64_t to = std::int64_t{side} * longer / std::max(shorter, 1);
        if (to > (std::int64_t{1} << 28) / std::max(side, 1)) {
            raise<ArgumentError>({"resize: ", shape.height, "x", shape.width, " with a shorter side of ", side, " is ",
                                  to, " pixels long, expected at most 2^28 pixels"});
        }
        return static_cast<int>(to);
    };
    return shape.width <= shape.height ? Shape{shape.channels, scaled(shape.height, shape.width), side}
                                       : Shape{shape.channels, side, scaled(shape.width, shape.height)};
}

/// torchvision's Resize(side).
inline Image resize_shorter_side(const ImageView& image, int side) {
    const Shape to = shape_with_shorter_side(image.shape, side);
    return resize_bilinear(image, to.height, to.width);
}

/// Pixels left of a centred piece of `inner` pixels; halves go to the even side, as in torchvision's CenterCrop.
constexpr int centre_offset(int outer, int inner) {
    const int half = (outer - inner) / 2;
    return (outer - inner) % 2 == 1 ? half + half % 2 : half;
}

/// The height × width pixels in the middle, not copied. Throws ArgumentError where the image is smaller.
inline ImageView centre_crop(const ImageView& image, int height, int width) {
    if (height < 1 || width < 1 || height > image.shape.height || width > image.shape.width) {
        raise<ArgumentError>({"centre crop: ", height, "x", width, ", expected 1x1 to the image's ", image.shape.height,
                              "x", image.shape.width});
    }
    return image.crop(centre_offset(image.shape.height, height), centre_offset(image.shape.width, width), height,
                      width);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/sample.hpp
// The way of one sample into a batch: read, brought to its size, augmented, normalised, channels last.

namespace ctnn::inline CTNN_ISA {

/// Prepares samples of a source one by one, in memory that it keeps: one for each thread. What it refers to must
/// outlive it; the options are valid ones.
class SamplePipeline {
  public:
    SamplePipeline(const ImageSource& source, const LoaderOptions& options, Shape shape, const ByteTable& table)
        : source_{source}, options_{options}, shape_{shape}, table_{table} {}

    /// Writes sample `id` as epoch `epoch` sees it to `out`, (H, W, C). Throws what the source throws, and
    /// ArgumentError where the sample has other channels.
    void operator()(std::uint32_t id, int epoch, float* out) {
        const ImageView read = source_.read(id, decoded_);
        if (read.shape.channels != shape_.channels && read.shape.channels != 1) {
            raise<ArgumentError>(
                {"batch loader: sample ", id, " has ", read.shape.channels, " channels, expected ", shape_.channels});
        }
        ImageView image = fitted(read, id, epoch).with_channels(shape_.channels);
        const Augmentation& more = options_.augmentation;
        if (more.jitter.on()) {
            coloured_.assign(image);
            jitter_colours(coloured_, more.jitter,
                           detail::augment_random(detail::Draw::colours, options_.seed, epoch, id));
            image = coloured_.view();
        }
        place_image(image, table_, placement(image.shape, id, epoch), shape_.height, shape_.width, out);
        if (more.lighting > 0) { light(id, epoch, out); }
        if (more.cutout > 0) {
            cut_out(random_cutout(more.cutout, options_.seed, epoch, id, shape_.height, shape_.width), shape_, out);
        }
    }

  private:
    /// The image at the size from which a crop is taken, resized only where it has another.
    ImageView fitted(const ImageView& image, std::uint32_t id, int epoch) {
        if (options_.augmentation.random_resized_crop) {
            const Box box = random_resized_box(options_.augmentation, options_.seed, epoch, id, image.shape.height,
                                               image.shape.width);
            return resized(image.crop(box.y, box.x, box.height, box.width), shape_);
        }
        return resized(
            image, options_.shorter_side > 0 ? shape_with_shorter_side(image.shape, options_.shorter_side) : shape_);
    }
    ImageView resized(const ImageView& image, Shape to) {
        if (image.shape.height == to.height && image.shape.width == to.width) { return image; }
        resize_(image, to.height, to.width, resized_);
        return resized_.view();
    }

    [[nodiscard]] Placement placement(Shape image, std::uint32_t id, int epoch) const {
        Placement placement{centre_offset(image.height, shape_.height), centre_offset(image.width, shape_.width)};
        if (options_.augment) {
            const int padding = options_.augmentation.random_resized_crop ? 0 : options_.crop_padding;
            placement = random_placement(options_.seed, epoch, id, padding, options_.flip, image.height - shape_.height,
                                         image.width - shape_.width);
            if (options_.alternate_flips && options_.flip) {
                placement.mirror = alternating_flip(options_.seed, epoch, id);
            }
            placement.reflect = options_.reflect_border;
        }
        return placement;
    }

    void light(std::uint32_t id, int epoch, float* out) const {
        const Random random = detail::augment_random(detail::Draw::lighting, options_.seed, epoch, id);
        std::array<float, 3> offset = lighting_offset(options_.augmentation.lighting, random);
        for (std::size_t c = 0; c < 3; ++c) { offset[c] /= source_.normalization().std[c]; }
        for (float* const end = out + shape_.size(); out != end; out += 3) {
            for (std::size_t c = 0; c < 3; ++c) { out[c] += offset[c]; }
        }
    }

    const ImageSource& source_;
    const LoaderOptions& options_;
    const Shape shape_;
    const ByteTable& table_;
    Image decoded_, resized_, coloured_;
    BilinearResizer resize_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/loader.hpp
// Batches prepared by threads beside the training step: shuffled, augmented, normalised, channels last.

namespace ctnn::inline CTNN_ISA {

/// `size` samples, ready to be fed to a network; of ranks, a share of a batch, which may be empty.
struct MiniBatch {
    std::span<const float> images;         ///< size × (height, width, channels), normalised
    std::span<const std::int32_t> labels;  ///< size
    std::span<const std::uint32_t> ids;    ///< size; each sample's index in the data set, which keys dropout
    int size = 0;
    std::span<const std::int32_t> second_labels{};  ///< of the samples mixed in, size; empty without mixup
    float mix = 1;                                  ///< the share λ of `labels`; second_labels have 1 − λ
};

/// Iterates over the samples of a data set or another source that `indices` names, in batches:
///
///     BatchLoader loader{data, all_indices(data.size()), {.batch_size = 128, .augment = true}};
///     loader.start_epoch(epoch);
///     while (const MiniBatch* batch = loader.next()) { … }
///
/// Threads prepare the batches behind the one in use. What a batch holds depends on the options, the epoch and its
/// number alone, never on timing or the number of threads. The source must outlive the loader and stay as it is. To be
/// used from one thread.
class BatchLoader {
  public:
    /// Throws ArgumentError for a data set that contradicts itself, and for arguments out of range; Error where the
    /// system gives no thread.
    BatchLoader(const Dataset& data, std::vector<std::uint32_t> indices, LoaderOptions options)
        : BatchLoader{std::make_shared<DatasetSource>(data), std::move(indices), options} {
        start_workers();
    }
    /// The same for images from elsewhere. Where they differ in shape, the options must say which one batches have.
    BatchLoader(const ImageSource& source, std::vector<std::uint32_t> indices, LoaderOptions options)
        : BatchLoader{SourcePointer{SourcePointer{}, &source}, std::move(indices), options} {
        start_workers();
    }
    /// A source that would be gone.
    BatchLoader(const Dataset&& data, std::vector<std::uint32_t> indices, LoaderOptions options) = delete;
    BatchLoader(const ImageSource&& source, std::vector<std::uint32_t> indices, LoaderOptions options) = delete;
    BatchLoader(const BatchLoader&) = delete;
    BatchLoader& operator=(const BatchLoader&) = delete;
    ~BatchLoader() {
        {
            const std::lock_guard lock{mutex_};
            stop_ = true;
            abandoned_ = true;
        }
        wake_workers_.notify_all();
        for (std::thread& thread : threads_) { thread.join(); }
    }

    /// Begins epoch `epoch` ≥ 0 at batch `first_batch` in [0, batches()], as a resumed run does; whatever was left of
    /// another epoch is dropped, and the batch last returned is no longer valid. Waits for samples that are being
    /// prepared for that.
    void start_epoch(int epoch, int first_batch = 0) {
        if (epoch < 0) { fail("epoch", epoch, "at least 0"); }
        if (first_batch < 0 || first_batch > batches_) {
            fail("first_batch", first_batch, "0 to " + std::to_string(batches_));
        }
        {
            std::unique_lock lock{mutex_};
            running_ = false;
            abandoned_ = true;
            wake_user_.wait(lock, [this] { return busy_ == 0; });
            abandoned_ = false;
            std::copy(indices_.begin(), indices_.end(), order_.begin());
            if (options_.shuffle) { shuffle_indices(order_, options_.seed, epoch); }
            for (Slot& slot : slots_) {
                slot.ready = false;
                slot.error = nullptr;
            }
            epoch_ = epoch;
            claimed_ = returned_ = first_batch;
            holding_ = failed_ = false;
            running_ = true;
        }
        wake_workers_.notify_all();
    }

    /// The next batch, valid until the next call of next() or start_epoch(); null at the end of the epoch and before
    /// the first one. Waits where the threads are behind. Never allocates. Where preparing this batch failed, throws
    /// what it threw, and again until an epoch is started.
    const MiniBatch* next() {
        std::unique_lock lock{mutex_};
        holding_ = false;
        wake_workers_.notify_one();
        if (!running_ || returned_ == batches_) { return nullptr; }
        Slot& slot = slot_of(returned_);
        wake_user_.wait(lock, [&] { return slot.ready; });
        if (slot.error != nullptr) { std::rethrow_exception(slot.error); }
        slot.ready = false;
        holding_ = true;
        ++returned_;
        return &slot.batch;
    }

    /// Batches in an epoch.
    [[nodiscard]] int batches() const { return batches_; }
    /// Samples in an epoch, those that drop_last leaves out not counted.
    [[nodiscard]] std::size_t samples() const {
        return std::min(indices_.size(), static_cast<std::size_t>(batches_) * batch_capacity());
    }
    /// Of the batches' samples.
    [[nodiscard]] Shape shape() const { return shape_; }
    /// Throws ArgumentError unless batches have the shape of a network's input.
    void require_shape(Shape input) const {
        if (shape_ == input) { return; }
        const auto text = [](Shape s) {
            return std::to_string(s.channels) + "x" + std::to_string(s.height) + "x" + std::to_string(s.width);
        };
        raise<ArgumentError>(
            {"batch loader: batches are ", text(shape_), ", expected the ", text(input), " of the network's input"});
    }
    /// Throws ArgumentError unless all labels are of that many classes.
    void require_classes(int classes) const {
        for (const std::uint32_t i : indices_) {
            if (const int label = source_->label(i); label >= classes) {
                fail("label of sample " + std::to_string(i), static_cast<std::size_t>(label),
                     "0 to " + std::to_string(classes - 1));
            }
        }
    }
    /// Throws ArgumentError unless batches are the share of that rank.
    void require_rank(int rank, int ranks) const {
        if (options_.rank == rank && options_.ranks == ranks) { return; }
        raise<ArgumentError>({"batch loader: batches are those of rank ", options_.rank, " of ", options_.ranks,
                              ", expected rank ", rank, " of ", ranks});
    }
    [[nodiscard]] const LoaderOptions& options() const { return options_; }

  private:
    using SourcePointer = std::shared_ptr<const ImageSource>;  // one that owns, or one that does not

    struct Slot {
        AlignedArray<float> images;
        std::vector<std::int32_t> labels, second_labels;
        MiniBatch batch;
        bool ready = false;        // prepared and not yet with the user
        std::exception_ptr error;  // what preparing it threw instead
    };

    /// What a thread has for itself.
    struct Worker {
        SamplePipeline prepare;
        std::optional<Mixup> mix;
    };

    BatchLoader(SourcePointer source, std::vector<std::uint32_t> indices, LoaderOptions options)
        : source_{std::move(source)},
          indices_{std::move(indices)},
          options_{options},
          shape_{batch_shape(*source_, options)},
          table_{source_->normalization(), shape_.channels} {
        check();
        const std::size_t n = indices_.size(), b = batch_capacity();
        const auto workers = static_cast<std::size_t>(options_.workers);
        batches_ = static_cast<int>(options_.drop_last ? n / b : (n + b - 1) / b);
        order_ = indices_;
        slots_ = std::vector<Slot>(workers + 2);  // one with the user, one ready, one being filled by each
        for (Slot& slot : slots_) {
            // Any two samples of a batch may be mixed: then all of it is prepared.
            const std::size_t prepared = options_.mixup > 0 ? b : largest_shard(b, options_.ranks);
            slot.images = AlignedArray<float>{prepared * sample_size()};
            slot.labels.resize(prepared);
            if (options_.mixup > 0) { slot.second_labels.resize(b); }
        }
        workers_.reserve(workers);
        for (std::size_t i = 0; i < workers; ++i) {
            workers_.push_back({SamplePipeline{*source_, options_, shape_, table_}, std::nullopt});
            if (options_.mixup > 0) { workers_.back().mix.emplace(options_.mixup, options_.batch_size, sample_size()); }
        }
    }

    /// In the body of the public constructors, where the destructor already joins the threads that were started.
    void start_workers() {
        threads_.reserve(workers_.size());
#if defined(__cpp_exceptions)
        try {
#endif
            for (Worker& worker : workers_) {
                threads_.emplace_back([this, &worker] { work(worker); });
            }
#if defined(__cpp_exceptions)
        } catch (const std::system_error& error) {
            raise<Error>({"batch loader: cannot start thread ", threads_.size() + 1, " of ", workers_.size(), ": ",
                          error.what(), "; expected memory and processes for it (ulimit -v, -u)"});
        }
#endif
    }

    template <class Value>
    [[noreturn]] static void fail(const std::string& what, Value value, const std::string& expected) {
        raise<ArgumentError>({"batch loader: ", what, " is ", value, ", expected ", expected});
    }

    /// Of valid options.
    static Shape batch_shape(const ImageSource& source, const LoaderOptions& options) {
        options.validate();
        const Shape shape = options.shape == Shape{} ? source.shape() : options.shape;
        if (shape == Shape{}) {
            raise<ArgumentError>(
                {"batch loader: the images differ in shape, expected options with the batches' shape"});
        }
        return shape;
    }

    void check() const {
        const int longer = std::max(shape_.height, shape_.width);
        if (options_.shorter_side != 0 && options_.shorter_side < longer) {
            fail("shorter_side", options_.shorter_side,
                 "0, or at least the " + std::to_string(longer) + " pixels that are taken from it");
        }
        if (options_.augmentation.lighting > 0 && shape_.channels != 3) {
            fail("channels for lighting", shape_.channels, "3");
        }
        if (options_.augmentation.jitter.on() && shape_.channels != 3 && shape_.channels != 1) {
            fail("channels for changes of colour", shape_.channels, "3 or 1");
        }
        if (indices_.empty()) { fail("number of indices", 0, "at least 1"); }
        const std::size_t classes = source_->class_names().size();
        for (const std::uint32_t i : indices_) {
            if (i >= source_->size()) {
                fail("index", i, "less than the " + std::to_string(source_->size()) + " samples");
            }
            if (source_->label(i) >= classes) {
                fail("label of sample " + std::to_string(i), source_->label(i),
                     "less than the " + std::to_string(classes) + " classes");
            }
        }
        if (options_.drop_last && indices_.size() < batch_capacity()) {
            fail("batch_size", options_.batch_size,
                 "at most the " + std::to_string(indices_.size()) + " samples, as drop_last would leave no batch");
        }
    }

    [[nodiscard]] std::size_t batch_capacity() const { return static_cast<std::size_t>(options_.batch_size); }
    [[nodiscard]] std::size_t sample_size() const { return static_cast<std::size_t>(shape_.size()); }
    [[nodiscard]] Slot& slot_of(int batch) { return slots_[static_cast<std::size_t>(batch) % slots_.size()]; }

    /// A thread: takes batches in their order and fills their slots, without holding the mutex meanwhile. After an
    /// error nothing further is taken, so that all batches before the one that failed are still prepared, and then all
    /// is still.
    void work(Worker& worker) {
        std::unique_lock lock{mutex_};
        for (;;) {
            wake_workers_.wait(lock, [this] { return stop_ || has_work(); });
            if (stop_) { return; }
            const int batch = claimed_++;
            ++busy_;
            Slot& slot = slot_of(batch);
            std::exception_ptr error;
            lock.unlock();
#if defined(__cpp_exceptions)
            try {
                fill(slot, worker, batch);
            } catch (...) { error = std::current_exception(); }
#else
            fill(slot, worker, batch);
#endif
            lock.lock();
            --busy_;
            failed_ = failed_ || error != nullptr;
            slot.error = std::move(error);
            slot.ready = true;  // start_epoch() takes that back where the batch was abandoned
            wake_user_.notify_one();
        }
    }

    /// Slots are in use from the batch that the user holds to the last one taken.
    [[nodiscard]] bool has_work() const {
        const int in_use = claimed_ - returned_ + (holding_ ? 1 : 0);
        return running_ && !failed_ && claimed_ < batches_ && in_use < static_cast<int>(slots_.size());
    }

    void fill(Slot& slot, Worker& worker, int batch) const {
        const std::size_t begin = static_cast<std::size_t>(batch) * batch_capacity();
        const std::size_t n = std::min(batch_capacity(), order_.size() - begin);
        const Shard own = shard_of(n, options_.rank, options_.ranks), prepared = worker.mix ? Shard{0, n} : own;
        const std::span<const std::uint32_t> ids = std::span{order_}.subspan(begin + prepared.begin, prepared.size());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (abandoned_) { return; }
            worker.prepare(ids[i], epoch_, slot.images.data() + i * sample_size());
            slot.labels[i] = source_->label(ids[i]);
        }
        const std::span<float> images = slot.images.span().first(ids.size() * sample_size());
        const std::span<std::int32_t> labels = std::span{slot.labels}.first(ids.size());
        slot.batch = {images, labels, ids, static_cast<int>(ids.size())};
        if (worker.mix) {
            const std::span<std::int32_t> second = std::span{slot.second_labels}.first(n);
            const float mix = (*worker.mix)(options_.seed, epoch_, batch, images, labels, second);
            slot.batch = {images.subspan(own.begin * sample_size(), own.size() * sample_size()),
                          labels.subspan(own.begin, own.size()),
                          ids.subspan(own.begin, own.size()),
                          static_cast<int>(own.size()),
                          second.subspan(own.begin, own.size()),
                          mix};
        }
    }

    const SourcePointer source_;
    const std::vector<std::uint32_t> indices_;
    const LoaderOptions options_;
    const Shape shape_;
    const ByteTable table_;
    int batches_ = 0;

    // Of the current epoch: written by start_epoch() while no thread is busy, read by those that are.
    std::vector<std::uint32_t> order_;
    int epoch_ = 0;
    std::atomic<bool> abandoned_ = false;  // what is being prepared is not wanted any more

    std::mutex mutex_;  // guards everything below, but for what a slot holds while a thread fills it or the user has it
    std::condition_variable wake_workers_, wake_user_;
    std::vector<Slot> slots_;
    int claimed_ = 0, returned_ = 0;  // batches of this epoch
    int busy_ = 0;                    // threads that are filling a slot
    bool holding_ = false, running_ = false, failed_ = false, stop_ = false;

    std::vector<Worker> workers_;
    std::vector<std::thread> threads_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/statistics.hpp
// Mean and standard deviation of a set's channels, for sets whose normalisation is not known.

namespace ctnn::inline CTNN_ISA {

/// Mean and standard deviation of every channel over all pixels, bytes being divided by 255, of at most `most` images
/// spread evenly over the source. Grey images count for each of `channels`. Throws ArgumentError for no images and for
/// other channels, and what the source throws.
inline Normalization estimate_normalization(const ImageSource& source, int channels,
                                            std::size_t most = std::numeric_limits<std::size_t>::max()) {
    const std::size_t images = std::min(most, source.size());
    if (images == 0 || channels < 1) {
        raise<ArgumentError>(
            {"normalization: ", images, " images of ", channels, " channels, expected at least 1 of each"});
    }
    const auto n = static_cast<std::size_t>(channels);
    std::vector<std::uint64_t> sums(n), squares(n);
    double pixels = 0;
    Image scratch;
    for (std::size_t i = 0; i < images; ++i) {
        const std::size_t place = i * (source.size() / images) + i * (source.size() % images) / images;
        const ImageView image = source.read(place, scratch).with_channels(channels);
        for (std::size_t c = 0; c < n; ++c) {
            for (int y = 0; y < image.shape.height; ++y) {
                const std::uint8_t* const row = image.row(static_cast<int>(c), y);
                for (int x = 0; x < image.shape.width; ++x) {
                    sums[c] += row[x];
                    squares[c] += static_cast<std::uint64_t>(row[x]) * row[x];
                }
            }
        }
        pixels += image.shape.pixels();
    }
    Normalization found;
    for (std::size_t c = 0; c < n; ++c) {
        const double mean = static_cast<double>(sums[c]) / pixels;
        const double variance = static_cast<double>(squares[c]) / pixels - mean * mean;
        found.mean.push_back(static_cast<float>(mean / 255));
        found.std.push_back(static_cast<float>(std::sqrt(std::max(variance, 0.0)) / 255));
    }
    return found;
}
inline Normalization estimate_normalization(const Dataset& data) {
    return estimate_normalization(DatasetSource{data}, data.shape.channels);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/parallel.hpp
// Threads: OpenMP's where the compiler has it, else everything runs on one. Results never depend on their number.

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace ctnn::inline CTNN_ISA {

/// Threads that a parallel loop uses when nobody says otherwise.
inline int default_threads() {
#if defined(_OPENMP)
    return omp_get_max_threads();
#else
    return 1;
#endif
}

namespace detail {

struct alignas(64) Share {
    std::atomic<int> next;
    int end;
};

/// One thread's work in a loop over shares: its own first, then what is left of the others'.
///
/// The only copy of the loop's body, for one thread as for many: the compiler fuses multiplications and additions as it
/// sees fit, so two inlined copies may round differently, and results would depend on the number of threads.
template <class F>
CTNN_ONE_COPY void work_on(Share* share, int shares, int run, int thread, void* body) {
    F& f = *static_cast<F*>(body);
    for (int s = 0; s < shares; ++s) {
        Share& mine = share[(thread + s) % shares];
        for (int begin = mine.next.fetch_add(run); begin < mine.end; begin = mine.next.fetch_add(run)) {
            for (int i = begin; i < std::min(begin + run, mine.end); ++i) { f(i, thread); }
        }
    }
}

/// The part of parallel_for that does not depend on the body's type, which is compiled once instead of once a loop.
inline void share_out(int items, int threads, void (*work)(Share*, int, int, int, void*), void* body) {
#if defined(_OPENMP)
    if (items > 1 && threads > 1) {
        constexpr int most = 64;
        const int shares = std::min({items, threads, most});
        std::array<Share, most> share;
        for (int s = 0; s < shares; ++s) {
            share[static_cast<std::size_t>(s)].next = static_cast<int>(std::int64_t{items} * s / shares);
            share[static_cast<std::size_t>(s)].end = static_cast<int>(std::int64_t{items} * (s + 1) / shares);
        }
        const int run = std::max(1, items / (shares * 8));
#pragma omp parallel num_threads(threads)
        work(share.data(), shares, run, omp_get_thread_num(), body);
        return;
    }
#else
    static_cast<void>(threads);
#endif
    Share all{0, items};
    work(&all, 1, std::max(items, 1), 0, body);
}

}  // namespace detail

/// Calls f(item, thread) for every item in [0, items), each once; f must not throw. Every thread begins with a
/// contiguous share of its own, the same in every loop, so that what it touched before is still in its cache; a thread
/// that has finished helps with the shares of those that other work on the machine holds up. The team is always
/// `threads` strong, because OpenMP's runtimes keep a team that does not change and allocate for one that does.
template <class F>
void parallel_for(int items, int threads, F&& f) {
    using Body = std::remove_reference_t<F>;
    detail::share_out(items, threads, detail::work_on<Body>, const_cast<std::remove_const_t<Body>*>(&f));
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/synthetic.hpp
// A labelled image set that needs no file: ten classes of textured shapes, drawn in memory. Integer arithmetic
// throughout, so a seed gives the same bytes on every machine and with every compiler.

namespace ctnn::inline CTNN_ISA {

namespace detail {

enum class Outline { disc, square, triangle, ring, cross };
enum class Texture { stripes, checks };

/// A rotation followed by a scaling, in fixed point: (x, y) → 2^20 · R(angle) (x, y) / unit.
struct Rotation {
    std::int32_t c, s;

    Rotation(std::uint32_t turn_4096, std::uint32_t unit) {
        const double angle = static_cast<double>(turn_4096) * (2.0 * std::numbers::pi / 4096.0);
        c = static_cast<std::int32_t>(std::lround(0x1p20 * std::cos(angle) / unit));
        s = static_cast<std::int32_t>(std::lround(0x1p20 * std::sin(angle) / unit));
    }
    [[nodiscard]] std::int32_t u(std::int32_t x, std::int32_t y) const { return c * x + s * y; }
    [[nodiscard]] std::int32_t v(std::int32_t x, std::int32_t y) const { return c * y - s * x; }
};

/// Whether (u, v), in 1/1024 of the radius of the circle that holds the figure, lies inside the outline.
inline bool inside(Outline outline, std::int32_t u, std::int32_t v) {
    const std::int32_t au = std::abs(u), av = std::abs(v);
    const std::int32_t far = au > av ? au : av, near = au > av ? av : au;
    switch (outline) {
        case Outline::disc: return u * u + v * v < 880 * 880;
        case Outline::square: return far < 724;
        case Outline::triangle: return v > -512 && 1774 * au < 1024 * (1024 - v);  // 1774 / 1024 = sqrt(3)
        case Outline::ring: return u * u + v * v < 1000 * 1000 && u * u + v * v > 520 * 520;
        case Outline::cross: return far < 960 && near < 300;
    }
    return false;
}

inline std::array<int, 3> random_colour(Random& random, int low, int high) {
    std::array<int, 3> colour{};
    for (int& channel : colour) {
        channel = low + static_cast<int>(random.below(static_cast<std::uint32_t>(high - low)));
    }
    return colour;
}

/// Sum over the channels of absolute differences.
inline int contrast(const std::array<int, 3>& a, const std::array<int, 3>& b) {
    return std::abs(a[0] - b[0]) + std::abs(a[1] - b[1]) + std::abs(a[2] - b[2]);
}

/// Draws one sample: 3 planes of 32×32 bytes. Lengths are in 1/16 pixel; a pixel is the mean of 2×2 points.
inline void draw_figure(Random random, Outline outline, Texture texture, std::span<std::uint8_t> planes) {
    constexpr std::int32_t side = 32, whole = side * 16;
    const std::uint32_t radius = 144 + random.below(81);  // 9 to 14 pixels
    const std::uint32_t room = whole - 2 * radius + 1;    // the figure never leaves the image
    const auto centre_x = static_cast<std::int32_t>(radius + random.below(room));
    const auto centre_y = static_cast<std::int32_t>(radius + random.below(room));
    const Rotation figure{random.below(4096), radius};
    const std::uint32_t cell = 40 + random.below(17);  // width of a stripe or a check: 2.5 to 3.5 pixels
    const Rotation weave{random.below(4096), cell};
    const auto phase = static_cast<std::int32_t>(random.below(1u << 21));

    // A dark background and two bright tones that differ clearly.
    std::array<std::array<int, 3>, 3> colours{random_colour(random, 0, 100), random_colour(random, 100, 256)};
    do { colours[2] = random_colour(random, 100, 256); } while (contrast(colours[1], colours[2]) < 180);
    const int noise = 4 + static_cast<int>(random.below(13));  // standard deviation in byte steps

    constexpr auto area = static_cast<std::size_t>(side) * side;
    for (std::int32_t y = 0; y < side; ++y) {
        for (std::int32_t x = 0; x < side; ++x) {
            std::array<int, 3> points{};  // how many of the four show each colour
            const std::int32_t from_x = 16 * x + 8 - centre_x, from_y = 16 * y + 8 - centre_y;
            // More than half of the pixels lie outside the circle, by half a pixel at least.
            const auto near = static_cast<std::int32_t>(radius) + 8;
            if (from_x * from_x + from_y * from_y > near * near) { points[0] = 4; }
            for (std::int32_t k = 0; k < 4 && points[0] < 4; ++k) {
                const std::int32_t dx = from_x - 4 + 8 * (k % 2), dy = from_y - 4 + 8 * (k / 2);
                if (!inside(outline, figure.u(dx, dy) >> 10, figure.v(dx, dy) >> 10)) {
                    ++points[0];
                    continue;
                }
                std::int32_t index = (weave.u(dx, dy) + phase) >> 20;
                if (texture == Texture::checks) { index += (weave.v(dx, dy) + phase) >> 20; }
                ++points[index % 2 == 0 ? 1 : 2];
            }
            for (std::size_t c = 0; c < 3; ++c) {
                planes[c * area + static_cast<std::size_t>(y * side + x)] = static_cast<std::uint8_t>(
                    (points[0] * colours[0][c] + points[1] * colours[1][c] + points[2] * colours[2][c]) / 4);
            }
        }
    }

    // Of each channel of a pixel, pixel by pixel. The sum of four random bytes is nearly normal, with mean 510 and
    // standard deviation 148.
    std::array<std::uint32_t, 3 * area> words;
    random.fill(words);
    std::array<std::int32_t, 3 * area> noises;
    for (std::size_t i = 0; i < noises.size(); ++i) {
        const std::uint32_t bits = words[i];
        const auto sum =
            static_cast<std::int32_t>((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
        noises[i] = (sum - 510) * noise / 148;
    }
    for (std::size_t c = 0; c < 3; ++c) {
        for (std::size_t i = 0; i < area; ++i) {
            std::uint8_t& byte = planes[c * area + i];
            byte = static_cast<std::uint8_t>(std::clamp(byte + noises[3 * i + c], 0, 255));
        }
    }
}

/// All but the images of a set of so many.
inline Dataset figure_labels(std::size_t count) {
    if (count > 0xFFFF'FFFFu) {
        raise<ArgumentError>({"synthetic set: ", count, " samples, expected fewer than 2^32"});
    }
    Dataset set{.shape = {3, 32, 32},
                .labels = std::vector<std::uint16_t>(count),
                .class_names = {"striped disc", "striped square", "striped triangle", "striped ring", "striped cross",
                                "checked disc", "checked square", "checked triangle", "checked ring", "checked cross"},
                .normalization = {{0.32f, 0.32f, 0.32f}, {0.25f, 0.25f, 0.25f}}};
    for (std::size_t i = 0; i < count; ++i) { set.labels[i] = static_cast<std::uint16_t>(i % 10); }
    return set;
}

constexpr std::size_t figure_bytes = std::size_t{3} * 32 * 32;

/// Draws samples `first`, `first` + 1, … of split 0, for training, or 1, as many as there is room for.
inline void draw_figures(std::uint64_t seed, std::uint64_t split, std::size_t first, std::span<std::uint8_t> pixels) {
    for (std::size_t i = first; !pixels.empty(); ++i, pixels = pixels.subspan(figure_bytes)) {
        draw_figure(Random{seed, Stream::synthetic, split, static_cast<std::uint32_t>(i)}, static_cast<Outline>(i % 5),
                    static_cast<Texture>(i % 10 / 5), pixels.first(figure_bytes));
    }
}

inline Dataset synthetic_set(std::size_t count, std::uint64_t seed, std::uint64_t split) {
    Dataset set = figure_labels(count);
    set.pixels.resize(count * figure_bytes);
    constexpr std::size_t chunk = 64;
    parallel_for(static_cast<int>((count + chunk - 1) / chunk), default_threads(), [&](int c, int) {
        const std::size_t first = static_cast<std::size_t>(c) * chunk;
        draw_figures(
            seed, split, first,
            std::span{set.pixels}.subspan(first * figure_bytes, std::min(chunk, count - first) * figure_bytes));
    });
    return set;
}

}  // namespace detail

/// Two sets of 3×32×32 images of ten classes, {striped, checked} × {disc, square, triangle, ring, cross}. Colours,
/// position, size, rotation, weave and noise vary per sample, so that no linear function of the pixels tells the
/// classes apart, while a small convolutional network does. Sample i has label i mod 10 and depends on (seed, split, i)
/// alone: a longer set begins with the shorter one. Throws ArgumentError from 2^32 samples on.
inline TrainTest make_synthetic(std::size_t train, std::size_t test, std::uint64_t seed) {
    return {detail::synthetic_set(train, seed, 0), detail::synthetic_set(test, seed, 1)};
}

/// One of make_synthetic()'s two sets as a source, whose images are drawn when they are first read: what reads a few of
/// many need not wait for all. Throws as make_synthetic() does.
class SyntheticSource final : public ImageSource {
  public:
    enum class Split { train, test };

    SyntheticSource(std::size_t size, std::uint64_t seed, Split split)
        : set_{detail::figure_labels(size)},
          seed_{seed},
          split_{split},
          pixels_{std::make_unique_for_overwrite<std::uint8_t[]>(size * detail::figure_bytes)},
          drawn_{std::make_unique<std::once_flag[]>((size + chunk - 1) / chunk)} {}

    [[nodiscard]] std::size_t size() const override { return set_.size(); }
    [[nodiscard]] Shape shape() const override { return set_.shape; }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return set_.labels[i]; }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return set_.class_names; }
    [[nodiscard]] const Normalization& normalization() const override { return set_.normalization; }
    ImageView read(std::size_t i, Image& /*scratch*/) const override {
        std::call_once(drawn_[i / chunk], [&] {
            const std::size_t first = i / chunk * chunk;
            detail::draw_figures(seed_, static_cast<std::uint64_t>(split_), first,
                                 images(first, std::min(chunk, size() - first)));
        });
        return {images(i, 1), set_.shape};
    }

  private:
    static constexpr std::size_t chunk = 16;

    [[nodiscard]] std::span<std::uint8_t> images(std::size_t first, std::size_t count) const {
        return {pixels_.get() + first * detail::figure_bytes, count * detail::figure_bytes};
    }

    Dataset set_;  // without pixels
    std::uint64_t seed_;
    Split split_;
    std::unique_ptr<std::uint8_t[]> pixels_;
    std::unique_ptr<std::once_flag[]> drawn_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/whitening.hpp
// Filters that whiten: the principal components of a training set's patches, for a frozen first layer.

namespace ctnn::inline CTNN_ISA {

/// A symmetric matrix taken apart: row i of `vectors` is the unit vector of values[i], and values fall. The largest
/// component of every vector, the first of equal ones, is positive.
struct Eigensystem {
    std::vector<double> values;
    std::vector<double> vectors;  ///< n × n

    [[nodiscard]] std::span<const double> vector(std::size_t i) const {
        return std::span{vectors}.subspan(i * values.size(), values.size());
    }
};

/// Of a symmetric n × n matrix, by Jacobi's rotations (Golub and Van Loan, "Matrix Computations", 4th edition, section
/// 8.5): sweeps over all pairs until what is off the diagonal has vanished beside the rest. For some hundred rows.
inline Eigensystem symmetric_eigensystem(std::vector<double> a) {
    const auto n = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(a.size()))));
    if (n == 0 || n * n != a.size()) {
        raise<ArgumentError>({"eigensystem: ", a.size(), " numbers, expected a square matrix"});
    }
    std::vector<double> v(n * n, 0.0);
    for (std::size_t i = 0; i < n; ++i) { v[i * n + i] = 1; }
    const auto rotate = [](double& p, double& q, double c, double s) {
        const double old = p;
        p = c * old - s * q;
        q = s * old + c * q;
    };
    for (int sweep = 0; sweep < 64; ++sweep) {
        double off = 0, all = 0;
        for (std::size_t i = 0; i < n * n; ++i) {
            all += a[i] * a[i];
            off += i / n == i % n ? 0 : a[i] * a[i];
        }
        if (off <= 1e-30 * all) { break; }
        for (std::size_t p = 0; p < n; ++p) {
            for (std::size_t q = p + 1; q < n; ++q) {
                if (a[p * n + q] == 0) { continue; }
                const double tau = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                const double t = (tau < 0 ? -1 : 1) / (std::abs(tau) + std::hypot(1.0, tau));
                const double c = 1 / std::hypot(1.0, t), s = t * c;
                for (std::size_t k = 0; k < n; ++k) { rotate(a[p * n + k], a[q * n + k], c, s); }
                for (std::size_t k = 0; k < n; ++k) { rotate(a[k * n + p], a[k * n + q], c, s); }
                for (std::size_t k = 0; k < n; ++k) { rotate(v[p * n + k], v[q * n + k], c, s); }
            }
        }
    }
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
        const double x = a[i * n + i], y = a[j * n + j];
        return x != y ? x > y : i < j;
    });
    Eigensystem found;
    for (const std::size_t i : order) {
        found.values.push_back(a[i * n + i]);
        const auto row = std::span{v}.subspan(i * n, n);
        const double largest =
            *std::max_element(row.begin(), row.end(), [](double x, double y) { return std::abs(x) < std::abs(y); });
        for (const double x : row) { found.vectors.push_back(largest < 0 ? -x : x); }
    }
    return found;
}

/// Principal components of the kernel × kernel patches, at every place, of the first `count` images of a set (all of
/// them where there are fewer), normalised as the set says, about their mean. Vectors are in a filter's order: channel,
/// row, column. Sums of bytes are whole numbers, so that threads change no bit. Throws ArgumentError where there is no
/// patch.
inline Eigensystem patch_whitening(const Dataset& data, int kernel, std::size_t count,
                                   int threads = default_threads()) {
    const std::size_t images = std::min(count, data.size());
    const Shape shape = data.shape;
    if (images == 0 || kernel < 1 || kernel > std::min(shape.height, shape.width)) {
        raise<ArgumentError>({"patch whitening: ", images, " images, kernel ", kernel,
                              ", expected images and a kernel of 1 to ", std::min(shape.height, shape.width),
                              " pixels"});
    }
    static_cast<void>(DatasetSource{data});  // which checks it, as a table does its normalisation
    static_cast<void>(ByteTable{data.normalization, shape.channels});
    const int area = kernel * kernel, n = shape.channels * area;
    const int rows = shape.height - kernel + 1, columns = shape.width - kernel + 1;
    const auto size = static_cast<std::size_t>(n);
    const auto tap = [&](const ImageView& image, int i, int y) {
        return image.row(i / area, y + i % area / kernel) + i % kernel;
    };
    std::vector<std::uint64_t> sums(size), products(size * size);
    parallel_for(n, threads, [&](int i, int) {
        for (std::size_t s = 0; s < images; ++s) {
            const ImageView image{data.image(s), shape};
            for (int y = 0; y < rows; ++y) {
                const std::uint8_t* const a = tap(image, i, y);
                sums[static_cast<std::size_t>(i)] += std::accumulate(a, a + columns, std::uint64_t{0});
                for (int j = 0; j <= i; ++j) {
                    const std::uint8_t* const b = tap(image, j, y);
                    std::uint32_t sum = 0;  // a row of 65536 pixels and less fits
                    for (int x = 0; x < columns; ++x) { sum += static_cast<std::uint32_t>(a[x]) * b[x]; }
                    products[static_cast<std::size_t>(i) * size + static_cast<std::size_t>(j)] += sum;
                }
            }
        }
    });
    const double patches = static_cast<double>(images) * rows * columns;
    std::vector<double> covariance(size * size);
    for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            const double unit = 255.0 * 255.0 *
                                static_cast<double>(data.normalization.std[i / static_cast<std::size_t>(area)]) *
                                static_cast<double>(data.normalization.std[j / static_cast<std::size_t>(area)]);
            const double mean_i = static_cast<double>(sums[i]) / patches,
                         mean_j = static_cast<double>(sums[j]) / patches;
            covariance[i * size + j] = covariance[j * size + i] =
                (static_cast<double>(products[i * size + j]) / patches - mean_i * mean_j) / unit;
        }
    }
    return symmetric_eigensystem(std::move(covariance));
}

/// Fills the filters of a first layer that whitens: the i-th component divided by √(λ_i + epsilon), and behind the
/// first half of the filters the same with the other sign (Jordan 2024, section 3.2; Page, "How to train your ResNet",
/// 2019). `filters` are in canonical order (O, I, kh, kw), O being even and at most twice the number of components.
/// Throws ArgumentError for other sizes.
inline void fill_whitening_filters(const Eigensystem& components, std::span<float> filters, double epsilon = 5e-4) {
    const std::size_t n = components.values.size(), half = filters.size() / 2;
    if (n == 0 || filters.size() != half / n * n * 2 || half == 0 || half > n * n) {
        raise<ArgumentError>({"whitening filters: ", filters.size(), " weights, expected those of 2 to ", 2 * n,
                              " filters, an even number, of ", n, " each"});
    }
    for (std::size_t i = 0; i < half; ++i) {
        const double scale = 1 / std::sqrt(std::max(components.values[i / n], 0.0) + epsilon);
        filters[i] = static_cast<float>(scale * components.vectors[i]);
        filters[half + i] = -filters[i];
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/distributed/communicator.hpp
// What data-parallel training asks of whatever moves bytes between processes, and the answer of a process that is
// alone.

#define CTNN_HAS_COMMUNICATOR  // so that the header for MPI can be included behind the single one

namespace ctnn::inline CTNN_ISA::distributed {

/// Processes, called ranks, that call the same functions in the same order. Sums are taken in place and have the same
/// bits on every rank. To be used from one thread. What a rank does that waits for others in vain is the transport's
/// affair: it must end the program rather than wait for ever.
template <class C>
concept Communicator = requires(C& c, const C& same, std::span<float> floats, std::span<double> doubles,
                                std::span<std::byte> bytes, int root) {
    { same.rank() } -> std::same_as<int>;  // in [0, size())
    { same.size() } -> std::same_as<int>;  // at least 1
    c.all_reduce(floats);                  // Σ over the ranks
    c.all_reduce(doubles);
    c.start_all_reduce(floats);  // the same beside what the caller does next, who leaves the span alone …
    c.start_all_reduce(doubles);
    c.finish();                // … until this has waited for all that was started
    c.broadcast(bytes, root);  // every rank's bytes become the root's
    c.barrier();               // returns when all ranks have called it
};

/// A process alone: a sum over one rank is the value itself, and nobody is waited for.
struct SingleProcess {
    static constexpr int rank() { return 0; }
    static constexpr int size() { return 1; }
    template <class T>
    void all_reduce(std::span<T> /*values*/) const {}
    template <class T>
    void start_all_reduce(std::span<T> /*values*/) const {}
    void finish() const {}
    void broadcast(std::span<std::byte> /*bytes*/, int /*root*/) const {}
    void barrier() const {}
};
static_assert(Communicator<SingleProcess>);

/// The one that a trainer takes where it is given none.
inline SingleProcess alone;

}  // namespace ctnn::inline CTNN_ISA::distributed

// ---- ctnn/core/half.hpp
// Numbers of half precision, for storage: IEEE 754's binary16, 11 significant bits, largest 65504, smallest 2⁻²⁴.

namespace ctnn::inline CTNN_ISA {

/// One number: sign, 5 bits of exponent, 10 of fraction. Nothing is computed with it.
struct Half {
    std::uint16_t bits = 0;
};

/// Rounds to the nearest, ties to even: |x| from 65520 on becomes infinite, below 2⁻¹⁴ the steps stay 2⁻²⁴. What is not
/// a number stays so.
constexpr Half to_half(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    const auto signed_half = [sign](std::uint32_t half) { return Half{static_cast<std::uint16_t>(sign | half)}; };
    if (magnitude > 0x7F800000u) { return signed_half(0x7E00u | (magnitude >> 13 & 0x1FFu)); }
    if (magnitude >= 0x47800000u) { return signed_half(0x7C00u); }
    if (magnitude < 0x38800000u) {  // the steps of numbers from 0.5 on are 2⁻²⁴, too: their sum rounds as it must
        return signed_half(std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000u);
    }
    return signed_half((magnitude - 0x38000000u + 0x0FFFu + (magnitude >> 13 & 1u)) >> 13);
}

/// Exact.
constexpr float to_float(Half half) {
    const std::uint32_t sign = (half.bits & 0x8000u) << 16, shifted = (half.bits & 0x7FFFu) << 13;
    // The exponents' biases differ by 112; the largest exponent, infinite or not a number, goes up as much again.
    const std::uint32_t normal = shifted + (shifted >= 0x0F800000u ? 0x70000000u : 0x38000000u);
    // A fraction that no leading 1 belongs to: behind one, without it.
    const float small = std::bit_cast<float>(shifted + 0x38800000u) - 0x1p-14f;
    return std::bit_cast<float>(sign | (shifted < 0x00800000u ? std::bit_cast<std::uint32_t>(small) : normal));
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/simd.hpp
// The only file that includes xsimd: one small vector type over every instruction set, and plain scalars.
//
// Kernels ask a vector for its width and the machine for its number of registers, never for a particular instruction
// set. What differs between releases of xsimd (8.1 to 14.3) is settled here.

#if !defined(CTNN_FORCE_SCALAR)
// GCC's own AVX-512 header warns of uninitialised operands that no instruction reads, wherever xsimd's exp is inlined.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

// Where xsimd knows no vector unit (x86 of 32 bits without SSE2, say), everything is as if scalars were asked for.
#if defined(CTNN_FORCE_SCALAR) || defined(XSIMD_NO_SUPPORTED_ARCHITECTURE)
#define CTNN_VECTORS 0
#else
#define CTNN_VECTORS 1
#endif

namespace ctnn::inline CTNN_ISA {

/// Stands for 'no vector unit': vectors of one element. Selected by -DCTNN_FORCE_SCALAR, or where there is none.
struct ScalarArch {};

#if CTNN_VECTORS
using DefaultArch = xsimd::default_arch;
#else
using DefaultArch = ScalarArch;
#endif

/// A vector of `width` elements of float or double. Loads and stores need no alignment.
template <class T, class Arch = DefaultArch>
struct Vec;

template <class T>
struct Vec<T, ScalarArch> {
    static constexpr int width = 1;
    static constexpr int registers = 16;
    static constexpr int broadcast_registers = 0;
    T v{};

    static Vec load(const T* p) { return {*p}; }
    static Vec load(const Half* p) { return {to_float(*p)}; }
    static Vec load(const T* p, int count) { return {count > 0 ? *p : T{}}; }
    static Vec load(const std::uint8_t* p) { return {static_cast<T>(*p)}; }
    static Vec load(const std::uint8_t* p, int count) { return {count > 0 ? static_cast<T>(*p) : T{}}; }
    static Vec broadcast(T x) { return {x}; }
    void store(T* p) const { *p = v; }
    void store(T* p, int count) const {
        if (count > 0) { *p = v; }
    }
    void store(std::uint8_t* p, int count = 1) const {
        if (count > 0) { *p = static_cast<std::uint8_t>(v); }
    }
    friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
    friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
    friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
    friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
    friend Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
    friend Vec max(Vec a, Vec b) { return {a.v > b.v ? a.v : b.v}; }
    friend Vec sqrt(Vec a) { return {std::sqrt(a.v)}; }
    friend Vec exp(Vec a) { return {std::exp(a.v)}; }
    friend Vec tanh(Vec a) { return {std::tanh(a.v)}; }
    friend Vec pow(Vec a, Vec b) { return {std::pow(a.v, b.v)}; }
    friend Vec where_bits(unsigned bits, Vec yes, Vec no) { return (bits & 1u) != 0 ? yes : no; }
    friend Vec where_equal(Vec a, Vec b, Vec yes, Vec no) { return a.v == b.v ? yes : no; }
    friend Vec where_greater(Vec a, Vec b, Vec yes, Vec no) { return a.v > b.v ? yes : no; }
    friend Vec where_greater_or_nan(Vec a, Vec b, Vec yes, Vec no) { return a.v > b.v || a.v != a.v ? yes : no; }
    friend T sum(Vec a) { return a.v; }
};

#if CTNN_VECTORS
template <class T, class Arch>
struct Vec {
    using Batch = xsimd::batch<T, Arch>;
    static constexpr int width = static_cast<int>(Batch::size);
    /// Architectural vector registers: 32 with AVX-512 and 64-bit NEON, else 16.
#if defined(__AVX512F__) || defined(__aarch64__)
    static constexpr int registers = 32;
#else
    static constexpr int registers = 16;
#endif
    /// Those that the broadcast operand of a multiply-add takes: AVX-512's instructions read it from memory.
    static constexpr int broadcast_registers = sizeof(Batch) == 64 ? 0 : 1;
    Batch v;

    static CTNN_ALWAYS_INLINE Vec load(const T* p) { return {Batch::load_unaligned(p)}; }
    /// The first `count` elements, zeros behind them; reads nothing past them.
    static CTNN_ALWAYS_INLINE Vec load(const T* p, int count) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), p))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1u), p))};
        }
#endif
        T part[width] = {};
        for (int i = 0; i < width; ++i) {  // a bound that the compiler can see
            if (i < count) { part[i] = p[i]; }
        }
        return load(part);
    }
    /// Widened, which is exact; of float vectors only.
    static CTNN_ALWAYS_INLINE Vec load(const Half* p)
        requires std::is_same_v<T, float>
    {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))))};
        }
#endif
#if defined(__F16C__)
        if constexpr (sizeof(Batch) == 32) {
            return {Batch(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
        }
#elif defined(__aarch64__)
        if constexpr (sizeof(Batch) == 16) { return {Batch(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits))))}; }
#endif
        T wide[width];
        for (int i = 0; i < width; ++i) { wide[i] = to_float(p[i]); }
        return load(wide);
    }
    /// Bytes as numbers: whole numbers from 0 to 255.
    static CTNN_ALWAYS_INLINE Vec load(const std::uint8_t* p) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
            const auto all = static_cast<__mmask16>(-1);
            return {Batch(_mm512_maskz_cvtepi32_ps(all, _mm512_maskz_cvtepu8_epi32(all, bytes)))};
        }
#endif
#if defined(__AVX2__)
        if constexpr (sizeof(Batch) == 32 && std::is_same_v<T, float>) {
            const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
            return {Batch(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)))};
        }
#endif
        T wide[width];
        for (int i = 0; i < width; ++i) { wide[i] = static_cast<T>(p[i]); }
        return load(wide);
    }
    static CTNN_ALWAYS_INLINE Vec load(const std::uint8_t* p, int count) {
        T part[width] = {};
        for (int i = 0; i < width; ++i) {
            if (i < count) { part[i] = static_cast<T>(p[i]); }
        }
        return load(part);
    }
    static CTNN_ALWAYS_INLINE Vec broadcast(T x) { return {Batch(x)}; }
    CTNN_ALWAYS_INLINE void store(T* p) const { v.store_unaligned(p); }
    /// The first `count` elements; nothing behind them is touched.
    CTNN_ALWAYS_INLINE void store(T* p, int count) const {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), v);
            return;
        } else if constexpr (sizeof(Batch) == 64) {
            _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1u), v);
            return;
        }
#endif
        T part[width];
        store(part);
        for (int i = 0; i < width; ++i) {
            if (i < count) { p[i] = part[i]; }
        }
    }
    /// The first `count` elements, whole numbers from 0 to 255, as bytes.
    CTNN_ALWAYS_INLINE void store(std::uint8_t* p, int count = width) const {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            const auto all = static_cast<__mmask16>(-1);
            if (count == width) {
                const __m512i numbers = _mm512_maskz_cvttps_epi32(all, v);
                _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(all, numbers));
                return;
            }
        }
#endif
        T part[width];
        store(part);
        for (int i = 0; i < width; ++i) {
            if (i < count) { p[i] = static_cast<std::uint8_t>(part[i]); }
        }
    }
    friend CTNN_ALWAYS_INLINE Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
    friend CTNN_ALWAYS_INLINE Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
    friend CTNN_ALWAYS_INLINE Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
    friend CTNN_ALWAYS_INLINE Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
    /// a·b + c, rounded once where the machine can. xsimd 8.1 has no native form for AVX-512: a product and a sum,
    /// which clang does not contract across calls.
    friend CTNN_ALWAYS_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_fmadd_ps(a.v, b.v, c.v))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_fmadd_pd(a.v, b.v, c.v))};
        }
#endif
        return {xsimd::fma(a.v, b.v, c.v)};
    }
    /// The larger; where one is no number, b on x86 and no number on ARM.
    friend CTNN_ALWAYS_INLINE Vec max(Vec a, Vec b) {
#if defined(__AVX512F__)
        // The masked forms name their pass-through operand, where GCC 12's plain ones warn of an uninitialised one.
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_mask_max_ps(a.v, static_cast<__mmask16>(-1), a.v, b.v))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_mask_max_pd(a.v, static_cast<__mmask8>(-1), a.v, b.v))};
        }
#endif
#if XSIMD_VERSION_MAJOR >= 14  // which returns its first argument then, as std::max does
        return {xsimd::max(b.v, a.v)};
#else
        return {xsimd::max(a.v, b.v)};
#endif
    }
    friend CTNN_ALWAYS_INLINE Vec sqrt(Vec a) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_mask_sqrt_ps(a.v, static_cast<__mmask16>(-1), a.v))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_mask_sqrt_pd(a.v, static_cast<__mmask8>(-1), a.v))};
        }
#endif
        return {xsimd::sqrt(a.v)};
    }
    friend CTNN_ALWAYS_INLINE Vec exp(Vec a) { return {xsimd::exp(a.v)}; }
    friend CTNN_ALWAYS_INLINE Vec tanh(Vec a) { return {xsimd::tanh(a.v)}; }
    friend CTNN_ALWAYS_INLINE Vec pow(Vec a, Vec b) {
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__) && !defined(__OPTIMIZE__)
        // Without optimisation GCC's intrinsics are macros, with which xsimd 8.1's logarithm does not compile.
        T powers[width], exponents[width];
        a.store(powers);
        b.store(exponents);
        for (int i = 0; i < width; ++i) { powers[i] = std::pow(powers[i], exponents[i]); }
        return load(powers);
#else
        return {xsimd::pow(a.v, b.v)};
#endif
    }
    /// `yes` where the element's bit, from the lowest on, is 1, else `no`.
    friend CTNN_ALWAYS_INLINE Vec where_bits(unsigned bits, Vec yes, Vec no) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_mask_blend_ps(static_cast<__mmask16>(bits), no.v, yes.v))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_mask_blend_pd(static_cast<__mmask8>(bits), no.v, yes.v))};
        }
#endif
        T chosen[width];
        for (int i = 0; i < width; ++i) { chosen[i] = static_cast<T>((bits >> i) & 1u); }
        return where_greater(load(chosen), broadcast(T{}), yes, no);
    }
    /// `yes` where a = b, else `no`.
    friend CTNN_ALWAYS_INLINE Vec where_equal(Vec a, Vec b, Vec yes, Vec no) {
        return {xsimd::select(a.v == b.v, yes.v, no.v)};
    }
    /// `yes` where a > b, else `no`.
    friend CTNN_ALWAYS_INLINE Vec where_greater(Vec a, Vec b, Vec yes, Vec no) {
        return {xsimd::select(a.v > b.v, yes.v, no.v)};
    }
    /// `yes` where a > b or a is no number, else `no`.
    friend CTNN_ALWAYS_INLINE Vec where_greater_or_nan(Vec a, Vec b, Vec yes, Vec no) {
        // Not a != a: xsimd 8.1 finds NaN neither equal nor unequal to NaN.
        return {xsimd::select((a.v > b.v) || xsimd::isnan(a.v), yes.v, no.v)};
    }
    friend CTNN_ALWAYS_INLINE T sum(Vec a) {
#if XSIMD_VERSION_MAJOR >= 9
        return xsimd::reduce_add(a.v);
#else
        return xsimd::hadd(a.v);
#endif
    }
};
#endif

/// Vectors in one channel block.
template <class T, class Arch = DefaultArch>
inline constexpr int vectors_per_block = block_size / Vec<T, Arch>::width;

/// Calls f(offset, load, store) for every vector of `count` elements; the last may be a partial one. `load(p)` and
/// `store(p, v)` touch only what exists; elements may be bytes.
template <class T, class Arch = DefaultArch, class F>
CTNN_ALWAYS_INLINE void for_vectors(std::ptrdiff_t count, F&& f) {
    using V = Vec<T, Arch>;
    std::ptrdiff_t i = 0;
    for (; i + V::width <= count; i += V::width) {
        f(i, [](const auto* p) { return V::load(p); }, [](auto* p, V v) { v.store(p); });
    }
    if (i < count) {
        const int left = static_cast<int>(count - i);
        f(i, [left](const auto* p) { return V::load(p, left); }, [left](auto* p, V v) { v.store(p, left); });
    }
}

/// Stores a whole vector at an address that is a multiple of its size, past the caches where the machine can: for
/// what is larger than they are. finish_streams() must follow before another thread reads.
template <class T, class Arch>
CTNN_ALWAYS_INLINE void stream(T* p, Vec<T, Arch> x) {
#if CTNN_VECTORS && defined(__AVX512F__)
    if constexpr (sizeof(x.v) == 64 && std::is_same_v<T, float>) { return _mm512_stream_ps(p, x.v); }
#endif
#if CTNN_VECTORS && defined(__AVX__)
    if constexpr (sizeof(x.v) == 32 && std::is_same_v<T, float>) { return _mm256_stream_ps(p, x.v); }
#endif
    x.store(p);
}
CTNN_ALWAYS_INLINE void finish_streams() {
#if CTNN_VECTORS && defined(__AVX__)
    _mm_sfence();
#endif
}

/// Asks for the cache line at `p`, which may be any address.
CTNN_ALWAYS_INLINE void prefetch(const void* p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#else
    static_cast<void>(p);
#endif
}

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/elementwise.hpp
// Activations and their derivatives, and the sums over pixels that biases and batch norm need.

namespace ctnn::inline CTNN_ISA {

enum class Activation : char { identity, relu, sigmoid, tanh };

template <Activation A, class V>
CTNN_ALWAYS_INLINE V activate(V x) {
    using T = std::remove_cvref_t<decltype(sum(x))>;
    if constexpr (A == Activation::relu) {
        return max(V::broadcast(T{}), x);  // in this order a NaN stays one, as in PyTorch
    } else if constexpr (A == Activation::sigmoid) {
        const V one = V::broadcast(T{1});
        return one / (one + exp(V::broadcast(T{}) - x));
    } else if constexpr (A == Activation::tanh) {
        return tanh(x);
    } else {
        return x;
    }
}

/// gradient · derivative of the activation, from the activation's output y.
template <Activation A, class V>
CTNN_ALWAYS_INLINE V activation_gradient(V y, V gradient) {
    using T = std::remove_cvref_t<decltype(sum(y))>;
    if constexpr (A == Activation::relu) {
        return where_greater(y, V::broadcast(T{}), gradient, V::broadcast(T{}));
    } else if constexpr (A == Activation::sigmoid) {
        return gradient * y * (V::broadcast(T{1}) - y);
    } else if constexpr (A == Activation::tanh) {
        return gradient * (V::broadcast(T{1}) - y * y);
    } else {
        return gradient;
    }
}

/// y[i] = activation(x[i]); y may be x.
template <Activation A, class T, class Arch = DefaultArch>
void activate(const T* x, T* y, std::ptrdiff_t count) {
    for_vectors<T, Arch>(count,
                         [&](std::ptrdiff_t i, auto load, auto store) { store(y + i, activate<A>(load(x + i))); });
}

/// dx[i] = dy[i] · activation'(at output y[i]); dx may be dy or y.
template <Activation A, class T, class Arch = DefaultArch>
void activation_gradient(const T* y, const T* dy, T* dx, std::ptrdiff_t count) {
    for_vectors<T, Arch>(count, [&](std::ptrdiff_t i, auto load, auto store) {
        store(dx + i, activation_gradient<A>(load(y + i), load(dy + i)));
    });
}

/// y[p, c] = activation(x[p, c] · scale[c] + shift[c]); y may be x.
template <Activation A, class T, class Arch = DefaultArch>
void scale_shift_activate(const T* x, const T* scale, const T* shift, T* y, int pixels, int channels) {
    for (int p = 0; p < pixels; ++p) {
        const std::ptrdiff_t at = std::ptrdiff_t{p} * channels;
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            store(y + at + c, activate<A>(fma(load(x + at + c), load(scale + c), load(shift + c))));
        });
    }
}

/// sums[c] = Σ_p x[p, c].
template <class T, class Arch = DefaultArch>
void sum_pixels(const T* x, T* sums, int pixels, int channels) {
    for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
        auto total = Vec<T, Arch>::broadcast(T{});
        for (int p = 0; p < pixels; ++p) { total = total + load(x + std::ptrdiff_t{p} * channels + c); }
        store(sums + c, total);
    });
}

/// out[c] = Σ_row rows[row, c] in row order, accumulated in double; rows lie `stride` elements apart. Not worth a copy
/// for every number of channels.
template <class T>
CTNN_ONE_COPY void add_rows(const T* rows, std::ptrdiff_t stride, int count, int channels, T* out) {
    constexpr int chunk = 64;
    for (int first = 0; first < channels; first += chunk) {
        double total[chunk] = {};
        const int n = channels - first < chunk ? channels - first : chunk;
        for (int row = 0; row < count; ++row) {
            const T* from = rows + row * stride + first;
            for (int c = 0; c < n; ++c) { total[c] += static_cast<double>(from[c]); }
        }
        for (int c = 0; c < n; ++c) { out[first + c] = static_cast<T>(total[c]); }
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/normalization.hpp
// Batch norm's statistics and gradients, and local response norm.

namespace ctnn::inline CTNN_ISA {

/// Mean and sum of squared deviations of every channel over `pixels` pixels, in two passes over what is still in
/// cache: moments[c] and moments[channels + c].
template <class T, class Arch = DefaultArch>
void pixel_moments(const T* x, T* moments, int pixels, int channels) {
    using V = Vec<T, Arch>;
    const V share = V::broadcast(T{1} / static_cast<T>(pixels));
    for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
        V total = V::broadcast(T{});
        for (int p = 0; p < pixels; ++p) { total = total + load(x + std::ptrdiff_t{p} * channels + c); }
        const V mean = total * share;
        V squares = V::broadcast(T{});
        for (int p = 0; p < pixels; ++p) {
            const V d = load(x + std::ptrdiff_t{p} * channels + c) - mean;
            squares = fma(d, d, squares);
        }
        store(moments + c, mean);
        store(moments + channels + c, squares);
    });
}

/// What batch norm of C channels keeps between its passes, each array padded to whole blocks:
/// x̂ = (x − mean)·istd and y = x·scale + shift; in backward a = Σdy / N and b = Σ(dy·x̂) / N.
template <class T>
struct BatchNormVectors {
    T *mean, *istd, *scale, *shift, *a, *b;

    BatchNormVectors(T* base, int channels)
        : mean{base},
          istd{mean + padded(channels)},
          scale{istd + padded(channels)},
          shift{scale + padded(channels)},
          a{shift + padded(channels)},
          b{a + padded(channels)} {}
    static constexpr int padded(int channels) { return ceil_div(channels, block_size) * block_size; }
    static constexpr int size(int channels) { return 6 * padded(channels); }
};

/// Sums over the processes that share a batch, so that batch norm takes the statistics of all of it; {} where each
/// takes its own. Every process calls it as often as the others, with as many numbers.
struct NormSum {
    void (*sum)(void* context, std::span<double> values) = nullptr;  ///< in place
    void* context = nullptr;
    double* memory = nullptr;  ///< of size(channels) numbers

    static constexpr std::size_t size(int channels) { return 2 * static_cast<std::size_t>(channels) + 1; }
    explicit operator bool() const { return sum != nullptr; }
    void operator()(int channels) const { sum(context, {memory, size(channels)}); }
};

/// Merges the moments of `rows` runs of pixels in fixed order (Chan, Golub and LeVeque 1979), in double, writes the
/// vectors, and moves the running statistics as PyTorch does: unbiased variance, weight `momentum` on the new batch.
/// `pixels(row)` is the number of pixels of a run.
template <class T, class Pixels>
void batch_norm_statistics(const T* moments, int rows, Pixels&& pixels, int channels, const T* weight, const T* bias,
                           double eps, double momentum, BatchNormVectors<T> out, T* running_mean, T* running_variance,
                           const NormSum& across = {}) {
    double count = 0;
    for (int r = 0; r < rows; ++r) { count += pixels(r); }
    const auto write = [&](int c, double mean, double squares) {
        const double istd = 1.0 / std::sqrt(squares / count + eps);
        out.mean[c] = static_cast<T>(mean);
        out.istd[c] = static_cast<T>(istd);
        out.scale[c] = static_cast<T>(istd * static_cast<double>(weight[c]));
        out.shift[c] = static_cast<T>(static_cast<double>(bias[c]) - mean * istd * static_cast<double>(weight[c]));
        if (running_mean != nullptr) {
            const double unbiased = squares / std::max(count - 1, 1.0);
            running_mean[c] = static_cast<T>((1 - momentum) * static_cast<double>(running_mean[c]) + momentum * mean);
            running_variance[c] =
                static_cast<T>((1 - momentum) * static_cast<double>(running_variance[c]) + momentum * unbiased);
        }
    };
    for (int c = 0; c < channels; ++c) {
        double mean = 0;
        for (int r = 0; r < rows; ++r) {
            mean += pixels(r) * static_cast<double>(moments[std::ptrdiff_t{r} * 2 * channels + c]);
        }
        mean /= count;
        double squares = 0;
        for (int r = 0; r < rows; ++r) {
            const T* row = moments + std::ptrdiff_t{r} * 2 * channels;
            const double d = static_cast<double>(row[c]) - mean;
            squares += static_cast<double>(row[channels + c]) + pixels(r) * d * d;
        }
        if (across) {  // Σx and Σx²: in double, they lose nothing that a float would show
            across.memory[c] = count * mean;
            across.memory[channels + c] = squares + count * mean * mean;
        } else {
            write(c, mean, squares);
        }
    }
    if (!across) { return; }
    double& counts = across.memory[NormSum::size(channels) - 1];
    counts = count;
    across(channels);
    count = counts;
    for (int c = 0; c < channels; ++c) {
        const double mean = across.memory[c] / count;
        write(c, mean, std::max(across.memory[channels + c] - count * mean * mean, 0.0));
    }
}

/// The vectors of inference, from running statistics.
template <class T>
void batch_norm_from_running(const T* running_mean, const T* running_variance, int channels, const T* weight,
                             const T* bias, double eps, BatchNormVectors<T> out) {
    for (int c = 0; c < channels; ++c) {
        const double scale = static_cast<double>(weight[c]) / std::sqrt(static_cast<double>(running_variance[c]) + eps);
        out.scale[c] = static_cast<T>(scale);
        out.shift[c] = static_cast<T>(static_cast<double>(bias[c]) - static_cast<double>(running_mean[c]) * scale);
    }
}

/// sums[c] = Σ dy and sums[channels + c] = Σ dy · x̂ over `pixels` pixels.
template <class T, class Arch = DefaultArch>
void batch_norm_sums(const T* x, const T* dy, BatchNormVectors<T> v, T* sums, int pixels, int channels) {
    for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
        auto plain = Vec<T, Arch>::broadcast(T{});
        auto scaled = Vec<T, Arch>::broadcast(T{});
        const auto mean = load(v.mean + c);
        const auto istd = load(v.istd + c);
        for (int p = 0; p < pixels; ++p) {
            const std::ptrdiff_t at = std::ptrdiff_t{p} * channels + c;
            const auto g = load(dy + at);
            plain = plain + g;
            scaled = fma(g, (load(x + at) - mean) * istd, scaled);
        }
        store(sums + c, plain);
        store(sums + channels + c, scaled);
    });
}

/// dx = scale · (dy − a − x̂ · b), with x̂ = (x − mean) · istd.
template <class V>
CTNN_ALWAYS_INLINE V batch_norm_gradient(V x, V dy, V mean, V istd, V scale, V a, V b) {
    return scale * (dy - a - (x - mean) * istd * b);
}
/// The same for `pixels` pixels; dy may be null for zeros. dx may be x or dy.
template <class T, class Arch = DefaultArch>
void batch_norm_gradient(const T* x, const T* dy, BatchNormVectors<T> v, T* dx, int pixels, int channels) {
    for (int p = 0; p < pixels; ++p) {
        const std::ptrdiff_t row = std::ptrdiff_t{p} * channels;
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            const auto gradient = dy != nullptr ? load(dy + row + c) : Vec<T, Arch>::broadcast(T{});
            store(dx + row + c, batch_norm_gradient(load(x + row + c), gradient, load(v.mean + c), load(v.istd + c),
                                                    load(v.scale + c), load(v.a + c), load(v.b + c)));
        });
    }
}

struct ResponseNormDims {
    int channels, size;
    double alpha, beta, k;
    constexpr bool operator==(const ResponseNormDims&) const = default;

    /// Channels before and behind that a sum reaches, and the length of a padded row of channels.
    [[nodiscard]] constexpr int before() const { return size / 2; }
    [[nodiscard]] constexpr int row() const { return channels + size - 1 + block_size; }
    /// Elements of scratch that one pixel needs.
    [[nodiscard]] constexpr int scratch() const { return 2 * (row() + block_size); }
};

/// base^−beta, by square roots for the paper's 3/4 and for 1/2 and 1.
template <ResponseNormDims D, class V>
CTNN_ALWAYS_INLINE V response_power(V base) {
    using T = std::remove_cvref_t<decltype(sum(base))>;
    const V one = V::broadcast(T{1});
    if constexpr (D.beta == 0.75) {
        const V root = sqrt(base);
        return one / (root * sqrt(root));
    } else if constexpr (D.beta == 0.5) {
        return one / sqrt(base);
    } else if constexpr (D.beta == 1.0) {
        return one / base;
    } else {
        return pow(base, V::broadcast(static_cast<T>(-D.beta)));
    }
}

namespace detail {

/// k + alpha / size · Σ of squares around channel c, from a row of squares padded in front by before() zeros.
template <ResponseNormDims D, class V, class T>
CTNN_ALWAYS_INLINE V response_base(const T* squares, std::ptrdiff_t c) {
    V total = V::load(squares + c);
    for (int j = 1; j < D.size; ++j) { total = total + V::load(squares + c + j); }
    return fma(total, V::broadcast(static_cast<T>(D.alpha / D.size)), V::broadcast(static_cast<T>(D.k)));
}

}  // namespace detail

/// Local response norm of `pixels` pixels; y may be x. `scratch` has D.scratch() elements.
template <ResponseNormDims D, class T, class Arch = DefaultArch>
void response_norm(const T* x, T* y, int pixels, T* scratch) {
    using V = Vec<T, Arch>;
    std::fill_n(scratch, D.row(), T{});
    for (int p = 0; p < pixels; ++p) {
        const T* in = x + std::ptrdiff_t{p} * D.channels;
        T* out = y + std::ptrdiff_t{p} * D.channels;
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            store(scratch + D.before() + c, load(in + c) * load(in + c));
        });
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            store(out + c, load(in + c) * response_power<D>(detail::response_base<D, V>(scratch, c)));
        });
    }
}

/// Gradient of the local response norm: dx[c] = dy[c]·s[c]^−β − 2αβ/size · x[c] · Σ_j dy[j]·x[j]·s[j]^−β−1, the sum
/// over the outputs j whose windows reach c; then through the activation whose output x is. dx may be dy or x.
/// `scratch` has D.scratch() elements.
template <ResponseNormDims D, Activation A, class T, class Arch = DefaultArch>
void response_norm_gradient(const T* x, const T* dy, T* dx, int pixels, T* scratch) {
    using V = Vec<T, Arch>;
    T* squares = scratch;
    T* ratios = scratch + D.row() + block_size;
    std::fill_n(scratch, D.scratch(), T{});
    // Output j sums inputs j − before … j + size − 1 − before, so input c reaches outputs c − (size − 1 − before) … c +
    // before.
    constexpr int front = D.size - 1 - D.before();
    const V factor = V::broadcast(static_cast<T>(-2 * D.alpha * D.beta / D.size));
    for (int p = 0; p < pixels; ++p) {
        const T* in = x + std::ptrdiff_t{p} * D.channels;
        const T* gradient = dy + std::ptrdiff_t{p} * D.channels;
        T* out = dx + std::ptrdiff_t{p} * D.channels;
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            store(squares + D.before() + c, load(in + c) * load(in + c));
        });
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            const V base = detail::response_base<D, V>(squares, c);
            store(ratios + front + c, load(gradient + c) * load(in + c) * response_power<D>(base) / base);
        });
        for_vectors<T, Arch>(D.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            V total = V::load(ratios + c);
            for (int j = 1; j < D.size; ++j) { total = total + V::load(ratios + c + j); }
            const V power = response_power<D>(detail::response_base<D, V>(squares, c));
            const V value = load(in + c);
            store(out + c, activation_gradient<A>(value, fma(value * factor, total, load(gradient + c) * power)));
        });
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/core/initialize.hpp
// Initial values of parameters, one number at a time, so that the caller chooses stream, order and threads.

namespace ctnn::inline CTNN_ISA {

/// The next value of a tensor with this initialiser; formulas at InitKind. Uniform ones lie in [−bound, bound).
/// Constant kinds draw nothing from the stream. Throws ArgumentError where the formula needs a fan that is not
/// positive. In one copy, or compilers inline the generator of random numbers into every loop over a tensor.
CTNN_ONE_COPY inline double init_value(const Init& init, std::int64_t fan_in, std::int64_t fan_out, Random& stream) {
    const auto inverse = [](std::int64_t fan) {
        if (fan < 1) { raise<ArgumentError>({"initialiser: the fan is ", fan, ", expected at least 1"}); }
        return 1.0 / static_cast<double>(fan);
    };
    const auto uniform = [&](double bound) { return bound * (2.0 * static_cast<double>(stream.uniform()) - 1.0); };
    switch (init.kind) {
        case InitKind::zeros: return 0.0;
        case InitKind::ones: return 1.0;
        case InitKind::constant: return init.value;
        case InitKind::normal: return init.value * stream.normal();
        case InitKind::he_uniform: return uniform(std::sqrt(6.0 * inverse(fan_in)));
        case InitKind::he_normal: return std::sqrt(2.0 * inverse(fan_in)) * stream.normal();
        case InitKind::xavier_uniform: return uniform(std::sqrt(6.0 * inverse(fan_in + fan_out)));
        case InitKind::xavier_normal: return std::sqrt(2.0 * inverse(fan_in + fan_out)) * stream.normal();
        case InitKind::dirac:
        case InitKind::pytorch_default: return uniform(std::sqrt(inverse(fan_in)));
    }
    raise<ArgumentError>({"initialiser: unknown kind ", static_cast<int>(init.kind)});
}

/// InitKind::dirac, once all values are drawn: torch.nn.init.dirac_ on the first `in` filters of each group, so that a
/// deep network begins as one that passes its input on (Jordan 2024, arXiv:2404.00498, section 3.1).
template <class T>
void place_identity(const WeightDims& d, T* weights) {
    for (int g = 0; g < d.groups; ++g) {
        for (int o = 0; o < std::min(d.in, d.out); ++o) {
            for (int i = 0; i < d.in; ++i) {
                for (int y = 0; y < d.kernel_y; ++y) {
                    for (int x = 0; x < d.kernel_x; ++x) {
                        const bool one = i == o && y == d.kernel_y / 2 && x == d.kernel_x / 2;
                        weights[d.stored_offset(g, o, i, y, x)] = one ? T{1} : T{};
                    }
                }
            }
        }
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/sequential.hpp
// Sequential and Block: a network as a type, and the one constexpr pass that describes and checks it.

namespace ctnn::inline CTNN_ISA {

/// The shape of one input sample: Input<channels, height, width>.
template <int Channels, int Height = 1, int Width = 1>
struct Input {};

/// A named run of layers inside a network. Its name prefixes parameter names: Block<"features", …> gives
/// "features.0.weight", as a named nn.Sequential does. Blocks nest; they change nothing else.
template <Literal BlockName, class... Layers>
struct Block {};

namespace detail {

/// A list of types, which unlike std::tuple costs a compiler nothing.
template <class... T>
struct Types {};

template <class... A, class... B>
Types<A..., B...> operator+(Types<A...>, Types<B...>);

template <class L>
struct LayersOf {
    using type = Types<L>;
};
template <Literal BlockName, class... Layers>
struct LayersOf<Block<BlockName, Layers...>> {
    using type = decltype((Types<>{} + ... + typename LayersOf<Layers>::type{}));
};

template <std::size_t I, class List>
struct TypeAt;
template <std::size_t I, class... T>
struct TypeAt<I, Types<T...>> : std::tuple_element<I, std::tuple<T...>> {};

template <class... T>
constexpr std::size_t type_count(Types<T...>) {
    return sizeof...(T);
}

/// The result of the describe pass: a row per layer, keyed as PyTorch's state_dict is, or the first error.
template <std::size_t Count>
struct Description {
    std::array<LayerInfo, Count> layers{};
    std::array<Name, Count> keys{};
    std::size_t size = 0;
    Signal signal{};
    Sentence error{};

    constexpr void fail(const Name& key, std::string_view type, std::string_view sentence) {
        error << "layer " << key.view();
        if (!type.empty()) { error << ", " << type; }
        error << ": " << sentence;
    }

    template <class L>
    constexpr void child(const Name& prefix, int index) {
        if (!error.empty()) { return; }
        Name key = prefix;
        key << index;
        if constexpr (Layer<L>) {
            LayerInfo info = L::describe(signal);
            if (info.error.empty() && info.out.shape.size() < 1) {
                info.error << "its output is empty; give describe(Signal) a shape of at least 1x1x1";
                info.out = signal;
            }
            if (info.error.empty()) { check_names(key, info); }
            if (!info.error.empty()) {
                fail(key, info.type, info.error);
                // Whoever plans the network all the same meets a layer that fits, so that no other error follows.
                info = start_layer(LayerKind::relu, "", signal);
            }
            signal = info.out;
            keys[size] = key;
            layers[size++] = info;
        } else {
            fail(key, "", "this type is not a layer; give it a constexpr describe(Signal) or remove it");
        }
    }

    /// Tensors are found by their names, which must be whole and different.
    constexpr void check_names(const Name& key, LayerInfo& info) const {
        std::size_t longest = info.kind == LayerKind::batch_norm2d ? std::string_view{"num_batches_tracked"}.size() : 0;
        for (int i = 0; i < info.parameter_tensors; ++i) {
            longest = std::max(longest, info.parameters[static_cast<std::size_t>(i)].name.size());
        }
        if (key.length + 1 + longest > Name::capacity) {
            info.error << "names of its tensors have more than " << static_cast<int>(Name::capacity)
                       << " characters; shorten the names of blocks";
        }
        for (std::size_t i = 0; i < size; ++i) {
            if (keys[i] == key.view()) {
                info.error << "another layer has its place in names; give every block a name of its own";
                return;
            }
        }
    }

    template <class... Layers>
    constexpr void children(const Name& prefix) {
        int index = 0;
        (one(std::type_identity<Layers>{}, prefix, index++), ...);
    }

    template <class L>
    constexpr void one(std::type_identity<L>, const Name& prefix, int index) {
        child<L>(prefix, index);
    }
    template <Literal BlockName, class... Layers>
    constexpr void one(std::type_identity<Block<BlockName, Layers...>>, const Name& prefix, int) {
        Name inner = prefix;
        inner << BlockName.view() << ".";
        children<Layers...>(inner);
    }
};

template <class First, class... Layers>
struct Described {
    using types = Types<>;
    static constexpr Description<1> value = [] {
        Description<1> d;
        d.error << "a network begins with its input; write Sequential<Input<channels, height, width>, ...>";
        return d;
    }();
};

template <int C, int H, int W, class... Layers>
struct Described<Input<C, H, W>, Layers...> {
    using types = typename LayersOf<Block<"", Layers...>>::type;
    static constexpr std::size_t count = type_count(types{});
    static constexpr auto value = [] {
        Description<(count > 0 ? count : 1)> d;
        if (C < 1 || H < 1 || W < 1) {
            write_size(d.error << "input " << C << "x", H, W) << " is empty; write sizes of at least 1";
            return d;
        }
        d.signal = {{C, H, W}, false, {}};
        bool computes = false;
        d.template children<Layers...>(Name{});
        for (std::size_t i = 0; i < d.size; ++i) { computes = computes || d.layers[i].kind != LayerKind::flatten; }
        if (d.error.empty() && !computes) {
            d.error
                << "a network without layers computes nothing; add one behind Input, for example Flatten, Linear<10>";
        }
        return d;
    }();
};

/// What `verdict` asks for the sentence.
template <class First, class... Layers>
struct NetworkError {
    static constexpr std::string_view error() { return Described<First, Layers...>::value.error.view(); }
};

}  // namespace detail

/// A network: its input and its layers. Name it by deriving a struct, so that errors and symbols stay short:
///
///     struct Net : Sequential<Input<3, 32, 32>, Conv2d<32, Kernel<5>>, ReLU, Flatten, Linear<10>> {};
///
/// A network that does not close is exactly one compile error that names the layer, the sizes it met and the cure.
/// The constants below hold without an instance; a network has no data: see Model.
template <class First, class... Layers>
struct Sequential {
    // Both compilers print the name of the incomplete type, which is the sentence. Nothing else may mention a wrong
    // network's description, so that this stays the only error.
    static_assert(sizeof(decltype(verdict<detail::NetworkError<First, Layers...>>(
                      pieces_of<detail::NetworkError<First, Layers...>>{}))) > 0);

    using sequential_type = Sequential;
    using layer_types = typename detail::Described<First, Layers...>::types;

    /// The layers as they come, blocks flattened.
    static constexpr const auto& description = detail::Described<First, Layers...>::value;
    static constexpr std::size_t layer_count = description.size;

    static constexpr Shape input_shape = description.layers[0].in.shape;
    static constexpr Shape output_shape = description.signal.shape;
    static constexpr int classes = output_shape.channels;

    /// Number of trainable parameters, padding not counted.
    static constexpr std::int64_t parameter_count = [] {
        std::int64_t n = 0;
        for (std::size_t i = 0; i < layer_count; ++i) { n += description.layers[i].parameter_count(); }
        return n;
    }();

    /// Multiply-adds of one forward pass of one sample that meet real input, not padding.
    static constexpr std::int64_t multiply_adds = [] {
        std::int64_t n = 0;
        for (std::size_t i = 0; i < layer_count; ++i) { n += description.layers[i].multiply_adds; }
        return n;
    }();

    /// Output shape of layer `i`.
    static constexpr Shape shape_after(std::size_t i) { return description.layers[i].out.shape; }
};

/// A type that derives from a Sequential.
template <class Net>
concept Network = requires { typename Net::sequential_type; } && std::derived_from<Net, typename Net::sequential_type>;

namespace detail {

/// A layer of a network: its type and its description.
template <class Net, std::size_t I>
struct LayerAt {
    using type = typename TypeAt<I, typename Net::layer_types>::type;
    static constexpr const LayerInfo& info = Net::description.layers[I];
    static constexpr std::string_view key = Net::description.keys[I];
};

}  // namespace detail

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/model.hpp
// Parameters, buffers, the model that owns both, and the view of them that inference takes.

namespace ctnn::inline CTNN_ISA {

/// A seed, so that Model<Net>{Seed{42}} says what the number is.
struct Seed {
    std::uint64_t value = 0;
};

/// An arena with the layout of a network's parameters: the parameters themselves, their gradients, an optimizer's
/// state. Padding between and inside tensors is zero and stays zero.
template <Network Net, class T = float>
class Parameters {
  public:
    using Layout = ParameterLayout<Net>;
    static constexpr std::size_t size = static_cast<std::size_t>(Layout::size);
    static constexpr std::size_t decayed = static_cast<std::size_t>(Layout::decayed);

    Parameters() : values_(size) {}

    [[nodiscard]] T* data() { return values_.data(); }
    [[nodiscard]] const T* data() const { return values_.data(); }
    [[nodiscard]] std::span<T> span() { return values_.span(); }
    [[nodiscard]] std::span<const T> span() const { return values_.span(); }

  private:
    AlignedArray<T> values_;
};

/// Batch norm's running statistics: mean 0 and variance 1 at first.
template <Network Net, class T = float>
class Buffers {
  public:
    using Layout = ParameterLayout<Net>;

    Buffers() : values_(static_cast<std::size_t>(Layout::buffer_size)) {
        for (const BufferSlot& slot : Layout::buffers) {
            for (int c = 0; c < slot.channels; ++c) {
                values_[static_cast<std::size_t>(slot.variance_offset + c)] = T{1};
            }
        }
    }

    [[nodiscard]] T* data() { return values_.data(); }
    [[nodiscard]] const T* data() const { return values_.data(); }
    [[nodiscard]] std::span<T> span() { return values_.span(); }
    [[nodiscard]] std::span<const T> span() const { return values_.span(); }

    /// Training passes that moved the statistics: PyTorch's num_batches_tracked, the same for every layer.
    std::int64_t batches_tracked = 0;

  private:
    AlignedArray<T> values_;
};

/// Parameters and buffers that somebody else owns: all that inference needs. Cheap to copy; any number of threads may
/// use one at the same time.
template <Network Net, class T = float>
struct ModelView {
    const T* parameters = nullptr;  ///< ParameterLayout<Net>::size elements
    const T* buffers = nullptr;     ///< ParameterLayout<Net>::buffer_size elements
};

/// A network's numbers. Const in inference. Views of it see what is written into it, by initialize() and by copies,
/// too; a model that is moved into it ends them.
template <Network Net, class T = float>
class Model {
  public:
    using network_type = Net;
    using value_type = T;
    using Layout = ParameterLayout<Net>;

    /// All parameters zero.
    Model() = default;
    /// Parameters as the layers say: PyTorch's defaults unless an option changes them. Each tensor draws from a stream
    /// of its own.
    explicit Model(Seed seed) { initialize(seed); }

    void initialize(Seed seed) {
        std::fill_n(parameters_.data(), parameters_.span().size(), T{});
        const Buffers<Net, T> fresh;
        buffers_ = fresh;
        for (std::size_t i = 0; i < Layout::tensors; ++i) {
            const ParameterSlot& slot = Layout::slots[i];
            const WeightDims& d = slot.spec.dims;
            Random random{seed.value, Stream::init, i};
            d.for_canonical([&](std::int64_t stored) {
                parameters_.data()[slot.offset + stored] =
                    static_cast<T>(init_value(slot.spec.init, slot.spec.fan_in, slot.spec.fan_out, random));
            });
            if (slot.spec.init.kind == InitKind::dirac) { place_identity(d, parameters_.data() + slot.offset); }
        }
    }

    [[nodiscard]] Parameters<Net, T>& parameters() { return parameters_; }
    [[nodiscard]] const Parameters<Net, T>& parameters() const { return parameters_; }
    [[nodiscard]] Buffers<Net, T>& buffers() { return buffers_; }
    [[nodiscard]] const Buffers<Net, T>& buffers() const { return buffers_; }
    [[nodiscard]] ModelView<Net, T> view() const { return {parameters_.data(), buffers_.data()}; }

  private:
    Parameters<Net, T> parameters_;
    Buffers<Net, T> buffers_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/targets.hpp
// What a loss compares a network's output with, and what it returns.

namespace ctnn::inline CTNN_ISA {

/// Classes of a batch: one a sample or, where two images are mixed, two, of which the first has the share `mix`
/// (mixup; Zhang et al. 2018). Views of what somebody else owns.
struct Labels {
    std::span<const std::int32_t> first;
    std::span<const std::int32_t> second{};  ///< of the size of `first`, or empty
    double mix = 1.0;                        ///< in [0, 1]; used where there are second labels

    Labels() = default;
    template <class Classes>
        requires std::convertible_to<const Classes&, std::span<const std::int32_t>>
    Labels(const Classes& classes, std::span<const std::int32_t> others = {}, double share = 1.0)  // NOLINT: implicit
        : first{classes}, second{others}, mix{share} {}

    [[nodiscard]] std::size_t size() const { return first.size(); }
    [[nodiscard]] bool mixed() const { return !second.empty(); }
    /// Samples [begin, begin + count).
    [[nodiscard]] Labels part(std::size_t begin, std::size_t count) const {
        return {first.subspan(begin, count), mixed() ? second.subspan(begin, count) : second, mix};
    }
    /// The label with the larger share: the one to be recognised.
    [[nodiscard]] std::int32_t main(std::size_t sample) const {
        return mixed() && mix < 0.5 ? second[sample] : first[sample];
    }
};

namespace detail {

/// What is not a number is so without a sign, which processors set as they like.
inline double ratio(double part, double whole) {
    const double r = part / whole;
    return std::isnan(r) ? std::numeric_limits<double>::quiet_NaN() : r;
}

}  // namespace detail

/// Sums over samples: the losses, how many were classified correctly (ties: the lower class), how many there were.
struct LossSum {
    double loss_sum = 0.0;
    std::int64_t correct = 0;
    std::int64_t count = 0;
    double weight = 0.0;  ///< what loss_sum is divided by: count, or with class weights the sum of the labels' weights

    /// Per sample; NaN over none.
    [[nodiscard]] double mean() const { return detail::ratio(loss_sum, weight); }
    [[nodiscard]] double accuracy() const {
        return detail::ratio(static_cast<double>(correct), static_cast<double>(count));
    }

    LossSum& operator+=(const LossSum& other) {
        loss_sum += other.loss_sum;
        correct += other.correct;
        count += other.count;
        weight += other.weight;
        return *this;
    }
    bool operator==(const LossSum&) const = default;
};

/// Index of the largest number; among equals the first.
template <class T>
int argmax(std::span<const T> row) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < row.size(); ++i) {
        if (row[i] > row[best]) { best = i; }
    }
    return static_cast<int>(best);
}

namespace detail {

/// Number of rows of `classes` numbers. Throws ArgumentError where the size is no multiple.
inline std::size_t rows_of(std::size_t size, int classes) {
    if (classes < 1 || size % static_cast<std::size_t>(classes) != 0) {
        raise<ArgumentError>({size, " logits are no whole number of rows of ", classes, " classes"});
    }
    return size / static_cast<std::size_t>(classes);
}

/// Throws ArgumentError unless there is one label a row, each in [0, classes), and as many second ones where there
/// are any.
inline void check_labels(std::size_t rows, const Labels& labels, int classes) {
    const auto check = [&](std::span<const std::int32_t> list) {
        if (list.size() != rows) {
            raise(
                ArgumentError(std::to_string(list.size()) + " labels for " + std::to_string(rows) + " rows of logits"));
        }
        for (std::size_t i = 0; i < rows; ++i) {
            if (list[i] < 0 || list[i] >= classes) {
                raise<ArgumentError>({"label of sample ", i, " is ", list[i], ", expected 0 to ", classes - 1});
            }
        }
    };
    check(labels.first);
    if (!labels.mixed()) { return; }
    check(labels.second);
    if (!(labels.mix >= 0.0 && labels.mix <= 1.0)) {
        raise<ArgumentError>({"the share of mixed labels is ", labels.mix, ", expected 0 to 1"});
    }
}

/// Throws ArgumentError unless a gradient is empty or of its output's size.
inline void check_gradient(std::size_t gradient, std::size_t outputs) {
    if (gradient != 0 && gradient != outputs) {
        raise<ArgumentError>({"the gradient has ", gradient, " elements, the logits ", outputs});
    }
}

/// Below this many logits a row loop stays on the calling thread: starting the others would take longer.
inline constexpr std::size_t parallel_logits = 4096;
inline int threads_for(std::size_t logits, int threads) { return logits >= parallel_logits ? threads : 1; }

/// Σ of row(i) over `rows` rows: chunks depend on the number of rows alone, and their sums are added in order.
template <class Row>
LossSum sum_rows(std::size_t rows, int threads, Row&& row) {
    std::array<LossSum, 128> partial{};
    const std::size_t chunk = (rows + partial.size() - 1) / partial.size();
    const auto chunks = chunk == 0 ? 0 : static_cast<int>((rows + chunk - 1) / chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * chunk;
        LossSum sum;
        for (std::size_t i = begin; i < std::min(begin + chunk, rows); ++i) { sum += row(i); }
        partial[static_cast<std::size_t>(c)] = sum;
    });
    LossSum total;
    for (const LossSum& sum : partial) { total += sum; }
    return total;
}

}  // namespace detail

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/distributed/data_parallel.hpp
// What a training step does with those of other ranks, each of which has a share of the same batch.

namespace ctnn::inline CTNN_ISA::distributed {

/// A trainer's dealings with other ranks. Of a process alone, whose size the compiler knows, nothing is left.
template <Network Net, class T, Communicator Comm>
class DataParallel {
    using Layout = ParameterLayout<Net>;

  public:
    /// `sync_norms`: batch norm takes its statistics from all ranks' samples, not from each rank's.
    DataParallel(Comm& comm, bool sync_norms)
        : comm_{comm}, sync_norms_{sync_norms && Layout::buffer_size > 0 && comm.size() > 1} {
        if (!sync_norms_) { return; }
        int most = 0;
        for (const BufferSlot& slot : Layout::buffers) { most = std::max(most, slot.channels); }
        norm_memory_.resize(NormSum::size(most));
    }

    [[nodiscard]] const Comm& ranks() const { return comm_; }
    [[nodiscard]] bool alone() const { return comm_.size() == 1; }
    [[nodiscard]] bool sync_norms() const { return sync_norms_; }

    /// For the workspace of a trainer that stays where it is.
    [[nodiscard]] NormSum norm_sum() {
        if (!sync_norms_) { return {}; }
        return {[](void* context, std::span<double> values) { static_cast<Comm*>(context)->all_reduce(values); },
                &comm_, norm_memory_.data()};
    }

    /// The same for a pass that the other ranks do not make.
    [[nodiscard]] NormSum own_norm_sum() {
        if (!sync_norms_) { return {}; }
        return {[](void*, std::span<double>) {}, nullptr, norm_memory_.data()};
    }

    /// What is divided by and how many there are, over all ranks' samples.
    struct Batch {
        std::size_t samples;
        double divisor;
    };
    [[nodiscard]] Batch whole(std::size_t samples, double divisor) {
        if (alone()) { return {samples, divisor}; }
        std::array sums{static_cast<double>(samples), divisor};
        comm_.all_reduce(std::span<double>{sums});
        return {static_cast<std::size_t>(sums[0]), sums[1]};
    }

    /// Starts to sum a tensor's gradient, while backward goes on with the stages before it: weights alone. What else
    /// there is, biases and norms, is little and lies together: it goes as one, behind the last of all.
    void start(std::span<T> arena, const ParameterSlot& slot) {
        if (alone() || !slot.spec.decays) { return; }
        comm_.start_all_reduce(
            arena.subspan(static_cast<std::size_t>(slot.offset), static_cast<std::size_t>(slot.spec.dims.stored())));
    }
    void start_rest(std::span<T> arena) {
        if (!alone()) { comm_.start_all_reduce(arena.subspan(static_cast<std::size_t>(Layout::decayed))); }
    }

    /// Waits for the gradients, and sums the losses. Running statistics become the mean over all samples, where ranks
    /// took their own.
    void finish(LossSum& loss, Buffers<Net, T>& buffers, double share) {
        if (alone()) { return; }
        std::array sums{loss.loss_sum, static_cast<double>(loss.correct), static_cast<double>(loss.count), loss.weight};
        if (!sync_norms_ && !buffers.span().empty()) {
            for (T& value : buffers.span()) { value = static_cast<T>(static_cast<double>(value) * share); }
            comm_.start_all_reduce(buffers.span());
        }
        comm_.all_reduce(std::span<double>{sums});
        comm_.finish();
        loss = {sums[0], static_cast<std::int64_t>(sums[1]), static_cast<std::int64_t>(sums[2]), sums[3]};
    }

    /// One rank's text on all of them, with its number: the first one's of those that know most.
    [[nodiscard]] std::string one_text(std::string text, int knowledge) {
        if (alone()) { return text; }
        std::vector<double> known(ranks_as_size());
        known[static_cast<std::size_t>(comm_.rank())] = knowledge;
        comm_.all_reduce(std::span{known});
        const int root = static_cast<int>(std::max_element(known.begin(), known.end()) - known.begin());
        std::size_t size = text.size();
        comm_.broadcast(std::as_writable_bytes(std::span{&size, 1}), root);
        text.resize(size);
        comm_.broadcast(std::as_writable_bytes(std::span{text}), root);
        return "rank " + std::to_string(root) + ": " + text;
    }

    /// Every rank's become the first one's.
    void share(std::span<T> values) { comm_.broadcast(std::as_writable_bytes(values), 0); }
    void share(Model<Net, T>& model) {
        share(model.parameters().span());
        share(model.buffers().span());
        share_value(model.buffers().batches_tracked);
    }
    template <class Value>
        requires std::is_trivially_copyable_v<Value>
    void share_value(Value& value) {
        comm_.broadcast(std::as_writable_bytes(std::span{&value, 1}), 0);
    }

  private:
    [[nodiscard]] std::size_t ranks_as_size() const { return static_cast<std::size_t>(comm_.size()); }

    Comm& comm_;
    bool sync_norms_;
    std::vector<double> norm_memory_;
};

}  // namespace ctnn::inline CTNN_ISA::distributed

// ---- ctnn/io/json_parser.hpp
// The strict JSON parser.

#ifndef __cpp_lib_to_chars
#include <locale>
#include <sstream>
#endif

// ---- ctnn/io/json.hpp
// JSON as RFC 8259 has it and nothing beyond: a value and its writer. The parser is in json_parser.hpp.

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

// ---- ctnn/io/file.hpp
// Whole files: read exactly, and written so that a reader sees either the old bytes or all of the new ones.

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <unistd.h>
#endif

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// "<path>: cannot <action>: <the system's text for code>".
inline FileError file_error(const std::filesystem::path& path, std::string_view action, int code) {
    return FileError{path.string() + ": cannot " + std::string{action} + ": " + std::generic_category().message(code)};
}

/// Refuses what is there but is no regular file: reading a directory or replacing a device is never meant.
inline void expect_regular_file(const std::filesystem::path& path) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
        raise<FileError>({path.string(), ": found a ",
                          (std::filesystem::is_directory(status) ? "directory" : "special file"),
                          ", expected a regular file"});
    }
}

}  // namespace detail

/// A regular file of known size, read front to back. Every failure is a FileError that names the path.
class InputFile {
  public:
    explicit InputFile(std::filesystem::path path) : path_{std::move(path)} {
        detail::expect_regular_file(path_);
        errno = 0;
        stream_.open(path_, std::ios::binary);
        if (!stream_) { raise(detail::file_error(path_, "open", errno != 0 ? errno : EIO)); }
        // Of what was opened: by its path there may be another file by now.
        const auto end = stream_.seekg(0, std::ios::end).tellg();
        stream_.seekg(0);
        if (!stream_) { raise(detail::file_error(path_, "find the size", errno != 0 ? errno : EIO)); }
        size_ = static_cast<std::uintmax_t>(end);
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    /// Bytes in the whole file, at the time of opening.
    [[nodiscard]] std::uintmax_t size() const { return size_; }

    /// Fills `out` with the next bytes; fewer are an error.
    void read(std::span<std::byte> out) {
        errno = 0;
        stream_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
        const auto count = static_cast<std::uintmax_t>(stream_.gcount());
        if (stream_.bad()) { raise(detail::file_error(path_, "read", errno != 0 ? errno : EIO)); }
        if (count != out.size()) {
            raise<FileError>({path_.string(), ": offset ", offset_ + count, ": found the end of the file, expected ",
                              out.size() - count, " bytes more"});
        }
        offset_ += count;
    }

  private:
    std::filesystem::path path_;
    std::ifstream stream_;
    std::uintmax_t size_ = 0, offset_ = 0;
};

/// The bytes of a regular file. Throws FileError.
inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
    InputFile file{path};
    std::vector<std::byte> bytes(static_cast<std::size_t>(file.size()));
    file.read(bytes);
    return bytes;
}

namespace detail {

#if defined(__unix__) || defined(__APPLE__)

/// A new file beside `target` that takes its place on commit(), and is removed when that does not happen. Of several
/// that belong together all are finished, which may fail, before one replaces what was there.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::filesystem::path& target) : target_{target} {
        // O_EXCL keeps threads apart, and steps over what a killed process of the same number left behind.
        for (int n = 0; descriptor_ < 0; ++n) {
            path_ = target;
            path_ += ".tmp" + std::to_string(::getpid()) + "." + std::to_string(n);
            descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (descriptor_ < 0 && errno != EINTR && (errno != EEXIST || n == 1000)) { fail("create"); }
        }
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (descriptor_ >= 0) { ::close(descriptor_); }
        if (!committed_) { ::unlink(path_.c_str()); }
    }

    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            // macOS refuses to write 2 GiB or more at once.
            const auto count = ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 30));
            if (count < 0 && errno != EINTR) { fail("write"); }
            if (count > 0) { bytes = bytes.subspan(static_cast<std::size_t>(count)); }
        }
    }

    void finish() {
        if (::fsync(descriptor_) != 0) { fail("sync"); }
        if (::close(std::exchange(descriptor_, -1)) != 0) { fail("close"); }  // some network disks fail only here
    }
    void replace() {
        if (::rename(path_.c_str(), target_.c_str()) != 0) { fail("replace"); }
        committed_ = true;
        sync_directory();
    }
    void commit() {
        finish();
        replace();
    }

  private:
    [[noreturn]] void fail(std::string_view action) const { raise(file_error(target_, action, errno)); }

    /// Makes the rename itself survive a power cut. File systems that cannot sync a directory say EINVAL.
    void sync_directory() const {
        const auto directory = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path{"."};
        const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) { return; }  // writable but not readable: nothing can be done
        const int error = ::fsync(descriptor) == 0 ? 0 : errno;
        ::close(descriptor);
        if (error != 0 && error != EINVAL) { raise(file_error(directory, "sync the directory", error)); }
    }

    std::filesystem::path target_, path_;
    int descriptor_ = -1;
    bool committed_ = false;
};

#else

/// The same with nothing but std: no sync, because std has none.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::filesystem::path& target) : target_{target}, path_{target} {
        path_ += ".tmp";
        errno = 0;
        stream_.open(path_, std::ios::binary | std::ios::trunc);
        if (!stream_) { fail("create"); }
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (committed_) { return; }
        stream_.close();
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }

    void write(std::span<const std::byte> bytes) {
        errno = 0;
        stream_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        if (!stream_) { fail("write"); }
    }

    void finish() {
        errno = 0;
        stream_.close();
        if (!stream_) { fail("write"); }
    }
    void replace() {
        std::error_code error;
        std::filesystem::rename(path_, target_, error);
        if (error) { raise<FileError>({target_.string(), ": cannot replace: ", error.message()}); }
        committed_ = true;
    }
    void commit() {
        finish();
        replace();
    }

  private:
    [[noreturn]] void fail(std::string_view action) const {
        raise(file_error(target_, action, errno != 0 ? errno : EIO));
    }

    std::filesystem::path target_, path_;
    std::ofstream stream_;
    bool committed_ = false;
};

#endif

}  // namespace detail

/// Makes `path` a file of the given parts, one after the other: a temporary file in the same directory, synced, then
/// renamed over `path`, then the directory synced. On any failure before that the temporary file is removed, an old
/// file at `path` is whole and unchanged, and FileError says what failed; where only the directory cannot be synced, it
/// says so of the new one. A symbolic link at `path` is itself replaced.
inline void write_file_atomically(const std::filesystem::path& path,
                                  std::span<const std::span<const std::byte>> parts) {
    detail::expect_regular_file(path);
    detail::TemporaryFile file{path};
    for (const auto part : parts) { file.write(part); }
    file.commit();
}

inline void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    write_file_atomically(path, std::span{&bytes, 1});
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/mapped_file.hpp
// A whole file as bytes in memory that nobody has to read first: mapped where the system can, read where not.

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace ctnn::inline CTNN_ISA {

#if defined(__unix__) || defined(__APPLE__)

/// The bytes of a regular file, read-only, at a multiple of block_alignment. They come from the disk, or from the
/// system's cache of it, when they are first looked at, and processes that map the same file share them. Meanwhile the
/// file must not be written to or cut short, which would end the process by a signal; to replace it by another one, as
/// write_file_atomically does, is safe: the old bytes stay. Movable, and the bytes stay where they are. Constructing
/// throws FileError.
class MappedFile {
  public:
    explicit MappedFile(const std::filesystem::path& path) {
        detail::expect_regular_file(path);
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (descriptor < 0) { raise(detail::file_error(path, "open", errno)); }
        struct ::stat status{};
        void* at = MAP_FAILED;
        if (::fstat(descriptor, &status) == 0) {
            const auto size = static_cast<std::size_t>(status.st_size);
            // No system maps nothing.
            at = size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        }
        const int error = errno;
        ::close(descriptor);  // the mapping stays
        if (at == MAP_FAILED) { raise(detail::file_error(path, "map", error)); }
        bytes_.reset(static_cast<const std::byte*>(at));
        bytes_.get_deleter().size = static_cast<std::size_t>(status.st_size);
    }

    [[nodiscard]] std::span<const std::byte> bytes() const {
        return {bytes_.get(), bytes_ ? bytes_.get_deleter().size : 0};
    }

    /// Has the system fetch all bytes from the disk while the program goes on, instead of page by page in the order in
    /// which threads happen to look at them. A hint, which fails without harm.
    void prefetch() const {
        if (bytes_) { ::posix_madvise(const_cast<std::byte*>(bytes_.get()), bytes().size(), POSIX_MADV_WILLNEED); }
    }

  private:
    struct Unmap {
        std::size_t size;
        void operator()(const std::byte* at) const { ::munmap(const_cast<std::byte*>(at), size); }
    };
    std::unique_ptr<const std::byte[], Unmap> bytes_{nullptr, Unmap{0}};
};

#else

/// The same with nothing but std: the file is read, into memory of this object's own.
class MappedFile {
  public:
    explicit MappedFile(const std::filesystem::path& path) {
        InputFile file{path};
        bytes_ = AlignedArray<std::byte>{static_cast<std::size_t>(file.size())};
        file.read(bytes_.span());
    }

    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_.span(); }
    void prefetch() const {}

  private:
    AlignedArray<std::byte> bytes_;
};

#endif

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/safetensors.hpp
// The safetensors format, strictly: 8 bytes of header length, a JSON header, then the tensors' bytes without gaps.
// As of huggingface/safetensors 0.8.

namespace ctnn::inline CTNN_ISA {

/// The format's element types.
enum class Dtype : std::uint8_t {
    boolean,
    f4,
    f6_e2m3,
    f6_e3m2,
    u8,
    i8,
    f8_e5m2,
    f8_e4m3,
    f8_e8m0,
    f8_e4m3fnuz,
    f8_e5m2fnuz,
    i16,
    u16,
    f16,
    bf16,
    i32,
    u32,
    f32,
    c64,
    f64,
    i64,
    u64
};

/// An element type as files have it.
struct DtypeInfo {
    std::string_view name;  ///< as it stands in the header
    unsigned bits;          ///< of one element
};

/// By Dtype's values.
inline constexpr std::array<DtypeInfo, 22> dtype_infos{
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
     {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
     {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
     {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}}};

constexpr const DtypeInfo& dtype_info(Dtype dtype) { return dtype_infos[static_cast<std::size_t>(dtype)]; }

/// The Dtype whose elements are T's: float, double, or a signed or unsigned integer of 8 to 64 bits.
template <class T>
    requires std::same_as<T, float> || std::same_as<T, double> || (std::integral<T> && !std::same_as<T, bool>)
consteval Dtype dtype_of() {
    if constexpr (std::is_floating_point_v<T>) { return sizeof(T) == 4 ? Dtype::f32 : Dtype::f64; }
    constexpr std::array signed_types{Dtype::i8, Dtype::i16, Dtype::i32, Dtype::i64};
    constexpr std::array unsigned_types{Dtype::u8, Dtype::u16, Dtype::u32, Dtype::u64};
    return (std::is_signed_v<T> ? signed_types : unsigned_types)[std::bit_width(sizeof(T)) - 1];
}

namespace detail {

/// "F32 [2, 3]".
inline std::string shown(Dtype dtype, std::span<const std::int64_t> shape) {
    std::string out = joined({dtype_info(dtype).name, " ["});
    for (std::size_t i = 0; i < shape.size(); ++i) { out += joined({i > 0 ? ", " : "", shape[i]}); }
    return out += ']';
}

/// Bytes of a tensor; nothing where a dimension is negative, a product overflows, or bits do not fill the last byte.
constexpr std::optional<std::uint64_t> tensor_bytes(Dtype dtype, std::span<const std::int64_t> shape) {
    std::uint64_t count = 1;
    const auto multiply = [&](std::uint64_t n) {
        if (n != 0 && count > std::numeric_limits<std::uint64_t>::max() / n) { return false; }
        count *= n;
        return true;
    };
    for (const auto n : shape) {
        if (n < 0 || !multiply(static_cast<std::uint64_t>(n))) { return std::nullopt; }
    }
    if (!multiply(dtype_info(dtype).bits) || count % 8 != 0) { return std::nullopt; }
    return count / 8;
}

}  // namespace detail

/// A tensor whose bytes, row-major and little-endian, belong to someone else and may lie at any alignment.
struct TensorView {
    std::string name;
    Dtype dtype = Dtype::f32;
    std::vector<std::int64_t> shape;  ///< rank 0 is one element; dimensions may be 0
    std::span<const std::byte> data;

    /// Copies the elements into a contiguous range. Throws FileError unless they are of its type and as many.
    template <std::ranges::contiguous_range Range>
    void copy_to(Range&& out) const {
        static_assert(std::endian::native == std::endian::little, "safetensors elements are little-endian");
        constexpr Dtype expected = dtype_of<std::ranges::range_value_t<Range>>();
        const auto to = std::as_writable_bytes(std::span{out});
        if (dtype != expected || data.size() != to.size()) {
            raise<FileError>({"tensor ", detail::shown(name), ": found ", detail::shown(dtype, shape), ", expected ",
                              std::ranges::size(out), " elements of ", dtype_info(expected).name});
        }
        std::copy(data.begin(), data.end(), to.begin());
    }
};

/// A view of a contiguous range for write_safetensors; the elements must outlive it.
template <std::ranges::contiguous_range Range>
    requires std::ranges::borrowed_range<Range>
TensorView tensor_view(std::string name, std::vector<std::int64_t> shape, Range&& values) {
    static_assert(std::endian::native == std::endian::little, "safetensors elements are little-endian");
    return {std::move(name), dtype_of<std::ranges::range_value_t<Range>>(), std::move(shape),
            std::as_bytes(std::span{values})};
}

/// The header's `__metadata__`, in file order.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

/// What parse_safetensors found. The tensors' data are spans of the bytes given to it.
struct SafetensorsFile {
    std::string source;               ///< names the file in messages
    std::vector<TensorView> tensors;  ///< in the order of their data
    SafetensorsMetadata metadata;

    /// The tensor, or nullptr.
    [[nodiscard]] const TensorView* find(std::string_view name) const {
        for (const TensorView& tensor : tensors) {
            if (tensor.name == name) { return &tensor; }
        }
        return nullptr;
    }

    /// The tensor of this name, type and shape. Throws FileError where it is missing or of another kind.
    [[nodiscard]] const TensorView& require(std::string_view name, Dtype dtype,
                                            std::span<const std::int64_t> shape) const {
        const TensorView* tensor = find(name);
        if (tensor == nullptr || tensor->dtype != dtype ||
            !std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end())) {
            raise<FileError>({source, ": tensor ", detail::shown(name), ": found ",
                              (tensor ? detail::shown(tensor->dtype, tensor->shape) : "none of this name"),
                              ", expected ", detail::shown(dtype, shape)});
        }
        return *tensor;
    }

    /// The metadata of this key, or nullptr.
    [[nodiscard]] const std::string* find_metadata(std::string_view key) const {
        for (const auto& [name, value] : metadata) {
            if (name == key) { return &value; }
        }
        return nullptr;
    }
};

/// Longest header that readers accept, in bytes.
inline constexpr std::uint64_t safetensors_header_limit = 100'000'000;

namespace detail {

inline constexpr std::string_view metadata_key = "__metadata__";

struct TensorEntry {
    TensorView tensor;
    std::uint64_t begin, end;  ///< within the data
};

/// Reads one member of the header. The reference reader ignores further keys, and so does this one.
inline TensorEntry parse_tensor_entry(const std::string& name, const Json& entry, const std::string& place) {
    TensorEntry result{{name, {}, {}, {}}, 0, 0};
    auto& [_, dtype, shape, data] = result.tensor;

    const auto& dtype_name = entry.field<std::string>("dtype", place);
    const auto known = std::find_if(dtype_infos.begin(), dtype_infos.end(),
                                    [&](const DtypeInfo& info) { return info.name == dtype_name; });
    if (known == dtype_infos.end()) {
        raise<FileError>({place, ": found the dtype ", shown(dtype_name), ", expected one of BOOL, F4 … U64"});
    }
    dtype = static_cast<Dtype>(known - dtype_infos.begin());

    for (const Json& n : entry.field<Json::Array>("shape", place)) {
        shape.push_back(n.get<std::int64_t>(joined({place, ": shape"})));
    }
    const auto bytes = tensor_bytes(dtype, shape);
    if (!bytes) {
        raise<FileError>({place, ": found ", shown(dtype, shape),
                          ", expected dimensions of at least 0 whose product is a number of whole bytes below 2^61"});
    }

    const auto& offsets = entry.field<Json::Array>("data_offsets", place);
    if (offsets.size() != 2) { raise<FileError>({place, ": found ", offsets.size(), " data_offsets, expected 2"}); }
    const std::string place_of_offsets = joined({place, ": data_offsets"});
    result.begin = offsets[0].get<std::uint64_t>(place_of_offsets);
    result.end = offsets[1].get<std::uint64_t>(place_of_offsets);
    if (result.end < result.begin || result.end - result.begin != *bytes) {
        raise<FileError>({place, ": found data_offsets [", result.begin, ", ", result.end, "], expected ", *bytes,
                          " bytes for ", shown(dtype, shape)});
    }
    return result;
}

}  // namespace detail

/// Reads a whole file. Throws FileError, which names the source, the tensor or offset, what was found and what was
/// expected, for anything that is not a complete and gapless safetensors file.
inline SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, std::string_view source_name) {
    SafetensorsFile file{std::string{source_name}, {}, {}};
    const auto fail = [&](std::initializer_list<detail::MessagePart> what) {
        raise<FileError>({file.source, ": ", detail::joined(what)});
    };
    if (bytes.size() < 8) { fail({"found ", bytes.size(), " bytes, expected at least 8"}); }

    std::uint64_t header_size = 0;
    for (std::size_t i = 8; i-- > 0;) { header_size = header_size << 8 | std::to_integer<std::uint64_t>(bytes[i]); }
    if (header_size > safetensors_header_limit || header_size > bytes.size() - 8) {
        fail({"offset 0: found a header of ", header_size, " bytes, expected at most ",
              std::min<std::uint64_t>(bytes.size() - 8, safetensors_header_limit)});
    }
    const auto data = bytes.subspan(8 + static_cast<std::size_t>(header_size));
    const std::string_view text{reinterpret_cast<const char*>(bytes.data()) + 8, static_cast<std::size_t>(header_size)};
    if (!text.starts_with('{')) { fail({"offset 8: found no '{', expected the header to begin with it"}); }

    const Json header = parse_json(text, file.source, 8);
    std::vector<detail::TensorEntry> entries;
    for (const auto& [name, value] : header.get<Json::Object>(file.source)) {
        if (name == detail::metadata_key) {
            const std::string place = detail::joined({file.source, ": __metadata__"});
            for (const auto& [key, text_value] : value.get<Json::Object>(place)) {
                file.metadata.emplace_back(
                    key, text_value.get<std::string>(detail::joined({place, ": key ", detail::shown(key)})));
            }
        } else {
            const std::string place = detail::joined({file.source, ": tensor ", detail::shown(name)});
            entries.push_back(detail::parse_tensor_entry(name, value, place));
        }
    }

    std::vector<detail::TensorEntry*> order;
    order.reserve(entries.size());
    for (auto& entry : entries) { order.push_back(&entry); }
    std::sort(order.begin(), order.end(), [](const detail::TensorEntry* a, const detail::TensorEntry* b) {
        return a->begin != b->begin ? a->begin < b->begin
               : a->end != b->end   ? a->end < b->end
                                    : a->tensor.name < b->tensor.name;
    });
    std::uint64_t end = 0;
    for (detail::TensorEntry* const entry : order) {
        auto& [tensor, entry_begin, entry_end] = *entry;
        const std::string place = detail::joined({"tensor ", detail::shown(tensor.name)});
        if (entry_begin != end) {
            fail({place, ": found its data at ", entry_begin, ", expected ", end, ", where the data before it end"});
        }
        if (entry_end > data.size()) {
            fail({place, ": found ", data.size(), " bytes of data in the file, expected at least ", entry_end});
        }
        end = entry_end;
        tensor.data =
            data.subspan(static_cast<std::size_t>(entry_begin), static_cast<std::size_t>(entry_end - entry_begin));
        file.tensors.push_back(std::move(tensor));
    }
    if (end != data.size()) {
        fail({"found ", data.size(), " bytes of data, expected ", end, ", where the last tensor ends"});
    }
    return file;
}

namespace detail {

/// A file to be written: its parts in order.
struct SafetensorsImage {
    std::vector<std::byte> header;  ///< the length, the JSON and the padding
    std::vector<std::span<const std::byte>> data;
};

inline SafetensorsImage lay_out_safetensors(std::span<const TensorView> tensors, const SafetensorsMetadata& metadata) {
    std::vector<const TensorView*> order;
    for (const auto& tensor : tensors) { order.push_back(&tensor); }
    // Wide elements first, so that each lies at a multiple of its size.
    std::sort(order.begin(), order.end(), [](const TensorView* a, const TensorView* b) {
        return dtype_info(a->dtype).bits != dtype_info(b->dtype).bits
                   ? dtype_info(a->dtype).bits > dtype_info(b->dtype).bits
                   : a->name < b->name;
    });

    Json::Object header;
    if (!metadata.empty()) { header.emplace_back(metadata_key, Json::Object(metadata.begin(), metadata.end())); }
    SafetensorsImage image;
    std::uint64_t offset = 0;
    for (const TensorView* tensor : order) {
        const auto bytes = tensor_bytes(tensor->dtype, tensor->shape);
        if (bytes != tensor->data.size() || tensor->name == metadata_key) {
            raise<ArgumentError>({"tensor ", shown(tensor->name), ": found ", tensor->data.size(),
                                  " bytes of data, expected those of ", shown(tensor->dtype, tensor->shape),
                                  " and a name other than __metadata__"});
        }
        header.emplace_back(tensor->name,
                            Json::Object{{"dtype", dtype_info(tensor->dtype).name},
                                         {"shape", Json::Array(tensor->shape.begin(), tensor->shape.end())},
                                         {"data_offsets", Json::Array{offset, offset + *bytes}}});
        offset += *bytes;
        image.data.push_back(tensor->data);
    }

    std::string text = write_json(header);
    text.resize(round_up(8 + text.size(), block_alignment) - 8, ' ');  // aligned data can be used where they lie
    if (text.size() > safetensors_header_limit) {
        raise<ArgumentError>(
            {"safetensors header: found ", text.size(), " bytes, expected at most ", safetensors_header_limit});
    }
    for (unsigned i = 0; i < 8; ++i) {
        image.header.push_back(static_cast<std::byte>(std::uint64_t{text.size()} >> 8 * i));
    }
    const auto text_bytes = std::as_bytes(std::span{text});
    image.header.insert(image.header.end(), text_bytes.begin(), text_bytes.end());
    return image;
}

}  // namespace detail

/// The bytes of a file: tensors by element size, largest first, then by name; metadata in the order given; the data
/// begin at a multiple of block_alignment. Equal arguments give equal bytes. Throws ArgumentError for data that do not
/// fit their shape, two tensors or two metadata of one name, names that are not UTF-8.
inline std::vector<std::byte> write_safetensors(std::span<const TensorView> tensors,
                                                const SafetensorsMetadata& metadata = {}) {
    auto [bytes, data] = detail::lay_out_safetensors(tensors, metadata);
    for (const auto part : data) { bytes.insert(bytes.end(), part.begin(), part.end()); }
    return bytes;
}

/// Writes those bytes to `path` by write_file_atomically, without gathering them in memory first.
inline void save_safetensors(const std::filesystem::path& path, std::span<const TensorView> tensors,
                             const SafetensorsMetadata& metadata = {}) {
    auto [header, parts] = detail::lay_out_safetensors(tensors, metadata);
    parts.insert(parts.begin(), header);
    write_file_atomically(path, parts);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/model_info.hpp
// What a file says of its model beside the numbers, as metadata of safetensors.

namespace ctnn::inline CTNN_ISA {

/// What evaluating needs besides numbers; kept in a file's metadata.
struct ModelInfo {
    std::string model;  ///< a name, such as "SmallAlexNet"
    Normalization normalization;
    std::vector<std::string> class_names;
    bool operator==(const ModelInfo&) const = default;
};

namespace detail {

inline std::string to_json(std::span<const float> numbers) {
    Json::Array array;
    for (const float x : numbers) { array.emplace_back(static_cast<double>(x)); }
    return write_json(Json{std::move(array)});
}

inline SafetensorsMetadata info_metadata(const ModelInfo& info) {
    Json::Array names;
    for (const std::string& name : info.class_names) { names.emplace_back(name); }
    return {{"model", info.model},
            {"mean", to_json(info.normalization.mean)},
            {"std", to_json(info.normalization.std)},
            {"classes", write_json(Json{std::move(names)})}};
}

inline ModelInfo read_info(const SafetensorsFile& file) {
    ModelInfo info;
    const auto for_each = [&](const char* key, auto&& take) {
        const std::string* const text = file.find_metadata(key);
        if (text == nullptr) { return; }
        const std::string place = joined({file.source, ": metadata '", key, "'"});
        const Json json = parse_json(*text, place);
        for (const Json& x : json.template get<Json::Array>(place)) { take(x, place); }
    };
    const auto floats = [&](const char* key) {
        std::vector<float> values;
        for_each(key, [&](const Json& x, const std::string& place) {
            values.push_back(static_cast<float>(x.template get<double>(place)));
        });
        return values;
    };
    if (const std::string* name = file.find_metadata("model")) { info.model = *name; }
    info.normalization = {floats("mean"), floats("std")};
    for_each("classes", [&](const Json& x, const std::string& place) {
        info.class_names.push_back(x.template get<std::string>(place));
    });
    return info;
}

}  // namespace detail

/// What a file says of its model: enough to choose the network's type before load_weights or MappedModel. Empty where
/// the file says nothing, as those of PyTorch. Of a large file little more than the header is read. Throws FileError.
inline ModelInfo load_model_info(const std::filesystem::path& path) {
    const MappedFile file{path};
    return detail::read_info(parse_safetensors(file.bytes(), path.string()));
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/native.hpp
// A model as a file that is used where it lies: the arenas themselves, mapped instead of read and converted.
//
// A native file is a safetensors file of two tensors, "buffers" and "parameters", which are the arenas as they are in
// memory, and of the metadata of save_weights and three more: format ("ctnn native 1"), layout (layout_hash in 16
// hexadecimal digits) and batches_tracked. Arenas are the same on every instruction set. What it cannot be used for is
// another network, or a ctnn that lays arenas out otherwise: keep the file of save_weights, which is for all of them.

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline constexpr std::string_view native_format = "ctnn native 1";

/// FNV-1a, 64 bits wide, by Fowler, Noll and Vo.
struct Fnv1a {
    std::uint64_t value = 0xCBF29CE484222325u;

    constexpr void add_byte(unsigned char byte) { value = (value ^ byte) * 0x100000001B3u; }
    constexpr void add(std::int64_t number) {
        for (int i = 0; i < 8; ++i) {
            add_byte(static_cast<unsigned char>(static_cast<std::uint64_t>(number) >> 8 * i & 255u));
        }
    }
    constexpr void add(std::string_view text) {
        for (const char c : text) { add_byte(static_cast<unsigned char>(c)); }
        add(static_cast<std::int64_t>(text.size()));
    }
};

}  // namespace detail

/// What a network's arenas look like, as a number: name, shape, place and order of elements of every tensor. Equal for
/// networks of equal tensors, and for float and double.
template <Network Net>
inline constexpr std::uint64_t layout_hash = [] {
    using Layout = ParameterLayout<Net>;
    detail::Fnv1a hash;
    for (const ParameterSlot& slot : Layout::slots) {
        const WeightDims& d = slot.spec.dims;
        hash.add(slot.name.view());
        for (const std::int64_t n : slot.spec.shape) { hash.add(n); }
        for (const int n : {d.groups, d.out, d.kernel_y, d.kernel_x, d.in}) { hash.add(n); }
        hash.add(slot.offset);
        // A step along each dimension tells the order of elements.
        hash.add(d.stored_offset(1, 0, 0, 0, 0));
        for (const int o : {1, block_size}) { hash.add(d.stored_offset(0, o, 0, 0, 0)); }
        hash.add(d.stored_offset(0, 0, 1, 0, 0));
        hash.add(d.stored_offset(0, 0, 0, 1, 0));
        hash.add(d.stored_offset(0, 0, 0, 0, 1));
    }
    for (const BufferSlot& slot : Layout::buffers) {
        for (const Name& name : {slot.mean, slot.variance}) { hash.add(name.view()); }
        for (const std::int64_t n : {std::int64_t{slot.channels}, slot.mean_offset, slot.variance_offset}) {
            hash.add(n);
        }
    }
    hash.add(Layout::size);
    hash.add(Layout::buffer_size);
    return hash.value;
}();

namespace detail {

/// What a native file of a network must be.
struct NativeLayout {
    Dtype dtype;
    std::int64_t parameters, buffers;  ///< elements
    std::uint64_t hash;
};

template <Network Net, class T>
inline constexpr NativeLayout native_layout{dtype_of<T>(), ParameterLayout<Net>::size,
                                            ParameterLayout<Net>::buffer_size, layout_hash<Net>};

struct NativeArenas {
    std::span<const std::byte> parameters, buffers;
    std::int64_t batches_tracked;
};

/// Throws FileError for a count in a file that is none, or so large that who counts on would overflow.
template <class Count>
void require_count(Count found, std::string_view place) {
    constexpr Count most = std::numeric_limits<Count>::max() / 2;
    if (found < 0 || found > most) { raise<FileError>({place, ": found ", found, ", expected 0 to ", most}); }
}

/// The metadata of a key that a native file has. Throws FileError.
inline const std::string& native_metadata(const SafetensorsFile& file, std::string_view key, std::string_view wanted) {
    const std::string* const found = file.find_metadata(key);
    if (found == nullptr) { raise<FileError>({file.source, ": found no metadata '", key, "', expected ", wanted}); }
    return *found;
}

inline bool is_native(const SafetensorsFile& file) {
    const std::string* const format = file.find_metadata("format");
    return format != nullptr && format->starts_with("ctnn native ");
}

/// The arenas of a native file. Throws FileError for one of another kind, version, network or type.
inline NativeArenas native_arenas(const SafetensorsFile& file, const NativeLayout& layout) {
    const auto expect = [&](std::string_view key, std::string_view wanted, std::string_view because) {
        const std::string& found = native_metadata(file, key, shown(wanted));
        if (found != wanted) {
            raise<FileError>(
                {file.source, ": metadata '", key, "': found ", shown(found), ", expected ", shown(wanted), because});
        }
    };
    expect("format", native_format, "");
    expect("layout", hex(layout.hash, 16), ": this is another network, or from another version of ctnn");
    const auto arena = [&](std::string_view name, std::int64_t size) {
        return file.require(name, layout.dtype, std::array{size}).data;
    };
    const std::string batches = joined({file.source, ": metadata 'batches_tracked'"});
    const NativeArenas arenas{
        arena("parameters", layout.parameters), arena("buffers", layout.buffers),
        parse_json(native_metadata(file, "batches_tracked", "a number"), batches).get<std::int64_t>(batches)};
    require_count(arenas.batches_tracked, batches);
    for (const TensorView& tensor : file.tensors) {
        if (tensor.name != "parameters" && tensor.name != "buffers") {
            raise<FileError>({file.source, ": found the tensor ", shown(tensor.name),
                              R"(, expected "parameters" and "buffers" alone)"});
        }
    }
    return arenas;
}

/// Throws FileError unless an arena can be used where it lies.
inline void require_aligned(const SafetensorsFile& file, std::span<const std::byte> bytes, std::string_view name,
                            std::span<const std::byte> arena) {
    const auto offset = static_cast<std::size_t>(arena.data() - bytes.data());
    if (offset % block_alignment != 0) {
        raise<FileError>({file.source, ": tensor ", shown(name), ": found at offset ", offset,
                          " of the file, expected a multiple of ", block_alignment});
    }
}

}  // namespace detail

/// Writes a model for MappedModel by write_file_atomically. Equal models and infos give equal bytes. Throws FileError.
template <Network Net, class T>
void save_native(const std::filesystem::path& path, const Model<Net, T>& model, const ModelInfo& info) {
    SafetensorsMetadata metadata{{"format", std::string{detail::native_format}},
                                 {"layout", detail::hex(layout_hash<Net>, 16)},
                                 {"batches_tracked", std::to_string(model.buffers().batches_tracked)}};
    for (auto& entry : detail::info_metadata(info)) { metadata.push_back(std::move(entry)); }
    const auto arena = [](const char* name, std::span<const T> values) {
        return tensor_view(name, {static_cast<std::int64_t>(values.size())}, values);
    };
    const std::array tensors{arena("buffers", model.buffers().span()), arena("parameters", model.parameters().span())};
    save_safetensors(path, tensors, metadata);
}

/// Whether a file is for MappedModel, of whatever network. Throws FileError unless it is a safetensors file.
inline bool is_native(const std::filesystem::path& path) {
    const MappedFile file{path};
    return detail::is_native(parse_safetensors(file.bytes(), path.string()));
}

/// A model in a file of save_native: all that inference takes, without reading it first.
///
///     const MappedModel<Net> model{"net.native"};
///     const auto logits = forward(model.view(), image, 1, workspace);
///
/// Results are those of the model that was saved, to the bit. Numbers come from the file when they are first used:
/// MappedFile says what that means. Any number of threads may use one at the same time.
template <Network Net, class T = float>
class MappedModel {
  public:
    /// Throws FileError, which says what differs, for anything but a whole native file of this network and type.
    explicit MappedModel(const std::filesystem::path& path) : file_{path} {
        const SafetensorsFile file = parse_safetensors(file_.bytes(), path.string());
        const detail::NativeArenas arenas = detail::native_arenas(file, detail::native_layout<Net, T>);
        detail::require_aligned(file, file_.bytes(), "parameters", arenas.parameters);
        detail::require_aligned(file, file_.bytes(), "buffers", arenas.buffers);
        info_ = detail::read_info(file);
        file_.prefetch();
        view_ = {reinterpret_cast<const T*>(arenas.parameters.data()),
                 reinterpret_cast<const T*>(arenas.buffers.data())};
    }

    /// Valid as long as this object, or the one that it was moved to.
    [[nodiscard]] ModelView<Net, T> view() const { return view_; }
    [[nodiscard]] const ModelInfo& info() const { return info_; }

  private:
    MappedFile file_;
    ModelInfo info_;
    ModelView<Net, T> view_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/weights.hpp
// A model as a file: safetensors with the names, shapes and element order of PyTorch's state_dict.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// Converts between storage and the order of files, by all threads: f(stored place, canonical place), once for every
/// weight. A block of 16 outputs at a time, so that storage is gone through by whole cache lines.
template <class F>
void for_stored_and_canonical(const WeightDims& d, F&& f) {
    const std::int64_t per_out = std::int64_t{d.in} * d.kernel_y * d.kernel_x;
    parallel_for(d.groups * d.blocks(), default_threads(), [&](int item, int) {
        const int g = item / d.blocks(), first = item % d.blocks() * block_size;
        const int outs = std::min(block_size, d.out - first);
        std::int64_t canonical = (std::int64_t{g} * d.out + first) * per_out;
        for (int i = 0; i < d.in; ++i) {
            for (int y = 0; y < d.kernel_y; ++y) {
                for (int x = 0; x < d.kernel_x; ++x, ++canonical) {
                    const std::int64_t stored = d.stored_offset(g, first, i, y, x);
                    for (int o = 0; o < outs; ++o) { f(stored + o, canonical + o * per_out); }
                }
            }
        }
    });
}

}  // namespace detail

/// Tensors in the order of files, owned, and views of them to write.
template <Network Net, class T>
class StateDict {
  public:
    using Layout = ParameterLayout<Net>;

    /// Adds an arena with the parameters' layout (parameters, or an optimizer's state) under names with a prefix.
    void add_arena(std::span<const T> arena, const std::string& prefix = "") {
        for (const ParameterSlot& slot : Layout::slots) {
            auto& values = floats_.emplace_back(static_cast<std::size_t>(slot.spec.dims.count()));
            detail::for_stored_and_canonical(slot.spec.dims, [&](std::int64_t stored, std::int64_t canonical) {
                values[static_cast<std::size_t>(canonical)] = arena[static_cast<std::size_t>(slot.offset + stored)];
            });
            views_.push_back(tensor_view(key(prefix, slot.name), shape_of(slot.spec), std::span{values}));
        }
    }
    /// Adds the running statistics, as PyTorch's batch norm does: running_mean, running_var, num_batches_tracked.
    void add_buffers(const Buffers<Net, T>& buffers, const std::string& prefix = "") {
        for (const BufferSlot& slot : Layout::buffers) {
            const auto n = static_cast<std::size_t>(slot.channels);
            const auto add = [&](const Name& name, std::int64_t offset) {
                const auto values = buffers.span().subspan(static_cast<std::size_t>(offset), n);
                views_.push_back(tensor_view(key(prefix, name), {slot.channels}, values));
            };
            add(slot.mean, slot.mean_offset);
            add(slot.variance, slot.variance_offset);
            views_.push_back(tensor_view(key(prefix, slot.batches), {}, std::span{&buffers.batches_tracked, 1}));
        }
    }
    [[nodiscard]] std::span<const TensorView> views() const { return views_; }

    static std::vector<std::int64_t> shape_of(const ParameterSpec& spec) {
        return {spec.shape.begin(), spec.shape.begin() + spec.rank};
    }

    /// Throws FileError unless the file holds every tensor of an arena in the right type and shape, of buffers also a
    /// possible number of batches.
    static void check_arena(const SafetensorsFile& file, const std::string& prefix = "") {
        for (const ParameterSlot& slot : Layout::slots) {
            static_cast<void>(file.require(key(prefix, slot.name), dtype_of<T>(), shape_of(slot.spec)));
        }
    }
    static void check_buffers(const SafetensorsFile& file, const std::string& prefix = "") {
        for (const BufferSlot& slot : Layout::buffers) {
            const std::array<std::int64_t, 1> shape{slot.channels};
            static_cast<void>(file.require(key(prefix, slot.mean), dtype_of<T>(), shape));
            static_cast<void>(file.require(key(prefix, slot.variance), dtype_of<T>(), shape));
            std::int64_t batches = 0;
            file.require(key(prefix, slot.batches), Dtype::i64, {}).copy_to(std::span{&batches, 1});
            detail::require_count(batches,
                                  detail::joined({file.source, ": tensor ", detail::shown(key(prefix, slot.batches))}));
        }
    }
    /// Throws FileError where the file holds a tensor that is neither one of an arena nor one of buffers, under these
    /// prefixes.
    static void check_known(const SafetensorsFile& file, std::span<const std::string> arenas = no_prefix,
                            std::span<const std::string> buffers = no_prefix) {
        for (const TensorView& tensor : file.tensors) {
            const auto is = [&](const std::string& prefix, const Name& name) {
                return tensor.name == key(prefix, name);
            };
            bool known = false;
            for (const std::string& prefix : arenas) {
                for (const auto& slot : Layout::slots) { known = known || is(prefix, slot.name); }
            }
            for (const std::string& prefix : buffers) {
                for (const BufferSlot& slot : Layout::buffers) {
                    known = known || is(prefix, slot.mean) || is(prefix, slot.variance) || is(prefix, slot.batches);
                }
            }
            if (!known) {
                raise<FileError>({file.source, ": tensor ", detail::shown(tensor.name), ": found ",
                                  detail::shown(tensor.dtype, tensor.shape), ", expected none of this name"});
            }
        }
    }

    /// Reads arenas as they were in memory. Their padding is not looked at, for a model's stays as it is.
    static void read_stored(const detail::NativeArenas& from, Model<Net, T>& model) {
        const auto copy = [](std::span<const std::byte> bytes, std::span<T> arena, std::int64_t offset) {
            const auto at = static_cast<std::size_t>(offset);
            std::memcpy(&arena[at], bytes.data() + at * sizeof(T), sizeof(T));
        };
        for (const ParameterSlot& slot : Layout::slots) {
            detail::for_stored_and_canonical(slot.spec.dims, [&](std::int64_t stored, std::int64_t) {
                copy(from.parameters, model.parameters().span(), slot.offset + stored);
            });
        }
        for (const BufferSlot& slot : Layout::buffers) {
            for (int c = 0; c < slot.channels; ++c) {
                copy(from.buffers, model.buffers().span(), slot.mean_offset + c);
                copy(from.buffers, model.buffers().span(), slot.variance_offset + c);
            }
        }
        model.buffers().batches_tracked = from.batches_tracked;
    }

    /// Reads an arena that check_arena has passed.
    static void read_arena(const SafetensorsFile& file, std::span<T> arena, const std::string& prefix = "") {
        for (const ParameterSlot& slot : Layout::slots) {
            // The file's data may lie at any alignment.
            const std::byte* const values = file.find(key(prefix, slot.name))->data.data();
            detail::for_stored_and_canonical(slot.spec.dims, [&](std::int64_t stored, std::int64_t canonical) {
                std::memcpy(&arena[static_cast<std::size_t>(slot.offset + stored)],
                            values + canonical * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
            });
        }
    }
    static void read_buffers(const SafetensorsFile& file, Buffers<Net, T>& buffers, const std::string& prefix = "") {
        for (const BufferSlot& slot : Layout::buffers) {
            const auto n = static_cast<std::size_t>(slot.channels);
            const auto tensor = [&](const Name& name) { return file.find(key(prefix, name)); };
            tensor(slot.mean)->copy_to(buffers.span().subspan(static_cast<std::size_t>(slot.mean_offset), n));
            tensor(slot.variance)->copy_to(buffers.span().subspan(static_cast<std::size_t>(slot.variance_offset), n));
            tensor(slot.batches)->copy_to(std::span{&buffers.batches_tracked, 1});
        }
    }

  private:
    inline static const std::array<std::string, 1> no_prefix{""};

    static std::string key(const std::string& prefix, const Name& name) {
        return detail::joined({prefix, name.view()});
    }

    std::vector<std::vector<T>> floats_;
    std::vector<TensorView> views_;
};

/// Writes a model to `path`: temporary file, sync, rename, so that an older file stays whole until the new one is.
/// Equal models and infos give equal bytes. Throws FileError.
template <Network Net, class T>
void save_weights(const std::filesystem::path& path, const Model<Net, T>& model, const ModelInfo& info) {
    StateDict<Net, T> state;
    state.add_arena(model.parameters().span());
    state.add_buffers(model.buffers());
    save_safetensors(path, state.views(), detail::info_metadata(info));
}

/// Reads a model that save_weights, save_native or PyTorch wrote, and what the file says of it. Throws FileError, which
/// names the first tensor that is missing, of another shape or type, or unknown to the network; the model then stays as
/// it was.
template <Network Net, class T>
ModelInfo load_weights(const std::filesystem::path& path, Model<Net, T>& model) {
    using State = StateDict<Net, T>;
    const MappedFile mapped{path};
    mapped.prefetch();
    const SafetensorsFile file = parse_safetensors(mapped.bytes(), path.string());
    if (detail::is_native(file)) {
        const detail::NativeArenas arenas = detail::native_arenas(file, detail::native_layout<Net, T>);
        ModelInfo info = detail::read_info(file);
        State::read_stored(arenas, model);
        return info;
    }
    State::check_arena(file);
    State::check_buffers(file);
    State::check_known(file);
    ModelInfo info = detail::read_info(file);
    State::read_arena(file, model.parameters().span());
    State::read_buffers(file, model.buffers());
    return info;
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/pooling.hpp
// Max and average pooling over channels-last maps, forward and backward, band by band.

namespace ctnn::inline CTNN_ISA {

struct PoolDims {
    Shape in, out;
    Window window;
    constexpr bool operator==(const PoolDims&) const = default;

    /// Every pixel lies in exactly one window.
    [[nodiscard]] constexpr bool tiles() const {
        const auto tiled = [](Axis axis, int size) {
            return axis.padding == 0 && axis.stride == axis.extent && size % axis.extent == 0;
        };
        return tiled(window.y, in.height) && tiled(window.x, in.width);
    }
};

/// Calls f(at, corner, first, for_taps) for every window of the output rows [row_begin, row_end): `at` is the offset of
/// the output's channels, `corner` that of the channels of its first pixel, which may lie in the padding, and `first`
/// the number, ky · kernel width + kx, of the first tap that meets a pixel. for_taps(g) calls g(tap, offset) for every
/// tap that does, with the pixel's offset behind `corner`.
template <PoolDims D, class F>
CTNN_ALWAYS_INLINE void for_max_windows(int row_begin, int row_end, F&& f) {
    constexpr Axis y = D.window.y, x = D.window.x;
    constexpr std::ptrdiff_t channels = D.in.channels;
    for (int oy = row_begin; oy < row_end; ++oy) {
        const int ky_begin = y.padding == 0 ? 0 : y.live_begin(oy);
        const int ky_end = y.padding == 0 ? y.extent : y.live_end(oy, D.in.height);
        for (int ox = 0; ox < D.out.width; ++ox) {
            const int kx_begin = x.padding == 0 ? 0 : x.live_begin(ox);
            const int kx_end = x.padding == 0 ? x.extent : x.live_end(ox, D.in.width);
            f((std::ptrdiff_t{oy} * D.out.width + ox) * channels,
              (std::ptrdiff_t{y.first(oy)} * D.in.width + x.first(ox)) * channels, ky_begin * x.extent + kx_begin,
              [&](auto&& g) {
                  for (int ky = ky_begin; ky < ky_end; ++ky) {
                      for (int kx = kx_begin; kx < kx_end; ++kx) {
                          g(ky * D.window.x.extent + kx, (std::ptrdiff_t{ky} * D.in.width + kx) * channels);
                      }
                  }
              });
        }
    }
}

/// Output rows [row_begin, row_end) of activation(max over the window of x or, if Affine, of x · scale + shift). `x` is
/// where input row 0 would be: only rows that the windows meet are read. `places` (may be null) gets the tap of the
/// maximum, ky · kernel width + kx, one byte per output. `y` and `places` begin at output row 0.
template <PoolDims D, Activation A, bool Affine, class T, class Arch = DefaultArch>
void max_pool_rows(const T* x, const T* scale, const T* shift, T* y, std::uint8_t* places, int row_begin, int row_end) {
    using V = Vec<T, Arch>;
    for_max_windows<D>(row_begin, row_end, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int first, auto&& for_taps) {
        for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            V best = V::broadcast(-std::numeric_limits<T>::infinity());
            V place = V::broadcast(static_cast<T>(first));
            const V factor = Affine ? load(scale + c) : V::broadcast(T{1});
            const V offset = Affine ? load(shift + c) : V::broadcast(T{});
            for_taps([&](int tap, std::ptrdiff_t pixel) {
                V value = load(x + corner + pixel + c);
                if constexpr (Affine) { value = fma(value, factor, offset); }
                place = where_greater_or_nan(value, best, V::broadcast(static_cast<T>(tap)), place);
                best = where_greater_or_nan(value, best, value, best);
            });
            store(y + at + c, activate<A>(best));
            if (places != nullptr) { store(places + at + c, place); }
        });
    });
}

/// Adds factor[c] · dy to dx at every output's place; factor may be null for 1. All of one sample.
template <PoolDims D, class T, class Arch = DefaultArch>
void max_pool_scatter(const T* dy, const std::uint8_t* places, const T* factor, T* dx) {
    using V = Vec<T, Arch>;
    for_max_windows<D>(0, D.out.height, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int, auto&& for_taps) {
        for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
            V gradient = load(dy + at + c);
            if (factor != nullptr) { gradient = gradient * load(factor + c); }
            const V place = load(places + at + c);
            for_taps([&](int tap, std::ptrdiff_t pixel) {
                T* const to = dx + corner + pixel + c;
                const V here = V::broadcast(static_cast<T>(tap));
                store(to, load(to) + where_equal(place, here, gradient, V::broadcast(T{})));
            });
        });
    });
}

/// Gradient of a max pool with respect to its input, one sample: overwrites dx.
template <PoolDims D, class T, class Arch = DefaultArch>
void max_pool_gradient(const T* dy, const std::uint8_t* places, T* dx) {
    using V = Vec<T, Arch>;
    if constexpr (!D.tiles()) {
        std::fill_n(dx, D.in.size(), T{});
        max_pool_scatter<D, T, Arch>(dy, places, nullptr, dx);
    } else {
        for_max_windows<D>(0, D.out.height, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int, auto&& for_taps) {
            for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
                const V gradient = load(dy + at + c), place = load(places + at + c);
                for_taps([&](int tap, std::ptrdiff_t pixel) {
                    const V here = V::broadcast(static_cast<T>(tap));
                    store(dx + corner + pixel + c, where_equal(place, here, gradient, V::broadcast(T{})));
                });
            });
        });
    }
}

/// Calls f(oy, ox, rows [y0, y1), columns [x0, x1), weight) for every window of an average pool: the pixels it covers
/// and the factor of their sum. Adaptive windows follow PyTorch: from ⌊i·H/O⌋ to ⌈(i + 1)·H/O⌉.
template <PoolDims D, bool Adaptive, bool CountPadding, class T, class F>
CTNN_ALWAYS_INLINE void for_average_windows(F&& f) {
    for (int oy = 0; oy < D.out.height; ++oy) {
        for (int ox = 0; ox < D.out.width; ++ox) {
            int y0, y1, x0, x1, covered;
            if constexpr (Adaptive) {
                y0 = oy * D.in.height / D.out.height;
                y1 = ceil_div((oy + 1) * D.in.height, D.out.height);
                x0 = ox * D.in.width / D.out.width;
                x1 = ceil_div((ox + 1) * D.in.width, D.out.width);
                covered = (y1 - y0) * (x1 - x0);
            } else {
                y0 = D.window.y.first(oy) + D.window.y.live_begin(oy);
                y1 = D.window.y.first(oy) + D.window.y.live_end(oy, D.in.height);
                x0 = D.window.x.first(ox) + D.window.x.live_begin(ox);
                x1 = D.window.x.first(ox) + D.window.x.live_end(ox, D.in.width);
                covered = CountPadding ? D.window.y.extent * D.window.x.extent : (y1 - y0) * (x1 - x0);
            }
            f(oy, ox, y0, y1, x0, x1, T{1} / static_cast<T>(covered));
        }
    }
}

/// Average pool of one sample: overwrites y.
template <PoolDims D, bool Adaptive, bool CountPadding, class T, class Arch = DefaultArch>
void average_pool(const T* x, T* y) {
    constexpr int channels = D.in.channels;
    for_average_windows<D, Adaptive, CountPadding, T>([&](int oy, int ox, int y0, int y1, int x0, int x1, T weight) {
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            auto total = Vec<T, Arch>::broadcast(T{});
            for (int iy = y0; iy < y1; ++iy) {
                for (int ix = x0; ix < x1; ++ix) {
                    total = total + load(x + (std::ptrdiff_t{iy} * D.in.width + ix) * channels + c);
                }
            }
            store(y + (std::ptrdiff_t{oy} * D.out.width + ox) * channels + c, total * Vec<T, Arch>::broadcast(weight));
        });
    });
}

/// Gradient of an average pool with respect to its input, one sample: overwrites dx.
template <PoolDims D, bool Adaptive, bool CountPadding, class T, class Arch = DefaultArch>
void average_pool_gradient(const T* dy, T* dx) {
    constexpr int channels = D.in.channels;
    std::fill_n(dx, D.in.size(), T{});
    for_average_windows<D, Adaptive, CountPadding, T>([&](int oy, int ox, int y0, int y1, int x0, int x1, T weight) {
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            const auto share =
                load(dy + (std::ptrdiff_t{oy} * D.out.width + ox) * channels + c) * Vec<T, Arch>::broadcast(weight);
            for (int iy = y0; iy < y1; ++iy) {
                for (int ix = x0; ix < x1; ++ix) {
                    T* to = dx + (std::ptrdiff_t{iy} * D.in.width + ix) * channels + c;
                    store(to, load(to) + share);
                }
            }
        });
    });
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/register_tile.hpp
// Register tiles: which shape covers a row best, and the accumulators of a correlation.

namespace ctnn::inline CTNN_ISA {

/// What happens to a sum before it is stored: sum · scale[o] + shift[o], a null pointer standing for 1 or 0, then ReLU
/// on request. Both arrays are padded to whole blocks. With `accumulate` the sum starts from what the output holds.
template <class T>
struct Epilogue {
    const T* scale = nullptr;
    const T* shift = nullptr;
    bool relu = false;
    bool accumulate = false;
};

/// A register tile: neighbouring pixels (or samples, or input channels) × blocks of output channels.
struct RegisterTile {
    int pixels, blocks;
};

/// The tile that covers `width` neighbours and `blocks` channel blocks with the fewest loads per multiply-add, its
/// accumulators within the registers. Tiles of at least twice as many pixels as blocks are preferred: weights then
/// stay in registers while pixels stream.
template <class T, class Arch>
constexpr RegisterTile choose_tile(int width, int blocks) {
    using V = Vec<T, Arch>;
    RegisterTile best{1, 1};
    double best_cost = 1e9;
    for (int b = 1; b <= 4; ++b) {
        const int vectors = b * vectors_per_block<T, Arch>;
        // Besides the sums, one pixel's weights and its input: a register too few, and compilers keep sums in memory.
        const int room = std::min(V::registers * 7 / 8, V::registers - vectors - V::broadcast_registers);
        if (blocks % b != 0 || (b > 1 && vectors > room)) { continue; }
        const int pixels = ceil_div(width, ceil_div(width, std::max(1, room / vectors)));
        const double sums = pixels * vectors;
        const double cost = (pixels + vectors) / sums + (pixels < 2 * b ? 0.5 : 0.0) + (sums < 8 ? 0.5 : 0.0);
        if (cost < best_cost) {
            best_cost = cost;
            best = {pixels, b};
        }
    }
    return best;
}

/// One register tile: accumulators of `Pixels` outputs × `Blocks` channel blocks.
template <class T, class Arch, int Pixels, int Blocks>
struct Accumulators {
    using V = Vec<T, Arch>;
    static constexpr int per_block = vectors_per_block<T, Arch>;
    static constexpr int vectors = Blocks * per_block;
    V sum[Pixels][vectors];

    CTNN_ALWAYS_INLINE void clear() {
#pragma GCC unroll 32
        for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) { sum[p][v] = V::broadcast(T{}); }
        }
    }

    /// sum[p] += x[p·step + c] · w[c] for c in [0, count) and p in [Lo, Hi). Blocks of weights lie `block_stride`
    /// apart. They may be of half precision.
    template <int Lo, int Hi, class W>
    CTNN_ALWAYS_INLINE void add(const T* x, std::ptrdiff_t step, const W* w, std::ptrdiff_t block_stride, int count) {
        if constexpr (Lo < Hi) {
#pragma GCC unroll 1
            for (int c = 0; c < count; ++c) {
                V weight[vectors];
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) {
                    weight[v] =
                        V::load(w + (v / per_block) * block_stride + c * block_size + (v % per_block) * V::width);
                }
#pragma GCC unroll 32
                for (int p = Lo; p < Hi; ++p) {
                    const V input = V::broadcast(x[p * step + c]);
#pragma GCC unroll 8
                    for (int v = 0; v < vectors; ++v) { sum[p][v] = fma(input, weight[v], sum[p][v]); }
                }
            }
        }
    }

    /// Loads what the output holds into the sums.
    template <bool Whole>
    CTNN_ALWAYS_INLINE void load(const T* out, std::ptrdiff_t step, int channels) {
#pragma GCC unroll 32
        for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const int left = channels - v * V::width;
                sum[p][v] = Whole || left >= V::width ? V::load(out + p * step + v * V::width)
                                                      : V::load(out + p * step + v * V::width, std::max(left, 0));
            }
        }
    }

    /// Stores the first `channels` channels of every pixel, `step` elements apart.
    template <bool Whole>
    CTNN_ALWAYS_INLINE void store(T* out, std::ptrdiff_t step, int channels, const Epilogue<T>& epilogue) {
        if (epilogue.scale != nullptr) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const V scale = V::load(epilogue.scale + v * V::width);
#pragma GCC unroll 32
                for (int p = 0; p < Pixels; ++p) { sum[p][v] = sum[p][v] * scale; }
            }
        }
        if (epilogue.shift != nullptr) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const V shift = V::load(epilogue.shift + v * V::width);
#pragma GCC unroll 32
                for (int p = 0; p < Pixels; ++p) { sum[p][v] = sum[p][v] + shift; }
            }
        }
        if (epilogue.relu) {
#pragma GCC unroll 32
            for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) { sum[p][v] = max(V::broadcast(T{}), sum[p][v]); }
            }
        }
        if (Whole || channels >= vectors * V::width) {
#pragma GCC unroll 32
            for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) { sum[p][v].store(out + p * step + v * V::width); }
            }
        } else {
#pragma GCC unroll 32
            for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) {
                    const int left = channels - v * V::width;
                    if (left >= V::width) {
                        sum[p][v].store(out + p * step + v * V::width);
                    } else if (left > 0) {
                        sum[p][v].store(out + p * step + v * V::width, left);
                    }
                }
            }
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/correlation.hpp
// Cross-correlation of one channels-last map with blocked weights: the forward pass of a convolution, and its
// gradient with respect to the data, which is a correlation with transposed weights.
//
// A register tile is `pixels` neighbouring outputs × `blocks` channel blocks. For every live tap the tile walks the
// input channels: a vector of weights per block vector is loaded, every pixel's input is broadcast. Taps that meet
// only padding are never visited: vertical ones are loop bounds, horizontal ones vanish because every tile that
// touches a border is an instantiation of its own. Maps too narrow for a tile are tiled over samples instead.

namespace ctnn::inline CTNN_ISA {

/// Dimensions of a correlation within one group. Pixel and row strides are in elements and allow for other groups'
/// channels between, and for outputs that are written with gaps (the phases of a strided gradient).
struct CorrelationDims {
    int in_channels, in_height, in_width, in_pixel;
    int out_channels, out_height, out_width, out_pixel, out_row;
    Axis y, x;
    constexpr bool operator==(const CorrelationDims&) const = default;

    [[nodiscard]] constexpr int blocks() const { return ceil_div(out_channels, block_size); }
    [[nodiscard]] constexpr int in_row() const { return in_width * in_pixel; }
    /// Elements of one block of weights: [kh][kw][in_channels][16].
    [[nodiscard]] constexpr std::ptrdiff_t block_weights() const {
        return std::ptrdiff_t{y.extent} * x.extent * in_channels * block_size;
    }
};

/// Maps narrower than this are tiled over samples.
inline constexpr int narrow_width = 4;

/// The correlation of dimensions D: which tiles cover it, and the loops over them.
template <CorrelationDims D, class T, class Arch = DefaultArch>
struct Correlation {
    /// True where one row has too few pixels for a tile, so that tiles run over samples at one pixel.
    static constexpr bool over_samples = D.out_width < narrow_width;
    static constexpr RegisterTile tile = choose_tile<T, Arch>(over_samples ? 64 : D.out_width, D.blocks());
    /// Groups of channel blocks that a tile takes at once.
    static constexpr int block_groups = D.blocks() / tile.blocks;
    static constexpr int channels_per_group = tile.blocks * block_size;

    /// Output rows [row_begin, row_end) of one sample, for one group of blocks. `x` and `out` are the sample's first
    /// elements, `out` shifted so that row r is at out + r·out_row; `w` is the first block of the whole correlation.
    static void rows(const T* x, const T* w, T* out, int row_begin, int row_end, int block_group,
                     const Epilogue<T>& epilogue) {
        const int channel = block_group * channels_per_group;
        const Epilogue<T> shifted = shift(epilogue, channel);
        const T* weights = w + D.block_weights() * tile.blocks * block_group;
        for (int row = row_begin; row < row_end; ++row) {
            const int tap_begin = D.y.live_begin(row);
            const int tap_end = D.y.live_end(row, D.in_height);
            const T* in = x + static_cast<std::ptrdiff_t>(D.y.first(row)) * D.in_row();
            T* to = out + static_cast<std::ptrdiff_t>(row) * D.out_row + channel;
            row_tiles(in, weights, to, tap_begin, tap_end, D.out_channels - channel, shifted,
                      std::make_integer_sequence<int, ceil_div(D.out_width, tile.pixels)>{});
        }
    }

    /// All pixels of samples [begin, end), for one group of blocks; samples lie in_sample and out_sample elements
    /// apart. Used where over_samples. `channel_begin` and `channel_count` cut the input channels, for accumulation
    /// over blocks of a long reduction. Weights W may be of half precision.
    template <class W>
    static void samples(const T* x, std::ptrdiff_t in_sample, const W* w, T* out, std::ptrdiff_t out_sample, int begin,
                        int end, int block_group, const Epilogue<T>& epilogue, int channel_begin = 0,
                        int channel_count = D.in_channels) {
        const int channel = block_group * channels_per_group;
        const Epilogue<T> shifted = shift(epilogue, channel);
        const W* weights = w + D.block_weights() * tile.blocks * block_group + channel_begin * block_size;
        for (int row = 0; row < D.out_height; ++row) {
            for (int column = 0; column < D.out_width; ++column) {
                T* to = out + static_cast<std::ptrdiff_t>(row) * D.out_row + column * D.out_pixel + channel;
                const auto run = [&]<int Pixels>(std::integral_constant<int, Pixels>, int n) {
                    sample_tile<Pixels>(x + n * in_sample + channel_begin, in_sample, weights, to + n * out_sample,
                                        out_sample, row, column, D.out_channels - channel, shifted, channel_count);
                };
                int n = begin;
                for (int i = whole_tiles(end - begin); i > 0; --i, n += tile.pixels) {
                    run(std::integral_constant<int, tile.pixels>{}, n);
                }
                if constexpr (tile.pixels > 8) {
                    for (; n + 8 <= end; n += 8) { run(std::integral_constant<int, 8>{}, n); }
                }
                if constexpr (tile.pixels > 4) {
                    for (; n + 4 <= end; n += 4) { run(std::integral_constant<int, 4>{}, n); }
                }
                if constexpr (tile.pixels > 2) {
                    for (; n + 2 <= end; n += 2) { run(std::integral_constant<int, 2>{}, n); }
                }
                for (; n < end; ++n) { run(std::integral_constant<int, 1>{}, n); }
            }
        }
    }

  private:
    /// No group of blocks has fewer channels than it has room for.
    static constexpr bool always_whole = D.out_channels % channels_per_group == 0;

    /// Whole tiles of so many samples: as many as leave a multiple of 4 where one, two or three fewer do. Tiles of 8
    /// and 4 have sums enough to keep the multiply-adds busy, those of 2 and 1 wait for their own.
    static constexpr int whole_tiles(int samples) {
        const int most = samples / tile.pixels;
        for (int n = most; n >= std::max(0, most - 3); --n) {
            if ((samples - n * tile.pixels) % 4 == 0) { return n; }
        }
        return most;
    }

    static Epilogue<T> shift(Epilogue<T> epilogue, int channel) {
        if (epilogue.scale != nullptr) { epilogue.scale += channel; }
        if (epilogue.shift != nullptr) { epilogue.shift += channel; }
        return epilogue;
    }

    template <int... Index>
    static void row_tiles(const T* in, const T* w, T* out, int tap_begin, int tap_end, int channels,
                          const Epilogue<T>& epilogue, std::integer_sequence<int, Index...>) {
        (one_row_tile<Index * tile.pixels>(in, w, out, tap_begin, tap_end, channels, epilogue), ...);
    }

    /// True where every tap of every pixel of the tile at `begin` meets the input: such tiles share one instantiation.
    static constexpr bool interior(int begin, int pixels) {
        return D.x.first(begin) >= 0 && D.x.first(begin + pixels - 1) + D.x.extent <= D.in_width;
    }

    template <int Begin>
    static void one_row_tile(const T* in, const T* w, T* out, int tap_begin, int tap_end, int channels,
                             const Epilogue<T>& epilogue) {
        constexpr int pixels = std::min(tile.pixels, D.out_width - Begin);
        if constexpr (interior(Begin, pixels)) {
            inner_tile<pixels>(in + D.x.first(Begin) * D.in_pixel, w, out + Begin * D.out_pixel, tap_begin, tap_end,
                               channels, epilogue);
        } else {
            edge_tile<Begin, pixels>(in, w, out + Begin * D.out_pixel, tap_begin, tap_end, channels, epilogue,
                                     std::make_integer_sequence<int, D.x.extent>{});
        }
    }

    template <int Pixels>
    static void inner_tile(const T* in, const T* w, T* out, int tap_begin, int tap_end, int channels,
                           const Epilogue<T>& epilogue) {
        Accumulators<T, Arch, Pixels, tile.blocks> sums;
        start(sums, out, D.out_pixel, channels, epilogue);
        constexpr std::ptrdiff_t step = std::ptrdiff_t{D.x.stride} * D.in_pixel;
        for (int ky = tap_begin; ky < tap_end; ++ky) {
            const T* row = in + ky * D.in_row();
            const T* weights = w + std::ptrdiff_t{ky} * D.x.extent * D.in_channels * block_size;
            if constexpr (D.in_pixel == D.in_channels) {  // a kernel row is contiguous in both
                sums.template add<0, Pixels>(row, step, weights, D.block_weights(), D.x.extent * D.in_channels);
            } else {
                for (int kx = 0; kx < D.x.extent; ++kx) {
                    sums.template add<0, Pixels>(row + kx * D.in_pixel, step, weights + kx * D.in_channels * block_size,
                                                 D.block_weights(), D.in_channels);
                }
            }
        }
        sums.template store<always_whole>(out, D.out_pixel, channels, epilogue);
    }

    template <int Begin, int Pixels, int... Kx>
    static void edge_tile(const T* in, const T* w, T* out, int tap_begin, int tap_end, int channels,
                          const Epilogue<T>& epilogue, std::integer_sequence<int, Kx...>) {
        Accumulators<T, Arch, Pixels, tile.blocks> sums;
        start(sums, out, D.out_pixel, channels, epilogue);
        constexpr std::ptrdiff_t step = std::ptrdiff_t{D.x.stride} * D.in_pixel;
        for (int ky = tap_begin; ky < tap_end; ++ky) {
            const T* row = in + ky * D.in_row();
            const T* weights = w + std::ptrdiff_t{ky} * D.x.extent * D.in_channels * block_size;
            (sums.template add<live_begin(D.x.first(Begin) + Kx, Pixels), live_end(D.x.first(Begin) + Kx, Pixels)>(
                 row + (D.x.first(Begin) + Kx) * D.in_pixel, step, weights + Kx * D.in_channels * block_size,
                 D.block_weights(), D.in_channels),
             ...);
        }
        sums.template store<always_whole>(out, D.out_pixel, channels, epilogue);
    }

    /// Pixels [begin, end) of a tile whose tap at input column `column` (of the first pixel) meets the input.
    static constexpr int live_begin(int column, int pixels) {
        return column >= 0 ? 0 : std::min(pixels, ceil_div(-column, D.x.stride));
    }
    static constexpr int live_end(int column, int pixels) {
        const int last = D.in_width - column;
        return last <= 0 ? 0 : std::min(pixels, ceil_div(last, D.x.stride));
    }

    template <int Pixels, class W>
    static void sample_tile(const T* x, std::ptrdiff_t in_sample, const W* w, T* out, std::ptrdiff_t out_sample,
                            int row, int column, int channels, const Epilogue<T>& epilogue, int channel_count) {
        Accumulators<T, Arch, Pixels, tile.blocks> sums;
        start(sums, out, out_sample, channels, epilogue);
        for (int ky = D.y.live_begin(row); ky < D.y.live_end(row, D.in_height); ++ky) {
            for (int kx = D.x.live_begin(column); kx < D.x.live_end(column, D.in_width); ++kx) {
                sums.template add<0, Pixels>(
                    x + (D.y.first(row) + ky) * D.in_row() + (D.x.first(column) + kx) * D.in_pixel, in_sample,
                    w + (std::ptrdiff_t{ky} * D.x.extent + kx) * D.in_channels * block_size, D.block_weights(),
                    channel_count);
            }
        }
        sums.template store<always_whole>(out, out_sample, channels, epilogue);
    }

    template <class Sums>
    static CTNN_ALWAYS_INLINE void start(Sums& sums, const T* out, std::ptrdiff_t step, int channels,
                                         const Epilogue<T>& epilogue) {
        if (epilogue.accumulate) {
            sums.template load<always_whole>(out, step, channels);
        } else {
            sums.clear();
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/weight_gradient.hpp
// Gradient of a convolution or linear layer with respect to its weights: sums over samples and pixels of
// input × output gradient, in register tiles of input channels × output channel blocks.
//
// Work is cut into items (group, output blocks, input channels, kernel row): every weight belongs to one item, and an
// item adds its samples in order, so results do not depend on the number of threads and no partial sums are needed.

namespace ctnn::inline CTNN_ISA {

/// One item of work: a kernel row of a tile of weights. D is a convolution's forward() correlation; x and dy are the
/// first sample's elements of the first channel of the convolution's group.
template <CorrelationDims D, class T, class Arch = DefaultArch>
struct WeightGradient {
    using V = Vec<T, Arch>;

    /// With few input channels a tile runs over the contiguous (kernel column, channel) pairs of a kernel row instead.
    static constexpr bool fused_columns = D.in_channels < 8 && D.in_pixel == D.in_channels;
    static constexpr int columns = fused_columns ? 1 : D.x.extent;
    static constexpr int reduction = fused_columns ? D.x.extent * D.in_channels : D.in_channels;
    static constexpr RegisterTile tile = choose_tile<T, Arch>(reduction, D.blocks());
    static constexpr int tiles = ceil_div(reduction, tile.pixels);
    /// Tiles are as equal as can be: the first `larger` have one channel more than the others.
    static constexpr int least = reduction / tiles;
    static constexpr int larger = reduction % tiles;
    static constexpr int block_groups = D.blocks() / tile.blocks;
    static constexpr int items = block_groups * tiles * D.y.extent;
    /// A linear layer's, or of a convolution that is one.
    static constexpr bool one_tap = D.y.extent * D.x.extent == 1 && D.out_height * D.out_width == 1;
    /// Gradients that no cache holds go past them.
    static constexpr bool streams = one_tap && D.blocks() * D.block_weights() * std::ptrdiff_t{sizeof(T)} > (8 << 20);
    /// Tiles of one tap run over all output blocks before the next tiles follow, so that their inputs, of the whole
    /// batch, stay in the second-level cache, of which they take half a MiB.
    static constexpr int run_tiles(int batch) {
        return one_tap ? std::clamp((1 << 17) / batch / tile.pixels, 1, tiles) : tiles;
    }

    /// Adds samples [begin, end) of a batch to item `item` of the group's weight gradients, or overwrites it when
    /// `overwrite`.
    static void add(const T* x, std::ptrdiff_t in_sample, const T* dy, std::ptrdiff_t out_sample, T* gradient,
                    int begin, int end, int batch, int item, bool overwrite) {
        const int ky = item % D.y.extent;
        const int of_tiles = item / D.y.extent, whole_run = run_tiles(batch);
        const int run = of_tiles / (whole_run * block_groups);
        const int run_size = std::min(whole_run, tiles - run * whole_run);  // the last run has the rest
        const int in_run = of_tiles - run * whole_run * block_groups;
        const int index = run * whole_run + in_run % run_size;
        const int block_group = in_run / run_size;
        const int channel = index * least + std::min(index, larger);
        T* to = gradient + D.block_weights() * tile.blocks * block_group +
                (std::ptrdiff_t{ky} * D.x.extent * D.in_channels + channel) * block_size;
        const Span span{x,          in_sample, dy + block_group * tile.blocks * block_size,
                        out_sample, begin,     end,
                        ky,         channel,   D.out_channels - block_group * tile.blocks * block_size,
                        overwrite};
        if (index < larger) {
            item_columns<least + (larger > 0 ? 1 : 0)>(span, to);
        } else {
            item_columns<least>(span, to);
        }
    }

  private:
    static constexpr int vectors = tile.blocks * vectors_per_block<T, Arch>;
    static constexpr std::ptrdiff_t in_step = std::ptrdiff_t{D.x.stride} * D.in_pixel;

    struct Span {
        const T* x;
        std::ptrdiff_t in_sample;
        const T* dy;
        std::ptrdiff_t out_sample;
        int begin, end, ky, channel, out_channels;
        bool overwrite;
    };

    /// Output columns [begin, end) for which kernel column kx meets the input; with fused columns, those where all do.
    static constexpr int live_begin(int kx) {
        const int first = D.x.first(0) + (fused_columns ? 0 : kx);
        return first >= 0 ? 0 : std::min(D.out_width, ceil_div(-first, D.x.stride));
    }
    static constexpr int live_end(int kx) {
        const int last = D.in_width - D.x.first(0) - (fused_columns ? D.x.extent - 1 : kx);
        return last <= 0 ? 0 : std::min(D.out_width, ceil_div(last, D.x.stride));
    }

    template <int Channels>
    static void item_columns(const Span& s, T* to) {
        constexpr bool always_whole = D.out_channels % (tile.blocks * block_size) == 0;
        if (always_whole || s.out_channels >= tile.blocks * block_size) {
            for (int kx = 0; kx < columns; ++kx) { one_column<Channels, true>(s, to, kx); }
        } else if constexpr (!always_whole) {
            for (int kx = 0; kx < columns; ++kx) { one_column<Channels, false>(s, to, kx); }
        }
    }

    template <bool Whole>
    static CTNN_ALWAYS_INLINE void load_gradient(V (&out)[vectors], const T* dy, int channels) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            const int left = channels - v * V::width;
            out[v] = Whole || left >= V::width ? V::load(dy + v * V::width)
                                               : V::load(dy + (left > 0 ? v * V::width : 0), std::max(left, 0));
        }
    }

    template <int Channels, bool Whole>
    static void one_column(const Span& s, T* to, int kx) {
        const int begin = live_begin(kx), end = live_end(kx);
        T* weights = to + std::ptrdiff_t{kx} * D.in_channels * block_size;
        const int column = D.x.first(0) + kx;
        V sum[Channels][vectors];
        constexpr int per_block = vectors_per_block<T, Arch>;
#pragma GCC unroll 32
        for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const T* w =
                    weights + (v / per_block) * D.block_weights() + c * block_size + (v % per_block) * V::width;
                sum[c][v] = s.overwrite ? V::broadcast(T{}) : V::load(w);
            }
        }
        const int row_begin = first_row(s.ky);
        const int row_end = last_row(s.ky);
        for (int n = s.begin; n < s.end; ++n) {
            for (int row = row_begin; row < row_end; ++row) {
                const T* x = s.x + n * s.in_sample + std::ptrdiff_t{D.y.first(row) + s.ky} * D.in_row() +
                             column * D.in_pixel + s.channel;
                const T* dy = s.dy + n * s.out_sample + std::ptrdiff_t{row} * D.out_width * D.out_pixel;
                if constexpr (fused_columns) { edge_pixels<Channels, Whole>(sum, x, dy, s, 0, begin); }
#pragma GCC unroll 1
                for (int ox = begin; ox < end; ++ox) {
                    V gradient[vectors];
                    load_gradient<Whole>(gradient, dy + ox * D.out_pixel, s.out_channels);
#pragma GCC unroll 32
                    for (int c = 0; c < Channels; ++c) {
                        const V input = V::broadcast(x[ox * in_step + c]);
#pragma GCC unroll 8
                        for (int v = 0; v < vectors; ++v) { sum[c][v] = fma(input, gradient[v], sum[c][v]); }
                    }
                }
                if constexpr (fused_columns) {
                    edge_pixels<Channels, Whole>(sum, x, dy, s, std::max(begin, end), D.out_width);
                }
            }
        }
#pragma GCC unroll 32
        for (int c = 0; c < Channels; ++c) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                T* const to_vector =
                    weights + (v / per_block) * D.block_weights() + c * block_size + (v % per_block) * V::width;
                if constexpr (streams) {
                    stream(to_vector, sum[c][v]);
                } else {
                    sum[c][v].store(to_vector);
                }
            }
        }
    }

    /// Pixels where some columns of a fused tile meet padding: those inputs count as zeros and are not read.
    template <int Channels, bool Whole>
    static CTNN_ALWAYS_INLINE void edge_pixels(V (&sum)[Channels][vectors], const T* x, const T* dy, const Span& s,
                                               int begin, int end) {
#pragma GCC unroll 1
        for (int ox = begin; ox < end; ++ox) {
            V gradient[vectors];
            load_gradient<Whole>(gradient, dy + ox * D.out_pixel, s.out_channels);
            const int live_from = -D.x.first(ox) * D.in_channels - s.channel;
            const int live_to = (D.in_width - D.x.first(ox)) * D.in_channels - s.channel;
#pragma GCC unroll 32
            for (int c = 0; c < Channels; ++c) {
                const V input = V::broadcast(c >= live_from && c < live_to ? x[ox * in_step + c] : T{});
#pragma GCC unroll 8
                for (int v = 0; v < vectors; ++v) { sum[c][v] = fma(input, gradient[v], sum[c][v]); }
            }
        }
    }

    /// Output rows [first, last) for which kernel row ky meets the input.
    static constexpr int first_row(int ky) {
        const int first = D.y.first(0) + ky;
        return first >= 0 ? 0 : std::min(D.out_height, ceil_div(-first, D.y.stride));
    }
    static constexpr int last_row(int ky) {
        const int last = D.in_height - D.y.first(0) - ky;
        return last <= 0 ? 0 : std::min(D.out_height, ceil_div(last, D.y.stride));
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/convolution.hpp
// The three directions of a convolution, as correlations and weight gradients of fixed dimensions.

namespace ctnn::inline CTNN_ISA {

/// A two-dimensional convolution over channels-last maps. A linear layer is one over a 1×1 map.
struct ConvolutionDims {
    Shape in, out;
    int groups;
    Window window;
    constexpr bool operator==(const ConvolutionDims&) const = default;

    [[nodiscard]] constexpr int group_in() const { return in.channels / groups; }
    [[nodiscard]] constexpr int group_out() const { return out.channels / groups; }
    /// Stored weights of one group.
    [[nodiscard]] constexpr std::ptrdiff_t group_weights() const {
        return std::ptrdiff_t{ceil_div(group_out(), block_size)} * block_size * window.y.extent * window.x.extent *
               group_in();
    }
    /// Elements of a bias as stored: every group padded to whole blocks.
    [[nodiscard]] constexpr int group_bias() const { return ceil_div(group_out(), block_size) * block_size; }

    [[nodiscard]] constexpr CorrelationDims forward() const {
        return {group_in(),  in.height,    in.width,
                in.channels, group_out(),  out.height,
                out.width,   out.channels, out.width * out.channels,
                window.y,    window.x};
    }
};

/// One phase of the gradient with respect to the data along one axis: input coordinates φ, φ + stride, … receive from
/// taps ρ, ρ + stride, … alone, so each phase is a correlation of stride 1 over the output gradient with those taps
/// reversed.
struct Phase {
    int offset, first_tap, taps, padding, size;

    /// Whether the phase's tap meets more than padding anywhere, in a gradient of `out_size`.
    [[nodiscard]] constexpr bool live(int tap, int out_size) const {
        return tap > padding - size && tap < padding + out_size;
    }
};

constexpr Phase phase_of(Axis axis, int in_size, int offset) {
    const int rho = (offset + axis.padding) % axis.stride;
    const int taps = rho < axis.extent ? (axis.extent - rho + axis.stride - 1) / axis.stride : 0;
    return {offset, rho, taps, taps - 1 - (offset + axis.padding - rho) / axis.stride,
            in_size > offset ? (in_size - offset + axis.stride - 1) / axis.stride : 0};
}

/// The correlation that computes one pair of phases of the data gradient.
constexpr CorrelationDims data_gradient_dims(const ConvolutionDims& d, Phase y, Phase x) {
    return {d.group_out(),
            d.out.height,
            d.out.width,
            d.out.channels,
            d.group_in(),
            y.size,
            x.size,
            d.window.x.stride * d.in.channels,
            d.window.y.stride * d.in.width * d.in.channels,
            {y.taps, 1, y.padding},
            {x.taps, 1, x.padding}};
}

/// Elements of transposed weights: [groups][phases][in / 16][taps y][taps x][out][16].
constexpr std::ptrdiff_t transposed_weights(const ConvolutionDims& d) {
    return std::ptrdiff_t{d.groups} * ceil_div(d.group_in(), block_size) * block_size * d.window.y.extent *
           d.window.x.extent * d.group_out();
}

/// Begin of a phase's transposed weights within a group.
constexpr std::ptrdiff_t phase_begin(const ConvolutionDims& d, int phase_y, int phase_x) {
    std::ptrdiff_t taps = 0;
    for (int py = 0; py < d.window.y.stride; ++py) {
        for (int px = 0; px < d.window.x.stride; ++px) {
            if (py == phase_y && px == phase_x) {
                return taps * ceil_div(d.group_in(), block_size) * block_size * d.group_out();
            }
            taps +=
                std::ptrdiff_t{phase_of(d.window.y, d.in.height, py).taps} * phase_of(d.window.x, d.in.width, px).taps;
        }
    }
    return 0;
}

namespace detail {

/// Transposes the first `channels` of 16 rows of 16 weights, with zeros for the others, and writes the first `outs`
/// rows of what that gives. Four perfect shuffles, each of which interleaves the halves of what the one before wrote:
/// loops that GCC and Clang turn into permutations of whole vectors, where a plain transposition is 256 loads and
/// stores.
template <class T>
CTNN_ONE_COPY void transpose_block(const T* from, int channels, int outs, T* to) {
    constexpr int size = block_size * block_size;
    static_assert(block_size == 16);
    alignas(64) T a[size], b[size];
    const auto shuffle = [](const T* x, T* y) {
        for (std::ptrdiff_t i = 0; i < size / 2; ++i) {
            y[2 * i] = x[i];
            y[2 * i + 1] = x[i + size / 2];
        }
    };
    std::fill(std::copy(from, from + channels * block_size, a), a + size, T{});
    shuffle(a, b);
    shuffle(b, a);
    shuffle(a, b);
    shuffle(b, a);
    std::copy(a, a + outs * block_size, to);
}

}  // namespace detail

/// Which taps transpose_weights writes.
enum class Taps { live, all };

/// Writes the transposed weights of input block `block` of group `group`; blocks may be written in parallel. Taps that
/// only meet padding are no part of the gradient, and left out unless all are asked for.
template <ConvolutionDims D, Taps Which = Taps::live, class T>
void transpose_weights(const T* weights, T* transposed, int group, int block) {
    constexpr std::ptrdiff_t tap_size = std::ptrdiff_t{D.group_in()} * block_size;
    constexpr std::ptrdiff_t block_stride = tap_size * D.window.y.extent * D.window.x.extent;
    const T* from = weights + group * D.group_weights() + std::ptrdiff_t{block} * block_size * block_size;
    T* group_to = transposed + transposed_weights(D) / D.groups * group;
    const int channels = std::min(block_size, D.group_in() - block * block_size);
    for (int py = 0; py < D.window.y.stride; ++py) {
        for (int px = 0; px < D.window.x.stride; ++px) {
            const Phase y = phase_of(D.window.y, D.in.height, py);
            const Phase x = phase_of(D.window.x, D.in.width, px);
            T* to = group_to + phase_begin(D, py, px) +
                    std::ptrdiff_t{block} * y.taps * x.taps * D.group_out() * block_size;
            for (int tap = 0; tap < y.taps * x.taps; ++tap, to += std::ptrdiff_t{D.group_out()} * block_size) {
                const int ty = tap / x.taps, tx = tap % x.taps;
                if (Which == Taps::live && !(y.live(ty, D.out.height) && x.live(tx, D.out.width))) { continue; }
                const int ky = y.first_tap + (y.taps - 1 - ty) * D.window.y.stride;
                const int kx = x.first_tap + (x.taps - 1 - tx) * D.window.x.stride;
                const T* tap_from = from + (ky * D.window.x.extent + kx) * tap_size;
                for (int o = 0; o < D.group_out(); o += block_size) {
                    detail::transpose_block(tap_from + o / block_size * block_stride, channels,
                                            std::min(block_size, D.group_out() - o), to + o * block_size);
                }
            }
        }
    }
}

/// Calls f<CorrelationDims>(offset into a group's transposed weights, offset into the input gradient) for each phase.
template <ConvolutionDims D, class F>
CTNN_ALWAYS_INLINE void for_phases(F&& f) {
    constexpr int sx = D.window.x.stride;
    [&]<int... I>(std::integer_sequence<int, I...>) {
        (
            [&] {
                constexpr Phase y = phase_of(D.window.y, D.in.height, I / sx);
                constexpr Phase x = phase_of(D.window.x, D.in.width, I % sx);
                if constexpr (y.size > 0 && x.size > 0) {
                    f.template operator()<data_gradient_dims(D, y, x)>(
                        phase_begin(D, I / sx, I % sx),
                        (std::ptrdiff_t{y.offset} * D.in.width + x.offset) * D.in.channels);
                }
            }(),
            ...);
    }(std::make_integer_sequence<int, D.window.y.stride * sx>{});
}

/// Gradient with respect to the data of samples [begin, end): overwrites dx. `transposed` is what transpose_weights
/// wrote.
template <ConvolutionDims D, class T, class Arch = DefaultArch>
void convolution_data_gradient(const T* dy, const T* transposed, T* dx, int begin, int end) {
    for_phases<D>([&]<CorrelationDims C>(std::ptrdiff_t weight_offset, std::ptrdiff_t out_offset) {
        using Kernel = Correlation<C, T, Arch>;
        for (int g = 0; g < D.groups; ++g) {
            const T* w = transposed + transposed_weights(D) / D.groups * g + weight_offset;
            const T* from = dy + g * D.group_out();
            T* to = dx + out_offset + g * D.group_in();
            if constexpr (Kernel::over_samples) {
                for (int b = 0; b < Kernel::block_groups; ++b) {
                    Kernel::samples(from, D.out.size(), w, to, D.in.size(), begin, end, b, {});
                }
            } else {
                for (int n = begin; n < end; ++n) {
                    for (int b = 0; b < Kernel::block_groups; ++b) {
                        Kernel::rows(from + n * D.out.size(), w, to + n * D.in.size(), 0, C.out_height, b, {});
                    }
                }
            }
        }
    });
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/linear.hpp
// Gradient of a linear layer with respect to its input, from weights as they lie: no transposed copy of them exists.
//
// The output gradient is transposed instead, in tiles of 16 samples; vectors run over samples, weights are broadcast.
// An item of work is a run of inputs: a panel of 16 outputs passes over it with the output gradients in registers, two
// vectors of samples at a time where there are as many, so that the weights of a panel are a stream and are used by up
// to `most_samples` samples while they are in cache.

namespace ctnn::inline CTNN_ISA {

struct LinearDims {
    int in, out;
    constexpr bool operator==(const LinearDims&) const = default;
};

/// Loops of the data gradient dx[n, k] = Σ_o dy[n, o] · w[o, k]; weights are [out / 16][in][16].
template <LinearDims D, class T, class Arch = DefaultArch>
struct LinearDataGradient {
    using V = Vec<T, Arch>;
    static constexpr int lanes = block_size;  ///< samples of one tile
    static constexpr int panels = ceil_div(D.out, block_size);
    /// Inputs of an item.
    static constexpr int run = std::min(D.in, 128);
    static constexpr int items = ceil_div(D.in, run);
    /// Samples for which weights are read once.
    static constexpr int most_samples = 128;
    /// Elements of the transposed gradient of a sample, and of a thread's sums.
    static constexpr std::ptrdiff_t transposed = std::ptrdiff_t{panels} * block_size;
    static constexpr std::ptrdiff_t sums = std::ptrdiff_t{run} * most_samples;

    /// Transposes samples [16·tile, …) of n to `to`, [panel][sample tile][output of the panel][sample of the tile], in
    /// which order they are read; outputs that fill the last panel are zeros.
    static void transpose(const T* dy, T* to, int n, int tile) {
        const int first = tile * lanes, count = std::min(lanes, n - first);
        for (int panel = 0; panel < panels; ++panel) {
            // Rows of a power of two fall into few sets of a cache: each is read once.
            const int outputs = std::min(block_size, D.out - panel * block_size);
            alignas(block_alignment) T rows[lanes][block_size] = {};
            for (int s = 0; s < count; ++s) {
                std::copy_n(dy + std::ptrdiff_t{first + s} * D.out + panel * block_size, outputs, rows[s]);
            }
            T* const columns = to + (std::ptrdiff_t{panel} * n + first) * block_size;
            if (count == lanes) {  // a bound that the compiler can see
                for (int o = 0; o < block_size; ++o) {
                    for (int s = 0; s < lanes; ++s) { columns[o * lanes + s] = rows[s][o]; }
                }
            } else {
                for (int o = 0; o < block_size; ++o) {
                    for (int s = 0; s < count; ++s) { columns[o * count + s] = rows[s][o]; }
                }
            }
        }
    }

    /// Overwrites the gradients of the inputs of `item` for all n samples. `sum` is scratch of `sums` elements.
    static void inputs(const T* transposed_dy, const T* weights, T* dx, int n, int item, T* sum) {
        const int first = item * run, count = std::min(run, D.in - first);
        for (int begin = 0; begin < n; begin += most_samples) {
            const int tiles = ceil_div(std::min(most_samples, n - begin), lanes);
            std::fill_n(sum, std::ptrdiff_t{tiles} * count * lanes, T{});
            for (int panel = 0; panel < panels; ++panel) {
                const T* w = weights + (std::ptrdiff_t{panel} * D.in + first) * block_size;
                // The next panel's weights lie far away: no prefetcher of the machine's finds them.
                const T* next = panel + 1 < panels ? w + std::ptrdiff_t{D.in} * block_size : w;
                for (int t = 0; t < tiles;) {
                    const int sample = begin + t * lanes, left = n - sample;
                    const T* dy = transposed_dy + (std::ptrdiff_t{panel} * n + sample) * block_size;
                    T* to = sum + std::ptrdiff_t{t} * count * lanes;
                    if (left >= tiles_at_once * lanes && t + tiles_at_once <= tiles) {
                        add_panel<2, true>(dy, lanes, w, t == 0 ? next : nullptr, to, count);
                        t += tiles_at_once;
                    } else if (left >= lanes) {
                        add_panel<1, true>(dy, lanes, w, t == 0 ? next : nullptr, to, count);
                        ++t;
                    } else {
                        add_panel<1, false>(dy, left, w, t == 0 ? next : nullptr, to, count);
                        ++t;
                    }
                }
            }
            for (int s = begin; s < std::min(n, begin + most_samples); ++s) {
                const T* from = sum + std::ptrdiff_t{(s - begin) / lanes} * count * lanes + s % lanes;
                for (int i = 0; i < count; ++i) {
                    dx[std::ptrdiff_t{s} * D.in + first + i] = from[std::ptrdiff_t{i} * lanes];
                }
            }
        }
    }

  private:
    /// A weight is broadcast to two vectors of samples, of two tiles or of one; a last vector is alone.
    static constexpr int tiles_at_once = V::width == lanes ? 2 : 1;
    /// Outputs whose gradients stay in registers, and inputs that are summed side by side, for so many vectors.
    static constexpr int held(int vectors) { return std::min(block_size, V::registers / (2 * vectors)); }
    static constexpr int together(int vectors) {
        return std::max(1, vectors == 1 ? V::registers / 4 : V::registers * 3 / 16);
    }

    /// sum[i] += Σ_o dy[o] · w[i, o] over a panel, for `count` inputs and one tile of samples, or two.
    template <int Vectors, bool Whole>
    static void add_panel(const T* dy, int samples, const T* w, const T* next, T* sum, int count) {
        constexpr int outputs = held(Vectors), inputs = together(Vectors);
        constexpr bool two_tiles = Vectors * V::width > lanes;
        const std::ptrdiff_t dy_step = two_tiles ? lanes * block_size : V::width;
        const std::ptrdiff_t sum_step = two_tiles ? std::ptrdiff_t{count} * lanes : V::width;
        for (int s = 0; s < samples; s += two_tiles ? lanes : Vectors * V::width) {
            for (int o = 0; o < block_size; o += outputs) {
                V gradient[outputs][Vectors];
#pragma GCC unroll 16
                for (int h = 0; h < outputs; ++h) {
#pragma GCC unroll 2
                    for (int v = 0; v < Vectors; ++v) {
                        const T* from = dy + (o + h) * samples + s + v * dy_step;
                        gradient[h][v] = Whole ? V::load(from) : V::load(from, std::min(V::width, samples - s));
                    }
                }
                int i = 0;
                for (; i + inputs <= count; i += inputs) {
                    if (s == 0 && o == 0 && next != nullptr) {
#pragma GCC unroll 16
                        for (int j = 0; j < inputs; ++j) { prefetch(next + (i + j) * block_size); }
                    }
                    add<inputs, Vectors>(gradient, w + o, sum + s, sum_step, i);
                }
                for (; i < count; ++i) { add<1, Vectors>(gradient, w + o, sum + s, sum_step, i); }
            }
        }
    }

    template <int Inputs, int Vectors>
    static CTNN_ALWAYS_INLINE void add(const V (&gradient)[held(Vectors)][Vectors], const T* w, T* to,
                                       std::ptrdiff_t step, int i) {
        constexpr int outputs = held(Vectors);
        V sum[Inputs][Vectors];
#pragma GCC unroll 16
        for (int j = 0; j < Inputs; ++j) {
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) { sum[j][v] = V::load(to + (i + j) * lanes + v * step); }
        }
#pragma GCC unroll 16
        for (int h = 0; h < outputs; ++h) {
#pragma GCC unroll 16
            for (int j = 0; j < Inputs; ++j) {
                const V weight = V::broadcast(w[(i + j) * block_size + h]);
#pragma GCC unroll 2
                for (int v = 0; v < Vectors; ++v) { sum[j][v] = fma(weight, gradient[h][v], sum[j][v]); }
            }
        }
#pragma GCC unroll 16
        for (int j = 0; j < Inputs; ++j) {
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) { sum[j][v].store(to + (i + j) * lanes + v * step); }
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/stage_io.hpp
// What a stage reads and writes: bare pointers, filled in by the runner from the plan.

namespace ctnn::inline CTNN_ISA {

/// Keys of a training step's random numbers. Sample i of the batch draws by ids[i], or by i where ids is null.
struct RandomKey {
    std::uint64_t seed = 0;
    std::uint32_t epoch = 0;
    const std::uint32_t* ids = nullptr;

    [[nodiscard]] Random stream(int sample, std::size_t layer) const {
        const std::uint32_t id = ids != nullptr ? ids[sample] : static_cast<std::uint32_t>(sample);
        return {seed, Stream::dropout, (std::uint64_t{epoch} << 32) | id, static_cast<std::uint32_t>(layer)};
    }
};

/// Elements that a head asks of the plan: Slot::filters, Slot::transposed, a thread's scratch, and Slot::rows and
/// Slot::packed of a sample.
struct HeadSizes {
    std::ptrdiff_t filters = 0, transposed = 0, scratch = 0, rows = 0, packed = 0;
};

/// Arrays of one stage for a batch of `samples`. A pointer is null where the plan has no such buffer. Activations are
/// [sample][row][column][channel]; parameters and their gradients lie as in the arena.
template <class T>
struct StageIO {
    int samples = 0, threads = 1;
    const T* input = nullptr;
    T* output = nullptr;
    T* output_gradient = nullptr;  ///< backward may overwrite it
    T* input_gradient = nullptr;   ///< overwritten; null when nobody asked
    T* map = nullptr;              ///< this and the next seven: see Slot
    std::uint8_t* places = nullptr;
    std::uint8_t* mask = nullptr;
    T* rows = nullptr;
    T* packed = nullptr;
    T* saved = nullptr;
    T* filters = nullptr;
    T* transposed = nullptr;
    T* scratch = nullptr;  ///< the first thread's; the next one's is scratch_stride elements on
    std::ptrdiff_t scratch_stride = 0;
    const T *weight = nullptr, *bias = nullptr;  ///< of the head: its first and second tensor
    const T *norm_weight = nullptr, *norm_bias = nullptr;
    T *weight_gradient = nullptr, *bias_gradient = nullptr, *norm_weight_gradient = nullptr,
      *norm_bias_gradient = nullptr;
    const T *running_mean = nullptr, *running_variance = nullptr;
    T *next_running_mean = nullptr, *next_running_variance = nullptr;  ///< the same in training, where they move
    RandomKey random{};
    NormSum norm_sum{};  ///< over the processes that share the batch
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/direct_passes.hpp
// A stage's convolution or linear layer as it is written down: its three directions over a batch and threads.

namespace ctnn::inline CTNN_ISA {

/// `Linear`: D is over a 1×1 map and its weights outweigh the samples.
template <ConvolutionDims D, bool Linear, class T>
struct DirectPasses {
    using Forward = Correlation<D.forward(), T>;
    using Gradient = WeightGradient<D.forward(), T>;
    using LinearData = LinearDataGradient<LinearDims{D.in.channels, D.out.channels}, T>;

    /// Rows whose length is a multiple of 512 bytes fall into few sets of a cache. A linear layer, which walks many
    /// samples at once, copies such rows apart.
    static constexpr int apart(int row) { return Linear && row % 128 == 0 ? row + block_size : row; }
    static constexpr bool input_apart = apart(D.in.channels) != D.in.channels;
    static constexpr bool gradient_apart = apart(D.out.channels) != D.out.channels;

    /// Weights of few outputs cost less to transpose than what comes of the samples.
    static constexpr bool transposes_weights = !Linear || D.out.channels <= 2 * block_size;

    template <bool InGradient>
    static constexpr HeadSizes sizes{
        .transposed = InGradient && transposes_weights ? transposed_weights(D) : 0,
        .scratch = InGradient && !transposes_weights ? LinearData::sums : 0,
        .rows = std::max<std::ptrdiff_t>(
            InGradient && !transposes_weights ? LinearData::transposed : 0,
            (input_apart ? apart(D.in.channels) : 0) + (gradient_apart ? apart(D.out.channels) : 0)),
        .packed = input_apart ? apart(D.in.channels) : 0};

    /// Map rows [r0, r1) of sample n; `map` is where row 0 would be.
    static void rows(const StageIO<T>& io, int n, int r0, int r1, T* map, const Epilogue<T>& epilogue) {
        for (int g = 0; g < D.groups; ++g) {
            for (int b = 0; b < Forward::block_groups; ++b) {
                Forward::rows(io.input + n * D.in.size() + g * D.group_in(), io.weight + g * D.group_weights(),
                              map + g * D.group_out(), r0, r1, b, of_group(epilogue, g));
            }
        }
    }

    /// The maps of all samples, for heads that tile over samples. Long reductions run in pieces whose weights stay in
    /// the second-level cache. `weight` is io.weight, or the same in half precision.
    template <class W>
    static void forward(const StageIO<T>& io, const W* weight, T* map, const Epilogue<T>& epilogue) {
        constexpr int run = Linear ? 1024 : D.group_in();
        constexpr int channel_items = D.groups * Forward::block_groups;
        // A linear layer's weights are read once, unless threads would be left without channels: then they share out
        // the samples.
        const int sharers = Linear ? ceil_div(io.threads, channel_items) : 1;
        const int chunk = !Linear ? 64 : ceil_div(ceil_div(io.samples, sharers), 8) * 8;
        const int chunks = ceil_div(io.samples, chunk);
        const T* const input = io.samples > 1 ? set_apart<D.in.channels>(io.input, io.packed, io) : io.input;
        const std::ptrdiff_t in_sample = input == io.input ? D.in.size() : apart(D.in.channels);
        parallel_for(channel_items * chunks, io.threads, [&](int item, int) {
            const int c = item % chunks, b = item / chunks % Forward::block_groups,
                      g = item / chunks / Forward::block_groups;
            const int end = std::min(io.samples, (c + 1) * chunk);
            for (int first = 0; first < D.group_in(); first += run) {
                Epilogue<T> part;
                if (first + run >= D.group_in()) { part = of_group(epilogue, g); }
                part.accumulate = first > 0;
                Forward::samples(input + g * D.group_in(), in_sample, weight + g * D.group_weights(),
                                 map + g * D.group_out(), D.out.size(), c * chunk, end, b, part, first,
                                 std::min(run, D.group_in() - first));
            }
        });
    }

    /// The weights' gradients from that of the map. Threads share out the items; a run of samples small enough for the
    /// second-level cache passes through all items of a thread before the next run begins.
    static void weight_gradient(const StageIO<T>& io, const T* map_gradient) {
        constexpr int items = D.groups * Gradient::items;
        constexpr std::ptrdiff_t sample_bytes = (D.in.size() + D.out.size()) * std::ptrdiff_t{sizeof(T)};
        // A linear layer's weights are passed over once.
        constexpr int run =
            Linear ? 1 << 30 : static_cast<int>(std::max<std::ptrdiff_t>(1, std::ptrdiff_t{384} * 1024 / sample_bytes));
        const T* const input = set_apart<D.in.channels>(io.input, io.rows, io);
        const std::ptrdiff_t in_sample = Linear ? apart(D.in.channels) : D.in.size();
        T* const behind = io.rows + (input_apart ? std::ptrdiff_t{io.samples} * apart(D.in.channels) : 0);
        const T* const gradient = set_apart<D.out.channels>(map_gradient, behind, io);
        const std::ptrdiff_t out_sample = Linear ? apart(D.out.channels) : D.out.size();
        const int parts = std::min(io.threads, items);
        parallel_for(parts, io.threads, [&](int part, int) {
            for (int begin = 0, end; begin < io.samples; begin = end) {
                end = begin + std::min(run, io.samples - begin);
                for (int item = items * part / parts; item < items * (part + 1) / parts; ++item) {
                    const int g = item / Gradient::items;
                    Gradient::add(input + g * D.group_in(), in_sample, gradient + g * D.group_out(), out_sample,
                                  io.weight_gradient + g * D.group_weights(), begin, end, io.samples,
                                  item % Gradient::items, begin == 0);
                }
            }
            if constexpr (Gradient::streams) { finish_streams(); }
        });
    }

    /// The gradient with respect to the input from that of the map.
    static void data_gradient(const StageIO<T>& io, const T* map_gradient) {
        if constexpr (!transposes_weights) {
            parallel_for(ceil_div(io.samples, LinearData::lanes), io.threads,
                         [&](int tile, int) { LinearData::transpose(map_gradient, io.rows, io.samples, tile); });
            parallel_for(LinearData::items, io.threads, [&](int item, int thread) {
                LinearData::inputs(io.rows, io.weight, io.input_gradient, io.samples, item,
                                   io.scratch + thread * io.scratch_stride);
            });
        } else {
            constexpr int blocks = ceil_div(D.group_in(), block_size);
            parallel_for(D.groups * blocks, io.threads, [&](int item, int) {
                transpose_weights<D>(io.weight, io.transposed, item / blocks, item % blocks);
            });
            constexpr int chunk = ceil_div(D.in.width, D.window.x.stride) < narrow_width ? 32 : 1;
            parallel_for(ceil_div(io.samples, chunk), io.threads, [&](int item, int) {
                convolution_data_gradient<D>(map_gradient, io.transposed, io.input_gradient, item * chunk,
                                             std::min((item + 1) * chunk, io.samples));
            });
        }
    }

  private:
    /// The samples' rows of `Length` elements, as they lie or copied apart to `to`.
    template <int Length>
    static const T* set_apart(const T* from, T* to, const StageIO<T>& io) {
        if constexpr (apart(Length) == Length) {
            return from;
        } else {
            parallel_for(io.samples, io.threads, [&](int n, int) {
                std::copy_n(from + std::ptrdiff_t{n} * Length, Length, to + std::ptrdiff_t{n} * apart(Length));
            });
            return to;
        }
    }
    static Epilogue<T> of_group(Epilogue<T> e, int group) {
        if (e.scale != nullptr) { e.scale += group * D.group_bias(); }
        if (e.shift != nullptr) { e.shift += group * D.group_bias(); }
        return e;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/stages.hpp
// Stages: neighbouring layers that run as one. The constexpr pass that finds them in a network's description.

namespace ctnn::inline CTNN_ISA {

/// Whether neighbouring layers share a stage (full), or every layer is a stage of its own (none, for comparison).
enum class Fusion : char { full, none };

/// What a stage begins with: a layer with weights, an average pool, a layer from outside the library, or nothing but
/// the tail.
enum class Head : char { none, convolution, linear, average, custom };

/// A stage: a head and a tail of batch norm, activation, local response norm, max pool and dropout, every part
/// optional and in this order. Flatten moves nothing and joins any stage.
struct StageSpec {
    Head head = Head::none;
    std::size_t begin = 0, end = 0;  ///< layers [begin, end)
    std::size_t head_layer = 0, norm_layer = 0, dropout_layer = 0;
    Shape in{}, map{}, out{};  ///< map: behind the head, before pooling
    Window window{};
    int groups = 1;
    bool bias = false;
    bool winograd = false;
    bool adaptive = false, count_include_pad = true;
    bool batch_norm = false;
    double eps = 0, momentum = 0;
    Activation activation = Activation::identity;
    bool response_norm = false;
    int size = 0;
    double alpha = 0, beta = 0, k = 0;
    bool pooled = false;
    Window pool{};
    bool dropout = false, channel_dropout = false;
    double p = 0;

    constexpr bool operator==(const StageSpec&) const = default;
};

namespace detail {

/// Place of a layer in a stage; a stage takes each place at most once and in rising order.
constexpr int stage_rank(LayerKind kind) {
    switch (kind) {
        case LayerKind::batch_norm2d: return 1;
        case LayerKind::relu:
        case LayerKind::sigmoid:
        case LayerKind::tanh: return 2;
        case LayerKind::local_response_norm: return 3;
        case LayerKind::max_pool2d: return 4;
        case LayerKind::dropout:
        case LayerKind::dropout2d: return 5;
        default: return 0;
    }
}

constexpr Head head_of(LayerKind kind) {
    switch (kind) {
        case LayerKind::conv2d: return Head::convolution;
        case LayerKind::linear: return Head::linear;
        case LayerKind::avg_pool2d: return Head::average;
        case LayerKind::custom: return Head::custom;
        default: return Head::none;
    }
}

/// Whether a layer may join a stage that ends at rank `rank`.
constexpr bool joins(const StageSpec& stage, int rank, LayerKind kind) {
    const int next = stage_rank(kind);
    if (next <= rank || next == 0 || stage.head == Head::average || stage.head == Head::custom) { return false; }
    // The epilogue's factors follow the padded channel blocks of the groups.
    if (kind == LayerKind::batch_norm2d && stage.groups > 1 && stage.map.channels / stage.groups % block_size != 0) {
        return false;
    }
    // Batch norm's one kept map cannot also serve a response norm behind it.
    if (kind == LayerKind::local_response_norm && stage.batch_norm) { return false; }
    // These derivatives need the undropped output.
    const bool saturates = stage.activation == Activation::sigmoid || stage.activation == Activation::tanh;
    return !(next == 5 && saturates);
}

constexpr void extend(StageSpec& stage, const LayerInfo& info, std::size_t layer) {
    switch (info.kind) {
        case LayerKind::conv2d:
        case LayerKind::linear:
        case LayerKind::avg_pool2d:
        case LayerKind::custom:
            stage.head = head_of(info.kind);
            stage.head_layer = layer;
            stage.window = info.window;
            stage.groups = info.groups;
            stage.bias = info.bias;
            stage.winograd = info.winograd;
            stage.adaptive = info.adaptive;
            stage.count_include_pad = info.count_include_pad;
            stage.map = info.out.shape;
            break;
        case LayerKind::batch_norm2d:
            stage.batch_norm = true;
            stage.norm_layer = layer;
            stage.eps = info.eps;
            stage.momentum = info.momentum;
            break;
        case LayerKind::relu: stage.activation = Activation::relu; break;
        case LayerKind::sigmoid: stage.activation = Activation::sigmoid; break;
        case LayerKind::tanh: stage.activation = Activation::tanh; break;
        case LayerKind::local_response_norm:
            stage.response_norm = true;
            stage.size = info.size;
            stage.alpha = info.alpha;
            stage.beta = info.beta;
            stage.k = info.k;
            break;
        case LayerKind::max_pool2d:
            stage.pooled = true;
            stage.pool = info.window;
            break;
        case LayerKind::dropout:
        case LayerKind::dropout2d:
            stage.dropout = true;
            stage.channel_dropout = info.kind == LayerKind::dropout2d;
            stage.dropout_layer = layer;
            stage.p = info.p;
            break;
        case LayerKind::flatten: break;
    }
    stage.out = info.out.shape;
    stage.end = layer + 1;
}

}  // namespace detail

/// The stages of a network under a fusion policy.
template <class Net, Fusion F>
struct Stages {
  private:
    struct List {
        std::array<StageSpec, Net::layer_count + 1> stages{};
        std::size_t count = 0;
    };
    static constexpr List list = [] {
        List l;
        int rank = -1;
        for (std::size_t i = 0; i < Net::layer_count; ++i) {
            const LayerInfo& info = Net::description.layers[i];
            if (info.kind == LayerKind::flatten) {
                if (l.count > 0) { detail::extend(l.stages[l.count - 1], info, i); }
                continue;
            }
            if (l.count == 0 || F == Fusion::none || !detail::joins(l.stages[l.count - 1], rank, info.kind)) {
                StageSpec& stage = l.stages[l.count++];
                stage.begin = i;
                stage.in = stage.map = info.in.shape;
            }
            detail::extend(l.stages[l.count - 1], info, i);
            rank = detail::stage_rank(info.kind);
        }
        return l;
    }();

  public:
    static constexpr std::size_t count = list.count;
    static constexpr const StageSpec& at(std::size_t i) { return list.stages[i]; }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/dropout.hpp
// Dropout masks as bits, and their application.

namespace ctnn::inline CTNN_ISA {

/// Draws `count` bits, each 1 ("keep") with probability 1 − p, into ⌈count / 8⌉ bytes. Bit i depends on word i of the
/// stream alone.
inline void draw_mask(std::uint8_t* bits, int count, double p, const Random& random) {
    constexpr int together = 32;  // blocks of four words
    const auto threshold = static_cast<std::uint64_t>(p * 0x1p32);
    const int bytes = (count + 7) / 8;
    for (int first = 0; first < bytes; first += together / 2) {
        const auto words = random.blocks<together>(static_cast<std::uint32_t>(first) * 2);
        std::uint8_t nibbles[together];
        for (std::size_t i = 0; i < together; ++i) {
            unsigned value = 0;
            for (unsigned word = 0; word < 4; ++word) { value |= (words[word][i] >= threshold ? 1u : 0u) << word; }
            nibbles[i] = static_cast<std::uint8_t>(value);
        }
        for (std::ptrdiff_t i = 0; i < together / 2 && first + i < bytes; ++i) {
            bits[first + i] = static_cast<std::uint8_t>(nibbles[2 * i] | nibbles[2 * i + 1] << 4);
        }
    }
}

/// y[i] = kept ? x[i] · factor : 0 by bit i; y may be x.
template <class T, class Arch = DefaultArch>
void apply_mask(const T* x, const std::uint8_t* bits, T* y, std::ptrdiff_t count, T factor) {
    using V = Vec<T, Arch>;
    const V by = V::broadcast(factor), zero = V::broadcast(T{});
    for_vectors<T, Arch>(count, [&](std::ptrdiff_t i, auto load, auto store) {
        unsigned chosen = bits[i / 8] >> (i % 8);
        if constexpr (V::width > 8) {
            if (count - i > 8) { chosen |= static_cast<unsigned>(bits[i / 8 + 1]) << 8; }
        }
        store(y + i, where_bits(chosen, load(x + i) * by, zero));
    });
}

/// The same for pixels × channels, the bit chosen by channel where `per_channel`, else by element.
template <class T>
void apply_mask(const T* x, const std::uint8_t* bits, T* y, int pixels, int channels, bool per_channel, T factor) {
    if (!per_channel) { return apply_mask(x, bits, y, std::ptrdiff_t{pixels} * channels, factor); }
    for (std::ptrdiff_t p = 0; p < pixels; ++p) {
        apply_mask(x + p * channels, bits, y + p * channels, std::ptrdiff_t{channels}, factor);
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/pooled_norm.hpp
// Batch norm's gradients behind a max pool, where only the places of the maxima have one: without a map of it.

namespace ctnn::inline CTNN_ISA {

/// Batch norm's two sums over one sample from the pool's output gradient dy: sums[c] = Σ dy and
/// sums[channels + c] = Σ dy · x̂. `x` is the norm's input.
template <PoolDims D, class T, class Arch = DefaultArch>
void max_pool_batch_norm_sums(const T* x, const T* dy, const std::uint8_t* places, BatchNormVectors<T> v, T* sums) {
    using V = Vec<T, Arch>;
    for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
        V plain = V::broadcast(T{});
        V scaled = V::broadcast(T{});
        const V mean = load(v.mean + c), istd = load(v.istd + c);
        for_max_windows<D>(0, D.out.height, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int, auto&& for_taps) {
            const V gradient = load(dy + at + c), place = load(places + at + c);
            V most = V::broadcast(T{});
            for_taps([&](int tap, std::ptrdiff_t pixel) {
                most = where_equal(place, V::broadcast(static_cast<T>(tap)), load(x + corner + pixel + c), most);
            });
            plain = plain + gradient;
            scaled = fma(gradient, (most - mean) * istd, scaled);
        });
        store(sums + c, plain);
        store(sums + D.in.channels + c, scaled);
    });
}

/// The gradient with respect to the norm's input x from the pool's output gradient dy, one sample: overwrites dx, which
/// may be x.
template <PoolDims D, class T, class Arch = DefaultArch>
void max_pool_batch_norm_gradient(const T* x, const T* dy, const std::uint8_t* places, BatchNormVectors<T> v, T* dx) {
    using V = Vec<T, Arch>;
    if constexpr (!D.tiles()) {
        batch_norm_gradient<T, Arch>(x, nullptr, v, dx, D.in.pixels(), D.in.channels);
        max_pool_scatter<D, T, Arch>(dy, places, v.scale, dx);
    } else {
        for_max_windows<D>(0, D.out.height, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int, auto&& for_taps) {
            for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
                const V gradient = load(dy + at + c), place = load(places + at + c);
                for_taps([&](int tap, std::ptrdiff_t pixel) {
                    const V here = V::broadcast(static_cast<T>(tap));
                    const V g = where_equal(place, here, gradient, V::broadcast(T{}));
                    store(dx + corner + pixel + c,
                          batch_norm_gradient(load(x + corner + pixel + c), g, load(v.mean + c), load(v.istd + c),
                                              load(v.scale + c), load(v.a + c), load(v.b + c)));
                });
            });
        });
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/tail.hpp
// The tail of a stage, sample by sample: [batch norm ·] activation [· response norm] [· max pool] [· dropout].

namespace ctnn::inline CTNN_ISA {

template <StageSpec S, class T>
struct Tail {
    static constexpr int channels = S.map.channels;
    static constexpr std::ptrdiff_t map_size = S.map.size();
    static constexpr std::ptrdiff_t out_size = S.out.size();
    static constexpr std::ptrdiff_t map_row = std::ptrdiff_t{S.map.width} * channels;
    static constexpr Shape pooled_shape =
        S.pooled ? S.pool.output(S.map, channels) : S.map;  // S.out may be flattened: same elements
    static constexpr std::ptrdiff_t out_row = std::ptrdiff_t{pooled_shape.width} * channels;
    static constexpr PoolDims pool{S.map, pooled_shape, S.pool};
    static constexpr ResponseNormDims response{channels, S.size, S.alpha, S.beta, S.k};
    static constexpr bool norms = S.batch_norm || S.response_norm;
    /// Nothing left to do behind a head that applies the activation itself.
    static constexpr bool empty = !S.response_norm && !S.pooled && !S.dropout;

    static constexpr int mask_bits = S.channel_dropout ? channels : static_cast<int>(out_size);
    static constexpr T keep_factor = static_cast<T>(1.0 / (1.0 - S.p));

    /// Map rows [map_begin(r0), map_end(r1)) that output rows [r0, r1) need.
    static constexpr int map_begin(int r) { return S.pooled ? std::max(S.pool.y.first(r), 0) : r; }
    static constexpr int map_end(int r) {
        return S.pooled ? std::min(S.pool.y.first(r - 1) + S.pool.y.extent, S.map.height) : r;
    }

    /// Scratch of response norm: one pixel's squares, and where it is pooled or not yet activated, rows of the map.
    static constexpr std::ptrdiff_t response_scratch = S.response_norm ? response.scratch() : 0;

    /// Output rows [r0, r1) of a sample from map rows at `map` (where row 0 would be). Affine: the map still awaits
    /// scale and shift; Activated: it has been activated. `rows` is scratch where map row 0 would be, for response
    /// norm; it may be `map`.
    template <bool Affine, bool Activated>
    static void forward(const T* map, const T* scale, const T* shift, T* rows, T* scratch, T* out, std::uint8_t* places,
                        int r0, int r1) {
        constexpr Activation pending = Activated ? Activation::identity : S.activation;
        const int m0 = map_begin(r0), m1 = map_end(r1);
        if constexpr (S.response_norm) {
            const T* from = map + m0 * map_row;
            T* to = (S.pooled ? rows + m0 * map_row : out + r0 * out_row);
            const int pixels = (m1 - m0) * S.map.width;
            if constexpr (pending != Activation::identity) {
                activate<pending>(from, to, pixels * channels);
                from = to;
            }
            response_norm<response>(from, to, pixels, scratch);
            if constexpr (S.pooled) {
                max_pool_rows<pool, Activation::identity, false, T>(rows, nullptr, nullptr, out, places, r0, r1);
            }
        } else if constexpr (S.pooled) {
            max_pool_rows<pool, pending, Affine>(map, scale, shift, out, places, r0, r1);
        } else if constexpr (Affine) {
            scale_shift_activate<pending>(map + r0 * map_row, scale, shift, out + r0 * out_row, (r1 - r0) * S.map.width,
                                          channels);
        } else if (pending != Activation::identity || map != out) {
            activate<pending>(map + r0 * map_row, out + r0 * out_row, (r1 - r0) * map_row);
        }
    }

    /// Draws the mask of one sample and applies it to its output.
    static void drop(T* out, std::uint8_t* mask, const Random& random) {
        draw_mask(mask, mask_bits, S.p, random);
        apply_mask(out, mask, out, static_cast<int>(out_size / channels), channels, S.channel_dropout, keep_factor);
    }

    /// Takes the output gradient of one sample back in front of dropout and, unless a response norm lies between, of
    /// the activation, in place.
    static void undo_output(const T* out, const std::uint8_t* mask, T* gradient) {
        if constexpr (S.dropout) {
            apply_mask(gradient, mask, gradient, static_cast<int>(out_size / channels), channels, S.channel_dropout,
                       keep_factor);
        }
        if constexpr (S.activation != Activation::identity && !S.response_norm) {
            activation_gradient<S.activation>(out, gradient, gradient, out_size);
        }
    }

    /// Batch norm's sums over one sample from the gradient that undo_output left: sums[0, C) and sums[C, 2C).
    static void sums(const T* map, const T* gradient, const std::uint8_t* places, BatchNormVectors<T> v, T* to) {
        if constexpr (S.pooled) {
            max_pool_batch_norm_sums<pool>(map, gradient, places, v, to);
        } else {
            batch_norm_sums(map, gradient, v, to, S.map.pixels(), channels);
        }
    }

    /// The gradient with respect to the map from the gradient that undo_output left, one sample. `map` is what forward
    /// met (for response norm the activated map); `to` may be `map` or `gradient`. `rows` is scratch of one map.
    template <bool Activated>
    static void backward(const T* map, T* gradient, const std::uint8_t* places, BatchNormVectors<T> v, T* to, T* rows,
                         T* scratch) {
        if constexpr (S.batch_norm && S.pooled) {
            max_pool_batch_norm_gradient<pool>(map, gradient, places, v, to);
        } else if constexpr (S.batch_norm) {
            batch_norm_gradient<T>(map, gradient, v, to, S.map.pixels(), channels);
        } else if constexpr (S.response_norm) {
            const T* from = gradient;
            if constexpr (S.pooled) {
                max_pool_gradient<pool>(gradient, places, rows);
                from = rows;
            }
            if constexpr (!Activated && S.activation != Activation::identity) {
                T* activated = rows + (S.pooled ? map_size : 0);
                activate<S.activation>(map, activated, map_size);
                map = activated;
            }
            response_norm_gradient<response, S.activation>(map, from, to, S.map.pixels(), scratch);
        } else if constexpr (S.pooled) {
            max_pool_gradient<pool>(gradient, places, to);
        } else if (to != gradient) {
            std::copy_n(gradient, map_size, to);
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/winograd.hpp
// Convolutions of 3×3 and 5×5 with a fraction of the multiplications: Winograd's minimal filtering (1980) in the form
// of Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016).
//
// An output tile of m×m is Aᵀ[(G g Gᵀ) ∘ (Bᵀ d B)]A of the r×r filter g and the 6×6 input patch d, m + r − 1 = 6: both
// are taken as polynomials in two variables, at 36 points their values are multiplied, and the product is interpolated.
// Summed over input channels these are 36 matrix products over tiles; the rest is additions. F(4×4, 3×3) saves three
// quarters of the multiplications, F(2×2, 5×5) 64 %. Both cost about one of float's seven decimal digits.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// The one-dimensional transforms over the points 0, 1, −1, 2, −2 and ∞.
template <class V>
struct WinogradTransforms {
    using T = decltype(sum(V{}));
    static CTNN_ALWAYS_INLINE V times(double factor, V x) { return V::broadcast(static_cast<T>(factor)) * x; }

    /// A, and G up to a factor for each point: the values of the polynomial with coefficients c.
    template <int N>
    static CTNN_ALWAYS_INLINE void evaluate(const V (&c)[N], V (&value)[6]) {
        V even = c[0], odd = c[1], even2 = c[0], odd2 = times(2, c[1]);
#pragma GCC unroll 8
        for (int i = 2; i < N; ++i) {
            (i % 2 == 0 ? even : odd) = (i % 2 == 0 ? even : odd) + c[i];
            (i % 2 == 0 ? even2 : odd2) = (i % 2 == 0 ? even2 : odd2) + times(1 << i, c[i]);
        }
        value[0] = c[0];
        value[1] = even + odd;
        value[2] = even - odd;
        value[3] = even2 + odd2;
        value[4] = even2 - odd2;
        value[5] = c[N - 1];
    }
    /// Aᵀ, and Gᵀ up to the factors: the transpose of `evaluate`.
    template <int N>
    static CTNN_ALWAYS_INLINE void gather(const V (&value)[6], V (&c)[N]) {
        const V even = value[1] + value[2], odd = value[1] - value[2];
        const V even2 = value[3] + value[4], odd2 = value[3] - value[4];
#pragma GCC unroll 8
        for (int i = 0; i < N; ++i) { c[i] = (i % 2 == 0 ? even : odd) + times(1 << i, i % 2 == 0 ? even2 : odd2); }
        c[0] = c[0] + value[0];
        c[N - 1] = c[N - 1] + value[5];
    }
    /// G's factors: what Lagrange's polynomials of the five finite points are divided by.
    static CTNN_ALWAYS_INLINE void scale(V (&value)[6]) {
        constexpr double factors[]{1.0 / 4, -1.0 / 6, -1.0 / 6, 1.0 / 24, 1.0 / 24};
#pragma GCC unroll 8
        for (int p = 0; p < 5; ++p) { value[p] = times(factors[p], value[p]); }
    }

    // Types, because neither a function passed by reference nor a lambda is inlined at every level of optimisation.

    /// Bᵀ: a patch to its points.
    struct Input {
        CTNN_ALWAYS_INLINE void operator()(const V (&d)[6], V (&t)[6]) const {
            const V even = d[4] - times(4, d[2]), odd = d[3] - times(4, d[1]);
            const V far = d[4] - d[2], near = times(2, d[3] - d[1]);
            t[0] = times(4, d[0]) - times(5, d[2]) + d[4];
            t[1] = even + odd;
            t[2] = even - odd;
            t[3] = far + near;
            t[4] = far - near;
            t[5] = times(4, d[1]) - times(5, d[3]) + d[5];
        }
    };
    struct Output {
        template <int N>
        CTNN_ALWAYS_INLINE void operator()(const V (&sums)[6], V (&y)[N]) const {
            gather(sums, y);
        }
    };
    struct OutputGradient {
        template <int N>
        CTNN_ALWAYS_INLINE void operator()(const V (&y)[N], V (&values)[6]) const {
            evaluate(y, values);
        }
    };
    struct Filter {
        template <int N>
        CTNN_ALWAYS_INLINE void operator()(const V (&g)[N], V (&values)[6]) const {
            evaluate(g, values);
            scale(values);
        }
    };
    struct FilterGradient {
        template <int N>
        CTNN_ALWAYS_INLINE void operator()(const V (&values)[6], V (&g)[N]) const {
            V scaled[6];
            std::copy_n(values, 6, scaled);
            scale(scaled);
            gather(scaled, g);
        }
    };
};

/// Applies a transform of In to Out numbers to the rows and then to the columns of a square.
template <class Transform, int In, int Out, class V>
CTNN_ALWAYS_INLINE void transform_square(const V (&in)[In][In], V (&out)[Out][Out]) {
    V half[Out][In];  // columns of `half` are transformed rows
#pragma GCC unroll 8
    for (int i = 0; i < In; ++i) {
        V to[Out];
        Transform{}(in[i], to);
#pragma GCC unroll 8
        for (int j = 0; j < Out; ++j) { half[j][i] = to[j]; }
    }
#pragma GCC unroll 8
    for (int j = 0; j < Out; ++j) {
        V to[Out];
        Transform{}(half[j], to);
#pragma GCC unroll 8
        for (int i = 0; i < Out; ++i) { out[i][j] = to[i]; }
    }
}

}  // namespace detail

/// The correlation D, of 3×3 or 5×5 with stride 1, and the gradient of its weights.
template <CorrelationDims D, class T, class Arch = DefaultArch>
struct WinogradCorrelation {
    static constexpr int taps = D.y.extent;
    static_assert((taps == 3 || taps == 5) && D.x.extent == taps && D.y.stride == 1 && D.x.stride == 1);

    static constexpr int points = 36;
    static constexpr int side = 7 - taps;  ///< of an output tile
    static constexpr int tiles_y = ceil_div(D.out_height, side), tiles_x = ceil_div(D.out_width, side);
    static constexpr int tiles = tiles_y * tiles_x;  ///< of a sample
    /// One point's product: a linear layer whose samples are tiles.
    static constexpr CorrelationDims product{
        D.in_channels, 1, 1, D.in_channels, D.out_channels, 1, 1, D.out_channels, D.out_channels, {1, 1, 0}, {1, 1, 0}};

    /// Elements from one point's matrix to the next one's: a line more than its size, because matrices a power of two
    /// apart would share the same few sets of a cache.
    static constexpr std::ptrdiff_t point_stride(std::ptrdiff_t elements) { return elements + block_size; }

    /// Elements of transformed filters, [point][out / 16][in][16], and of their gradients.
    static constexpr std::ptrdiff_t point_filters = point_stride(product.block_weights() * product.blocks());
    static constexpr std::ptrdiff_t filter_elements = points * point_filters;

    /// Samples that go through together: half a second-level cache of transformed patches.
    static constexpr int chunk = static_cast<int>(std::clamp<std::ptrdiff_t>(
        std::ptrdiff_t{512} * 1024 / (std::ptrdiff_t{points} * tiles * D.in_channels * std::ptrdiff_t{sizeof(T)}), 1,
        32));
    static constexpr RegisterTile tile = choose_tile<T, Arch>(chunk * tiles, D.blocks());
    static constexpr int block_groups = D.blocks() / tile.blocks;
    static constexpr int group_channels = tile.blocks * block_size;
    static constexpr int rows = ceil_div(chunk * tiles, tile.pixels) * tile.pixels;
    /// Elements of scratch for `correlate`.
    static constexpr std::ptrdiff_t patch_stride = point_stride(std::ptrdiff_t{rows} * D.in_channels);
    static constexpr std::ptrdiff_t sum_stride = point_stride(std::ptrdiff_t{rows} * group_channels);
    static constexpr std::ptrdiff_t scratch_elements = points * (patch_stride + sum_stride);

    /// Transforms the filters of one block of outputs, from the weights' layout [out / 16][row][column][in][16].
    static void transform_filters(const T* weights, T* filters, int block) {
        const T* from = weights + block * D.block_weights();
        T* to = filters + block * product.block_weights();
        for (int i = 0; i < D.in_channels * block_size; i += V::width) {
            V g[taps][taps], u[6][6];
            for (int k = 0; k < taps * taps; ++k) {
                g[k / taps][k % taps] = V::load(from + k * D.in_channels * block_size + i);
            }
            detail::transform_square<typename Transforms::Filter>(g, u);
            for (int p = 0; p < points; ++p) { u[p / 6][p % 6].store(to + p * point_filters + i); }
        }
    }
    /// The way back: overwrites the weights' gradients of one block.
    static void filters_to_weights(const T* filters, T* weights, int block) {
        const T* from = filters + block * product.block_weights();
        T* to = weights + block * D.block_weights();
        for (int i = 0; i < D.in_channels * block_size; i += V::width) {
            V u[6][6], g[taps][taps];
            for (int p = 0; p < points; ++p) { u[p / 6][p % 6] = V::load(from + p * point_filters + i); }
            detail::transform_square<typename Transforms::FilterGradient>(u, g);
            for (int k = 0; k < taps * taps; ++k) {
                g[k / taps][k % taps].store(to + k * D.in_channels * block_size + i);
            }
        }
    }

    /// Outputs of samples [begin, end), at most `chunk`, which lie in_sample and out_sample elements apart.
    static void correlate(const T* x, std::ptrdiff_t in_sample, const T* filters, T* out, std::ptrdiff_t out_sample,
                          int begin, int end, const Epilogue<T>& epilogue, T* scratch) {
        T* const sums = scratch + points * patch_stride;
        for (int n = begin; n < end; ++n) {
            transform_input(x + n * in_sample, scratch, patch_stride, (n - begin) * tiles);
        }
        // Rows behind the last tile hold what was there before; nobody reads what becomes of them.
        const int used = ceil_div((end - begin) * tiles, tile.pixels) * tile.pixels;
        for (int b = 0; b < block_groups; ++b) {
            for (int p = 0; p < points; ++p) {
                const T* patches = scratch + p * patch_stride;
                const T* w = filters + p * point_filters + product.block_weights() * tile.blocks * b;
                for (int row = 0; row < used; row += tile.pixels) {
                    Accumulators<T, Arch, tile.pixels, tile.blocks> products;
                    products.clear();
                    products.template add<0, tile.pixels>(patches + std::ptrdiff_t{row} * D.in_channels, D.in_channels,
                                                          w, product.block_weights(), D.in_channels);
                    products.template store<true>(sums + p * sum_stride + std::ptrdiff_t{row} * group_channels,
                                                  group_channels, group_channels, {});
                }
            }
            for (int n = begin; n < end; ++n) {
                transform_output(sums, (n - begin) * tiles, out + n * out_sample, b * group_channels, epilogue);
            }
        }
    }

    /// Patches of a sample, transformed: [point][row][channel], its tiles in rows [first, first + tiles).
    static void transform_input(const T* x, T* to, std::ptrdiff_t stride, int first) {
        for (int t = 0; t < tiles; ++t) {
            const int y0 = t / tiles_x * side - D.y.padding, x0 = t % tiles_x * side - D.x.padding;
            for_vectors<T, Arch>(D.in_channels, [&](std::ptrdiff_t c, auto load, auto store) {
                V d[6][6], v[6][6];
                for (int i = 0; i < 6; ++i) {
                    for (int j = 0; j < 6; ++j) {
                        const int row = y0 + i, column = x0 + j;
                        const bool inside = row >= 0 && row < D.in_height && column >= 0 && column < D.in_width;
                        d[i][j] = inside ? load(x + std::ptrdiff_t{row} * D.in_row() + column * D.in_pixel + c)
                                         : V::broadcast(T{});
                    }
                }
                detail::transform_square<typename Transforms::Input>(d, v);
                for (int p = 0; p < points; ++p) {
                    store(to + p * stride + std::ptrdiff_t{first + t} * D.in_channels + c, v[p / 6][p % 6]);
                }
            });
        }
    }
    /// Output gradients of a sample, likewise.
    static void transform_gradient(const T* dy, T* to, std::ptrdiff_t stride, int first) {
        for (int t = 0; t < tiles; ++t) {
            const int y0 = t / tiles_x * side, x0 = t % tiles_x * side;
            for_vectors<T, Arch>(D.out_channels, [&](std::ptrdiff_t c, auto load, auto store) {
                V d[side][side], v[6][6];
                for (int i = 0; i < side; ++i) {
                    for (int j = 0; j < side; ++j) {
                        const bool inside = y0 + i < D.out_height && x0 + j < D.out_width;
                        d[i][j] = inside ? load(dy + std::ptrdiff_t{y0 + i} * D.out_row + (x0 + j) * D.out_pixel + c)
                                         : V::broadcast(T{});
                    }
                }
                detail::transform_square<typename Transforms::OutputGradient>(d, v);
                for (int p = 0; p < points; ++p) {
                    store(to + p * stride + std::ptrdiff_t{first + t} * D.out_channels + c, v[p / 6][p % 6]);
                }
            });
        }
    }

    /// Items of the weights' gradient: runs of filter gradients that one thread adds up whole.
    using Gradient = WeightGradient<product, T, Arch>;
    static constexpr int gradient_items = points * Gradient::items;
    static constexpr bool gradient_streams = Gradient::streams;
    /// Adds rows [0, count) of transformed patches × transformed gradients to item `item`, or overwrites it.
    static void add_gradient(const T* patches, std::ptrdiff_t patch_step, const T* gradients,
                             std::ptrdiff_t gradient_step, T* filters, int count, int item, bool overwrite) {
        const int p = item / Gradient::items;
        Gradient::add(patches + p * patch_step, D.in_channels, gradients + p * gradient_step, D.out_channels,
                      filters + p * point_filters, 0, count, 1, item % Gradient::items, overwrite);
    }

  private:
    using V = Vec<T, Arch>;
    using Transforms = detail::WinogradTransforms<V>;

    static void transform_output(const T* sums, int first, T* out, int channel, const Epilogue<T>& e) {
        const int channels = std::min(group_channels, D.out_channels - channel);
        for (int t = 0; t < tiles; ++t) {
            const int y0 = t / tiles_x * side, x0 = t % tiles_x * side;
            const int height = std::min(side, D.out_height - y0), width = std::min(side, D.out_width - x0);
            T* to = out + std::ptrdiff_t{y0} * D.out_row + x0 * D.out_pixel + channel;
            for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto, auto store) {
                V m[6][6], y[side][side];
                for (int p = 0; p < points; ++p) {
                    m[p / 6][p % 6] = V::load(sums + p * sum_stride + std::ptrdiff_t{first + t} * group_channels + c);
                }
                detail::transform_square<typename Transforms::Output>(m, y);
                const V scale = e.scale != nullptr ? V::load(e.scale + channel + c) : V::broadcast(T{1});
                const V shift = e.shift != nullptr ? V::load(e.shift + channel + c) : V::broadcast(T{});
                for (int i = 0; i < height; ++i) {
                    for (int j = 0; j < width; ++j) {
                        V value = fma(y[i][j], scale, shift);
                        if (e.relu) { value = max(V::broadcast(T{}), value); }
                        store(to + std::ptrdiff_t{i} * D.out_row + j * D.out_pixel + c, value);
                    }
                }
            });
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/winograd_passes.hpp
// A stage's convolution by Winograd's filtering: its three directions over a batch and threads.

namespace ctnn::inline CTNN_ISA {

template <ConvolutionDims D, class T>
struct WinogradPasses {
    using Forward = WinogradCorrelation<D.forward(), T>;
    /// The gradient with respect to the data is a correlation with the transposed filters.
    using Backward = WinogradCorrelation<
        data_gradient_dims(D, phase_of(D.window.y, D.in.height, 0), phase_of(D.window.x, D.in.width, 0)), T>;
    /// Samples between two rounds of adding to the filters' gradients: as many as fill a second-level cache, or as are
    /// read and written as often as these gradients themselves.
    static constexpr int chunk = static_cast<int>(std::clamp<std::ptrdiff_t>(
        std::max<std::ptrdiff_t>(Forward::filter_elements, (1 << 20) / std::ptrdiff_t{sizeof(T)}) /
            (std::ptrdiff_t{Forward::points} * Forward::tiles * (D.in.channels + D.out.channels)),
        1, 32));
    static constexpr std::ptrdiff_t patch_stride =
        Forward::point_stride(std::ptrdiff_t{chunk} * Forward::tiles * D.in.channels);
    static constexpr std::ptrdiff_t gradient_stride =
        Forward::point_stride(std::ptrdiff_t{chunk} * Forward::tiles * D.out.channels);

    /// Backward has no use for the gradients' part and the data's at the same time.
    template <bool InGradient>
    static constexpr HeadSizes sizes{
        .filters = Forward::filter_elements,
        .transposed = std::max(Forward::filter_elements + Forward::points * (patch_stride + gradient_stride),
                               InGradient ? transposed_weights(D) + Backward::filter_elements : 0),
        .scratch = std::max(Forward::scratch_elements, InGradient ? Backward::scratch_elements : 0)};

    /// All samples' maps.
    static void forward(const StageIO<T>& io, const T* weight, T* map, const Epilogue<T>& epilogue) {
        correlate<Forward>(io, io.input, D.in.size(), weight, io.filters, map, D.out.size(), epilogue);
    }

    static void weight_gradient(const StageIO<T>& io, const T* map_gradient) {
        T* const filters = io.transposed;
        T* const patches = filters + Forward::filter_elements;
        T* const gradients = patches + Forward::points * patch_stride;
        for (int begin = 0; begin < io.samples; begin += chunk) {
            const int count = std::min(chunk, io.samples - begin);
            parallel_for(count, io.threads, [&](int n, int) {
                Forward::transform_input(io.input + (begin + n) * D.in.size(), patches, patch_stride,
                                         n * Forward::tiles);
                Forward::transform_gradient(map_gradient + (begin + n) * D.out.size(), gradients, gradient_stride,
                                            n * Forward::tiles);
            });
            parallel_for(Forward::gradient_items, io.threads, [&](int item, int) {
                Forward::add_gradient(patches, patch_stride, gradients, gradient_stride, filters,
                                      count * Forward::tiles, item, begin == 0);
                if constexpr (Forward::gradient_streams) { finish_streams(); }
            });
        }
        parallel_for(D.forward().blocks(), io.threads,
                     [&](int block, int) { Forward::filters_to_weights(filters, io.weight_gradient, block); });
    }

    static void data_gradient(const StageIO<T>& io, const T* map_gradient) {
        T* const filters = io.transposed + transposed_weights(D);
        parallel_for(ceil_div(D.in.channels, block_size), io.threads,
                     [&](int block, int) { transpose_weights<D, Taps::all>(io.weight, io.transposed, 0, block); });
        correlate<Backward>(io, map_gradient, D.out.size(), io.transposed, filters, io.input_gradient, D.in.size(), {});
    }

  private:
    template <class Kernel>
    static void correlate(const StageIO<T>& io, const T* x, std::ptrdiff_t in_sample, const T* weights, T* filters,
                          T* out, std::ptrdiff_t out_sample, const Epilogue<T>& epilogue) {
        parallel_for(Kernel::product.blocks(), io.threads,
                     [&](int block, int) { Kernel::transform_filters(weights, filters, block); });
        parallel_for(ceil_div(io.samples, Kernel::chunk), io.threads, [&](int item, int thread) {
            Kernel::correlate(x, in_sample, filters, out, out_sample, item * Kernel::chunk,
                              std::min((item + 1) * Kernel::chunk, io.samples), epilogue,
                              io.scratch + thread * io.scratch_stride);
        });
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/stage.hpp
// A stage at work: the head's kernels and the tail, forward and backward, over a batch and threads.

namespace ctnn::inline CTNN_ISA {

/// Stages with a convolution, a linear layer or nothing in front of their tail. `InGradient`: backward writes the
/// gradient with respect to the input. `Custom` is the layer where it is from outside the library.
///
/// The unit of work is a band: some output rows of one sample and the rows of the map they need, which stay in cache
/// between head and tail. Batch norm in training needs all samples between the two, and so keeps the map.
template <StageSpec S, class T, bool TrainingPass, bool InGradient, class Custom = void>
struct Stage {
    using Behind = Tail<S, T>;
    static constexpr bool linear = S.head == Head::linear;
    static constexpr bool weighted = linear || S.head == Head::convolution;
    static constexpr ConvolutionDims dims =
        linear ? ConvolutionDims{{static_cast<int>(S.in.size()), 1, 1}, {S.map.channels, 1, 1}, 1, {}}
               : ConvolutionDims{S.in, S.map, S.groups, S.window};
    static constexpr bool narrow = linear || (weighted && S.map.width < narrow_width);
    /// The head computes all samples before the tail begins.
    static constexpr bool whole = narrow || S.winograd;
    using Passes = std::conditional_t<S.winograd, WinogradPasses<dims, T>, DirectPasses<dims, linear, T>>;
    static constexpr bool train_norm = S.batch_norm && TrainingPass;
    /// The whole map is kept from forward to backward: a norm needs its input again.
    static constexpr bool keeps_map = weighted && TrainingPass && Behind::norms;
    /// The map is a buffer in forward: it is kept, or the head is done before the tail begins.
    static constexpr bool map_in_forward = keeps_map || (whole && (S.pooled || S.response_norm));
    static constexpr std::ptrdiff_t map_elements =
        weighted && (map_in_forward || (TrainingPass && S.pooled)) ? Behind::map_size : 0;
    static constexpr bool backward_needs_input = weighted || Behind::norms;
    static constexpr bool backward_needs_output = S.activation != Activation::identity && !S.response_norm;

    /// Bands per sample: what a band computes stays within the second-level cache.
    static constexpr int bands =
        S.dropout ? 1
                  : std::clamp(static_cast<int>(Behind::map_size * std::ptrdiff_t{sizeof(T)} / (512 * 1024)) + 1, 1,
                               std::min(Behind::pooled_shape.height, S.map.height));
    static constexpr int band_row(int band, int of) { return band * Behind::pooled_shape.height / of; }
    static constexpr int map_row(int band) { return band * S.map.height / bands; }
    /// Map rows that a band needs at most, also where bands are cut finer: what the map's edges cut off is not counted
    /// on.
    static constexpr int band_map_rows = [] {
        const int rows = ceil_div(Behind::pooled_shape.height, bands);
        return S.pooled ? std::min((rows - 1) * S.pool.y.stride + S.pool.y.extent, S.map.height) : rows;
    }();
    /// The bands of a sample are done in order, by one thread: they share rows of a map that is kept.
    static constexpr bool bands_in_order = keeps_map && !whole && !train_norm;

    static constexpr std::ptrdiff_t mask_bytes = S.dropout ? (Behind::mask_bits + 7) / 8 : 0;
    static constexpr std::ptrdiff_t saved_elements = S.batch_norm ? BatchNormVectors<T>::size(S.map.channels) : 0;
    static constexpr HeadSizes head_sizes = [] {
        if constexpr (weighted) {
            return Passes::template sizes < TrainingPass && InGradient > ;
        } else {
            return HeadSizes{};
        }
    }();
    static constexpr std::ptrdiff_t row_elements =
        std::max({std::ptrdiff_t{train_norm ? 2 * S.map.channels * bands : 0},
                  std::ptrdiff_t{weighted && S.bias ? S.map.channels : 0}, head_sizes.rows});
    static constexpr std::ptrdiff_t packed_elements = head_sizes.packed;
    static constexpr std::ptrdiff_t filter_elements = head_sizes.filters;
    static constexpr std::ptrdiff_t transposed_elements = head_sizes.transposed;

    /// Scratch of a thread: rows of a band in forward, one map's gradient in backward, and a pixel of response norm.
    static constexpr std::ptrdiff_t forward_rows =
        (weighted && !map_in_forward && (S.pooled || S.response_norm)) || (S.response_norm && S.pooled)
            ? band_map_rows * Behind::map_row
            : 0;
    static constexpr std::ptrdiff_t backward_rows =
        TrainingPass && S.response_norm
            ? Behind::map_size * ((S.pooled ? 1 : 0) + (!weighted && S.activation != Activation::identity ? 1 : 0))
            : 0;
    static constexpr std::ptrdiff_t rows_elements = std::max(forward_rows, backward_rows);
    static constexpr std::ptrdiff_t scratch_elements =
        std::max(rows_elements + Behind::response_scratch, head_sizes.scratch);

    /// Overwrites the output; in training also what backward needs.
    static void forward(const StageIO<T>& io) { forward(io, io.weight); }
    /// The same with other weights of the head: a linear layer's in half precision.
    template <class W>
    static void forward(const StageIO<T>& io, const W* weight) {
        if constexpr (S.batch_norm && !TrainingPass) {
            batch_norm_from_running(io.running_mean, io.running_variance, S.map.channels, io.norm_weight, io.norm_bias,
                                    S.eps, vectors(io));
            if constexpr (weighted && S.bias) {  // the bias passes through the norm's scale
                for (int c = 0; c < S.map.channels; ++c) { vectors(io).shift[c] += vectors(io).scale[c] * io.bias[c]; }
            }
        }
        if constexpr (train_norm) {
            parallel_for(io.samples * bands, io.threads, [&](int item, int) {
                const int n = item / bands, band = item % bands;
                if constexpr (weighted && !whole) {
                    head_rows(io, n, map_row(band), map_row(band + 1), io.map + n * Behind::map_size, epilogue(io));
                }
                if constexpr (!whole) { moments(io, n, band); }
            });
            if constexpr (whole) {
                head_all(io, weight, io.map, epilogue(io));
                parallel_for(io.samples * bands, io.threads,
                             [&](int item, int) { moments(io, item / bands, item % bands); });
            }
            batch_norm_statistics(
                io.rows, io.samples * bands,
                [](int row) { return double{1} * (map_row(row % bands + 1) - map_row(row % bands)) * S.map.width; },
                S.map.channels, io.norm_weight, io.norm_bias, S.eps, S.momentum, vectors(io), io.next_running_mean,
                io.next_running_variance, io.norm_sum);
        } else if constexpr (whole) {
            head_all(io, weight, map_elements > 0 ? io.map : io.output, epilogue(io));
        }
        const int parts = bands_for(io), units = bands_in_order ? 1 : parts, run = parts / units;
        parallel_for(io.samples * units, io.threads, [&](int item, int thread) {
            const int n = item / units, first = item % units * run;
            T* const scratch = io.scratch + thread * io.scratch_stride;
            for (int part = first; part < first + run; ++part) {
                tail_band(io, n, band_row(part, parts), band_row(part + 1, parts), scratch);
            }
            if constexpr (S.dropout) {
                if constexpr (TrainingPass) {
                    Behind::drop(io.output + n * Behind::out_size, io.mask + n * mask_bytes,
                                 io.random.stream(n, S.dropout_layer));
                }
            }
        });
    }

    /// Overwrites the gradients of the parameters and, where asked, of the input. The output gradient is used up.
    static void backward(const StageIO<T>& io) {
        // Without a norm or pool the output gradient becomes the map's in place.
        T* const map_gradient = !weighted ? io.input_gradient : map_elements > 0 ? io.map : io.output_gradient;
        const T* const map = weighted ? io.map : io.input;
        if constexpr (S.batch_norm) {
            parallel_for(io.samples, io.threads, [&](int n, int) {
                undo_output(io, n);
                Behind::sums(map + n * Behind::map_size, io.output_gradient + n * Behind::out_size, places(io, n),
                             vectors(io), io.rows + std::ptrdiff_t{n} * 2 * S.map.channels);
            });
            merge_norm_sums(io);
        }
        parallel_for(io.samples, io.threads, [&](int n, int thread) {
            T* scratch = io.scratch + thread * io.scratch_stride;
            if constexpr (!S.batch_norm) { undo_output(io, n); }
            if (map_gradient != nullptr) {
                T* to = map_gradient + n * Behind::map_size;
                Behind::template backward<weighted>(sample(map, n, Behind::map_size),
                                                    io.output_gradient + n * Behind::out_size, places(io, n),
                                                    vectors(io), to, scratch, scratch + rows_elements);
                if constexpr (weighted && S.bias) {
                    sum_pixels(to, io.rows + std::ptrdiff_t{n} * S.map.channels, S.map.pixels(), S.map.channels);
                }
            }
        });
        if constexpr (weighted) {
            if constexpr (S.bias) { merge_bias(io); }
            Passes::weight_gradient(io, map_gradient);
            if constexpr (InGradient) { Passes::data_gradient(io, map_gradient); }
        }
    }

  private:
    /// Bands of this pass. Inference cuts finer where there are too few samples for the threads: one image is shared
    /// out by rows, all of which read the same weights, so that no thread waits for another's channels to pool them.
    static int bands_for(const StageIO<T>& io) {
        if constexpr (TrainingPass) {
            return bands;
        } else {
            const int wanted = io.samples < io.threads ? ceil_div(2 * io.threads, io.samples) : 1;
            return std::clamp(wanted, bands, std::max(bands, Behind::pooled_shape.height));
        }
    }
    static BatchNormVectors<T> vectors(const StageIO<T>& io) { return {io.saved, S.batch_norm ? S.map.channels : 0}; }
    /// Sample n of a buffer that the plan may lack.
    static const T* sample(const T* buffer, int n, std::ptrdiff_t size) {
        return buffer == nullptr ? nullptr : buffer + n * size;
    }
    static const std::uint8_t* places(const StageIO<T>& io, int n) {
        return io.places == nullptr ? nullptr : io.places + n * Behind::out_size;
    }
    static void undo_output(const StageIO<T>& io, int n) {
        Behind::undo_output(io.output + n * Behind::out_size, io.mask == nullptr ? nullptr : io.mask + n * mask_bytes,
                            io.output_gradient + n * Behind::out_size);
    }
    static void moments(const StageIO<T>& io, int n, int band) {
        const T* map = (weighted ? io.map : io.input) + n * Behind::map_size + map_row(band) * Behind::map_row;
        pixel_moments(map, io.rows + (std::ptrdiff_t{n} * bands + band) * 2 * S.map.channels,
                      (map_row(band + 1) - map_row(band)) * S.map.width, S.map.channels);
    }

    /// What the head does to its sums: batch norm's scale and shift in inference, else the bias; ReLU unless batch norm
    /// is still to come.
    static Epilogue<T> epilogue(const StageIO<T>& io) {
        Epilogue<T> e;
        if constexpr (S.batch_norm && !TrainingPass) {
            e.scale = vectors(io).scale;
            e.shift = vectors(io).shift;
        } else if constexpr (S.bias) {
            e.shift = io.bias;
        }
        e.relu = S.activation == Activation::relu && !train_norm;
        return e;
    }
    /// Sigmoid and tanh are too long for a register tile's epilogue: they follow while the rows are in cache.
    static void finish_activation(T* rows, std::ptrdiff_t count) {
        if constexpr (!train_norm && (S.activation == Activation::sigmoid || S.activation == Activation::tanh)) {
            activate<S.activation>(rows, rows, count);
        }
    }

    /// Map rows [r0, r1) of sample n; `map` is where row 0 would be.
    static void head_rows(const StageIO<T>& io, int n, int r0, int r1, T* map, const Epilogue<T>& e) {
        Passes::rows(io, n, r0, r1, map, e);
        finish_activation(map + r0 * Behind::map_row, (r1 - r0) * Behind::map_row);
    }
    /// The maps of all samples.
    template <class W>
    static void head_all(const StageIO<T>& io, const W* weight, T* map, const Epilogue<T>& e) {
        Passes::forward(io, weight, map, e);
        if constexpr (!train_norm && (S.activation == Activation::sigmoid || S.activation == Activation::tanh)) {
            parallel_for(io.samples, io.threads,
                         [&](int n, int) { finish_activation(map + n * Behind::map_size, Behind::map_size); });
        }
    }

    /// Output rows [r0, r1) of sample n.
    static void tail_band(const StageIO<T>& io, int n, int r0, int r1, T* scratch) {
        T* out = io.output + n * Behind::out_size;
        std::uint8_t* to_places = S.pooled && TrainingPass ? io.places + n * Behind::out_size : nullptr;
        T* rows = scratch - Behind::map_begin(r0) * Behind::map_row;
        T* pixel = scratch + rows_elements;
        const BatchNormVectors<T> v = vectors(io);
        if constexpr (!weighted) {
            Behind::template forward<S.batch_norm, false>(io.input + n * Behind::map_size, v.scale, v.shift, rows,
                                                          pixel, out, to_places, r0, r1);
        } else if constexpr (train_norm && S.batch_norm) {
            Behind::template forward<true, false>(io.map + n * Behind::map_size, v.scale, v.shift, rows, pixel, out,
                                                  to_places, r0, r1);
        } else if constexpr (whole) {
            if constexpr (!Behind::empty) {
                const T* map = map_elements > 0 ? io.map + n * Behind::map_size : out;
                Behind::template forward<false, true>(map, nullptr, nullptr, rows, pixel, out, to_places, r0, r1);
            }
        } else {
            T* map = keeps_map ? io.map + n * Behind::map_size : S.pooled || S.response_norm ? rows : out;
            int m0 = Behind::map_begin(r0), m1 = Behind::map_end(r1);
            if constexpr (bands_in_order) {  // each row once, and those that no window has: backward reads all
                m0 = r0 == 0 ? 0 : Behind::map_end(r0);
                if (r1 == Behind::pooled_shape.height) { m1 = S.map.height; }
            }
            head_rows(io, n, m0, m1, map, epilogue(io));
            Behind::template forward<false, true>(map, nullptr, nullptr, rows, pixel, out, to_places, r0, r1);
        }
    }

    /// dγ and dβ from the samples' sums in order, and the means a and b of what backward sums up: over all processes
    /// that share the batch, while dγ and dβ are this one's part.
    static void merge_norm_sums(const StageIO<T>& io) {
        const BatchNormVectors<T> v = vectors(io);
        constexpr int channels = S.map.channels;
        const T count = static_cast<T>(io.samples) * static_cast<T>(S.map.pixels());
        add_rows(io.rows, 2 * channels, io.samples, channels, io.norm_bias_gradient);
        add_rows(io.rows + channels, 2 * channels, io.samples, channels, io.norm_weight_gradient);
        if (io.norm_sum) {
            double* const sums = io.norm_sum.memory;
            double& counts = sums[NormSum::size(channels) - 1];
            std::copy_n(io.norm_bias_gradient, channels, sums);
            std::copy_n(io.norm_weight_gradient, channels, sums + channels);
            counts = static_cast<double>(count);
            io.norm_sum(channels);
            for (int c = 0; c < channels; ++c) {
                v.a[c] = static_cast<T>(sums[c] / counts);
                v.b[c] = static_cast<T>(sums[channels + c] / counts);
            }
            return;
        }
        for (int c = 0; c < channels; ++c) {
            v.a[c] = io.norm_bias_gradient[c] / count;
            v.b[c] = io.norm_weight_gradient[c] / count;
        }
    }

    static void merge_bias(const StageIO<T>& io) {
        for (int g = 0; g < dims.groups; ++g) {
            add_rows(io.rows + g * dims.group_out(), S.map.channels, io.samples, dims.group_out(),
                     io.bias_gradient + g * dims.group_bias());
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/plain_stages.hpp
// Stages without weights or tail: average pools, and layers from outside the library.

namespace ctnn::inline CTNN_ISA {

/// Average pools.
template <StageSpec S, class T, bool TrainingPass, bool InGradient, class Custom>
    requires(S.head == Head::average)
struct Stage<S, T, TrainingPass, InGradient, Custom> {
    static constexpr PoolDims pool{S.in, S.map, S.window};
    static constexpr bool backward_needs_input = false, backward_needs_output = false, map_in_forward = false;
    static constexpr std::ptrdiff_t map_elements = 0, mask_bytes = 0, row_elements = 0, packed_elements = 0,
                                    saved_elements = 0, filter_elements = 0, transposed_elements = 0,
                                    scratch_elements = 0;

    static void forward(const StageIO<T>& io) {
        parallel_for(io.samples, io.threads, [&](int n, int) {
            average_pool<pool, S.adaptive, S.count_include_pad>(io.input + n * S.in.size(),
                                                                io.output + n * S.out.size());
        });
    }
    static void backward(const StageIO<T>& io) {
        if (io.input_gradient == nullptr) { return; }
        parallel_for(io.samples, io.threads, [&](int n, int) {
            average_pool_gradient<pool, S.adaptive, S.count_include_pad, T>(io.output_gradient + n * S.out.size(),
                                                                            io.input_gradient + n * S.in.size());
        });
    }
};

namespace detail {

/// How a custom layer's functions are called, by the number of its parameter tensors.
template <class Layer, class T, int Tensors>
constexpr bool has_forward = requires(Shape in, const T* from, T* to) {
    requires Tensors == 0;
    Layer::forward(in, from, to);
} || requires(Shape in, const T* from, T* to) {
    requires Tensors == 1;
    Layer::forward(in, from, from, to);
} || requires(Shape in, const T* from, T* to) {
    requires Tensors == 2;
    Layer::forward(in, from, from, from, to);
};
template <class Layer, class T, int Tensors>
constexpr bool has_backward = requires(Shape in, const T* from, T* to) {
    requires Tensors == 0;
    Layer::backward(in, from, from, from, to);
} || requires(Shape in, const T* from, T* to) {
    requires Tensors == 1;
    Layer::backward(in, from, from, from, from, to, to);
} || requires(Shape in, const T* from, T* to) {
    requires Tensors == 2;
    Layer::backward(in, from, from, from, from, from, to, to, to);
};

/// The passes need a custom layer's functions.
template <class Custom, class T, bool TrainingPass>
struct CustomError {
    using Layer = typename Custom::type;
    static constexpr int tensors = Custom::info.parameter_tensors;
    static constexpr bool forward = has_forward<Layer, T, tensors>, backward = has_backward<Layer, T, tensors>;

    static constexpr Sentence sentence = [] {
        constexpr std::string_view parameters[] = {"", "const T* p, ", "const T* p, const T* q, "};
        constexpr std::string_view gradients[] = {"", ", T* dp", ", T* dp, T* dq"};
        Sentence text;
        if (forward && (backward || !TrainingPass)) { return text; }
        text << "layer " << Custom::key << ", " << Custom::info.type << ": has no "
             << (forward ? "backward" : "forward") << "(Shape in, " << parameters[tensors]
             << (forward ? "const T* x, const T* y, const T* dy, T* dx" : "const T* x, T* y")
             << (forward ? gradients[tensors] : "") << ") for T = " << (sizeof(T) == 4 ? "float" : "double");
        return text;
    }();
    static constexpr std::string_view error() { return sentence.view(); }
};

}  // namespace detail

/// Layers from outside the library: see layers/custom.hpp. `Custom` is their LayerAt.
template <StageSpec S, class T, bool TrainingPass, bool InGradient, class Custom>
    requires(S.head == Head::custom)
struct Stage<S, T, TrainingPass, InGradient, Custom> {
    using Error = detail::CustomError<Custom, T, TrainingPass>;
    static_assert(sizeof(decltype(verdict<Error>(pieces_of<Error>{}))) > 0);

    using Layer = typename Custom::type;
    static constexpr int tensors = Custom::info.parameter_tensors;
    /// Elements of the parameters' gradients, sample by sample, one tensor behind the other.
    static constexpr int first = Custom::info.parameters[0].dims.out, both = Custom::info.parameter_count();

    static constexpr bool backward_needs_input = true, backward_needs_output = true, map_in_forward = false;
    static constexpr std::ptrdiff_t map_elements = 0, mask_bytes = 0, row_elements = TrainingPass ? both : 0,
                                    packed_elements = 0, saved_elements = 0, filter_elements = 0,
                                    transposed_elements = 0;
    /// An input gradient that nobody asked for.
    static constexpr std::ptrdiff_t scratch_elements = row_elements > 0 && !InGradient ? S.in.size() : 0;

    static void forward(const StageIO<T>& io) {
        parallel_for(io.samples, io.threads, [&](int n, int) {
            const T* const x = io.input + n * S.in.size();
            T* const y = io.output + n * S.out.size();
            if constexpr (!Error::forward) {
                return;  // has been told
            } else if constexpr (tensors == 0) {
                Layer::forward(S.in, x, y);
            } else if constexpr (tensors == 1) {
                Layer::forward(S.in, io.weight, x, y);
            } else {
                Layer::forward(S.in, io.weight, io.bias, x, y);
            }
        });
    }
    static void backward(const StageIO<T>& io) {
        if (tensors == 0 && io.input_gradient == nullptr) { return; }
        parallel_for(io.samples, io.threads, [&](int n, int thread) {
            const T* const x = io.input + n * S.in.size();
            const T* const y = io.output + n * S.out.size();
            const T* const dy = io.output_gradient + n * S.out.size();
            T* const dx = io.input_gradient != nullptr ? io.input_gradient + n * S.in.size()
                                                       : io.scratch + thread * io.scratch_stride;
            T* const sums = io.rows + n * row_elements;
            if constexpr (!Error::backward) {
                return;
            } else if constexpr (tensors == 0) {
                Layer::backward(S.in, x, y, dy, dx);
            } else if constexpr (tensors == 1) {
                Layer::backward(S.in, io.weight, x, y, dy, dx, sums);
            } else {
                Layer::backward(S.in, io.weight, io.bias, x, y, dy, dx, sums, sums + first);
            }
        });
        if constexpr (tensors > 0) { add_rows(io.rows, row_elements, io.samples, first, io.weight_gradient); }
        if constexpr (tensors > 1) {
            add_rows(io.rows + first, row_elements, io.samples, both - first, io.bias_gradient);
        }
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/plan.hpp
// Plans: how many bytes a training step or an inference needs, and where everything lies, as constants of the network.

namespace ctnn::inline CTNN_ISA {

/// Whether a training step also computes the gradient with respect to the network's input.
enum class InputGradient : bool { no, yes };

/// What a stage may keep in the workspace.
enum class Slot : char {
    output,     ///< per sample: the stage's output
    gradient,   ///< per sample: the gradient with respect to the stage's output
    map,        ///< per sample: the head's full-size output, later its gradient
    places,     ///< per sample: one byte per pooled output
    mask,       ///< per sample: dropout's bits
    rows,       ///< per sample: partial sums of batch norm and biases, and a linear layer's transposed gradient
    packed,     ///< per sample: a linear layer's input, its rows apart, in forward
    saved,      ///< fixed: batch norm's vectors
    filters,    ///< fixed: Winograd's transformed filters, in forward
    transposed  ///< fixed: what backward makes of weights: transposed ones, transformed filters and their gradients
};
inline constexpr std::size_t slot_count = 10;

/// The plan of one pass over a network: Training (forward, loss, backward) or inference.
///
/// Per-sample buffers are placed in units of 64 bytes per sample and scaled by the batch, fixed ones in bytes, and
/// every thread has scratch of its own; so the same code serves every batch and thread count, and bytes() is a
/// constant.
template <class Net_, class T, Fusion F, bool Training_, InputGradient G>
struct Plan {
    using Net = Net_;
    using value_type = T;
    using StageList = Stages<Net, F>;
    static constexpr std::size_t stage_count = StageList::count;
    static constexpr bool training = Training_;
    static constexpr bool input_gradient = training && G == InputGradient::yes;

    template <std::size_t I>
    using Runner = Stage<StageList::at(I), T, training, (I > 0 || input_gradient),
                         std::conditional_t<StageList::at(I).head == Head::custom,
                                            detail::LayerAt<Net, StageList::at(I).head_layer>, void>>;

    /// Times: forward of stage s at s, the loss at stage_count, backward of stage s at 2·stage_count − s.
    static constexpr int forward_time(std::size_t s) { return static_cast<int>(s); }
    static constexpr int backward_time(std::size_t s) { return static_cast<int>(2 * stage_count - s); }
    static constexpr int end_time = static_cast<int>(2 * stage_count);

    static constexpr std::size_t index(std::size_t stage, Slot slot) {
        return stage * slot_count + static_cast<std::size_t>(slot);
    }
    /// The gradient with respect to the input is a buffer behind those of the stages.
    static constexpr std::size_t input_gradient_index = stage_count * slot_count;
    static constexpr std::size_t buffer_count = stage_count * slot_count + 1;
    static constexpr bool per_sample(std::size_t i) {
        return i == input_gradient_index || i % slot_count < static_cast<std::size_t>(Slot::saved);
    }

  private:
    struct Table {
        std::array<LiveBuffer, buffer_count> buffers{};  ///< per-sample ones in 64-byte units, fixed ones in bytes
        std::int64_t sample_lines = 0, fixed_bytes = 0, thread_bytes = 0;
    };

    static constexpr std::int64_t lines(std::int64_t bytes) {
        return (bytes + static_cast<std::int64_t>(block_alignment) - 1) / static_cast<std::int64_t>(block_alignment);
    }

    template <std::size_t S>
    static constexpr void describe(Table& t) {
        using R = Runner<S>;
        constexpr StageSpec spec = StageList::at(S);
        constexpr int forward = forward_time(S), backward = backward_time(S);
        constexpr auto element = static_cast<std::int64_t>(sizeof(T));
        const auto set = [&](Slot slot, std::int64_t bytes, int first, int last) {
            const bool scaled = slot < Slot::saved;
            t.buffers[index(S, slot)] = {scaled ? lines(bytes) : lines(bytes) * 64, first, last, 0};
        };
        const bool last_stage = S + 1 == stage_count;
        if constexpr (training) {
            // The next stage reads this output in forward and, where its weights or norm need it, in backward.
            int output_end = last_stage ? end_time : forward + 1;
            if constexpr (S + 1 < stage_count) {
                if (Runner<S + 1>::backward_needs_input) { output_end = backward_time(S + 1); }
            }
            if (R::backward_needs_output) { output_end = backward; }
            if (last_stage) { output_end = end_time; }  // the logits stay for the caller
            set(Slot::output, spec.out.size() * element, forward, output_end);
            set(Slot::gradient, spec.out.size() * element, backward - 1, backward);
            set(Slot::map, R::map_elements * element, R::map_in_forward ? forward : backward, backward);
            set(Slot::places, spec.pooled ? spec.out.size() : 0, forward, backward);
            set(Slot::mask, R::mask_bytes, forward, backward);
            set(Slot::rows, R::row_elements * element, spec.batch_norm ? forward : backward, backward);
            set(Slot::packed, R::packed_elements * element, forward, forward);
            set(Slot::saved, R::saved_elements * element, forward, backward);
            set(Slot::filters, R::filter_elements * element, forward, forward);
            set(Slot::transposed, R::transposed_elements * element, backward, backward);
        } else {
            set(Slot::output, spec.out.size() * element, forward, last_stage ? end_time : forward + 1);
            set(Slot::map, R::map_elements * element, forward, forward);
            set(Slot::packed, R::packed_elements * element, forward, forward);
            set(Slot::saved, R::saved_elements * element, forward, forward);
            set(Slot::filters, R::filter_elements * element, forward, forward);
        }
        const std::int64_t scratch = lines(R::scratch_elements * element) * 64;
        t.thread_bytes = t.thread_bytes > scratch ? t.thread_bytes : scratch;
    }

    static constexpr Table table = []<std::size_t... S>(std::index_sequence<S...>) {
        Table t;
        (describe<S>(t), ...);
        if (input_gradient) {
            t.buffers[input_gradient_index] = {lines(Net::input_shape.size() * static_cast<std::int64_t>(sizeof(T))),
                                               end_time, end_time, 0};
        }
        // Two arenas: buffers that grow with the batch, and fixed ones.
        t.sample_lines = place_buffers(t.buffers, [](std::size_t i) { return per_sample(i); });
        t.fixed_bytes = place_buffers(t.buffers, [](std::size_t i) { return !per_sample(i); });
        return t;
    }(std::make_index_sequence<stage_count>{});

  public:
    static constexpr const auto& buffers = table.buffers;
    /// Bytes per sample, fixed, and per thread.
    static constexpr std::size_t sample_bytes = static_cast<std::size_t>(table.sample_lines) * block_alignment;
    static constexpr std::size_t fixed_bytes = static_cast<std::size_t>(table.fixed_bytes);
    static constexpr std::size_t thread_bytes = static_cast<std::size_t>(table.thread_bytes);

    /// Bytes of a workspace for at most `batch` samples and `threads` threads; the largest number there is, which no
    /// memory has, where 32 bits are too few for them.
    static constexpr std::size_t bytes(int batch, int threads) {
        const std::uint64_t all = std::uint64_t{sample_bytes} * static_cast<std::uint64_t>(batch) + fixed_bytes +
                                  std::uint64_t{thread_bytes} * static_cast<std::uint64_t>(threads);
        return std::in_range<std::size_t>(all) ? static_cast<std::size_t>(all)
                                               : std::numeric_limits<std::size_t>::max();
    }

    /// Byte offset of a buffer in a workspace made for `batch` samples: per-sample buffers first, fixed ones, scratch.
    static constexpr std::size_t offset(std::size_t i, int batch) {
        const auto at = static_cast<std::size_t>(table.buffers[i].offset);
        return per_sample(i) ? at * block_alignment * static_cast<std::size_t>(batch)
                             : sample_bytes * static_cast<std::size_t>(batch) + at;
    }
    /// Bytes of a buffer in such a workspace.
    static constexpr std::size_t buffer_bytes(std::size_t i, int batch) {
        const auto size = static_cast<std::size_t>(table.buffers[i].size);
        return per_sample(i) ? size * block_alignment * static_cast<std::size_t>(batch) : size;
    }
    static constexpr std::size_t scratch_offset(int batch) {
        return sample_bytes * static_cast<std::size_t>(batch) + fixed_bytes;
    }
};

/// The plan of training steps: Workspace<Training<Net>> runs them.
template <Network Net, class T = float, Fusion F = Fusion::full, InputGradient G = InputGradient::no>
using Training = Plan<Net, T, F, true, G>;

/// The plan of inference: Workspace<Inference<Net>> runs it.
template <Network Net, class T = float, Fusion F = Fusion::full>
using Inference = Plan<Net, T, F, false, InputGradient::no>;

/// A number of samples, for TrainingPlan and InferencePlan.
template <int N>
struct Batch : std::integral_constant<int, N> {};
/// A number of threads, for TrainingPlan and InferencePlan.
template <int N>
struct Threads : std::integral_constant<int, N> {};

/// The bytes of a training's workspace: `TrainingPlan<Net, Batch<128>, Threads<2>>::bytes`.
template <Network Net, class B, class Th = Threads<1>, class T = float>
struct TrainingPlan {
    static constexpr std::size_t bytes = Training<Net, T>::bytes(B::value, Th::value);
};
/// The bytes of an inference's workspace.
template <Network Net, class B, class Th = Threads<1>, class T = float>
struct InferencePlan {
    static constexpr std::size_t bytes = Inference<Net, T>::bytes(B::value, Th::value);
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/workspace.hpp
// Workspace: all activations of one plan in one block. One per thread or request; nothing is allocated after it exists.

namespace ctnn::inline CTNN_ISA {

/// Memory for passes over at most `batch` samples on at most `threads` threads: PlanType::bytes(batch, threads), its
/// own or, without any allocation, the caller's. Movable; what was moved from takes no pass. Throws ArgumentError for a
/// batch or thread count below 1 and for memory that is too short or not aligned, std::bad_alloc when there is none.
template <class PlanType>
class Workspace {
  public:
    using T = typename PlanType::value_type;
    static constexpr std::size_t stage_count = PlanType::stage_count;

    explicit Workspace(int batch, int threads = default_threads())
        : batch_{at_least_one("batch size", batch)},
          threads_{at_least_one("number of threads", threads)},
          own_(bytes_for(batch, threads)),
          bytes_{own_.span()} {}
    /// In memory of the caller's, which outlives the workspace and begins on 64 bytes. What it holds does not matter.
    Workspace(std::span<std::byte> memory, int batch, int threads)
        : batch_{at_least_one("batch size", batch)},
          threads_{at_least_one("number of threads", threads)},
          bytes_{memory} {
        const std::size_t needed = PlanType::bytes(batch, threads);
        if (memory.size() < needed || reinterpret_cast<std::uintptr_t>(memory.data()) % block_alignment != 0) {
            raise<ArgumentError>(
                {"workspace: found ", memory.size(), " bytes, expected ", needed, ", aligned to ", block_alignment});
        }
    }
    Workspace(Workspace&& other) noexcept
        : batch_{std::exchange(other.batch_, 0)},
          threads_{other.threads_},
          own_{std::move(other.own_)},
          bytes_{std::exchange(other.bytes_, {})},
          norm_sum_{other.norm_sum_} {}
    Workspace& operator=(Workspace&& other) noexcept {
        batch_ = std::exchange(other.batch_, 0);
        threads_ = other.threads_;
        own_ = std::move(other.own_);
        bytes_ = std::exchange(other.bytes_, {});
        norm_sum_ = other.norm_sum_;
        return *this;
    }
    ~Workspace() = default;

    [[nodiscard]] int batch() const { return batch_; }
    [[nodiscard]] int threads() const { return threads_; }
    [[nodiscard]] std::span<std::byte> bytes() { return bytes_; }
    /// How training passes sum batch norm's statistics over processes; {} is not at all, as at first.
    [[nodiscard]] const NormSum& norm_sum() const { return norm_sum_; }
    void set_norm_sum(const NormSum& sum) { norm_sum_ = sum; }

    /// Pointer to a buffer of the plan; null when the plan has none.
    template <class U = T>
    [[nodiscard]] U* at(std::size_t index) {
        if (PlanType::buffers[index].size == 0) { return nullptr; }
        return reinterpret_cast<U*>(bytes_.data() + PlanType::offset(index, batch_));
    }
    template <class U = T>
    [[nodiscard]] U* at(std::size_t stage, Slot slot) {
        return at<U>(PlanType::index(stage, slot));
    }
    [[nodiscard]] T* scratch() { return reinterpret_cast<T*>(bytes_.data() + PlanType::scratch_offset(batch_)); }

    /// The network's output: logits of `samples` samples, valid after forward until the next pass.
    [[nodiscard]] std::span<const T> output(int samples) {
        return {at(stage_count - 1, Slot::output),
                static_cast<std::size_t>(samples * PlanType::Net::output_shape.size())};
    }
    /// Where the caller of backward writes the gradient with respect to the output.
    [[nodiscard]] std::span<T> output_gradient(int samples) {
        return {at(stage_count - 1, Slot::gradient),
                static_cast<std::size_t>(samples * PlanType::Net::output_shape.size())};
    }
    /// The gradient with respect to the input, after backward, where the plan has it.
    [[nodiscard]] std::span<const T> input_gradient(int samples)
        requires PlanType::input_gradient
    {
        return {at(PlanType::input_gradient_index),
                static_cast<std::size_t>(samples * PlanType::Net::input_shape.size())};
    }

  private:
    static std::size_t bytes_for(int batch, int threads) {
        const std::size_t bytes = PlanType::bytes(batch, threads);
        if (bytes == std::numeric_limits<std::size_t>::max()) {
            raise<ArgumentError>({"workspace: a batch of ", batch, " samples takes more bytes than can be addressed"});
        }
        return bytes;
    }
    static int at_least_one(const char* what, int value) {
        if (value < 1) { raise<ArgumentError>({what, " is ", value, "; expected at least 1"}); }
        return value;
    }

    int batch_, threads_;
    AlignedArray<std::byte> own_;
    std::span<std::byte> bytes_;
    NormSum norm_sum_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/run.hpp
// Running a network: forward in inference and training, and backward, stage by stage.

namespace ctnn::inline CTNN_ISA {

/// Called with every time of a plan once its stage has run; does nothing. Tests put theirs in its place.
struct NoObserver {
    void operator()(int) const {}
};

namespace detail {

/// Where the tensors of a stage's head lie in the arena; −1 where it has none.
struct HeadOffsets {
    std::int64_t weight = -1, bias = -1;
};
template <class Layout>
constexpr HeadOffsets head_offsets(const StageSpec& stage) {
    if (stage.head == Head::none) { return {}; }
    return {Layout::offset(stage.head_layer, 0), Layout::offset(stage.head_layer, 1)};
}

template <class PlanType, std::size_t S>
StageIO<typename PlanType::value_type> stage_io(Workspace<PlanType>& workspace,
                                                ModelView<typename PlanType::Net, typename PlanType::value_type> model,
                                                const typename PlanType::value_type* input, int samples) {
    using T = typename PlanType::value_type;
    using Layout = ParameterLayout<typename PlanType::Net>;
    constexpr StageSpec spec = PlanType::StageList::at(S);
    StageIO<T> io;
    io.samples = samples;
    io.threads = workspace.threads();
    if constexpr (S == 0) {
        io.input = input;
        io.input_gradient = workspace.at(PlanType::input_gradient_index);
    } else {
        io.input = workspace.at(S - 1, Slot::output);
        io.input_gradient = workspace.at(S - 1, Slot::gradient);
    }
    io.output = workspace.at(S, Slot::output);
    io.output_gradient = workspace.at(S, Slot::gradient);
    io.map = workspace.at(S, Slot::map);
    io.places = workspace.template at<std::uint8_t>(S, Slot::places);
    io.mask = workspace.template at<std::uint8_t>(S, Slot::mask);
    io.rows = workspace.at(S, Slot::rows);
    io.packed = workspace.at(S, Slot::packed);
    io.saved = workspace.at(S, Slot::saved);
    io.filters = workspace.at(S, Slot::filters);
    io.transposed = workspace.at(S, Slot::transposed);
    io.scratch = workspace.scratch();
    io.scratch_stride = PlanType::thread_bytes / sizeof(T);
    io.norm_sum = workspace.norm_sum();
    constexpr HeadOffsets head = head_offsets<Layout>(spec);
    if constexpr (head.weight >= 0) { io.weight = model.parameters + head.weight; }
    if constexpr (head.bias >= 0) { io.bias = model.parameters + head.bias; }
    if constexpr (spec.batch_norm) {
        io.norm_weight = model.parameters + Layout::offset(spec.norm_layer, 0);
        io.norm_bias = model.parameters + Layout::offset(spec.norm_layer, 1);
        io.running_mean = model.buffers + Layout::buffer(spec.norm_layer)->mean_offset;
        io.running_variance = model.buffers + Layout::buffer(spec.norm_layer)->variance_offset;
    }
    return io;
}

template <class PlanType>
void check_samples(const Workspace<PlanType>& workspace, int samples) {
    if (samples < 1 || samples > workspace.batch()) {
        raise<ArgumentError>(
            {"a batch of ", samples, " samples; expected 1 to ", workspace.batch(), ", the workspace's batch size"});
    }
}

/// A batch norm whose map is a single pixel, which has no variance in one sample; layer_count where there is none.
template <Network Net>
constexpr std::size_t norm_of_one_pixel() {
    for (std::size_t i = 0; i < Net::layer_count; ++i) {
        const LayerInfo& layer = Net::description.layers[i];
        const Shape shape = layer.in.shape;
        if (layer.kind == LayerKind::batch_norm2d && shape.height * shape.width == 1) { return i; }
    }
    return Net::layer_count;
}

/// PyTorch's "Expected more than 1 value per channel when training": a value less its own mean is 0, whatever the
/// layers before it do.
template <Network Net>
void check_norms(int samples) {
    constexpr std::size_t layer = norm_of_one_pixel<Net>();
    if constexpr (layer < Net::layer_count) {
        if (samples == 1) {
            raise<ArgumentError>({"layer ", layer,
                                  ", BatchNorm2d: a training pass of 1 sample has 1 value in each channel, expected at "
                                  "least 2; change the batch size, or drop the last batch"});
        }
    }
}

}  // namespace detail

/// Inference: the network's output for `samples` samples at `input`, [sample][row][column][channel]. Batch norm takes
/// its running statistics, dropout does nothing. The result stays valid until the workspace is used again.
/// Throws ArgumentError when samples exceed the workspace's batch. Allocates nothing.
template <class PlanType, class Observer = NoObserver>
    requires(!PlanType::training)
std::span<const typename PlanType::value_type> forward(
    ModelView<typename PlanType::Net, typename PlanType::value_type> model, const typename PlanType::value_type* input,
    int samples, Workspace<PlanType>& workspace, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
    [&]<std::size_t... S>(std::index_sequence<S...>) {
        ((PlanType::template Runner<S>::forward(detail::stage_io<PlanType, S>(workspace, model, input, samples)),
          observer(PlanType::forward_time(S))),
         ...);
    }(std::make_index_sequence<PlanType::stage_count>{});
    return workspace.output(samples);
}

/// Training forward: batch norm takes the batch's statistics and moves the model's, dropout draws by `key`. Keeps in
/// the workspace what backward needs; `input` must stay as it is until then. Throws ArgumentError when samples exceed
/// the workspace's batch, and for a single sample where a batch norm's map has a single pixel, unless other processes
/// have more.
template <class PlanType, class Observer = NoObserver>
    requires PlanType::training
std::span<const typename PlanType::value_type> forward(
    Model<typename PlanType::Net, typename PlanType::value_type>& model, const typename PlanType::value_type* input,
    int samples, Workspace<PlanType>& workspace, const RandomKey& key, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
    if (!workspace.norm_sum()) { detail::check_norms<typename PlanType::Net>(samples); }
    using Layout = ParameterLayout<typename PlanType::Net>;
    [&]<std::size_t... S>(std::index_sequence<S...>) {
        (
            [&] {
                constexpr StageSpec spec = PlanType::StageList::at(S);
                auto io = detail::stage_io<PlanType, S>(workspace, model.view(), input, samples);
                io.random = key;
                if constexpr (spec.batch_norm) {
                    io.next_running_mean = model.buffers().data() + Layout::buffer(spec.norm_layer)->mean_offset;
                    io.next_running_variance =
                        model.buffers().data() + Layout::buffer(spec.norm_layer)->variance_offset;
                }
                PlanType::template Runner<S>::forward(io);
                observer(PlanType::forward_time(S));
            }(),
            ...);
    }(std::make_index_sequence<PlanType::stage_count>{});
    ++model.buffers().batches_tracked;
    return workspace.output(samples);
}

/// Backward of the last training forward, with the same `input` and `samples`. The caller has written
/// workspace.output_gradient(samples), which is used up. Overwrites `gradients`; the input's gradient too where the
/// plan has one.
template <class PlanType, class Observer = NoObserver>
    requires PlanType::training
void backward(const Model<typename PlanType::Net, typename PlanType::value_type>& model,
              const typename PlanType::value_type* input, int samples, Workspace<PlanType>& workspace,
              Parameters<typename PlanType::Net, typename PlanType::value_type>& gradients, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
    using Layout = ParameterLayout<typename PlanType::Net>;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (
            [&] {
                constexpr std::size_t s = PlanType::stage_count - 1 - I;
                constexpr StageSpec spec = PlanType::StageList::at(s);
                auto io = detail::stage_io<PlanType, s>(workspace, model.view(), input, samples);
                constexpr detail::HeadOffsets head = detail::head_offsets<Layout>(spec);
                if constexpr (head.weight >= 0) { io.weight_gradient = gradients.data() + head.weight; }
                if constexpr (head.bias >= 0) { io.bias_gradient = gradients.data() + head.bias; }
                if constexpr (spec.batch_norm) {
                    io.norm_weight_gradient = gradients.data() + Layout::offset(spec.norm_layer, 0);
                    io.norm_bias_gradient = gradients.data() + Layout::offset(spec.norm_layer, 1);
                }
                PlanType::template Runner<s>::backward(io);
                observer(PlanType::backward_time(s));
            }(),
            ...);
    }(std::make_index_sequence<PlanType::stage_count>{});
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/batch_cut.hpp
// How a step's batch is cut: into a share for each rank, and that into passes which a workspace has room for.

namespace ctnn::inline CTNN_ISA::detail {

/// Batches of at most `batch_size` samples over all ranks. All ranks make as many passes, which differ by one sample at
/// most on each; those of a rank with fewer samples than passes are in part empty.
struct BatchCut {
    std::size_t batch_size;
    std::size_t pass_size;  ///< the most samples of a pass
    int rank, ranks;

    [[nodiscard]] std::size_t passes(std::size_t samples) const {
        return (largest_shard(samples, ranks) + pass_size - 1) / pass_size;
    }
    /// Some pass of some rank has a single sample. Where one is empty there is one, too: shares differ by one at most.
    [[nodiscard]] bool has_single(std::size_t samples) const { return smallest_pass(samples) <= 1; }
    [[nodiscard]] Shard own_share(std::size_t samples) const { return shard_of(samples, rank, ranks); }
    /// Pass i of a share: where it lies in it.
    [[nodiscard]] static Shard pass(std::size_t share, std::size_t i, std::size_t passes) {
        return {share * i / passes, share * (i + 1) / passes};
    }

    /// Throws ArgumentError.
    void check_batch(std::size_t samples) const {
        if (samples < 1 || samples > batch_size) {
            raise<ArgumentError>(
                {"a batch of ", samples, " samples; expected 1 to ", batch_size, ", the trainer's batch size"});
        }
    }
    /// Throws ArgumentError where `share` is not this rank's number of such a batch's samples.
    void check_share(std::size_t samples, std::size_t share) const {
        check_batch(samples);
        if (const std::size_t expected = own_share(samples).size(); share != expected) {
            raise<ArgumentError>({"a share of ", share, " of a batch of ", samples, " samples; expected ", expected,
                                  " on rank ", rank, " of ", ranks});
        }
    }
    /// Throws ArgumentError where synchronised batch norm would wait for a rank without a sample.
    void check_full(std::size_t samples) const {
        if (smallest_pass(samples) < 1) {
            raise<ArgumentError>({"synchronised batch norm: a batch of ", samples, " samples in ", passes(samples),
                                  " passes on each of ", ranks,
                                  " ranks, expected at least one sample in each; change the batch size"});
        }
    }

  private:
    [[nodiscard]] std::size_t smallest_pass(std::size_t samples) const {
        return samples / static_cast<std::size_t>(ranks) / passes(samples);
    }
};

}  // namespace ctnn::inline CTNN_ISA::detail

// ---- ctnn/kernels/squares.hpp
// Sums of squares over contiguous memory, for norms, and whether every number in it is finite.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// Elements a thread takes at a time: 64 KiB of floats from each array, enough to make starting it worth while.
inline constexpr std::size_t update_chunk = 16384;

/// In 16 double sums, added pairwise at the end: independent of the vector width. A float's square is exact in
/// double, so for floats the result is also independent of fused multiply-add.
template <class T>
double sum_of_squares_chunk(const T* x, std::size_t n) {
    constexpr std::size_t lanes = 16;
    std::array<double, lanes> sum{};
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (std::size_t k = 0; k < lanes; ++k) {
            const auto v = static_cast<double>(x[i + k]);
            sum[k] += v * v;
        }
    }
    for (std::size_t k = 0; i < n; ++i, ++k) {
        const auto v = static_cast<double>(x[i]);
        sum[k] += v * v;
    }
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
        for (std::size_t k = 0; k < half; ++k) { sum[k] += sum[k + half]; }
    }
    return sum[0];
}

}  // namespace detail

/// Σx² in double, bit-identical for any number of threads: chunks depend on the size alone and are added in order.
/// For floats it is finite exactly when every element is.
template <class T>
double sum_of_squares(std::span<const T> x, int threads = default_threads()) {
    constexpr std::size_t most = 1024;  // partial sums, on the stack
    std::array<double, most> partial;
    const std::size_t chunk = std::max(detail::update_chunk, round_up((x.size() + most - 1) / most, 16));
    const auto chunks = static_cast<int>((x.size() + chunk - 1) / chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * chunk;
        partial[static_cast<std::size_t>(c)] =
            detail::sum_of_squares_chunk(x.data() + begin, std::min(chunk, x.size() - begin));
    });
    double sum = 0.0;
    for (int c = 0; c < chunks; ++c) { sum += partial[static_cast<std::size_t>(c)]; }
    return sum;
}

/// Whether no element is infinite or NaN; the second look is for doubles whose squares overflow.
template <class T>
bool all_finite(std::span<const T> x, int threads = default_threads()) {
    return std::isfinite(sum_of_squares(x, threads)) ||
           std::all_of(x.begin(), x.end(), [](T v) { return std::isfinite(v); });
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/cross_entropy.hpp
// Softmax cross-entropy on class labels: loss and gradient in one pass over each row of logits.

namespace ctnn::inline CTNN_ISA {

/// torch.nn.CrossEntropyLoss(weight=class_weights, label_smoothing=label_smoothing), reduction mean. With smoothing ε
/// the target t is (1 − ε)·one-hot + ε / classes (Szegedy et al. 2016, section 7), with mixed labels (1 −
/// ε)·(mix·one-hot + (1 − mix)·second one-hot) + ε / classes; a sample's loss is −Σ_c weight[c]·t[c]·log softmax[c],
/// and the mean divides by the sum of the labels' weights, mixed as they are: PyTorch, given such targets, divides by
/// the number of samples. Where the sum is 0 the gradient is 0; PyTorch's is NaN.
struct CrossEntropy {
    static constexpr std::string_view name = "cross-entropy";

    double label_smoothing = 0.0;         ///< in [0, 1]
    std::vector<double> class_weights{};  ///< one a class, or none: all 1

    /// Throws ArgumentError.
    void validate() const {
        if (!(label_smoothing >= 0.0 && label_smoothing <= 1.0)) {
            raise<ArgumentError>({"label_smoothing is ", label_smoothing, ", expected 0 to 1"});
        }
        for (const double w : class_weights) {
            if (!(std::isfinite(w) && w >= 0.0)) {
                raise(
                    ArgumentError("a class weight is " + std::to_string(w) + ", expected finite numbers, at least 0"));
            }
        }
    }
    /// Throws ArgumentError where there are class weights, but not one a class.
    void check_classes(int classes) const {
        if (!class_weights.empty() && class_weights.size() != static_cast<std::size_t>(classes)) {
            raise<ArgumentError>(
                {class_weights.size(), " class weights, expected one for each of ", classes, " classes"});
        }
    }
    [[nodiscard]] double weight(std::int32_t label) const {
        return class_weights.empty() ? 1.0 : class_weights[static_cast<std::size_t>(label)];
    }
    /// What sample `i` adds to the mean's divisor.
    [[nodiscard]] double weight(const Labels& labels, std::size_t i) const {
        return labels.mixed() ? labels.mix * weight(labels.first[i]) + (1.0 - labels.mix) * weight(labels.second[i])
                              : weight(labels.first[i]);
    }
    /// What a batch's mean divides by.
    [[nodiscard]] double divisor(const Labels& labels) const {
        if (class_weights.empty()) { return static_cast<double>(labels.size()); }
        double sum = 0.0;
        for (std::size_t i = 0; i < labels.size(); ++i) { sum += weight(labels, i); }
        return sum;
    }
};

namespace detail {

/// Sample `i`: loss, hit, and, unless `d` is empty, the gradient times `scale`. The row's maximum is subtracted first,
/// so exp never overflows and the sum is at least 1; sums are double, and so are the differences in the loss, which in
/// float may overflow. `d` may be `x`: an element is read before it is written. `weight_sum` is that of all classes.
template <class T>
LossSum cross_entropy_row(const CrossEntropy& settings, std::span<const T> x, const Labels& labels, std::size_t i,
                          double weight_sum, double scale, std::span<T> d) {
    const double smoothing = settings.label_smoothing, off = smoothing / static_cast<double>(x.size());
    const auto first = labels.first[i], second = labels.mixed() ? labels.second[i] : first;
    const double mix = labels.mixed() ? labels.mix : 1.0;
    // The targets' parts that are not smoothing, times their classes' weights.
    const double first_target = (1.0 - smoothing) * mix * settings.weight(first);
    const double second_target = (1.0 - smoothing) * (1.0 - mix) * settings.weight(second);
    const double targets = first_target + second_target + off * weight_sum;  // Σ weight·t

    const int best = argmax(x);
    const T top = x[static_cast<std::size_t>(best)];
    const auto below_top = [&](std::size_t j) { return static_cast<double>(x[j]) - static_cast<double>(top); };
    const double first_below = below_top(static_cast<std::size_t>(first));
    const double second_below = below_top(static_cast<std::size_t>(second));
    double sum = 0.0, below_sum = 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) {
        const T below = x[j] - top;
        const T e = std::exp(below);
        sum += static_cast<double>(e);
        // Only what has a share: 0 · −∞ would make a masked logit NaN.
        if (const double w = settings.weight(static_cast<std::int32_t>(j)); w > 0.0) { below_sum += w * below_top(j); }
        if (!d.empty()) { d[j] = e; }
    }
    if (!d.empty()) {
        const double share = targets / sum;
        for (std::size_t j = 0; j < x.size(); ++j) {
            const auto c = static_cast<std::int32_t>(j);
            const double target =
                off * settings.weight(c) + (c == first ? first_target : 0.0) + (c == second ? second_target : 0.0);
            d[j] = static_cast<T>((static_cast<double>(d[j]) * share - target) * scale);
        }
    }
    double loss = targets * std::log(sum);
    if (first_target > 0.0) { loss -= first_target * first_below; }
    if (second_target > 0.0) { loss -= second_target * second_below; }
    if (off > 0.0) { loss -= off * below_sum; }
    return {loss, best == labels.main(i) ? 1 : 0, 1, settings.weight(labels, i)};
}

}  // namespace detail

/// Loss and gradient of a batch. `logits` are n × classes, row-major; `labels` n classes. `dlogits`, of the size of
/// `logits`, is overwritten with the gradient of Σ loss / divisor; it may be `logits` itself, or empty where only the
/// loss is wanted. A divisor of 0 stands for the batch's own, so that the loss is PyTorch's mean; a part of a larger
/// batch takes the whole batch's. Bit-identical for any number of threads; allocates nothing. Throws ArgumentError on a
/// size that does not fit, a label outside [0, classes) or a bad setting, before it writes.
template <class T>
LossSum cross_entropy(const CrossEntropy& settings, std::span<const T> logits, const Labels& labels, int classes,
                      std::span<T> dlogits, int threads = default_threads(), double divisor = 0.0) {
    settings.validate();
    settings.check_classes(classes);
    const std::size_t rows = detail::rows_of(logits.size(), classes);
    detail::check_labels(rows, labels, classes);
    detail::check_gradient(dlogits.size(), logits.size());

    const auto width = static_cast<std::size_t>(classes);
    double weight_sum = settings.class_weights.empty() ? static_cast<double>(classes) : 0.0;
    for (const double w : settings.class_weights) { weight_sum += w; }
    const double whole = divisor > 0.0 ? divisor : settings.divisor(labels);
    const double scale = whole > 0.0 ? 1.0 / whole : 0.0;
    return detail::sum_rows(rows, detail::threads_for(logits.size(), threads), [&](std::size_t i) {
        const auto d = dlogits.empty() ? dlogits : dlogits.subspan(i * width, width);
        return detail::cross_entropy_row(settings, logits.subspan(i * width, width), labels, i, weight_sum, scale, d);
    });
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/mse.hpp
// Mean squared error, to the labels' one-hot vectors or to given targets: loss and gradient.

namespace ctnn::inline CTNN_ISA {

/// torch.nn.MSELoss, reduction mean: over samples and outputs. Has no settings.
struct Mse {
    static constexpr std::string_view name = "mse";

    void validate() const {}
    void check_classes(int) const {}
    [[nodiscard]] double divisor(const Labels& labels) const { return static_cast<double>(labels.size()); }
};

namespace detail {

/// A row: mean of (x − target(j))², and its gradient times `scale`. `d` may be `x`.
template <class T, class Target>
double mse_row(std::span<const T> x, double scale, std::span<T> d, Target&& target) {
    const double share = 1.0 / static_cast<double>(x.size());
    double sum = 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) {
        const double difference = static_cast<double>(x[j]) - target(j);
        sum += difference * difference;
        if (!d.empty()) { d[j] = static_cast<T>(2.0 * share * scale * difference); }
    }
    return sum * share;
}

/// All rows; target(i, j) is that of output j of sample i, hit(i, row) whether it counts as recognised.
template <class T, class Target, class Hit>
LossSum mse_rows(std::span<const T> outputs, std::size_t rows, std::span<T> d, int threads, double divisor,
                 Target&& target, Hit&& hit) {
    check_gradient(d.size(), outputs.size());
    const std::size_t width = rows == 0 ? 0 : outputs.size() / rows;
    const double scale = 1.0 / (divisor > 0.0 ? divisor : static_cast<double>(rows));
    return sum_rows(rows, threads_for(outputs.size(), threads), [&](std::size_t i) {
        const auto row = outputs.subspan(i * width, width);
        const std::int64_t correct = hit(i, row) ? 1 : 0;  // before `d`, which may be the row, is written
        const double loss = mse_row<T>(row, scale, d.empty() ? d : d.subspan(i * width, width),
                                       [&](std::size_t j) { return target(i, j); });
        return LossSum{loss, correct, 1, 1.0};
    });
}

}  // namespace detail

/// Of n × classes outputs to the labels' one-hot vectors, mixed where labels are. Arguments, result and errors are
/// cross_entropy's.
template <class T>
LossSum mse(std::span<const T> outputs, const Labels& labels, int classes, std::span<T> d,
            int threads = default_threads(), double divisor = 0.0) {
    const std::size_t rows = detail::rows_of(outputs.size(), classes);
    detail::check_labels(rows, labels, classes);
    const double mix = labels.mixed() ? labels.mix : 1.0;
    return detail::mse_rows<T>(
        outputs, rows, d, threads, divisor,
        [&](std::size_t i, std::size_t j) {
            const auto c = static_cast<std::int32_t>(j);
            return (c == labels.first[i] ? mix : 0.0) + (labels.mixed() && c == labels.second[i] ? 1.0 - mix : 0.0);
        },
        [&](std::size_t i, std::span<const T> row) { return argmax(row) == labels.main(i); });
}

/// Of `samples` rows of outputs to targets of the same size; no row counts as correct. Throws ArgumentError on a size
/// that does not fit.
template <class T>
LossSum mse_to(std::span<const T> outputs, std::span<const T> targets, int samples, std::span<T> d,
               int threads = default_threads(), double divisor = 0.0) {
    if (targets.size() != outputs.size() || samples < 1 || outputs.size() % static_cast<std::size_t>(samples) != 0) {
        raise<ArgumentError>(
            {"MSE: ", targets.size(), " targets for ", outputs.size(), " outputs of ", samples, " samples"});
    }
    const auto rows = static_cast<std::size_t>(samples);
    const std::size_t width = outputs.size() / rows;
    return detail::mse_rows<T>(
        outputs, rows, d, threads, divisor,
        [&](std::size_t i, std::size_t j) { return static_cast<double>(targets[i * width + j]); },
        [](std::size_t, std::span<const T>) { return false; });
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/softmax.hpp
// Softmax and log-softmax of rows of logits.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// Softmax or its logarithm of every row; see there.
template <bool Log, class T>
void softmax_rows(std::span<const T> logits, int classes, std::span<T> out, int threads) {
    const auto rows = static_cast<int>(rows_of(logits.size(), classes));
    if (out.size() != logits.size()) {
        raise<ArgumentError>({"softmax: the output has ", out.size(), " elements, the logits ", logits.size()});
    }
    const auto width = static_cast<std::size_t>(classes);
    parallel_for(rows, threads_for(logits.size(), threads), [&](int i, int) {
        const auto x = logits.subspan(static_cast<std::size_t>(i) * width, width);
        const auto y = out.subspan(static_cast<std::size_t>(i) * width, width);
        const T top = x[static_cast<std::size_t>(argmax(x))];
        double sum = 0.0;
        for (std::size_t j = 0; j < width; ++j) {
            const T below = x[j] - top;
            const T e = std::exp(below);
            sum += static_cast<double>(e);
            y[j] = Log ? below : e;
        }
        const double by = Log ? std::log(sum) : 1.0 / sum;
        for (T& v : y) { v = static_cast<T>(Log ? static_cast<double>(v) - by : static_cast<double>(v) * by); }
    });
}

}  // namespace detail

/// Probabilities of every row of n × classes logits; overflow-safe. A row with NaN or +∞, or of −∞ alone, becomes NaN,
/// as in PyTorch. `out` has their size and may be `logits`.
/// Throws ArgumentError on a size that does not fit.
template <class T>
void softmax(std::span<const T> logits, int classes, std::span<T> out, int threads = default_threads()) {
    detail::softmax_rows<false>(logits, classes, out, threads);
}

/// Logarithms of the probabilities, as `softmax`, exact where these would underflow.
template <class T>
void log_softmax(std::span<const T> logits, int classes, std::span<T> out, int threads = default_threads()) {
    detail::softmax_rows<true>(logits, classes, out, threads);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/loss.hpp
// The losses that a trainer takes, as values, and the penalty whose gradient weight decay is.

namespace ctnn::inline CTNN_ISA {

using Loss = std::variant<CrossEntropy, Mse>;

namespace detail {

/// The losses need one number per class.
template <class Net>
struct LossError {
    static constexpr Sentence sentence = [] {
        Sentence text;
        constexpr Shape out = Net::output_shape;
        if (Net::description.error.empty() && !out.flat()) {  // a wrong network has said so already
            write_size(text << "CrossEntropy: the network ends in a " << out.channels << "x", out.height, out.width)
                << " map, not in one number per class; end it with Flatten and Linear<classes>";
        }
        return text;
    }();
    static constexpr std::string_view error() { return sentence.view(); }
};

}  // namespace detail

/// Loss and gradient of a batch by whichever loss it is; see cross_entropy.
template <class T>
LossSum loss_and_gradient(const Loss& loss, std::span<const T> outputs, const Labels& labels, int classes,
                          std::span<T> d, int threads = default_threads(), double divisor = 0.0) {
    if (const auto* settings = std::get_if<CrossEntropy>(&loss)) {
        return cross_entropy<T>(*settings, outputs, labels, classes, d, threads, divisor);
    }
    return mse<T>(outputs, labels, classes, d, threads, divisor);
}

/// L2 regularisation, ½·λ·Σw² over the weights, and over biases and norms too where asked: what a decay of λ adds to
/// the loss that is minimised. In double, bit-identical for any number of threads.
template <Network Net, class T>
double l2_loss(const Model<Net, T>& model, double lambda, bool biases_and_norms = false,
               int threads = default_threads()) {
    const auto all = model.parameters().span();
    return 0.5 * lambda * sum_of_squares<T>(biases_and_norms ? all : all.first(Parameters<Net, T>::decayed), threads);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/kernels/update.hpp
// Passes over a network's arenas: the fused updates of the optimizers, sums of gradients, averages of weights.

namespace ctnn::inline CTNN_ISA {

/// torch.optim.SGD: g = gradient_scale·g + weight_decay·w; v = momentum·v + g; w −= lr·(nesterov ? g + momentum·v : v).
/// Velocity, the first state, begins as zeros; with momentum 0 it is not touched.
struct SgdStep {
    double lr = 0.0, momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    double gradient_scale = 1.0;  ///< from clipping; applied before decay
};

/// torch.optim.Adam and AdamW: g = gradient_scale·g, and either g += weight_decay·w or, decoupled, w −=
/// lr·weight_decay·w; m = β₁m + (1 − β₁)g; v = β₂v + (1 − β₂)g²; w −= lr / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + eps).
/// The states are m and v, which begin as zeros.
struct AdamStep {
    double lr = 0.0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double weight_decay = 0.0;
    bool decoupled = false;
    double gradient_scale = 1.0;
    double correction1 = 1.0, correction2 = 1.0;  ///< 1 − β₁ᵗ and 1 − β₂ᵗ
};

/// Elements [begin, end) of an arena, which take a step of their own: a tensor's.
template <class Step>
struct UpdateRange {
    std::size_t begin = 0, end = 0;
    Step step{};
};

/// The arenas of an update, of one layout, which do not overlap; states that the step does not have are null.
template <class T>
struct UpdateArenas {
    T* weights = nullptr;
    const T* gradients = nullptr;
    T* first = nullptr;
    T* second = nullptr;
};

namespace detail {

/// Calls f(begin, size) for chunks of [0, n), each once, on all threads.
template <class F>
void for_chunks(std::size_t n, int threads, F&& f) {
    const auto chunks = static_cast<int>((n + update_chunk - 1) / update_chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * update_chunk;
        f(begin, std::min(update_chunk, n - begin));
    });
}

/// The largest magnitude of a loop's numbers, NaN being the largest: as whole numbers, whose maximum compilers
/// vectorise.
template <class T>
class Largest {
  public:
    void see(T x) { bits_ = std::max(bits_, std::bit_cast<Bits>(x) & ~sign); }
    [[nodiscard]] bool finite() const { return bits_ < std::bit_cast<Bits>(std::numeric_limits<T>::infinity()); }

  private:
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    static constexpr Bits sign = std::bit_cast<Bits>(T{-0.0});

    Bits bits_ = 0;
};

enum class Velocity { none, plain, nesterov };

/// Weights become infinite or NaN where velocity does, also by a rate of 0.
template <Velocity V, class T>
bool sgd_range(T* __restrict w, const T* __restrict gradient, T* __restrict velocity, std::size_t n,
               const SgdStep& step) {
    const T lr = static_cast<T>(step.lr), momentum = static_cast<T>(step.momentum);
    const T decay = static_cast<T>(step.weight_decay), scale = static_cast<T>(step.gradient_scale);
    Largest<T> largest;
    for (std::size_t i = 0; i < n; ++i) {
        const T g = scale * gradient[i] + decay * w[i];
        if constexpr (V == Velocity::none) {
            w[i] -= lr * g;
        } else {
            const T v = momentum * velocity[i] + g;
            velocity[i] = v;
            w[i] -= lr * (V == Velocity::nesterov ? g + momentum * v : v);
        }
        largest.see(w[i]);
    }
    return largest.finite();
}

/// Whether what was written is finite.
template <class T>
bool update_range(const SgdStep& step, const UpdateArenas<T>& at, std::size_t begin, std::size_t n) {
    T* const w = at.weights + begin;
    const T* const g = at.gradients + begin;
    if (step.momentum == 0.0) { return sgd_range<Velocity::none>(w, g, static_cast<T*>(nullptr), n, step); }
    return step.nesterov ? sgd_range<Velocity::nesterov>(w, g, at.first + begin, n, step)
                         : sgd_range<Velocity::plain>(w, g, at.first + begin, n, step);
}

/// By vectors: compilers leave a loop with a square root, which may set errno, as it is. Where m is not finite the
/// weight is not, but an infinite v would stop it for ever.
template <class T>
bool update_range(const AdamStep& step, const UpdateArenas<T>& at, std::size_t begin, std::size_t n) {
    using V = Vec<T>;
    const auto number = [](double x) { return V::broadcast(static_cast<T>(x)); };
    const V beta1 = number(step.beta1), rest1 = number(1.0 - step.beta1);
    const V beta2 = number(step.beta2), rest2 = number(1.0 - step.beta2);
    const V lr = number(step.lr / step.correction1), eps = number(step.eps), scale = number(step.gradient_scale);
    const V root = number(1.0 / std::sqrt(step.correction2));
    const V into_gradient = number(step.decoupled ? 0.0 : step.weight_decay);
    const V kept = number(step.decoupled ? 1.0 - step.lr * step.weight_decay : 1.0);
    T *const weights = at.weights + begin, *const first = at.first + begin, *const second = at.second + begin;
    const T* const gradients = at.gradients + begin;
    const V zero = number(0.0);
    V none = zero;  // 0·x is 0 where x is finite, else NaN
    for_vectors<T>(static_cast<std::ptrdiff_t>(n), [&](std::ptrdiff_t i, auto load, auto store) {
        const V w = load(weights + i);
        const V g = fma(into_gradient, w, scale * load(gradients + i));
        const V m = fma(beta1, load(first + i), rest1 * g);
        const V v = fma(beta2, load(second + i), rest2 * g * g);
        store(first + i, m);
        store(second + i, v);
        const V moved = kept * w - lr * m / fma(sqrt(v), root, eps);
        store(weights + i, moved);
        none = none + fma(zero, moved, zero * v);
    });
    return sum(none) == T{};
}

}  // namespace detail

/// One step over an arena, each array read and written once. What no range holds stays as it is. Bit-identical for any
/// number of threads. Whether all that was written is finite, which costs no further look at it.
template <class Step, class T>
bool update_arena(std::span<const UpdateRange<Step>> ranges, const UpdateArenas<T>& arenas,
                  int threads = default_threads()) {
    std::size_t size = 0;
    std::atomic<bool> finite{true};
    for (const auto& range : ranges) { size = std::max(size, range.end); }
    detail::for_chunks(size, threads, [&](std::size_t begin, std::size_t n) {
        for (const auto& range : ranges) {
            const std::size_t first = std::max(begin, range.begin), last = std::min(begin + n, range.end);
            if (first < last && !detail::update_range(range.step, arenas, first, last - first)) {
                finite.store(false, std::memory_order_relaxed);
            }
        }
    });
    return finite.load(std::memory_order_relaxed);
}

/// sum += x. Equal sizes.
template <class T>
void add_to(std::span<T> sum, std::span<const T> x, int threads = default_threads()) {
    detail::for_chunks(sum.size(), threads, [&](std::size_t begin, std::size_t n) {
        T* __restrict to = sum.data() + begin;
        const T* __restrict from = x.data() + begin;
        for (std::size_t i = 0; i < n; ++i) { to[i] += from[i]; }
    });
}

/// average += share·(x − average). Equal sizes.
template <class T>
void move_average(std::span<T> average, std::span<const T> x, double share, int threads = default_threads()) {
    const T by = static_cast<T>(share);
    detail::for_chunks(x.size(), threads, [&](std::size_t begin, std::size_t n) {
        T* __restrict to = average.data() + begin;
        const T* __restrict from = x.data() + begin;
        for (std::size_t i = 0; i < n; ++i) { to[i] += by * (from[i] - to[i]); }
    });
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/lr_scale.hpp
// Factors of the learning rate for single tensors: frozen layers, faster biases.

namespace ctnn::inline CTNN_ISA {

/// A number for every parameter tensor of a network, in the layout's order.
template <class Net>
using TensorNumbers = std::array<double, ParameterLayout<Net>::tensors>;

/// From epoch `from_epoch` on the tensors named `tensors` learn with `factor` times the rate; with 0 they are frozen:
/// neither moved nor decayed nor counted in the gradient's norm. Batch norm's running statistics move nevertheless.
///
/// `tensors` is a tensor ("features.0.weight"), all below a layer or a block ("features.0", "features"), or those of a
/// kind of layer ("BatchNorm2d.weight", "Linear"). Where several apply to a tensor the last one counts.
struct LrScale {
    std::string tensors;
    double factor = 1.0;
    int from_epoch = 0;

    bool operator==(const LrScale&) const = default;
};

inline LrScale lr_scale(std::string tensors, double factor, int from_epoch = 0) {
    return {std::move(tensors), factor, from_epoch};
}
inline LrScale freeze(std::string tensors, int from_epoch = 0) { return {std::move(tensors), 0.0, from_epoch}; }

namespace detail {

/// Whether `name` is `path` or lies below it.
inline bool lies_below(std::string_view name, std::string_view path) {
    return name.starts_with(path) && (name.size() == path.size() || name[path.size()] == '.');
}

template <class Net>
bool applies(const LrScale& scale, const ParameterSlot& slot) {
    const std::string_view type = Net::description.layers[slot.layer].type, path = scale.tensors;
    if (lies_below(slot.name.view(), path)) { return true; }
    return lies_below(path, type) && (path.size() == type.size() || path.substr(type.size() + 1) == slot.spec.name);
}

}  // namespace detail

/// Throws ArgumentError for a factor that is negative or infinite, and for a name that is no tensor's.
template <class Net>
void check_lr_scales(std::span<const LrScale> scales) {
    for (const LrScale& scale : scales) {
        if (!(std::isfinite(scale.factor) && scale.factor >= 0.0) || scale.from_epoch < 0) {
            raise<ArgumentError>({"lr_scales: '", scale.tensors, "' has factor ", scale.factor, " from epoch ",
                                  scale.from_epoch, ", expected finite numbers, at least 0"});
        }
        bool known = false;
        for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
            known = known || detail::applies<Net>(scale, slot);
        }
        if (!known) {
            raise<ArgumentError>({"lr_scales: no tensor is '", scale.tensors, "', expected a name such as '",
                                  ParameterLayout<Net>::slots[0].name.view(),
                                  "' or a kind of layer such as 'Conv2d.bias'"});
        }
    }
}

/// The factors in an epoch. Allocates nothing.
template <class Net>
TensorNumbers<Net> lr_scales_in(int epoch, std::span<const LrScale> scales) {
    TensorNumbers<Net> factors;
    factors.fill(1.0);
    for (const LrScale& scale : scales) {
        if (epoch < scale.from_epoch) { continue; }
        for (std::size_t i = 0; i < factors.size(); ++i) {
            if (detail::applies<Net>(scale, ParameterLayout<Net>::slots[i])) { factors[i] = scale.factor; }
        }
    }
    return factors;
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/optimizer.hpp
// Optimizers as values: SGD, Adam and AdamW with PyTorch's semantics, and LARS.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// Throws ArgumentError unless `value` is finite and in [0, below).
inline void require_setting(std::string_view where, std::string_view what, double value,
                            double below = std::numeric_limits<double>::infinity()) {
    if (std::isfinite(value) && value >= 0.0 && value < below) { return; }
    raise<ArgumentError>({where, ": ", what, " is ", value, ", expected a finite number, at least 0",
                          std::isfinite(below) ? joined({" and below ", below}) : ""});
}

}  // namespace detail

/// torch.optim.SGD.
struct Sgd {
    static constexpr std::string_view name = "sgd";

    double momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    bool decay_biases_and_norms = true;  ///< as PyTorch does by default

    /// Throws ArgumentError on a negative or infinite number, or on Nesterov without momentum.
    void validate() const {
        detail::require_setting("SGD", "momentum", momentum);
        detail::require_setting("SGD", "weight_decay", weight_decay);
        if (nesterov && momentum == 0.0) { raise<ArgumentError>({"SGD: nesterov needs a momentum above 0, found 0"}); }
    }
};

namespace detail {

inline void validate_adam(std::string_view where, double beta1, double beta2, double eps, double weight_decay) {
    require_setting(where, "beta1", beta1, 1.0);
    require_setting(where, "beta2", beta2, 1.0);
    require_setting(where, "eps", eps);
    if (static_cast<float>(eps) < std::numeric_limits<float>::min()) {  // a gradient that is always 0 would be 0 / 0
        raise<ArgumentError>({where, ": eps is ", eps, ", expected at least ", std::numeric_limits<float>::min()});
    }
    require_setting(where, "weight_decay", weight_decay);
}

}  // namespace detail

/// torch.optim.Adam (Kingma and Ba 2015): decay is added to the gradient, as L2 regularisation would.
struct Adam {
    static constexpr std::string_view name = "adam";

    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double weight_decay = 0.0;
    bool decay_biases_and_norms = true;

    /// Throws ArgumentError.
    void validate() const { detail::validate_adam("Adam", beta1, beta2, eps, weight_decay); }
};

/// torch.optim.AdamW (Loshchilov and Hutter 2019): decay acts on the weights themselves.
struct AdamW {
    static constexpr std::string_view name = "adamw";

    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double weight_decay = 1e-2;
    bool decay_biases_and_norms = true;

    /// Throws ArgumentError.
    void validate() const { detail::validate_adam("AdamW", beta1, beta2, eps, weight_decay); }
};

/// Layer-wise adaptive rate scaling (You, Gitman and Ginsburg 2017, algorithm 1):
///
///     local = trust_coefficient·‖w‖ / (‖g‖ + weight_decay·‖w‖ + 1e-8)
///     v = momentum·v + lr·local·(g + weight_decay·w);  w −= v
///
/// of every weight tensor. Where ‖w‖ is below 1e-3 local is 1. Biases and batch norm's parameters have local 1 and do
/// not decay. The other convention, in which lr stays outside the velocity, is v = momentum·v + local·(g +
/// weight_decay·w); w −= lr·v: they differ while lr changes.
struct Lars {
    static constexpr std::string_view name = "lars";

    double momentum = 0.9;
    double weight_decay = 5e-4;
    double trust_coefficient = 1e-3;
    bool lr_in_velocity = true;

    /// The local rate of a weight tensor.
    [[nodiscard]] double local(double weight_norm, double gradient_norm) const {
        return weight_norm < 1e-3
                   ? 1.0
                   : trust_coefficient * weight_norm / (gradient_norm + weight_decay * weight_norm + 1e-8);
    }

    /// Throws ArgumentError.
    void validate() const {
        detail::require_setting("LARS", "momentum", momentum);
        detail::require_setting("LARS", "weight_decay", weight_decay);
        detail::require_setting("LARS", "trust_coefficient", trust_coefficient);
    }
};

/// Any of them; a default one is SGD without momentum.
using Optimizer = std::variant<Sgd, Adam, AdamW, Lars>;

/// The names of the arenas that an optimizer remembers from step to step, as PyTorch has them.
inline std::span<const std::string_view> state_names(const Optimizer& optimizer) {
    static constexpr std::array<std::string_view, 1> velocity{"velocity"};
    static constexpr std::array<std::string_view, 2> moments{"exp_avg", "exp_avg_sq"};
    if (const Sgd* sgd = std::get_if<Sgd>(&optimizer)) {
        return std::span{velocity}.first(sgd->momentum == 0.0 ? 0 : 1);
    }
    if (std::holds_alternative<Lars>(optimizer)) { return velocity; }
    return moments;
}

/// λ of the penalty ½λΣw² whose gradient an optimizer's decay is, and whether biases and norms have it too.
struct WeightDecay {
    double weight_decay = 0.0;
    bool biases_and_norms = false;
};
inline WeightDecay weight_decay(const Optimizer& optimizer) {
    return std::visit(
        [](const auto& o) -> WeightDecay {
            if constexpr (requires { o.decay_biases_and_norms; }) {
                return {o.weight_decay, o.decay_biases_and_norms};
            } else {
                return {o.weight_decay, false};
            }
        },
        optimizer);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/optimizer_state.hpp
// What an optimizer remembers of a network, and its step over the network's tensors.

namespace ctnn::inline CTNN_ISA {

/// A tensor's part of an arena, its padding included, which is zero.
template <class Arena>
auto tensor_of(Arena&& arena, const ParameterSlot& slot) {
    return arena.span().subspan(static_cast<std::size_t>(slot.offset),
                                static_cast<std::size_t>(slot.spec.dims.stored()));
}

/// Σx² of every tensor of an arena.
template <Network Net, class T>
TensorNumbers<Net> tensor_squares(const Parameters<Net, T>& arena, int threads = default_threads()) {
    TensorNumbers<Net> squares;
    for (std::size_t i = 0; i < squares.size(); ++i) {
        squares[i] = sum_of_squares<T>(tensor_of(arena, ParameterLayout<Net>::slots[i]), threads);
    }
    return squares;
}

/// The numbers of one step.
template <Network Net>
struct StepNumbers {
    double lr = 0.0;
    std::int64_t number = 1;        ///< of this step, the first being 1: Adam's corrections depend on it
    double gradient_scale = 1.0;    ///< from clipping; applied before decay
    TensorNumbers<Net> lr_scale{};  ///< factors of lr; 0 leaves a tensor as it is
    TensorNumbers<Net> squares{};   ///< Σg² of every tensor before clipping: clip() and LARS need tensor_squares()

    explicit StepNumbers(double rate, std::int64_t step = 1) : lr{rate}, number{step} { lr_scale.fill(1.0); }

    /// The norm of all gradients but frozen ones.
    [[nodiscard]] double gradient_norm() const {
        double sum = 0.0;
        for (std::size_t i = 0; i < squares.size(); ++i) { sum += lr_scale[i] != 0.0 ? squares[i] : 0.0; }
        return std::sqrt(sum);
    }
    /// torch.nn.utils.clip_grad_norm_: gradients are scaled by min(1, clip_norm / (norm + 1e-6)); 0 is off.
    void clip(double clip_norm) {
        gradient_scale = clip_norm > 0.0 ? std::min(1.0, clip_norm / (gradient_norm() + 1e-6)) : 1.0;
    }
};

/// An optimizer at work: its settings and the arenas that `state_names` lists, zero at first.
template <Network Net, class T = float>
class OptimizerState {
  public:
    using Layout = ParameterLayout<Net>;

    /// Throws ArgumentError for settings outside their ranges.
    explicit OptimizerState(const Optimizer& optimizer) : optimizer_{optimizer} {
        std::visit([](const auto& o) { o.validate(); }, optimizer_);
        arenas_.resize(names().size());
    }

    /// Moves parameters against their gradients, in one pass over the arenas; LARS reads the weights once more, for
    /// their norms: a pass of its own, because it keeps nothing from step to step, and the large batches that LARS is
    /// for take far longer than a look at the weights. Bit-identical for any number of threads; allocates nothing.
    /// Returns whether everything is finite that it moved.
    bool step(const StepNumbers<Net>& numbers, Parameters<Net, T>& parameters, const Parameters<Net, T>& gradients,
              int threads = default_threads()) {
        return std::visit(
            [&](const auto& o) {
                using Step = decltype(step_of(o, numbers, std::size_t{0}, parameters, threads));
                std::array<UpdateRange<Step>, Layout::tensors> ranges;
                std::size_t count = 0;
                for (std::size_t i = 0; i < Layout::tensors; ++i) {
                    if (numbers.lr_scale[i] == 0.0) {
                        ++frozen_steps_[i];
                        continue;
                    }
                    const ParameterSlot& slot = Layout::slots[i];
                    const auto begin = static_cast<std::size_t>(slot.offset);
                    ranges[count++] = {begin, begin + static_cast<std::size_t>(slot.spec.dims.stored()),
                                       step_of(o, numbers, i, parameters, threads)};
                }
                return update_arena<Step, T>(std::span{ranges}.first(count),
                                             {parameters.data(), gradients.data(), arena_data(0), arena_data(1)},
                                             threads);
            },
            optimizer_);
    }

    [[nodiscard]] const Optimizer& optimizer() const { return optimizer_; }
    [[nodiscard]] std::span<const std::string_view> names() const { return state_names(optimizer_); }
    /// In the order of names().
    [[nodiscard]] std::span<Parameters<Net, T>> arenas() { return arenas_; }
    [[nodiscard]] std::span<const Parameters<Net, T>> arenas() const { return arenas_; }
    /// Of every tensor, the steps that left it as it was: Adam's corrections depend on a tensor's own steps, as
    /// PyTorch's.
    using FrozenSteps = std::array<std::int64_t, Layout::tensors>;
    [[nodiscard]] FrozenSteps& frozen_steps() { return frozen_steps_; }
    [[nodiscard]] const FrozenSteps& frozen_steps() const { return frozen_steps_; }

  private:
    T* arena_data(std::size_t i) { return i < arenas_.size() ? arenas_[i].data() : nullptr; }

    /// The step of tensor `i`.
    static SgdStep step_of(const Sgd& sgd, const StepNumbers<Net>& numbers, std::size_t i, const Parameters<Net, T>&,
                           int) {
        return {numbers.lr * numbers.lr_scale[i], sgd.momentum, sgd.nesterov, decay_of(sgd, i), numbers.gradient_scale};
    }
    template <class AdamOrAdamW>
        requires(std::is_same_v<AdamOrAdamW, Adam> || std::is_same_v<AdamOrAdamW, AdamW>)
    AdamStep step_of(const AdamOrAdamW& adam, const StepNumbers<Net>& numbers, std::size_t i, const Parameters<Net, T>&,
                     int) const {
        const auto t = static_cast<double>(numbers.number - frozen_steps_[i]);
        return {numbers.lr * numbers.lr_scale[i],
                adam.beta1,
                adam.beta2,
                adam.eps,
                decay_of(adam, i),
                std::is_same_v<AdamOrAdamW, AdamW>,
                numbers.gradient_scale,
                1.0 - std::pow(adam.beta1, t),
                1.0 - std::pow(adam.beta2, t)};
    }
    /// LARS is a momentum step whose gradient is multiplied by the local rate.
    static SgdStep step_of(const Lars& lars, const StepNumbers<Net>& numbers, std::size_t i,
                           const Parameters<Net, T>& parameters, int threads) {
        const ParameterSlot& slot = Layout::slots[i];
        double local = 1.0;
        if (slot.spec.decays) {
            local = lars.local(std::sqrt(sum_of_squares<T>(tensor_of(parameters, slot), threads)),
                               numbers.gradient_scale * std::sqrt(numbers.squares[i]));
        }
        const double lr = numbers.lr * numbers.lr_scale[i];
        const double inside = lars.lr_in_velocity ? lr * local : local;
        return {lars.lr_in_velocity ? 1.0 : lr, lars.momentum, false,
                slot.spec.decays ? inside * lars.weight_decay : 0.0, inside * numbers.gradient_scale};
    }

    template <class O>
    static double decay_of(const O& o, std::size_t i) {
        return o.decay_biases_and_norms || Layout::slots[i].spec.decays ? o.weight_decay : 0.0;
    }

    Optimizer optimizer_;
    std::vector<Parameters<Net, T>> arenas_;
    FrozenSteps frozen_steps_{};
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/numeric_error.hpp
// The search for the place where a number first stopped being finite, and the error that names it.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// `what` with its verb: "loss is".
[[noreturn]] inline void throw_not_finite(std::int64_t step, const char* what, const std::string& where) {
    raise<NumericError>({"step ", step, ": the ", what, " not finite; ", where});
}

/// "features.3.weight (layer 4, Conv2d)".
template <Network Net>
std::string tensor_title(const Name& name, std::size_t layer) {
    return joined({name.view(), " (layer ", layer, ", ", Net::description.layers[layer].type, ")"});
}

/// The first tensor of an arena with a number that is not finite, or nothing. Those whose factor of the learning rate
/// is 0 are left out.
template <Network Net, class T>
std::string first_not_finite(const T* arena, int threads, const TensorNumbers<Net>* lr_scale = nullptr) {
    for (std::size_t i = 0; i < ParameterLayout<Net>::tensors; ++i) {
        const ParameterSlot& slot = ParameterLayout<Net>::slots[i];
        if (lr_scale != nullptr && (*lr_scale)[i] == 0.0) { continue; }
        const std::span<const T> tensor{arena + slot.offset, static_cast<std::size_t>(slot.spec.dims.stored())};
        if (!all_finite(tensor, threads)) { return tensor_title<Net>(slot.name, slot.layer); }
    }
    return {};
}

/// The first of the running statistics that are not finite, or nothing.
template <Network Net, class T>
std::string first_statistics_not_finite(const T* buffers) {
    for (const BufferSlot& slot : ParameterLayout<Net>::buffers) {
        const auto channels = static_cast<std::size_t>(slot.channels);
        if (!all_finite<T>({buffers + slot.mean_offset, channels}, 1)) {
            return tensor_title<Net>(slot.mean, slot.layer);
        }
        if (!all_finite<T>({buffers + slot.variance_offset, channels}, 1)) {
            return tensor_title<Net>(slot.variance, slot.layer);
        }
    }
    return {};
}

/// The first number that is not finite among values of `shape`, [sample][row][column][channel], or nothing: "image 3
/// of the batch (id 17), channel 0, row 5, column 2 is NaN". `ids` may be null.
template <class T>
std::string first_value_not_finite(std::span<const T> values, Shape shape, const std::uint32_t* ids, int threads) {
    if (all_finite(values, threads)) { return {}; }
    const auto bad = std::find_if(values.begin(), values.end(), [](T v) { return !std::isfinite(v); });
    const auto at = bad - values.begin(), sample = at / shape.size(), pixel = at % shape.size() / shape.channels;
    return joined({"image ", sample, " of the batch", ids != nullptr ? joined({" (id ", ids[sample], ")"}) : "",
                   ", channel ", at % shape.channels, ", row ", pixel / shape.width, ", column ", pixel % shape.width,
                   " is ", std::isnan(*bad) ? "NaN" : (*bad > 0 ? "infinity" : "-infinity")});
}

/// What was found in a step, and whence it may come: from the input or the targets alone where they are not finite,
/// else from the parameters, which may be null, or the learning rate.
template <Network Net, class T>
std::string not_finite_source(const std::string& found, std::span<const T> input, std::span<const T> targets,
                              const std::uint32_t* ids, const T* parameters, int threads) {
    const std::string pixel = first_value_not_finite(input, Net::input_shape, ids, threads);
    if (!pixel.empty()) { return "the input is not: " + pixel; }
    const std::string target = first_value_not_finite(targets, Net::output_shape, ids, threads);
    if (!target.empty()) { return "the target is not: " + target; }
    const std::string parameter = parameters != nullptr ? first_not_finite<Net, T>(parameters, threads) : std::string{};
    return found + (parameter.empty() ? "" : "; the first parameter that is not: " + parameter) +
           "; lower the learning rate, warm up, or clip gradients";
}

/// Observes a forward pass. Where it searches, it remembers the first stage whose output is not finite; one type for
/// both, so that one instantiation of forward serves the step and the search behind a failed one.
template <class PlanType>
class FiniteWatch {
  public:
    using T = typename PlanType::value_type;

    FiniteWatch(Workspace<PlanType>& workspace, int samples, bool search)
        : workspace_{workspace}, samples_{samples}, search_{search} {}

    void operator()(int stage) {
        if (!search_ || broken_ >= 0) { return; }
        const auto s = static_cast<std::size_t>(stage);
        const auto n = static_cast<std::size_t>(samples_ * PlanType::StageList::at(s).out.size());
        if (!all_finite<T>(std::span<const T>{workspace_.at(s, Slot::output), n}, workspace_.threads())) {
            broken_ = stage;
        }
    }

    /// In words.
    [[nodiscard]] std::string found() const {
        if (broken_ < 0) { return "every layer's output is"; }
        const StageSpec& stage = PlanType::StageList::at(static_cast<std::size_t>(broken_));
        return joined({"the first output that is not: layer ", stage.begin, ", ",
                       PlanType::Net::description.layers[stage.begin].type,
                       stage.end > stage.begin + 1 ? joined({", to layer ", stage.end - 1}) : ""});
    }

  private:
    Workspace<PlanType>& workspace_;
    int samples_;
    bool search_;
    int broken_ = -1;
};

}  // namespace detail

/// The first tensor of a model with a number that is not finite, parameters before running statistics, and its layer,
/// "6.weight (layer 6, Linear)"; nothing where all are finite.
template <Network Net, class T>
std::string first_not_finite(ModelView<Net, T> model, int threads = default_threads()) {
    const std::string parameter = detail::first_not_finite<Net, T>(model.parameters, threads);
    return parameter.empty() ? detail::first_statistics_not_finite<Net, T>(model.buffers) : parameter;
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/progress.hpp
// How far a training is, and what its steps return.

namespace ctnn::inline CTNN_ISA {

/// Where a run stands: epochs done, batches done in the current one and their losses, steps in all. Batches and steps
/// include those that were skipped, losses do not.
struct TrainerProgress {
    int epoch = 0, batch = 0;
    std::int64_t step = 0;
    LossSum loss{};
    std::int64_t skipped = 0;  ///< steps in all
    int epoch_skipped = 0;     ///< steps of the current epoch
    int skipped_in_a_row = 0;  ///< steps since the last one that was not
    bool operator==(const TrainerProgress&) const = default;
};

/// One step, or an epoch: the sum over its steps.
struct StepResult {
    LossSum loss{};
    double lr = 0;             ///< of the last step
    double gradient_norm = 0;  ///< of the last step, before clipping; 0 unless clipping, LARS or skipping needs it
    int skipped = 0;           ///< steps that were skipped, whose loss is not counted
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/schedule.hpp
// Learning-rate schedules as pure functions of the progress of training, by PyTorch's formulas.

namespace ctnn::inline CTNN_ISA {

/// The schedules; factors of the learning rate, p = progress from 0 after warmup to 1 at the end.
enum class ScheduleKind {
    constant,    ///< 1
    step,        ///< gamma^⌊epoch / step_size⌋: StepLR
    multi_step,  ///< gamma^(number of milestones reached): MultiStepLR
    linear,      ///< 1 − p
    cosine,      ///< (1 + cos πp) / 2: CosineAnnealingLR with T_max = epochs
    polynomial,  ///< (1 − p)^power: PolynomialLR; power 2 is that of You, Gitman and Ginsburg 2017 (LARS)
    one_cycle,   ///< up from 1 / div_factor to 1, down to 1 / (div_factor · final_div_factor): OneCycleLR
};

/// How one-cycle moves between its rates.
enum class Anneal { cosine, linear };

namespace detail {
inline constexpr std::array<std::pair<std::string_view, ScheduleKind>, 7> schedule_names{{
    {"constant", ScheduleKind::constant},
    {"step", ScheduleKind::step},
    {"multi-step", ScheduleKind::multi_step},
    {"linear", ScheduleKind::linear},
    {"cosine", ScheduleKind::cosine},
    {"polynomial", ScheduleKind::polynomial},
    {"one-cycle", ScheduleKind::one_cycle},
}};
inline constexpr std::array<std::pair<std::string_view, Anneal>, 2> anneal_names{{
    {"cosine", Anneal::cosine},
    {"linear", Anneal::linear},
}};

template <class Names, class Enum>
constexpr std::string_view name_of(const Names& names, Enum value) {
    for (const auto& [text, known] : names) {
        if (known == value) { return text; }
    }
    return "unknown";
}
template <class Names>
auto named(const Names& names, std::string_view what, std::string_view text) {
    std::string valid;
    for (const auto& [known, value] : names) {
        if (known == text) { return value; }
        (valid += valid.empty() ? "" : ", ") += known;
    }
    raise<ArgumentError>({"unknown ", what, " '", text, "', expected one of ", valid});
}
}  // namespace detail

/// The name by which files and command lines know it: "one-cycle".
constexpr std::string_view name(ScheduleKind kind) { return detail::name_of(detail::schedule_names, kind); }
constexpr std::string_view name(Anneal anneal) { return detail::name_of(detail::anneal_names, anneal); }

/// Reads a name. Throws ArgumentError that lists the valid ones.
inline void parse_name(std::string_view text, ScheduleKind& to) {
    to = detail::named(detail::schedule_names, "schedule", text);
}
inline void parse_name(std::string_view text, Anneal& to) { to = detail::named(detail::anneal_names, "anneal", text); }

/// A schedule and its settings; those of other kinds are ignored. With warmup the rate rises linearly to the peak
/// and multiplies the schedule: step and multi-step count their epochs from the start of training, the others begin
/// where warmup ends.
struct Schedule {
    ScheduleKind kind = ScheduleKind::constant;
    double lr = 0.01;  ///< the peak
    int epochs = 1;
    double warmup_epochs = 0.0;        ///< below epochs
    double initial_lr_fraction = 0.0;  ///< warmup begins at this share of lr
    int step_size = 30;                ///< step: epochs between drops
    std::vector<int> milestones{};     ///< multi-step: the epochs at which the rate drops
    double gamma = 0.1;                ///< step, multi-step: factor of each drop
    double power = 2.0;                ///< polynomial
    double final_lr_fraction = 0.0;    ///< linear, cosine, polynomial: they end at this share of lr, as with eta_min
    double pct_start = 0.3;            ///< one-cycle: share of progress that rises
    double div_factor = 25.0;          ///< one-cycle: begins at lr / div_factor
    double final_div_factor = 1e4;     ///< one-cycle: ends at that / final_div_factor
    Anneal anneal = Anneal::cosine;    ///< one-cycle

    /// The rate at a point of training in epochs, fractions included: step / steps_per_epoch, so that every step has
    /// its own. Held at its last value from `epochs` on. One-cycle reaches its end at `epochs`; PyTorch's counts
    /// steps and reaches it one step earlier.
    [[nodiscard]] double at(double epoch) const {
        epoch = std::clamp(epoch, 0.0, static_cast<double>(epochs));
        const double warm = epoch < warmup_epochs ? epoch / warmup_epochs : 1.0;
        const double ramp = initial_lr_fraction + (1.0 - initial_lr_fraction) * warm;
        return lr * ramp * factor(epoch);
    }

    /// Throws ArgumentError that names the first setting outside its range.
    void validate() const {
        const auto require = [](bool good, std::string_view what, double value, std::string_view range) {
            if (!good) { raise<ArgumentError>({"schedule: ", what, " is ", value, ", expected ", range}); }
        };
        const auto positive = [](double x) { return std::isfinite(x) && x > 0.0; };
        require(std::isfinite(lr) && lr >= 0.0, "lr", lr, "a finite number, at least 0");
        require(epochs >= 1, "epochs", epochs, "at least 1");
        require(warmup_epochs >= 0.0 && warmup_epochs < epochs, "warmup_epochs", warmup_epochs,
                "at least 0 and below epochs");
        require(initial_lr_fraction >= 0.0 && initial_lr_fraction <= 1.0, "initial_lr_fraction", initial_lr_fraction,
                "0 to 1");
        require(step_size >= 1, "step_size", step_size, "at least 1");
        for (const int milestone : milestones) { require(milestone >= 1, "a milestone", milestone, "at least 1"); }
        require(positive(gamma), "gamma", gamma, "above 0");
        require(positive(power), "power", power, "above 0");
        require(final_lr_fraction >= 0.0 && final_lr_fraction <= 1.0, "final_lr_fraction", final_lr_fraction, "0 to 1");
        require(pct_start >= 0.0 && pct_start <= 1.0, "pct_start", pct_start, "0 to 1");
        require(positive(div_factor), "div_factor", div_factor, "above 0");
        require(positive(final_div_factor), "final_div_factor", final_div_factor, "above 0");
    }

  private:
    [[nodiscard]] double factor(double epoch) const {
        const double p = std::max(epoch - warmup_epochs, 0.0) / (epochs - warmup_epochs);
        const auto falling = [&](double x) { return final_lr_fraction + (1.0 - final_lr_fraction) * x; };
        switch (kind) {
            case ScheduleKind::constant: break;
            case ScheduleKind::step: return std::pow(gamma, std::floor(epoch / step_size));
            case ScheduleKind::multi_step: {
                const auto reached = [&](int milestone) { return milestone <= epoch; };
                return std::pow(gamma,
                                static_cast<double>(std::count_if(milestones.begin(), milestones.end(), reached)));
            }
            case ScheduleKind::linear: return falling(1.0 - p);
            case ScheduleKind::cosine: return falling(cosine(p));
            case ScheduleKind::polynomial: return falling(std::pow(1.0 - p, power));
            case ScheduleKind::one_cycle: {
                const double first = 1.0 / div_factor;
                if (p < pct_start) { return between(first, 1.0, p / pct_start); }
                return between(1.0, first / final_div_factor,
                               pct_start < 1.0 ? (p - pct_start) / (1.0 - pct_start) : 0.0);
            }
        }
        return 1.0;
    }
    /// Half a cosine wave from 1 at p = 0 to 0 at p = 1.
    static double cosine(double p) { return 0.5 * (1.0 + std::cos(std::numbers::pi * p)); }
    [[nodiscard]] double between(double from, double to, double p) const {
        return to + (from - to) * (anneal == Anneal::cosine ? cosine(p) : 1.0 - p);
    }
};

/// The linear scaling rule (Goyal et al. 2017): a rate that was found for `reference` samples a step, for `batch`.
constexpr double scaled_lr(double base, int batch, int reference = 256) { return base * batch / reference; }

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/setting_text.hpp
// Settings as text that reads back as the same: what files and command lines hold of them.

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

// ---- ctnn/train/settings.hpp
// Everything that decides a trainer's numbers, as one value that files can hold.

namespace ctnn::inline CTNN_ISA {

/// All settings of a trainer that decide a run's numbers; the loader has its own. The number of threads is none.
struct TrainerSettings {
    Loss loss{};
    Optimizer optimizer{};
    Schedule schedule{};
    int batch_size = 128;
    std::uint64_t seed = 0;  ///< of dropout; the loader has its own
    /// Samples in a forward and backward pass, whose memory is all that is needed; a step adds up the gradients of its
    /// passes. 0: the batch size. Batch norm takes its statistics from a pass.
    int micro_batch = 0;
    double clip_norm =
        0.0;  ///< 0 is off; else gradients are scaled by min(1, clip_norm / (norm + 1e-6)), as in PyTorch
    double ema_decay = 0.0;            ///< of the averaged model, in [0, 1); 0 is none
    int ema_every = 1;                 ///< steps between its updates
    std::vector<LrScale> lr_scales{};  ///< frozen tensors, and others with a rate of their own
    /// Steps in a row that may be skipped because their loss or gradients are not finite, as PyTorch's GradScaler does;
    /// the next one fails. 0: the first fails.
    int skip_nonfinite = 0;
    /// Whether batch norm takes its statistics from the passes of all ranks together (torch.nn.SyncBatchNorm) instead
    /// of each rank's own, of which the running statistics are the mean. Nothing where there is one process.
    bool sync_batch_norm = false;

    /// Throws ArgumentError that names the first setting outside its range.
    void validate() const {
        std::visit([](const auto& l) { l.validate(); }, loss);
        std::visit([](const auto& o) { o.validate(); }, optimizer);
        schedule.validate();
        if (batch_size < 1) { raise<ArgumentError>({"batch size is ", batch_size, "; expected at least 1"}); }
        if (micro_batch < 0) { raise<ArgumentError>({"micro_batch is ", micro_batch, ", expected at least 0"}); }
        if (ema_every < 1) { raise<ArgumentError>({"ema_every is ", ema_every, ", expected at least 1"}); }
        if (skip_nonfinite < 0) {
            raise<ArgumentError>({"skip_nonfinite is ", skip_nonfinite, ", expected at least 0"});
        }
        detail::require_setting("trainer", "clip_norm", clip_norm);
        detail::require_setting("trainer", "ema_decay", ema_decay, 1.0);
    }
    /// Samples in a pass, of a rank where there are several.
    [[nodiscard]] int pass_size(int ranks = 1) const {
        const int share = static_cast<int>(largest_shard(static_cast<std::size_t>(batch_size), ranks));
        return micro_batch > 0 && micro_batch < share ? micro_batch : share;
    }
};

/// Whether files of ctnn have not always had this key: where it is missing, they were written with its default.
inline bool is_later_key(std::string_view key) {
    return key == "skip_nonfinite" || key == "sync_batch_norm" || key == "skipped" || key == "epoch_skipped" ||
           key == "skipped_in_a_row";
}

/// Calls f(key, value) for every setting that the loss and the optimizer at hand have, values being those that
/// setting_text knows: one list for whoever writes, reads or compares them. The kinds of loss and optimizer come before
/// their settings, so that reading in this order works.
template <class Settings, class F>
    requires std::same_as<std::remove_const_t<Settings>, TrainerSettings>
void for_each_setting(Settings& s, F&& f) {
    f("seed", s.seed);
    f("batch_size", s.batch_size);
    f("micro_batch", s.micro_batch);
    f("loss", s.loss);
    std::visit(
        [&](auto& l) {
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(l)>, CrossEntropy>) {
                f("label_smoothing", l.label_smoothing);
                f("class_weights", l.class_weights);
            }
        },
        s.loss);
    f("optimizer", s.optimizer);
    std::visit(
        [&](auto& o) {
            if constexpr (requires { o.momentum; }) { f("momentum", o.momentum); }
            if constexpr (requires { o.nesterov; }) { f("nesterov", o.nesterov); }
            if constexpr (requires { o.beta1; }) {
                f("beta1", o.beta1);
                f("beta2", o.beta2);
                f("eps", o.eps);
            }
            f("weight_decay", o.weight_decay);
            if constexpr (requires { o.decay_biases_and_norms; }) {
                f("decay_biases_and_norms", o.decay_biases_and_norms);
            }
            if constexpr (requires { o.trust_coefficient; }) {
                f("trust_coefficient", o.trust_coefficient);
                f("lr_in_velocity", o.lr_in_velocity);
            }
        },
        s.optimizer);
    f("clip_norm", s.clip_norm);
    f("ema_decay", s.ema_decay);
    f("ema_every", s.ema_every);
    f("lr_scales", s.lr_scales);
    f("skip_nonfinite", s.skip_nonfinite);
    f("sync_batch_norm", s.sync_batch_norm);
    f("schedule", s.schedule.kind);
    f("lr", s.schedule.lr);
    f("epochs", s.schedule.epochs);
    f("warmup_epochs", s.schedule.warmup_epochs);
    f("initial_lr_fraction", s.schedule.initial_lr_fraction);
    f("step_size", s.schedule.step_size);
    f("milestones", s.schedule.milestones);
    f("gamma", s.schedule.gamma);
    f("power", s.schedule.power);
    f("final_lr_fraction", s.schedule.final_lr_fraction);
    f("pct_start", s.schedule.pct_start);
    f("div_factor", s.schedule.div_factor);
    f("final_div_factor", s.schedule.final_div_factor);
    f("anneal", s.schedule.anneal);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/trainer.hpp
// The training loop: forward, loss, backward, update, and the progress through epochs.

namespace ctnn::inline CTNN_ISA {

/// Trains a model that the caller owns. Everything is allocated here; a step allocates nothing.
///
/// Ranks of a communicator other than SingleProcess train one model together: all do the same, each with its share of
/// every batch. The settings' batch_size is that of all shares together, micro_batch that of a rank's pass. Gradients
/// are summed over the ranks while backward goes on, losses and norms are of the whole batch, and so every rank makes
/// the same step: that of one process with the whole batch but for rounding, where batch norm is synchronised or there
/// is none (Li et al. 2020, arXiv:2006.15704).
///
/// Throws ArgumentError for settings outside their ranges, and for those that do not fit the network.
template <Network Net, class T = float, distributed::Communicator Comm = distributed::SingleProcess>
class Trainer {
    static_assert(sizeof(decltype(verdict<detail::LossError<Net>>(pieces_of<detail::LossError<Net>>{}))) > 0);

  public:
    Trainer(Model<Net, T>& model, const TrainerSettings& settings, int threads = default_threads())
        requires std::same_as<Comm, distributed::SingleProcess>
        : Trainer{model, settings, threads, distributed::alone} {}
    /// One of the ranks of `comm`, which outlives the trainer.
    Trainer(Model<Net, T>& model, const TrainerSettings& settings, int threads, Comm& comm)
        : model_{model},
          settings_{checked(settings)},
          ranks_{comm, settings.sync_batch_norm},
          optimizer_{settings.optimizer},
          places_(static_cast<std::size_t>(settings.batch_size)),
          workspace_{settings.pass_size(comm.size()), threads},
          cut_{places_.size(), static_cast<std::size_t>(workspace_.batch()), comm.rank(), comm.size()} {
        std::iota(places_.begin(), places_.end(), 0u);
        if (cut_.passes(places_.size()) > 1) { pass_gradients_.emplace(); }
        if (settings.ema_decay > 0.0) { average_.emplace(model); }
        workspace_.set_norm_sum(ranks_.norm_sum());
        check_norms(places_.size());
    }
    Trainer(const Trainer&) = delete;
    Trainer& operator=(const Trainer&) = delete;
    Trainer(Model<Net, T>& model, const Loss& loss, const Optimizer& optimizer, const Schedule& schedule,
            int batch_size = 128, Seed seed = {}, int threads = default_threads())
        : Trainer(model, TrainerSettings{loss, optimizer, schedule, batch_size, seed.value}, threads) {}

    /// One step on the samples at `images` ([sample][row][column][channel]) with learning rate `lr`. The number
    /// of steps that moved the model and `ids`, or where they are null the places in the batch, key dropout. Epochs are
    /// those of train_epoch: an LrScale with a later from_epoch waits for them. Throws ArgumentError for more samples
    /// than the batch size, a label that is none, or a single value a channel where batch norm needs two.
    ///
    /// Of ranks, each gives its share of the batch, as shard_of cuts it, which may be empty; the result is of the
    /// whole.
    ///
    /// Where the loss, the running statistics or, if it is taken, the gradient norm is not finite, the step is skipped,
    /// as long as settings().skip_nonfinite allows: all but the progress stays as it was. Otherwise it throws
    /// NumericError, which names the step and what was not finite first: the pixel of the input, the layer's output,
    /// the tensor. The model is then as it was before the step. Only what the update alone can show leaves a model that
    /// has been moved: that it overflows, or a gradient where the norm is not taken.
    StepResult step(const T* images, const Labels& labels, const std::uint32_t* ids, double lr) {
        return step_to(images, targets_of(labels), labels.size(), ids, lr, updates());
    }
    /// The same with targets, [sample][output], for the loss Mse.
    StepResult step(const T* images, std::span<const T> targets, const std::uint32_t* ids, double lr) {
        const std::size_t samples = detail::rows_of(targets.size(), Net::classes);
        if (!std::holds_alternative<Mse>(settings_.loss)) { raise<ArgumentError>({"only Mse takes targets"}); }
        return step_to(images, {{}, targets, static_cast<double>(samples)}, samples, ids, lr, updates());
    }

    /// The rest of the current epoch: the loader starts it at the batch where this trainer stands. `after_step(result)`
    /// is called with every step's result and may return false to stop; then the epoch stays unfinished. The result's
    /// loss is that of the epoch from its first batch on, also where another call or another process began it. The
    /// epoch and the samples' ids key dropout. Throws ArgumentError where the batches are not what the network takes,
    /// before the first one.
    template <class AfterStep>
        requires std::is_same_v<T, float>  // as a loader's images
    StepResult train_epoch(BatchLoader& loader, AfterStep&& after_step) {
        loader.require_shape(Net::input_shape);
        loader.require_classes(Net::classes);
        loader.require_rank(ranks_.ranks().rank(), ranks_.ranks().size());
        const auto batch_size = static_cast<std::size_t>(loader.options().batch_size);
        for (const std::size_t n : {std::min(loader.samples(), batch_size), loader.samples() % batch_size}) {
            if (n == 0) { continue; }
            cut_.check_batch(n);
            check_norms(n);
        }
        StepResult total;
        total.loss = progress_.loss;
        total.skipped = progress_.epoch_skipped;
        total.lr = settings_.schedule.at(position(progress_.batch - 1, loader));
        loader.start_epoch(progress_.epoch, progress_.batch);
        while (const MiniBatch* batch = loader.next()) {
            const double lr = settings_.schedule.at(position(progress_.batch, loader));
            const Labels labels{batch->labels, batch->second_labels, batch->mix};
            const StepResult result = step_to(batch->images.data(), targets_of(labels), labels.size(),
                                              batch->ids.data(), lr, progress_.epoch);
            ++progress_.batch;
            progress_.loss += result.loss;
            total = result;
            total.loss = progress_.loss;
            total.skipped = progress_.epoch_skipped;
            if (!after_step(result)) { return total; }
        }
        ++progress_.epoch;
        progress_.batch = 0;
        progress_.loss = {};
        progress_.epoch_skipped = 0;
        return total;
    }
    StepResult train_epoch(BatchLoader& loader)
        requires std::is_same_v<T, float>
    {
        return train_epoch(loader, [](const StepResult&) { return true; });
    }

    /// Throws NumericError that names the first tensor of the model, running statistics included, with a number that is
    /// not finite: to be called before a good checkpoint is replaced, for who moves parameters himself.
    void require_finite() const {
        const std::string name = first_not_finite(model_.view(), workspace_.threads());
        if (!name.empty()) { not_finite("model is", "the first tensor that is not: " + name); }
    }
    /// ½·weight_decay·Σw² over what decays: together with a step's loss what SGD minimises. Frozen tensors are
    /// among it, as a constant.
    [[nodiscard]] double l2_loss() const {
        const auto [lambda, biases_and_norms] = weight_decay(settings_.optimizer);
        return ctnn::l2_loss(model_, lambda, biases_and_norms, workspace_.threads());
    }

    [[nodiscard]] const TrainerSettings& settings() const { return settings_; }
    [[nodiscard]] const TrainerProgress& progress() const { return progress_; }
    [[nodiscard]] Model<Net, T>& model() { return model_; }
    [[nodiscard]] const Model<Net, T>& model() const { return model_; }
    /// The model to evaluate and to keep: with ema_decay the moving average of parameters and running statistics,
    /// without it the model itself. The average begins as the model and is moved every ema_every steps, by a share that
    /// falls to 1 − ema_decay: the k-th time by max(1 − ema_decay, 9 / (10 + k)), so that it soon forgets the
    /// beginning.
    [[nodiscard]] const Model<Net, T>& averaged() const { return average_ ? *average_ : model_; }
    [[nodiscard]] std::optional<Model<Net, T>>& average() { return average_; }
    [[nodiscard]] OptimizerState<Net, T>& optimizer() { return optimizer_; }
    [[nodiscard]] const OptimizerState<Net, T>& optimizer() const { return optimizer_; }
    /// The last step's gradients.
    [[nodiscard]] const Parameters<Net, T>& gradients() const { return gradients_; }
    /// Continues a run from there; model, average and optimizer have been restored.
    void resume_at(const TrainerProgress& progress) { progress_ = progress; }
    /// Makes the model, its average, the optimizer's state and the progress of every rank those of the first. To be
    /// called before the first step, and where the first rank's have been restored.
    void synchronize() {
        ranks_.share(model_);
        if (average_) { ranks_.share(*average_); }
        for (Parameters<Net, T>& arena : optimizer_.arenas()) { ranks_.share(arena.span()); }
        ranks_.share_value(optimizer_.frozen_steps());
        ranks_.share_value(progress_);
    }

  private:
    using TrainPlan = Training<Net, T>;

    /// What a step's outputs are compared with: labels, or where there are none values.
    struct Targets {
        Labels labels;
        std::span<const T> values;
        double divisor;  ///< of the whole step's loss
    };
    /// A forward and backward pass of a step: samples [begin, begin + count) of those at `images`.
    struct Pass {
        const T* images;
        const Targets& targets;
        std::size_t begin, count;
        RandomKey key;

        [[nodiscard]] Pass part(std::size_t first, std::size_t n) const {
            return {images, targets, first, n, {key.seed, key.epoch, key.ids + first}};
        }
        [[nodiscard]] const T* input() const {
            return images + begin * static_cast<std::size_t>(Net::input_shape.size());
        }
        [[nodiscard]] int samples() const { return static_cast<int>(count); }
    };

    /// Of a batch of the current epoch, in epochs.
    [[nodiscard]] double position(int batch, const BatchLoader& loader) const {
        return progress_.epoch + static_cast<double>(batch) / loader.batches();
    }
    /// Steps that moved the model.
    [[nodiscard]] std::int64_t updates() const { return progress_.step - progress_.skipped; }
    /// Throws ArgumentError where batch norm cannot be trained by the passes of a batch.
    void check_norms(std::size_t samples) const {
        if (ranks_.sync_norms()) { return cut_.check_full(samples); }
        if (cut_.has_single(samples)) { detail::check_norms<Net>(1); }
    }
    static TrainerSettings checked(const TrainerSettings& settings) {
        settings.validate();
        std::visit([](const auto& loss) { loss.check_classes(Net::classes); }, settings.loss);
        check_lr_scales<Net>(settings.lr_scales);
        return settings;
    }

    [[nodiscard]] Targets targets_of(const Labels& labels) const {
        detail::check_labels(labels.size(), labels, Net::classes);
        return {labels, {}, std::visit([&](const auto& loss) { return loss.divisor(labels); }, settings_.loss)};
    }
    /// Dropout's masks are drawn by `drawn` and the ids.
    StepResult step_to(const T* images, Targets targets, std::size_t samples, const std::uint32_t* ids, double lr,
                       std::int64_t drawn) {
        const auto whole = ranks_.whole(samples, targets.divisor);
        cut_.check_share(whole.samples, samples);
        check_norms(whole.samples);
        targets.divisor = whole.divisor;
        if (ids == nullptr) { ids = places_.data() + cut_.own_share(whole.samples).begin; }
        const Pass all{images, targets, 0, samples, {settings_.seed, static_cast<std::uint32_t>(drawn), ids}};
        if (average_ && progress_.step == 0) { *average_ = model_; }
        buffers_before_ = model_.buffers();
        StepResult result;
        result.lr = lr;
        StepNumbers<Net> numbers{lr, updates() + 1};
        numbers.lr_scale = lr_scales_in<Net>(progress_.epoch, settings_.lr_scales);
        const bool normed = settings_.clip_norm > 0.0 || settings_.skip_nonfinite > 0 ||
                            std::holds_alternative<Lars>(settings_.optimizer);

        const std::size_t passes = cut_.passes(whole.samples);
        std::optional<Pass> failed;
        for (std::size_t i = 0; i < passes; ++i) {
            const Shard shard = detail::BatchCut::pass(samples, i, passes);
            const Pass pass = all.part(shard.begin, shard.size());
            const Gathering gathering{i > 0, i + 1 == passes, normed && ranks_.alone() ? &numbers.squares : nullptr};
            if (pass.count == 0) {
                without_samples(gathering);
                continue;
            }
            const LossSum loss = forward_and_loss(pass, {workspace_, pass.samples(), false});
            result.loss += loss;
            if (!std::isfinite(loss.loss_sum)) {
                if (!failed) { failed.emplace(pass); }
                if (ranks_.alone()) { break; }  // others wait for this rank's gradients
            }
            backward(model_, pass.input(), pass.samples(), workspace_, i == 0 ? gradients_ : *pass_gradients_,
                     [&](int time) { gather(time, gathering); });
        }
        ranks_.finish(result.loss, model_.buffers(), static_cast<double>(samples) / static_cast<double>(whole.samples));
        if (!std::isfinite(result.loss.loss_sum)) {
            return give_up(all, failed ? 1 : 0, lr, "loss is",
                           [&] { return failed ? source_of(all, search(*failed)) : std::string{"of another rank"}; });
        }
        if (!all_finite<T>(model_.buffers().span(), 1)) {
            return give_up(all, 0, lr, "running statistics are", [&] {
                return source_of(all, "the first that are not: " +
                                          detail::first_statistics_not_finite<Net, T>(model_.buffers().data()));
            });
        }
        if (normed) {
            if (!ranks_.alone()) { numbers.squares = tensor_squares<Net, T>(gradients_, workspace_.threads()); }
            result.gradient_norm = numbers.gradient_norm();
            if (!std::isfinite(result.gradient_norm)) {
                return give_up(all, 0, lr, "gradient norm is", [&] {
                    const std::string gradient = bad_gradient(numbers);
                    return source_of(all, gradient.empty() ? "every gradient is" : gradient);
                });
            }
            numbers.clip(settings_.clip_norm);
        }
        if (!optimizer_.step(numbers, model_.parameters(), gradients_, workspace_.threads())) {
            const std::string gradient = bad_gradient(numbers);
            not_finite("update is",
                       source_of(all, gradient.empty() ? "every gradient is" : gradient, gradient.empty()) +
                           "; the model has been moved: go on from a file");
        }
        ++progress_.step;
        progress_.skipped_in_a_row = 0;
        move_average_model();
        return result;
    }

    LossSum forward_and_loss(const Pass& pass, detail::FiniteWatch<TrainPlan>&& watch) {
        const auto outputs = forward(model_, pass.input(), pass.samples(), workspace_, pass.key, watch);
        const auto gradient = workspace_.output_gradient(pass.samples());
        const Targets& targets = pass.targets;
        const int threads = workspace_.threads();
        if (!targets.values.empty()) {
            const auto width = static_cast<std::size_t>(Net::classes);
            return mse_to<T>(outputs, targets.values.subspan(pass.begin * width, pass.count * width), pass.samples(),
                             gradient, threads, targets.divisor);
        }
        return loss_and_gradient<T>(settings_.loss, outputs, targets.labels.part(pass.begin, pass.count), Net::classes,
                                    gradient, threads, targets.divisor);
    }

    /// What becomes of a pass's gradients.
    struct Gathering {
        bool adds, last;              ///< whether they are added to the passes' before, and the last ones to be
        TensorNumbers<Net>* squares;  ///< where sums of squares are to go, of the last pass's, or null
    };
    /// Behind each stage of a backward pass, while that stage's gradients are in cache: adds those of a later pass to
    /// the sum, and when that is complete takes sums of squares where asked, and starts to sum it over the ranks. Not
    /// worth a copy for every stage.
    CTNN_ONE_COPY void gather(int time, const Gathering& what) {
        const StageSpec& stage = TrainPlan::StageList::at(static_cast<std::size_t>(TrainPlan::end_time - time));
        for (std::size_t i = 0; i < ParameterLayout<Net>::tensors; ++i) {
            const ParameterSlot& slot = ParameterLayout<Net>::slots[i];
            if (slot.layer < stage.begin || slot.layer >= stage.end) { continue; }
            const std::span<T> sum = tensor_of(gradients_, slot);
            if (what.adds) { add_to<T>(sum, tensor_of(*pass_gradients_, slot), workspace_.threads()); }
            if (!what.last) { continue; }
            if (what.squares != nullptr) { (*what.squares)[i] = sum_of_squares<T>(sum, workspace_.threads()); }
            ranks_.start(gradients_.span(), slot);
        }
        if (what.last && time == TrainPlan::end_time) { ranks_.start_rest(gradients_.span()); }
    }
    /// A pass of a rank whose share is smaller than the number of passes: its gradients are zero.
    void without_samples(const Gathering& what) {
        if (!what.adds) { std::fill_n(gradients_.span().data(), gradients_.span().size(), T{}); }
        ++model_.buffers().batches_tracked;
        for (std::size_t s = TrainPlan::stage_count; s-- > 0;) {
            gather(TrainPlan::backward_time(s), {false, what.last, what.squares});
        }
    }

    void move_average_model() {
        if (!average_ || updates() % settings_.ema_every != 0) { return; }
        const auto moves = updates() / settings_.ema_every;
        const double share = std::max(1.0 - settings_.ema_decay, 9.0 / (10.0 + static_cast<double>(moves)));
        move_average<T>(average_->parameters().span(), model_.parameters().span(), share, workspace_.threads());
        move_average<T>(average_->buffers().span(), model_.buffers().span(), share, workspace_.threads());
        average_->buffers().batches_tracked = model_.buffers().batches_tracked;
    }

    /// Skips a step or, where that is not allowed, ends it. `knowledge` is how much this rank knows of the reason, to
    /// which comes whether its own input or targets are the reason.
    template <class Where>
    StepResult give_up(const Pass& all, int knowledge, double lr, const char* what, Where&& where) {
        if (progress_.skipped_in_a_row >= settings_.skip_nonfinite) {
            const int threads = workspace_.threads();
            const bool given = !all_finite(input_of(all), threads) || !all_finite(all.targets.values, threads);
            const std::string place = ranks_.one_text(where(), knowledge + (given ? 2 : 0));
            model_.buffers() = buffers_before_;
            not_finite(what, place);
        }
        model_.buffers() = buffers_before_;
        ++progress_.step;
        ++progress_.skipped;
        ++progress_.epoch_skipped;
        ++progress_.skipped_in_a_row;
        StepResult result;
        result.lr = lr;
        result.skipped = 1;
        return result;
    }
    /// The first output of a pass that is not finite.
    std::string search(const Pass& pass) {
        detail::FiniteWatch<TrainPlan> watch{workspace_, pass.samples(), true};
        workspace_.set_norm_sum(ranks_.own_norm_sum());
        forward(model_, pass.input(), pass.samples(), workspace_, pass.key, watch);
        workspace_.set_norm_sum(ranks_.norm_sum());
        return watch.found();
    }
    /// The first gradient that is not finite, of those that move something.
    [[nodiscard]] std::string bad_gradient(const StepNumbers<Net>& numbers) const {
        const std::string name =
            detail::first_not_finite<Net, T>(gradients_.data(), workspace_.threads(), &numbers.lr_scale);
        return name.empty() ? "" : "the first gradient that is not: " + name;
    }
    static std::span<const T> input_of(const Pass& pass) {
        return {pass.input(), pass.count * static_cast<std::size_t>(Net::input_shape.size())};
    }
    /// With what was found, whence it may come; unless parameters are what it has come to.
    [[nodiscard]] std::string source_of(const Pass& all, const std::string& found, bool parameters = true) const {
        const std::less<> before;  // which may compare pointers into different arrays
        const bool placed =
            !before(all.key.ids, places_.data()) && before(all.key.ids, places_.data() + places_.size());
        const std::uint32_t* const ids = placed ? nullptr : all.key.ids;
        return detail::not_finite_source<Net>(found, input_of(all), all.targets.values, ids,
                                              parameters ? model_.parameters().data() : nullptr, workspace_.threads());
    }
    [[noreturn]] void not_finite(const char* what, const std::string& where) const {
        const int skipped = progress_.skipped_in_a_row;
        detail::throw_not_finite(
            progress_.step, what,
            where + (skipped > 0 ? detail::joined({"; skipped before it: ", skipped, " in a row"}) : ""));
    }

    Model<Net, T>& model_;
    TrainerSettings settings_;
    TrainerProgress progress_;
    distributed::DataParallel<Net, T, Comm> ranks_;
    OptimizerState<Net, T> optimizer_;
    Parameters<Net, T> gradients_;
    std::optional<Parameters<Net, T>> pass_gradients_;  // of a pass behind the first, where a step has several
    Buffers<Net, T> buffers_before_;                    // those of before the step
    std::optional<Model<Net, T>> average_;
    std::vector<std::uint32_t> places_;  // 0, 1, …: ids of samples that have none
    Workspace<TrainPlan> workspace_;
    detail::BatchCut cut_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/checkpoint.hpp
// A trainer as a file: everything that an unbroken run would still know, in one safetensors file of its own.

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline constexpr const char* trainer_format = "ctnn trainer 2";

inline SafetensorsMetadata trainer_metadata(const TrainerSettings& settings, const TrainerProgress& progress) {
    SafetensorsMetadata metadata{{"format", trainer_format},
                                 {"epoch", setting_text(progress.epoch)},
                                 {"batch", setting_text(progress.batch)},
                                 {"step", setting_text(progress.step)},
                                 {"epoch_loss_sum", setting_text(progress.loss.loss_sum)},
                                 {"epoch_correct", setting_text(progress.loss.correct)},
                                 {"epoch_count", setting_text(progress.loss.count)},
                                 {"epoch_weight", setting_text(progress.loss.weight)},
                                 {"skipped", setting_text(progress.skipped)},
                                 {"epoch_skipped", setting_text(progress.epoch_skipped)},
                                 {"skipped_in_a_row", setting_text(progress.skipped_in_a_row)}};
    for_each_setting(settings,
                     [&](const char* key, const auto& value) { metadata.emplace_back(key, setting_text(value)); });
    return metadata;
}

/// Reads metadata by key, with one clear error for what is missing or no number.
struct MetadataReader {
    const SafetensorsFile& file;

    [[nodiscard]] const std::string& text(const char* key) const {
        const std::string* value = file.find_metadata(key);
        if (value == nullptr) {
            raise<FileError>({file.source, ": no metadata '", key, "'; expected a trainer's state"});
        }
        return *value;
    }
    template <class Value>
    void read(const char* key, Value& to) const {
        if (lacks(key)) { return; }
#if defined(__cpp_exceptions)
        try {
            parse_setting(text(key), to);
        } catch (const ArgumentError& error) {
            raise<FileError>({file.source, ": metadata '", key, "': ", error.what()});
        }
#else
        parse_setting(text(key), to);
#endif
    }
    template <class Count>
    void read_count(const char* key, Count& to) const {
        read(key, to);
        require_count(to, joined({file.source, ": metadata '", key, "'"}));
    }
    /// A later key, in a file from before there was it.
    [[nodiscard]] bool lacks(const char* key) const { return is_later_key(key) && file.find_metadata(key) == nullptr; }
    void expect(const char* key, const std::string& expected) const {
        if (text(key) != expected) {
            raise<FileError>({file.source, ": metadata '", key, "' is '", text(key), "'; expected '", expected, "'"});
        }
    }
};

}  // namespace detail

/// A loader's settings as `further` metadata for save_trainer and load_trainer: they decide a run's numbers too.
inline SafetensorsMetadata loader_metadata(const LoaderOptions& options) {
    SafetensorsMetadata metadata;
    for_each_setting(options, [&](const char* key, auto value) { metadata.emplace_back(key, setting_text(value)); });
    return metadata;
}

namespace detail {

/// Names in a trainer's file: the optimizer's arenas and the averaged model lie under prefixes.
template <Network Net, class T>
struct TrainerPrefixes {
    std::vector<std::string> states, arenas{""}, buffers{""};

    template <class Comm>
    explicit TrainerPrefixes(const Trainer<Net, T, Comm>& trainer) {
        for (const std::string_view name : trainer.optimizer().names()) { states.push_back(std::string{name} + "."); }
        arenas.insert(arenas.end(), states.begin(), states.end());
        if (trainer.settings().ema_decay > 0.0) {
            arenas.emplace_back("ema.");
            buffers.emplace_back("ema.");
        }
    }
};

}  // namespace detail

/// Writes parameters, running statistics, the optimizer's state, the averaged model, progress and all settings of a
/// trainer, atomically, and `further` settings of the caller's, such as the loader's. The bytes hold no time, path
/// or number of threads. Throws FileError.
template <Network Net, class T, class Comm>
void save_trainer(const std::filesystem::path& path, const Trainer<Net, T, Comm>& trainer,
                  const SafetensorsMetadata& further = {}) {
    const detail::TrainerPrefixes<Net, T> prefixes{trainer};
    StateDict<Net, T> state;
    state.add_arena(trainer.model().parameters().span());
    state.add_buffers(trainer.model().buffers());
    for (std::size_t i = 0; i < prefixes.states.size(); ++i) {
        state.add_arena(trainer.optimizer().arenas()[i].span(), prefixes.states[i]);
    }
    if (trainer.settings().ema_decay > 0.0) {
        state.add_arena(trainer.averaged().parameters().span(), "ema.");
        state.add_buffers(trainer.averaged().buffers(), "ema.");
    }
    SafetensorsMetadata metadata = detail::trainer_metadata(trainer.settings(), trainer.progress());
    // Only where a tensor has been frozen: most runs have none.
    if (const auto& frozen = trainer.optimizer().frozen_steps();
        std::any_of(frozen.begin(), frozen.end(), [](std::int64_t n) { return n != 0; })) {
        metadata.emplace_back("frozen_steps", setting_text(std::vector<std::int64_t>(frozen.begin(), frozen.end())));
    }
    metadata.insert(metadata.end(), further.begin(), further.end());
    save_safetensors(path, state.views(), metadata);
}

/// The settings in a file that save_trainer wrote: a trainer made with them, restored by load_trainer and fed by a
/// loader of the same options goes on as if it had never stopped. The number of threads is not among them. Throws
/// FileError.
inline TrainerSettings load_trainer_settings(const std::filesystem::path& path) {
    const std::vector<std::byte> bytes = read_file(path);
    const SafetensorsFile file = parse_safetensors(bytes, path.string());
    const detail::MetadataReader reader{file};
    reader.expect("format", detail::trainer_format);
    TrainerSettings s;
    for_each_setting(s, [&](const char* key, auto& value) { reader.read(key, value); });
    return s;
}

/// Restores what save_trainer wrote into a trainer of the same network and settings, and with the same `further`
/// settings. Throws FileError, naming the first difference, and then changes nothing.
template <Network Net, class T, class Comm>
void load_trainer(const std::filesystem::path& path, Trainer<Net, T, Comm>& trainer,
                  const SafetensorsMetadata& further = {}) {
    using State = StateDict<Net, T>;
    const std::vector<std::byte> bytes = read_file(path);
    const SafetensorsFile file = parse_safetensors(bytes, path.string());
    const detail::MetadataReader reader{file};
    reader.expect("format", detail::trainer_format);
    State::check_arena(file);  // before the settings: another network says more than another rate
    State::check_buffers(file);
    TrainerProgress progress;
    reader.read_count("epoch", progress.epoch);
    reader.read_count("batch", progress.batch);
    reader.read_count("step", progress.step);
    reader.read("epoch_loss_sum", progress.loss.loss_sum);
    reader.read_count("epoch_correct", progress.loss.correct);
    reader.read_count("epoch_count", progress.loss.count);
    reader.read("epoch_weight", progress.loss.weight);
    reader.read_count("skipped", progress.skipped);
    reader.read_count("epoch_skipped", progress.epoch_skipped);
    reader.read_count("skipped_in_a_row", progress.skipped_in_a_row);
    if (progress.skipped > progress.step) {
        raise<FileError>({file.source, ": metadata 'skipped': found ", progress.skipped, ", expected at most the ",
                          progress.step, " steps in all"});
    }
    std::vector<std::int64_t> frozen;
    if (file.find_metadata("frozen_steps") != nullptr) { reader.read("frozen_steps", frozen); }
    frozen.resize(frozen.empty() ? ParameterLayout<Net>::tensors : frozen.size());
    if (frozen.size() != ParameterLayout<Net>::tensors) {
        raise<FileError>({file.source, ": metadata 'frozen_steps': found ", frozen.size(), " numbers, expected ",
                          ParameterLayout<Net>::tensors, ", one a tensor"});
    }
    for (const std::int64_t steps : frozen) {
        if (const std::int64_t most = progress.step - progress.skipped; steps < 0 || steps > most) {
            raise<FileError>({file.source, ": metadata 'frozen_steps': found ", steps, ", expected 0 to ", most});
        }
    }
    const SafetensorsMetadata first = detail::trainer_metadata({}, {});
    for (const auto& setting : detail::trainer_metadata(trainer.settings(), progress)) {
        if (reader.lacks(setting.first.c_str()) && std::count(first.begin(), first.end(), setting) != 0) { continue; }
        reader.expect(setting.first.c_str(), setting.second);
    }
    const SafetensorsMetadata defaults = loader_metadata({});
    for (const auto& setting : further) {
        // A file from before the loader had an option was written with its default.
        if (file.find_metadata(setting.first) == nullptr &&
            std::count(defaults.begin(), defaults.end(), setting) != 0) {
            continue;
        }
        reader.expect(setting.first.c_str(), setting.second);
    }
    const detail::TrainerPrefixes<Net, T> prefixes{trainer};
    for (const std::string& prefix : prefixes.arenas) { State::check_arena(file, prefix); }
    for (const std::string& prefix : prefixes.buffers) { State::check_buffers(file, prefix); }
    State::check_known(file, prefixes.arenas, prefixes.buffers);

    State::read_arena(file, trainer.model().parameters().span());
    State::read_buffers(file, trainer.model().buffers());
    for (std::size_t i = 0; i < prefixes.states.size(); ++i) {
        State::read_arena(file, trainer.optimizer().arenas()[i].span(), prefixes.states[i]);
    }
    if (trainer.average()) {
        State::read_arena(file, trainer.average()->parameters().span(), "ema.");
        State::read_buffers(file, trainer.average()->buffers(), "ema.");
    }
    std::copy(frozen.begin(), frozen.end(), trainer.optimizer().frozen_steps().begin());
    trainer.resume_at(progress);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/cifar.hpp
// CIFAR-10 and CIFAR-100 in their binary layout (Krizhevsky, "Learning multiple layers of features from tiny images",
// 2009): records of a label byte, in CIFAR-100 of a coarse and a fine one, and 3072 pixel bytes in planes R, G, B.

namespace ctnn::inline CTNN_ISA {

namespace detail {
/// Out of line, for a list of strings is long code wherever it stands.
CTNN_ONE_COPY inline std::vector<std::string> strings(std::initializer_list<std::string_view> list) {
    return {list.begin(), list.end()};
}
}  // namespace detail

/// The names of CIFAR-10's classes, by label.
inline std::vector<std::string> cifar10_class_names() {
    return detail::strings({"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"});
}

/// The names of CIFAR-100's classes, by fine label.
inline std::vector<std::string> cifar100_class_names() {
    return detail::strings(
        {"apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
         "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
         "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
         "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
         "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
         "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
         "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
         "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
         "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
         "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
         "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
         "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
         "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
         "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
         "woman",      "worm"});
}

/// CIFAR-100's training set statistics.
inline Normalization cifar100_normalization() { return {{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}}; }

namespace detail {

inline constexpr Shape cifar_shape{3, 32, 32};
inline constexpr std::size_t cifar_pixels = std::size_t{3} * 32 * 32;

/// What the two sets differ in.
struct CifarLayout {
    std::vector<int> labels;  ///< classes that each label byte of a record tells apart; the last byte's are the set's
    Normalization normalization;

    [[nodiscard]] std::size_t record() const { return labels.size() + cifar_pixels; }
};

inline CifarLayout cifar10_layout() { return {{10}, cifar10_normalization()}; }
inline CifarLayout cifar100_layout() { return {{20, 100}, cifar100_normalization()}; }

/// A file of so many records, its size checked.
CTNN_ONE_COPY inline InputFile open_cifar(const CifarLayout& layout, std::filesystem::path path, std::size_t records) {
    InputFile file{std::move(path)};
    if (file.size() != records * layout.record()) {
        raise<FileError>({file.path().string(), ": found ", file.size(), " bytes, expected ", records * layout.record(),
                          " (", records, " records of ", layout.labels.size() == 1 ? "a label" : "two labels", " and ",
                          cifar_pixels, " pixels)"});
    }
    return file;
}

/// Files of a directory, so that all are known to be there before any is read.
CTNN_ONE_COPY inline std::vector<InputFile> open_cifar(const CifarLayout& layout,
                                                       const std::filesystem::path& directory,
                                                       std::initializer_list<const char*> names, std::size_t records) {
    std::vector<InputFile> files;
    for (const char* const name : names) { files.push_back(open_cifar(layout, directory / name, records)); }
    return files;
}

/// Reads whole files, one after the other, straight into place.
inline Dataset read_cifar(const CifarLayout& layout, std::span<InputFile> files, std::vector<std::string> class_names) {
    std::size_t records = 0;
    for (const InputFile& file : files) { records += static_cast<std::size_t>(file.size()) / layout.record(); }
    Dataset set{cifar_shape, std::vector<std::uint8_t>(records * cifar_pixels), std::vector<std::uint16_t>(records),
                std::move(class_names), layout.normalization};
    auto pixels = std::as_writable_bytes(std::span{set.pixels});
    auto label = set.labels.begin();
    for (InputFile& file : files) {
        for (std::size_t offset = 0; offset < file.size(); offset += layout.record()) {
            for (std::size_t i = 0; i < layout.labels.size(); ++i) {
                std::byte byte{};
                file.read({&byte, 1});
                if (std::to_integer<int>(byte) >= layout.labels[i]) {
                    raise<FileError>({file.path().string(), ": offset ", offset + i, ": found the label ",
                                      std::to_integer<int>(byte), ", expected 0 to ", layout.labels[i] - 1});
                }
                *label = std::to_integer<std::uint16_t>(byte);
            }
            ++label;
            file.read(pixels.first(cifar_pixels));
            pixels = pixels.subspan(cifar_pixels);
        }
    }
    return set;
}

/// The lines of a text file, without blank ones and blanks at their ends.
inline std::vector<std::string> read_names(const std::filesystem::path& path) {
    const auto bytes = read_file(path);
    std::istringstream text{std::string{reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
    std::vector<std::string> names;
    for (std::string line; std::getline(text, line);) {
        line.erase(line.find_last_not_of(" \t\r") + 1);
        if (!line.empty()) { names.push_back(line); }
    }
    return names;
}

/// The names in a file, or `standard` where there is none.
inline std::vector<std::string> read_cifar_class_names(const std::filesystem::path& path,
                                                       std::vector<std::string> standard) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) { return standard; }
    auto names = read_names(path);
    if (names.size() != standard.size()) {
        raise<FileError>({path.string(), ": found ", names.size(), " class names, expected ", standard.size()});
    }
    return names;
}

inline void require_cifar_directory(const std::filesystem::path& directory, const char* what) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(directory, ignored)) {
        raise<FileError>({directory.string(), ": found no directory, expected one with ", what});
    }
}

}  // namespace detail

/// One batch file of CIFAR-10: 10 000 samples under the standard class names. Throws FileError.
inline Dataset read_cifar10_batch(const std::filesystem::path& path) {
    const auto layout = detail::cifar10_layout();
    auto file = detail::open_cifar(layout, path, 10'000);
    return detail::read_cifar(layout, {&file, 1}, cifar10_class_names());
}

/// CIFAR-10 from a directory: data_batch_1.bin to data_batch_5.bin in this order for training, test_batch.bin for
/// testing, and class names from batches.meta.txt where it exists. Throws FileError, naming the file and offset, for a
/// missing directory or file, a wrong size, a label above 9.
inline TrainTest read_cifar10(const std::filesystem::path& directory) {
    detail::require_cifar_directory(directory, "CIFAR-10's data_batch_1.bin to data_batch_5.bin and test_batch.bin");
    const auto layout = detail::cifar10_layout();
    auto train = detail::open_cifar(
        layout, directory,
        {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"}, 10'000);
    auto test = detail::open_cifar(layout, directory, {"test_batch.bin"}, 10'000);
    const auto names = detail::read_cifar_class_names(directory / "batches.meta.txt", cifar10_class_names());
    return {detail::read_cifar(layout, train, names), detail::read_cifar(layout, test, names)};
}

/// CIFAR-100 from a directory, by its 100 fine labels: train.bin, test.bin, and class names from fine_label_names.txt
/// where it exists. Throws FileError as read_cifar10 does.
inline TrainTest read_cifar100(const std::filesystem::path& directory) {
    detail::require_cifar_directory(directory, "CIFAR-100's train.bin and test.bin");
    const auto layout = detail::cifar100_layout();
    auto train = detail::open_cifar(layout, directory, {"train.bin"}, 50'000);
    auto test = detail::open_cifar(layout, directory, {"test.bin"}, 10'000);
    const auto names = detail::read_cifar_class_names(directory / "fine_label_names.txt", cifar100_class_names());
    return {detail::read_cifar(layout, train, names), detail::read_cifar(layout, test, names)};
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/embed.hpp
// A model as C++: a header whose constexpr arrays are the weights, for programs that read no file.

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline bool is_identifier(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return !name.empty() && letter(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || digit(c); });
}

/// A finite number as a literal of its exact value: hexadecimal, so that no compiler has to round.
template <class T>
void append_literal(std::string& out, T x) {
    if (x == T{0} && !std::signbit(x)) {
        out += '0';
        return;
    }
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof(digits), std::abs(x), std::chars_format::hex).ptr;
    out += std::signbit(x) ? "-0x" : "0x";
    out.append(digits, end);
    if (std::is_same_v<T, float>) { out += 'f'; }
}

/// A string literal: whatever is not printable ASCII as three octal digits, which no digit behind them can lengthen.
inline void append_string(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        const bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '?';
        out += plain ? std::string{c} : fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
    out += '"';
}

/// An aligned array of at least one element, since C++ has none of none.
template <class T>
void append_array(std::string& out, std::string_view name, std::span<const T> values) {
    out += fmt::format("alignas({}) inline constexpr {} {}[] = {{", block_alignment,
                       std::is_same_v<T, float> ? "float" : "double", name);
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!std::isfinite(values[i])) {
            raise<NumericError>({name, ": found ", values[i], " at ", i, ", expected finite numbers"});
        }
        out += i % 8 == 0 ? "\n    " : " ";
        append_literal(out, values[i]);
        out += ',';
    }
    out += values.empty() ? "0};\n" : "\n};\n";
}

}  // namespace detail

/// The text of a header with the weights in the namespace `name`, from which a program gets the model by
///
///     constexpr auto model = name::view<Net>();    // a ModelView<Net>, for forward and evaluate
///
/// for a network of the same tensors; another is one compile error. Besides, there are name::mean,
/// name::standard_deviation and name::class_names where `info` has them. The arrays are the arena as it lies in memory,
/// which is the same on every instruction set. Equal arguments give equal bytes. Meant for networks of at most a few
/// million parameters: compilers take some hundred bytes of memory for each. Throws ArgumentError for a name that is no
/// identifier, NumericError for weights that are not finite.
template <Network Net, class T>
std::string embed(const Model<Net, T>& model, const ModelInfo& info, std::string_view name) {
    using Layout = ParameterLayout<Net>;
    if (!detail::is_identifier(name)) {
        raise<ArgumentError>({"header: found the name ", detail::shown(name), ", expected a C++ identifier"});
    }
    const char* const type = std::is_same_v<T, float> ? "float" : "double";
    std::string out = fmt::format(
        "// Weights{}{}, made by ctnn: do not edit.\n#pragma once\n\n#include <ctnn/ctnn.hpp>\n\nnamespace {} {{\n\n",
        info.model.empty() ? "" : " of ", info.model.empty() ? "" : detail::shown(info.model), name);
    detail::append_array(out, "parameters", model.parameters().span());
    detail::append_array(out, "buffers", model.buffers().span());
    const auto add_floats = [&](const char* array, std::span<const float> values) {
        if (!values.empty()) { detail::append_array(out, array, values); }
    };
    add_floats("mean", info.normalization.mean);
    add_floats("standard_deviation", info.normalization.std);
    if (!info.class_names.empty()) {
        out += "inline constexpr const char* class_names[] = {";
        for (const std::string& text : info.class_names) {
            out += "\n    ";
            detail::append_string(out, text);
            out += ',';
        }
        out += "\n};\n";
    }
    out += fmt::format(
        "\ntemplate <ctnn::Network Net>\nconstexpr ctnn::ModelView<Net, {}> view() {{\n"
        "    [[maybe_unused]] constexpr auto& slots = ctnn::ParameterLayout<Net>::slots;\n"
        "    static_assert(slots.size() == {} && ctnn::ParameterLayout<Net>::buffer_size == {}",
        type, Layout::tensors, Layout::buffer_size);
    for (std::size_t i = 0; i < Layout::tensors; ++i) {
        const ParameterSlot& slot = Layout::slots[i];
        const WeightDims& d = slot.spec.dims;
        out += fmt::format(
            "\n        && slots[{}].name == \"{}\" && slots[{}].offset == {}\n"
            "        && slots[{}].spec.dims == ctnn::WeightDims{{{}, {}, {}, {}, {}}}",
            i, slot.name.view(), i, slot.offset, i, d.groups, d.out, d.kernel_y, d.kernel_x, d.in);
    }
    out += fmt::format(
        ",\n        \"these are the weights of another network\");\n"
        "    return {{parameters, buffers}};\n}}\n\n}}  // namespace {}\n",
        name);
    return out;
}

/// Writes that header by write_file_atomically. Throws FileError too.
template <Network Net, class T>
void save_embedded(const std::filesystem::path& path, const Model<Net, T>& model, const ModelInfo& info,
                   std::string_view name) {
    const std::string text = embed(model, info, name);
    write_file_atomically(path, std::as_bytes(std::span{text}));
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/hex_weights.hpp
// A model as ML Odyssey keeps one: a directory with a text file of hexadecimal digits per tensor.
//
//     conv1_bias                  the tensor's name; the file is <name>.weights
//     float32 96                  type and dimensions, in PyTorch's order
//     0000803f0000803f…           the elements' bytes as they lie in memory, little-endian: 1.0f is 0000803f

namespace ctnn::inline CTNN_ISA {

/// What tensors are called.
enum class HexNames {
    parameters,  ///< as in state_dict: "features.0.weight", running statistics included
    numbered     ///< as ML Odyssey counts: conv1_kernel, conv1_bias, …, fc1_weights, fc1_bias, …
};

/// Whether a network's tensors can be counted: parameters of convolutions and linear layers only.
template <Network Net>
inline constexpr bool has_numbered_names =
    std::all_of(ParameterLayout<Net>::slots.begin(), ParameterLayout<Net>::slots.end(), [](const auto& slot) {
        const LayerKind kind = Net::description.layers[slot.layer].kind;
        return kind == LayerKind::conv2d || kind == LayerKind::linear;
    });

namespace detail {

/// By the layout's slots.
template <Network Net>
std::vector<std::string> numbered_names() {
    std::vector<std::string> names;
    int convolutions = 0, linears = 0;
    std::size_t layer = Net::layer_count;
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
        const bool convolution = Net::description.layers[slot.layer].kind == LayerKind::conv2d;
        int& number = convolution ? convolutions : linears;
        number += slot.layer != std::exchange(layer, slot.layer) ? 1 : 0;
        const char* const tensor = slot.spec.name == "bias" ? "bias" : convolution ? "kernel" : "weights";
        names.push_back(joined({convolution ? "conv" : "fc", number, "_", tensor}));
    }
    return names;
}

/// The names of a model's tensors, in the order of StateDict's views.
template <Network Net>
std::vector<std::string> hex_names(HexNames names, std::span<const TensorView> views) {
    if (names == HexNames::numbered) { return numbered_names<Net>(); }
    std::vector<std::string> result;
    for (const TensorView& view : views) { result.push_back(view.name); }
    return result;
}

inline std::filesystem::path hex_path(const std::filesystem::path& directory, const std::string& name) {
    return directory / (name + ".weights");
}

/// "float32 96 3 11 11".
inline std::string hex_header(const TensorView& tensor) {
    const char* const type = tensor.dtype == Dtype::f32 ? "float32" : tensor.dtype == Dtype::f64 ? "float64" : "int64";
    std::string text = type;
    for (const std::int64_t n : tensor.shape) { text += joined({" ", n}); }
    return text;
}

inline std::string hex_text(const std::string& name, const TensorView& tensor) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text = joined({name, "\n", hex_header(tensor), "\n"});
    text.reserve(text.size() + 2 * tensor.data.size() + 1);
    for (const std::byte byte : tensor.data) {
        text += digits[std::to_integer<std::size_t>(byte >> 4)];
        text += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
    }
    return text += '\n';
}

/// The bytes of a tensor of the type and shape of `expected`.
inline std::vector<std::byte> read_hex(const std::filesystem::path& path, const std::string& name,
                                       const TensorView& expected) {
    const auto fail = [&](int line, const std::string& found, const std::string& wanted) {
        raise<FileError>({path.string(), ": line ", line, ": found ", found, ", expected ", wanted});
    };
    const std::vector<std::byte> bytes = read_file(path);
    std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    const auto next_line = [&] {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        return line;
    };
    for (int line = 1; const std::string& wanted : {name, hex_header(expected)}) {
        const std::string_view found = next_line();
        if (found != wanted) { fail(line, shown(found), shown(wanted)); }
        ++line;
    }

    const std::string_view digits = next_line();
    const auto value = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
    const auto wrong = std::find_if(digits.begin(), digits.end(), [&](char c) { return value(c) < 0; });
    if (wrong != digits.end()) {
        fail(3, joined({shown({wrong, 1}), " as digit ", wrong - digits.begin() + 1}), "one of 0 to 9, a to f");
    }
    if (digits.size() != 2 * expected.data.size()) {
        fail(3, joined({digits.size(), " digits"}), std::to_string(2 * expected.data.size()));
    }
    if (!text.empty()) { fail(4, shown(text.substr(0, text.find('\n'))), "the end of the file"); }
    std::vector<std::byte> data(expected.data.size());
    for (std::size_t i = 0; i < data.size(); ++i) {
        data[i] = static_cast<std::byte>(value(digits[2 * i]) << 4 | value(digits[2 * i + 1]));
    }
    return data;
}

}  // namespace detail

/// Writes a file per tensor into a directory, which it makes where there is none; none is in its place before all are
/// written, so that a disk that gets full leaves no mixture of two models. Besides float32 (float64) there is `int64`
/// for num_batches_tracked, which has no dimensions. Throws ArgumentError for numbered names of a network that has
/// none, FileError.
template <Network Net, class T>
void save_hex_weights(const std::filesystem::path& directory, const Model<Net, T>& model,
                      HexNames names = HexNames::parameters) {
    static_assert(std::endian::native == std::endian::little, "the format's bytes are little-endian");
    if (names == HexNames::numbered && !has_numbered_names<Net>) {
        raise(
            ArgumentError{"hex weights: found a network with other parameters than those of convolutions and linear "
                          "layers, expected none for numbered names"});
    }
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) { raise<FileError>({directory.string(), ": cannot create the directory: ", error.message()}); }
    StateDict<Net, T> state;
    state.add_arena(model.parameters().span());
    state.add_buffers(model.buffers());
    const auto chosen = detail::hex_names<Net>(names, state.views());
    std::deque<detail::TemporaryFile> files;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        const std::filesystem::path path = detail::hex_path(directory, chosen[i]);
        detail::expect_regular_file(path);
        const std::string text = detail::hex_text(chosen[i], state.views()[i]);
        files.emplace_back(path).write(std::as_bytes(std::span{text}));
    }
    for (detail::TemporaryFile& file : files) { file.finish(); }
    for (detail::TemporaryFile& file : files) { file.replace(); }
}

/// Reads what save_hex_weights or ML Odyssey wrote: by numbered names where the directory has a file of the first of
/// these. Throws FileError that names the file and line for a tensor that is missing, of another name, type or shape,
/// and for what is no digit, or too few or too many, or where both names are there; the model then stays as it was.
template <Network Net, class T>
void load_hex_weights(const std::filesystem::path& directory, Model<Net, T>& model) {
    static_assert(std::endian::native == std::endian::little, "the format's bytes are little-endian");
    StateDict<Net, T> state;  // for names and shapes
    state.add_arena(model.parameters().span());
    state.add_buffers(model.buffers());
    auto chosen = detail::hex_names<Net>(HexNames::parameters, state.views());
    if constexpr (has_numbered_names<Net> && ParameterLayout<Net>::tensors > 0) {
        const auto numbered = detail::hex_names<Net>(HexNames::numbered, state.views());
        const auto is_there = [&](const std::string& name) {
            std::error_code ignored;
            return std::filesystem::exists(detail::hex_path(directory, name), ignored);
        };
        if (is_there(numbered[0]) && is_there(chosen[0])) {
            raise<FileError>({directory.string(), ": found both ", numbered[0], ".weights and ", chosen[0],
                              ".weights, expected names of one kind"});
        }
        if (is_there(numbered[0])) { chosen = numbered; }
    }
    std::vector<std::vector<std::byte>> data;
    SafetensorsFile file{directory.string(), {}, {}};
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        const TensorView& view = state.views()[i];
        data.push_back(detail::read_hex(detail::hex_path(directory, chosen[i]), chosen[i], view));
        file.tensors.push_back({view.name, view.dtype, view.shape, data.back()});
    }
    StateDict<Net, T>::check_buffers(file);  // their counts
    StateDict<Net, T>::read_arena(file, model.parameters().span());
    StateDict<Net, T>::read_buffers(file, model.buffers());
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/idx.hpp
// IDX, the format of MNIST (http://yann.lecun.com/exdb/mnist): arrays of any element type and rank, and data sets as a
// file of images beside a file of labels.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// The third byte of a file whose elements are T's.
template <class T>
constexpr std::uint8_t idx_type() {
    if (std::is_floating_point_v<T>) { return sizeof(T) == 4 ? 0x0D : 0x0E; }
    if (sizeof(T) == 1) { return std::is_signed_v<T> ? 0x09 : 0x08; }
    return sizeof(T) == 2 ? 0x0B : 0x0C;
}

/// Bytes of an element of that type; 0 where it is none.
constexpr std::size_t idx_element_size(std::uint32_t type) {
    switch (type) {
        case 0x08:
        case 0x09: return 1;
        case 0x0B: return 2;
        case 0x0C:
        case 0x0D: return 4;
        case 0x0E: return 8;
        default: return 0;
    }
}

}  // namespace detail

/// A type that a file can have: std::uint8_t, std::int8_t, std::int16_t, std::int32_t, float or double.
template <class T>
concept IdxElement = std::same_as<T, std::uint8_t> || std::same_as<T, std::int8_t> || std::same_as<T, std::int16_t> ||
                     std::same_as<T, std::int32_t> || std::same_as<T, float> || std::same_as<T, double>;

/// An array, row-major.
struct IdxArray {
    std::string source;               ///< names the file in messages
    std::vector<std::uint32_t> dims;  ///< none is a single element; dimensions may be 0
    std::uint8_t type = 0x08;         ///< as in the file: 08 and 09 bytes, 0b int16, 0c int32, 0d float, 0e double
    std::vector<std::byte> bytes{};   ///< the elements, in this machine's byte order

    template <IdxElement T>
    [[nodiscard]] bool holds() const {
        return type == detail::idx_type<T>();
    }
    /// The elements. Throws FileError where they are of another type.
    template <IdxElement T>
    [[nodiscard]] std::span<const T> values() const {
        if (!holds<T>()) {
            raise<FileError>({source, ": offset 2: found type ", detail::hex(type, 2), ", expected ",
                              detail::hex(detail::idx_type<T>(), 2)});
        }
        return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
    }
};

namespace detail {

/// Copies elements of `size` bytes between the file's byte order and this machine's.
inline void copy_big_endian(std::span<const std::byte> from, std::span<std::byte> to, std::size_t size) {
    if (std::endian::native == std::endian::big || size == 1) {
        std::copy(from.begin(), from.end(), to.begin());
        return;
    }
    for (std::size_t i = 0; i < from.size(); i += size) {
        const auto element = from.subspan(i, size);
        std::reverse_copy(element.begin(), element.end(), to.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

inline std::uint32_t read_u32(std::span<const std::byte> bytes) {
    std::uint32_t value = 0;
    copy_big_endian(bytes.first(4), std::as_writable_bytes(std::span{&value, 1}), 4);
    return value;
}

/// "28x28"; the single element of rank 0 is "1".
inline std::string shown(std::span<const std::uint32_t> dims) {
    std::string text = dims.empty() ? "1" : "";
    for (const std::uint32_t n : dims) { text += joined({text.empty() ? "" : "x", n}); }
    return text;
}

/// Bytes of so many elements; nothing where that overflows.
constexpr std::optional<std::uint64_t> idx_bytes(std::span<const std::uint32_t> dims, std::size_t element) {
    std::uint64_t bytes = element;
    for (const std::uint64_t n : dims) {
        if (n != 0 && bytes > std::numeric_limits<std::uint64_t>::max() / n) { return std::nullopt; }
        bytes *= n;
    }
    return bytes;
}

inline std::vector<std::byte> idx_header(std::uint8_t type, std::span<const std::uint32_t> dims) {
    std::vector<std::byte> header(4 + 4 * dims.size());
    header[2] = std::byte{type};
    header[3] = static_cast<std::byte>(dims.size());
    copy_big_endian(std::as_bytes(dims), std::span{header}.subspan(4), 4);
    return header;
}

}  // namespace detail

/// Reads a file's bytes: two zeros, the element type, the rank, big-endian u32 dimensions, big-endian elements. Throws
/// FileError that names `source` and the offset for a wrong magic, a type that is none, and a length that does not fit.
inline IdxArray parse_idx(std::span<const std::byte> bytes, std::string source) {
    const auto fail = [&](std::initializer_list<detail::MessagePart> what) {
        raise<FileError>({source, ": ", detail::joined(what)});
    };
    if (bytes.size() < 4) { fail({"found ", bytes.size(), " bytes, expected at least 4"}); }
    const std::uint32_t magic = detail::read_u32(bytes);
    const std::size_t element = detail::idx_element_size(magic >> 8);
    if (element == 0) {
        fail({"offset 0: found ", detail::hex(magic, 8),
              ", expected 00, 00, a type (08, 09, 0b, 0c, 0d or 0e), the rank"});
    }
    IdxArray array{{}, std::vector<std::uint32_t>(magic & 0xFF), static_cast<std::uint8_t>(magic >> 8)};
    const std::size_t header = 4 + 4 * array.dims.size();
    if (bytes.size() < header) {
        fail({"offset 4: found ", bytes.size() - 4, " bytes, expected ", header - 4, " of dimensions for rank ",
              array.dims.size()});
    }
    for (std::size_t i = 0; i < array.dims.size(); ++i) { array.dims[i] = detail::read_u32(bytes.subspan(4 + 4 * i)); }
    const auto data = bytes.subspan(header);
    const auto size = detail::idx_bytes(array.dims, element);
    if (data.size() != size) {
        fail({"offset ", header, ": found ", data.size(), " bytes, expected ",
              size ? std::to_string(*size) : "fewer than 2^64", " for ", detail::shown(array.dims), " elements of ",
              element == 1 ? "a byte" : std::to_string(element) + " bytes"});
    }
    array.bytes.resize(data.size());
    detail::copy_big_endian(data, array.bytes, element);
    array.source = std::move(source);
    return array;
}

/// Reads a file that is not compressed. Throws FileError.
inline IdxArray read_idx(const std::filesystem::path& path) { return parse_idx(read_file(path), path.string()); }

/// Writes an array by write_file_atomically; its source is not looked at. Throws ArgumentError where its elements are
/// not as many as the dimensions say, FileError.
inline void write_idx(const std::filesystem::path& path, const IdxArray& array) {
    const std::size_t element = detail::idx_element_size(array.type);
    if (element == 0 || array.dims.size() > 255 || detail::idx_bytes(array.dims, element) != array.bytes.size()) {
        raise<ArgumentError>({"IDX: found ", array.bytes.size(), " bytes of type ", detail::hex(array.type, 2),
                              ", expected the elements of ", detail::shown(array.dims), " in at most 255 dimensions"});
    }
    const auto header = detail::idx_header(array.type, array.dims);
    std::vector<std::byte> swapped(array.bytes.size());
    detail::copy_big_endian(array.bytes, swapped, element);
    write_file_atomically(path, std::array<std::span<const std::byte>, 2>{header, swapped});
}
/// The same of elements that lie elsewhere.
template <IdxElement T>
void write_idx(const std::filesystem::path& path, std::span<const std::uint32_t> dims, std::span<const T> values) {
    const auto bytes = std::as_bytes(values);
    write_idx(path, {{}, {dims.begin(), dims.end()}, detail::idx_type<T>(), {bytes.begin(), bytes.end()}});
}

namespace detail {

/// The bytes of an array that must be unsigned bytes of one of two ranks.
inline std::span<const std::uint8_t> require_bytes(const IdxArray& array, std::size_t rank, std::size_t or_rank,
                                                   std::string_view expected) {
    if (!array.holds<std::uint8_t>() || (array.dims.size() != rank && array.dims.size() != or_rank)) {
        raise<FileError>({array.source, ": offset 2: found type ", detail::hex(array.type, 2), " and rank ",
                          array.dims.size(), ", expected ", expected});
    }
    return array.values<std::uint8_t>();
}

inline std::span<const std::uint8_t> require_labels(const IdxArray& labels) {
    return require_bytes(labels, 1, 1, "labels: type 08 (bytes) and rank 1");
}

}  // namespace detail

/// "0", "1", … up to the largest label: names of classes that no file names.
inline std::vector<std::string> numbered_classes(std::span<const IdxArray> labels) {
    std::vector<std::string> names;
    for (const IdxArray& array : labels) {
        for (const std::uint8_t label : detail::require_labels(array)) {
            while (names.size() <= label) { names.push_back(std::to_string(names.size())); }
        }
    }
    return names;
}

/// Appends images, bytes of rank 3 (image, row, column; one channel) or rank 4 (image, channel, row, column), and their
/// labels, bytes of rank 1. The first images decide an empty set's shape; class_names say which labels there are.
/// Throws FileError for arrays of another kind, images of another shape, labels that are not as many as images or
/// beyond the classes; the set then stays as it was.
inline void append_idx(Dataset& set, const IdxArray& images, const IdxArray& labels) {
    const auto pixels = detail::require_bytes(
        images, 3, 4, "images: type 08 (bytes) and rank 3 (image, row, column) or 4 (image, channel, row, column)");
    const auto classes = detail::require_labels(labels);
    if (labels.dims[0] != images.dims[0]) {
        raise<FileError>({labels.source, ": offset 4: found ", labels.dims[0], " labels, expected ", images.dims[0],
                          " as in ", images.source});
    }
    const std::size_t axis = images.dims.size() - 2;  // of the rows
    const std::array<std::uint32_t, 3> sizes{axis == 2 ? images.dims[1] : 1, images.dims[axis], images.dims[axis + 1]};
    const auto size = detail::idx_bytes(sizes, 1);
    if (!size || *size < 1 || *size > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
        raise<FileError>({images.source, ": offset 8: found images of ", detail::shown(sizes),
                          ", expected 1 to 2^31 - 1 bytes each"});
    }
    const Shape shape{static_cast<int>(sizes[0]), static_cast<int>(sizes[1]), static_cast<int>(sizes[2])};
    if (set.size() != 0 && set.shape != shape) {
        raise<FileError>({images.source, ": offset 8: found images of ", detail::shown(sizes), ", expected ",
                          set.shape.channels, "x", set.shape.height, "x", set.shape.width, " as before"});
    }
    const auto wrong =
        std::find_if(classes.begin(), classes.end(), [&](auto label) { return label >= set.class_names.size(); });
    if (wrong != classes.end()) {
        raise<FileError>({labels.source, ": offset ", 8 + (wrong - classes.begin()), ": found the label ", *wrong,
                          ", expected 0 to ", static_cast<std::int64_t>(set.class_names.size()) - 1});
    }
    set.shape = shape;
    set.pixels.insert(set.pixels.end(), pixels.begin(), pixels.end());
    set.labels.insert(set.labels.end(), classes.begin(), classes.end());
}

/// Writes images [first, first + count) of a set as append_idx reads them: rank 4 (magic 2052, a header of 20 bytes,
/// planes), whatever the number of channels, and labels of rank 1. Throws ArgumentError for labels beyond a byte.
inline void write_idx_images(const std::filesystem::path& images, const std::filesystem::path& labels,
                             const Dataset& set, std::size_t first, std::size_t count) {
    const auto n = static_cast<std::uint32_t>(count);
    const auto size = static_cast<std::size_t>(set.shape.size());
    const auto classes = std::span{set.labels}.subspan(first, count);
    std::vector<std::uint8_t> bytes;
    for (const std::uint16_t label : classes) {
        if (label > 255) { raise<ArgumentError>({"IDX: found the label ", label, ", expected at most 255"}); }
        bytes.push_back(static_cast<std::uint8_t>(label));
    }
    const std::array dims{n, static_cast<std::uint32_t>(set.shape.channels),
                          static_cast<std::uint32_t>(set.shape.height), static_cast<std::uint32_t>(set.shape.width)};
    write_idx<std::uint8_t>(images, dims, std::span{set.pixels}.subspan(first * size, count * size));
    write_idx<std::uint8_t>(labels, std::span{dims}.first(1), bytes);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/activations.hpp
// ReLU, Sigmoid and Tanh, element by element. All three derivatives follow from the output alone.

namespace ctnn::inline CTNN_ISA {

/// y = max(x, 0); derivative 1 where y > 0, else 0. Any shape. PyTorch's nn.ReLU.
struct ReLU {
    static constexpr LayerInfo describe(Signal in) { return detail::start_layer(LayerKind::relu, "ReLU", in); }
};

/// y = 1 / (1 + e^−x); derivative y·(1 − y). Any shape. PyTorch's nn.Sigmoid.
struct Sigmoid {
    static constexpr LayerInfo describe(Signal in) { return detail::start_layer(LayerKind::sigmoid, "Sigmoid", in); }
};

/// y = tanh x; derivative 1 − y². Any shape. PyTorch's nn.Tanh.
struct Tanh {
    static constexpr LayerInfo describe(Signal in) { return detail::start_layer(LayerKind::tanh, "Tanh", in); }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/batch_norm2d.hpp
// BatchNorm2d: normalisation over batch and pixels, PyTorch's nn.BatchNorm2d; Ioffe and Szegedy 2015.

namespace ctnn::inline CTNN_ISA {

/// y = weight[c] · (x − mean[c]) / √(var[c] + eps) + bias[c].
///
/// Training takes mean and biased variance from the batch and moves the running statistics by `momentum`, with the
/// unbiased variance, as PyTorch does; inference takes the running statistics.
/// Shape: (C, H, W) → the same. Parameters: weight (C), begins at 1; bias (C), begins at 0; neither is a weight for
/// decay. Options: Eps<1e-5>, Momentum<0.1>. Remembers its input and two vectors. Backward overwrites the parameters'
/// gradients.
template <class... Options>
struct BatchNorm2d {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::batch_norm2d, "BatchNorm2d", in);
        detail::check_options(info, options, O::eps | O::momentum, "BatchNorm2d takes Eps and Momentum");
        if (!detail::need_map(info)) { return info; }
        info.eps = options.has(O::eps) ? options.eps_value : 1e-5;
        info.momentum = options.has(O::momentum) ? options.momentum_value : 0.1;
        if (!(info.eps > 0)) {
            info.error << "eps must be above 0; drop Eps for 1e-5";
        } else if (!(info.momentum >= 0 && info.momentum <= 1)) {
            info.error << "momentum must lie in [0, 1]; drop Momentum for 0.1";
        }
        info.add(detail::vector_parameter("weight", 1, in.shape.channels, {InitKind::ones}, 1));
        info.add(detail::vector_parameter("bias", 1, in.shape.channels, {InitKind::zeros}, 1));
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/conv2d.hpp
// Conv2d: two-dimensional cross-correlation, PyTorch's nn.Conv2d.

namespace ctnn::inline CTNN_ISA {

/// y[n, o, i, j] = bias[o] + Σ_{c, u, v} weight[o, c, u, v] · x[n, c, i·stride − padding + u, j·stride − padding + v],
/// c over the channels of o's group.
///
/// Shape: (C, H, W) → (OutChannels, ⌊(H + 2·padding − kernel) / stride⌋ + 1, likewise W).
/// Parameters: weight (out, C / groups, kernel height, kernel width), decays; bias (out).
/// Options: Kernel<h, w> (needed), Stride<1>, Padding<0>, Groups<1>, Bias<true>, WeightInit, BiasInit (both PyTorch's
/// default, U(±1/√fan_in)), and Winograd for a kernel of 3×3 or 5×5 without stride and groups: all three directions
/// then take 25 or 36 % of the multiplications, as kernels/winograd.hpp has it, and their rounding errors are some ten
/// times larger. Remembers its input. Backward overwrites the parameters' gradients.
template <int OutChannels, class... Options>
struct Conv2d {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::conv2d, "Conv2d", in);
        detail::check_options(
            info, options,
            O::kernel | O::stride | O::padding | O::groups | O::bias | O::weight_init | O::bias_init | O::winograd,
            "Conv2d takes Kernel, Stride, Padding, Groups, Bias, WeightInit, BiasInit and Winograd");
        if (!detail::need_map(info) || !detail::read_window(info, options, false)) { return info; }
        if (OutChannels < 1) {
            info.error << OutChannels << " output channels; write at least 1";
            return info;
        }
        const int groups = options.group_count;
        if (groups < 1 || in.shape.channels % groups != 0 || OutChannels % groups != 0) {
            info.error << groups << " groups do not divide " << in.shape.channels << " input and " << OutChannels
                       << " output channels; choose a common divisor";
            return info;
        }
        info.winograd = options.has(O::winograd);
        const auto [y, x] = info.window;
        if (info.winograd && (groups != 1 || (y.extent != 3 && y.extent != 5) || x.extent != y.extent ||
                              y.stride != 1 || x.stride != 1)) {
            info.error << "Winograd needs Kernel<3> or Kernel<5> without stride and groups; drop it";
            return info;
        }
        info.groups = groups;
        info.bias = options.with_bias;
        info.out = {info.window.output(in.shape, OutChannels), false, {}};
        const int group_in = in.shape.channels / groups;
        const std::int64_t taps = std::int64_t{options.kernel_y} * options.kernel_x;
        ParameterSpec weight;
        weight.name = "weight";
        weight.shape = {OutChannels, group_in, options.kernel_y, options.kernel_x};
        weight.rank = 4;
        weight.dims = {groups, OutChannels / groups, options.kernel_y, options.kernel_x, group_in};
        weight.init = options.weights;
        weight.fan_in = group_in * taps;
        weight.fan_out = OutChannels * taps;  // as torch.nn.init counts: groups do not enter
        weight.decays = true;
        info.add(weight);
        if (options.with_bias) {
            info.add(detail::vector_parameter("bias", groups, OutChannels / groups, options.biases, weight.fan_in));
        }
        info.multiply_adds = info.window.live_taps(in.shape) * group_in * OutChannels;
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/custom.hpp
// Layers from outside the library: how to begin their description.

namespace ctnn::inline CTNN_ISA {

/// The description of a layer without parameters that maps a signal to one of shape `out`. A layer is then
///
///     struct Swish {
///         static constexpr LayerInfo describe(Signal in) { return custom_layer("Swish", in, in.shape); }
///         template <class T> static void forward(Shape in, const T* x, T* y);
///         template <class T> static void backward(Shape in, const T* x, const T* y, const T* dy, T* dx);
///     };
///
/// forward overwrites y from x, backward overwrites dx from the gradient dy with respect to y; both see one sample,
/// [row][column][channel], on any thread, and must not throw. testing/gradient_check.hpp checks the pair.
///
/// One or two parameter tensors are added to the description by custom_parameter. Both functions then take them behind
/// the shape, and backward, behind dx, where this sample's part of their gradients goes, which it overwrites too:
///
///     forward(Shape in, const T* weight, const T* x, T* y);
///     backward(Shape in, const T* weight, const T* x, const T* y, const T* dy, T* dx, T* dweight);
///
/// The parts are added up in the samples' order. They lie in the workspace: as much memory for every sample as the
/// parameters take.
constexpr LayerInfo custom_layer(std::string_view type, Signal in, Shape out) {
    LayerInfo info = detail::start_layer(LayerKind::custom, type, in);
    // A vector that keeps its length keeps the order that it has from the map that was flattened.
    info.out = {out, in.flat, in.flat && out == in.shape ? in.source : out};
    return info;
}

/// Adds a parameter tensor of one to four dimensions to a custom layer. In memory it is row-major and without gaps, as
/// in files, where it is called `name` behind the layer's place: "3.weight". `init` counts as fan_in the elements of
/// one row. Weight decay spares it unless it `decays`. Behind Flatten, elements of a vector are in the order of memory,
/// [row][column][channel] of the map.
constexpr void custom_parameter(LayerInfo& info, std::string_view name, std::initializer_list<int> shape, Init init,
                                bool decays = false) {
    if (info.parameter_tensors == static_cast<int>(info.parameters.size())) {
        info.error << "parameter " << name << " is the third; put what it needs into two";
        return;
    }
    for (int i = 0; i < info.parameter_tensors; ++i) {
        if (info.parameters[static_cast<std::size_t>(i)].name == name) {
            info.error << "parameter " << name << " is there already; give each a name of its own";
            return;
        }
    }
    ParameterSpec spec;
    spec.name = name;
    spec.init = init;
    spec.decays = decays;
    int count = 1;
    for (const int n : shape) {
        if (n < 1 || spec.rank == 4) {
            info.error << "parameter " << name << " has a size below 1 or a fifth; write one to four sizes";
            return;
        }
        spec.shape[static_cast<std::size_t>(spec.rank++)] = n;
        count *= n;
    }
    spec.dims.out = count;  // a vector: storage in the order of files
    spec.fan_out = spec.rank > 0 ? *shape.begin() : 1;
    spec.fan_in = count / spec.fan_out;
    info.add(spec);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/dropout.hpp
// Dropout and Dropout2d: PyTorch's layers of the same names; Srivastava et al. 2014, Tompson et al. 2015.

namespace ctnn::inline CTNN_ISA {

namespace detail {

constexpr LayerInfo describe_dropout(LayerKind kind, std::string_view type, Signal in, double p) {
    LayerInfo info = start_layer(kind, type, in);
    info.p = p;
    if (!(p >= 0 && p < 1)) { info.error << "probability must lie in [0, 1); write for example " << type << "<0.5>"; }
    return info;
}

}  // namespace detail

/// In training every element is zeroed with probability P and else multiplied by 1 / (1 − P); in inference y = x.
///
/// Any shape. The draw depends on (seed, epoch, sample, layer, element) alone. Remembers one bit per element.
template <double P = 0.5>
struct Dropout {
    static constexpr LayerInfo describe(Signal in) {
        return detail::describe_dropout(LayerKind::dropout, "Dropout", in, P);
    }
};

/// Dropout of whole channels: one draw per sample and channel. Remembers one bit each.
template <double P = 0.5>
struct Dropout2d {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = detail::describe_dropout(LayerKind::dropout2d, "Dropout2d", in, P);
        detail::need_map(info);
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/flatten.hpp
// Flatten: a map read as a vector, PyTorch's nn.Flatten.

namespace ctnn::inline CTNN_ISA {

/// Shape: (C, H, W) → C·H·W features. Moves nothing: memory stays channels-last, and the weights of a Linear behind it
/// are permuted where files are read and written, so that files agree with PyTorch's order.
struct Flatten {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = detail::start_layer(LayerKind::flatten, "Flatten", in);
        if (!in.flat) { info.out = {{static_cast<int>(in.shape.size()), 1, 1}, true, in.shape}; }
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/linear.hpp
// Linear: an affine map of a vector, PyTorch's nn.Linear.

namespace ctnn::inline CTNN_ISA {

/// y[n, o] = bias[o] + Σ_k weight[o, k] · x[n, k].
///
/// Shape: a vector of K features → OutFeatures. Behind Flatten, k runs in files over channel, row, column of the map
/// that was flattened; memory keeps it channels-last.
/// Parameters: weight (out, K), decays; bias (out).
/// Options: Bias<true>, WeightInit, BiasInit (both PyTorch's default, U(±1/√K)).
/// Remembers its input. Backward overwrites the parameters' gradients.
template <int OutFeatures, class... Options>
struct Linear {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::linear, "Linear", in);
        detail::check_options(info, options, O::bias | O::weight_init | O::bias_init,
                              "Linear takes Bias, WeightInit and BiasInit");
        if (!info.error.empty()) { return info; }
        if (!in.flat) {
            detail::write_size(info.error << "needs a flat input but meets a " << in.shape.channels << "x",
                               in.shape.height, in.shape.width)
                << " map; put Flatten before it";
            return info;
        }
        if (OutFeatures < 1) {
            info.error << OutFeatures << " output features; write at least 1";
            return info;
        }
        const Shape source = in.source;
        info.bias = options.with_bias;
        info.out = {{OutFeatures, 1, 1}, true, {OutFeatures, 1, 1}};
        ParameterSpec weight;
        weight.name = "weight";
        weight.shape = {OutFeatures, in.shape.size(), 0, 0};
        weight.rank = 2;
        weight.dims = {1, OutFeatures, source.height, source.width, source.channels};
        weight.init = options.weights;
        weight.fan_in = in.shape.size();
        weight.fan_out = OutFeatures;
        weight.decays = true;
        info.add(weight);
        if (options.with_bias) {
            info.add(detail::vector_parameter("bias", 1, OutFeatures, options.biases, weight.fan_in));
        }
        info.multiply_adds = in.shape.size() * OutFeatures;
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/local_response_norm.hpp
// LocalResponseNorm: normalisation across neighbouring channels, PyTorch's nn.LocalResponseNorm; Krizhevsky 2012, 3.3.

namespace ctnn::inline CTNN_ISA {

/// y[c] = x[c] / (k + alpha / Size · Σ_{j = c − Size/2}^{c + (Size − 1)/2} x[j]²)^beta, the sum over channels that
/// exist.
///
/// As in PyTorch alpha is divided by the size, where the paper's is not.
/// Shape: (C, H, W) → the same. No parameters. Options: Alpha<1e-4>, Beta<0.75>, K<1>.
/// Remembers its input.
template <int Size, class... Options>
struct LocalResponseNorm {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::local_response_norm, "LocalResponseNorm", in);
        detail::check_options(info, options, O::alpha | O::beta | O::k, "LocalResponseNorm takes Alpha, Beta and K");
        if (!detail::need_map(info)) { return info; }
        info.size = Size;
        info.alpha = options.has(O::alpha) ? options.alpha_value : 1e-4;
        info.beta = options.has(O::beta) ? options.beta_value : 0.75;
        info.k = options.has(O::k) ? options.k_value : 1.0;
        if (Size < 1) {
            info.error << "size " << Size << " is below 1; the paper uses LocalResponseNorm<5>";
        } else if (!(info.k > 0) || !(info.alpha >= 0)) {
            info.error << "k must be above 0 and alpha not below 0; drop the options for 1 and 1e-4";
        }
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/layers/pooling.hpp
// MaxPool2d, AvgPool2d and AdaptiveAvgPool2d: PyTorch's layers of the same names.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// A window must start or end on a pixel, so PyTorch allows padding up to half the kernel.
constexpr bool check_pool_padding(LayerInfo& info, const OptionValues& options) {
    if (info.error.empty() && (2 * options.padding_y > options.kernel_y || 2 * options.padding_x > options.kernel_x)) {
        write_size(info.error << "padding ", options.padding_y, options.padding_x) << " is more than half of window ";
        write_size(info.error, options.kernel_y, options.kernel_x) << "; pad less";
    }
    return info.error.empty();
}

}  // namespace detail

/// y = the largest input in each window; padding never wins; of equal inputs the first in row order gets the gradient.
///
/// Shape: (C, H, W) → (C, ⌊(H + 2·padding − kernel) / stride⌋ + 1, likewise W).
/// Options: Kernel<h, w> (needed), Stride (the kernel's size unless given), Padding<0>.
/// Remembers one byte per output: the place of the maximum in its window.
template <class... Options>
struct MaxPool2d {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::max_pool2d, "MaxPool2d", in);
        detail::check_options(info, options, O::kernel | O::stride | O::padding,
                              "MaxPool2d takes Kernel, Stride and Padding");
        if (!detail::need_map(info) || !detail::read_window(info, options, true) ||
            !detail::check_pool_padding(info, options)) {
            return info;
        }
        if (options.kernel_y * options.kernel_x > 256) {
            detail::write_size(info.error << "window ", options.kernel_y, options.kernel_x)
                << " has more than 256 taps; pool twice";
            return info;
        }
        info.out = {info.window.output(in.shape, in.shape.channels), false, {}};
        return info;
    }
};

/// y = the mean of each window. Padding counts as zeros unless CountIncludePad<false>.
///
/// Shape as MaxPool2d. Options: Kernel<h, w> (needed), Stride (the kernel's size unless given), Padding<0>,
/// CountIncludePad<true>. Remembers nothing.
template <class... Options>
struct AvgPool2d {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::avg_pool2d, "AvgPool2d", in);
        detail::check_options(info, options, O::kernel | O::stride | O::padding | O::count_include_pad,
                              "AvgPool2d takes Kernel, Stride, Padding and CountIncludePad");
        if (!detail::need_map(info) || !detail::read_window(info, options, true) ||
            !detail::check_pool_padding(info, options)) {
            return info;
        }
        info.count_include_pad = options.count_padding;
        info.out = {info.window.output(in.shape, in.shape.channels), false, {}};
        return info;
    }
};

/// y[i, j] = the mean of input rows ⌊i·H/Height⌋ to ⌈(i + 1)·H/Height⌉ and the like columns.
///
/// Shape: (C, H, W) → (C, Height, Width), for any input size. Remembers nothing.
template <int Height, int Width = Height>
struct AdaptiveAvgPool2d {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = detail::start_layer(LayerKind::avg_pool2d, "AdaptiveAvgPool2d", in);
        if (!detail::need_map(info)) { return info; }
        if (Height < 1 || Width < 1) {
            detail::write_size(info.error << "output ", Height, Width) << " is below 1; write at least 1";
            return info;
        }
        info.adaptive = true;
        info.out = {{in.shape.channels, Height, Width}, false, {}};
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/models/initializers.hpp
// How the family's weights begin, where its authors do not take PyTorch's defaults.

namespace ctnn::inline CTNN_ISA::detail {

using HeUniform = WeightInit<InitKind::he_uniform>;
using XavierUniform = WeightInit<InitKind::xavier_uniform>;
using SmallNormal = WeightInit<InitKind::normal, 0.01>;  ///< Krizhevsky 2012, section 5
using Identity = WeightInit<InitKind::dirac>;
using ZeroBias = BiasInit<InitKind::zeros>;
using OneBias = BiasInit<InitKind::constant, 1.0>;

}  // namespace ctnn::inline CTNN_ISA::detail

// ---- ctnn/models/alexnet.hpp
// AlexNet with local response normalisation: as in the paper (Krizhevsky, Sutskever, Hinton 2012), and as UP_ALEXNET
// trains it.

namespace ctnn::inline CTNN_ISA {

/// The network of the paper: convolutions 2, 4 and 5 see one half of the channels each, as they did on two GPUs. The
/// paper's 224 pixels do not close; its code's 227 do. Weights begin N(0, 0.01), biases of convolutions 2, 4 and 5 and
/// of the hidden linear layers as ones (section 5). The paper's α of 10⁻⁴ is not divided by the size, so it is 5·10⁻⁴
/// here. Dropout follows the hidden layers (section 4.2). 60 965 224 parameters at 1000 classes.
template <int Classes = 1000, int Size = 227, double Drop = 0.5>
struct AlexNet : Sequential<Input<3, Size, Size>,  //
                            Conv2d<96, Kernel<11>, Stride<4>, detail::SmallNormal, detail::ZeroBias>, ReLU,
                            LocalResponseNorm<5, Alpha<5e-4>, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>>,  //
                            Conv2d<256, Kernel<5>, Padding<2>, Groups<2>, detail::SmallNormal, detail::OneBias>, ReLU,
                            LocalResponseNorm<5, Alpha<5e-4>, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>>,  //
                            Conv2d<384, Kernel<3>, Padding<1>, detail::SmallNormal, detail::ZeroBias>, ReLU,
                            Conv2d<384, Kernel<3>, Padding<1>, Groups<2>, detail::SmallNormal, detail::OneBias>, ReLU,
                            Conv2d<256, Kernel<3>, Padding<1>, Groups<2>, detail::SmallNormal, detail::OneBias>, ReLU,
                            MaxPool2d<Kernel<3>, Stride<2>>, Flatten,                                 //
                            Linear<4096, detail::SmallNormal, detail::OneBias>, ReLU, Dropout<Drop>,  //
                            Linear<4096, detail::SmallNormal, detail::OneBias>, ReLU, Dropout<Drop>,  //
                            Linear<Classes, detail::SmallNormal, detail::ZeroBias>> {};

/// UP_ALEXNET: one tower, dropout in front of the hidden linear layers, and PyTorch's reading of α. Weights and biases
/// begin as the paper's. 58 322 314 parameters at 10 classes.
template <int Classes = 10, int Size = 227, double Drop = 0.5>
struct AlexNetLrn : Sequential<Input<3, Size, Size>,  //
                               Conv2d<96, Kernel<11>, Stride<4>, detail::SmallNormal, detail::ZeroBias>, ReLU,
                               LocalResponseNorm<5, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>>,  //
                               Conv2d<256, Kernel<5>, Padding<2>, detail::SmallNormal, detail::OneBias>, ReLU,
                               LocalResponseNorm<5, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>>,  //
                               Conv2d<384, Kernel<3>, Padding<1>, detail::SmallNormal, detail::ZeroBias>, ReLU,
                               Conv2d<384, Kernel<3>, Padding<1>, detail::SmallNormal, detail::OneBias>, ReLU,
                               Conv2d<256, Kernel<3>, Padding<1>, detail::SmallNormal, detail::OneBias>, ReLU,
                               MaxPool2d<Kernel<3>, Stride<2>>, Flatten,                                 //
                               Dropout<Drop>, Linear<4096, detail::SmallNormal, detail::OneBias>, ReLU,  //
                               Dropout<Drop>, Linear<4096, detail::SmallNormal, detail::OneBias>, ReLU,  //
                               Linear<Classes, detail::SmallNormal, detail::ZeroBias>> {};

static_assert(AlexNet<>::parameter_count == 60'965'224);
static_assert(AlexNet<>::shape_after(0) == Shape{96, 55, 55});
static_assert(AlexNet<>::shape_after(3) == Shape{96, 27, 27});
static_assert(AlexNet<>::shape_after(4) == Shape{256, 27, 27});
static_assert(AlexNet<>::shape_after(7) == Shape{256, 13, 13});
static_assert(AlexNet<>::shape_after(8) == Shape{384, 13, 13});
static_assert(AlexNet<>::shape_after(10) == Shape{384, 13, 13});
static_assert(AlexNet<>::shape_after(12) == Shape{256, 13, 13});
static_assert(AlexNet<>::shape_after(14) == Shape{256, 6, 6});
static_assert(AlexNet<>::shape_after(16) == Shape{4096, 1, 1});
static_assert(AlexNet<>::shape_after(19) == Shape{4096, 1, 1});
static_assert(AlexNet<>::output_shape == Shape{1000, 1, 1});

static_assert(AlexNetLrn<>::parameter_count == 58'322'314);
static_assert(AlexNetLrn<>::shape_after(0) == Shape{96, 55, 55});
static_assert(AlexNetLrn<>::shape_after(3) == Shape{96, 27, 27});
static_assert(AlexNetLrn<>::shape_after(4) == Shape{256, 27, 27});
static_assert(AlexNetLrn<>::shape_after(7) == Shape{256, 13, 13});
static_assert(AlexNetLrn<>::shape_after(8) == Shape{384, 13, 13});
static_assert(AlexNetLrn<>::shape_after(10) == Shape{384, 13, 13});
static_assert(AlexNetLrn<>::shape_after(12) == Shape{256, 13, 13});
static_assert(AlexNetLrn<>::shape_after(14) == Shape{256, 6, 6});
static_assert(AlexNetLrn<>::shape_after(17) == Shape{4096, 1, 1});
static_assert(AlexNetLrn<>::shape_after(20) == Shape{4096, 1, 1});
static_assert(AlexNetLrn<>::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/models/alexnet32.hpp
// AlexNet32: Krizhevsky's AlexNet (2012) on 32×32 images, in the geometry of ML Odyssey's CIFAR-10 example.

namespace ctnn::inline CTNN_ISA {

/// For a number of classes, an input and a rate of dropout of one's own. The last pool is padded by 1, which the
/// original leaves out: without it a 3×3 window meets a 1×1 map. On ReLU's outputs the padded pool is the identity.
/// Convolutions begin He uniform, linear layers Xavier uniform, biases zero.
template <int Classes = 10, class In = Input<3, 32, 32>, double Drop = 0.5>
struct AlexNet32For : Sequential<In,  //
                                 Conv2d<96, Kernel<11>, Stride<4>, Padding<2>, detail::HeUniform, detail::ZeroBias>,
                                 ReLU, MaxPool2d<Kernel<3>, Stride<2>>,  //
                                 Conv2d<256, Kernel<5>, Padding<2>, detail::HeUniform, detail::ZeroBias>, ReLU,
                                 MaxPool2d<Kernel<3>, Stride<2>>,                                                //
                                 Conv2d<384, Kernel<3>, Padding<1>, detail::HeUniform, detail::ZeroBias>, ReLU,  //
                                 Conv2d<384, Kernel<3>, Padding<1>, detail::HeUniform, detail::ZeroBias>, ReLU,  //
                                 Conv2d<256, Kernel<3>, Padding<1>, detail::HeUniform, detail::ZeroBias>, ReLU,  //
                                 MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>, Flatten,                           //
                                 Linear<4096, detail::XavierUniform, detail::ZeroBias>, ReLU, Dropout<Drop>,     //
                                 Linear<4096, detail::XavierUniform, detail::ZeroBias>, ReLU, Dropout<Drop>,     //
                                 Linear<Classes, detail::XavierUniform, detail::ZeroBias>> {};

/// ML Odyssey's: 21 622 154 parameters, of which 5 of 6 sit in the linear layers.
struct AlexNet32 : AlexNet32For<> {};

static_assert(AlexNet32::parameter_count == 21'622'154);
static_assert(AlexNet32::shape_after(0) == Shape{96, 7, 7});
static_assert(AlexNet32::shape_after(2) == Shape{96, 3, 3});
static_assert(AlexNet32::shape_after(3) == Shape{256, 3, 3});
static_assert(AlexNet32::shape_after(5) == Shape{256, 1, 1});
static_assert(AlexNet32::shape_after(6) == Shape{384, 1, 1});
static_assert(AlexNet32::shape_after(8) == Shape{384, 1, 1});
static_assert(AlexNet32::shape_after(10) == Shape{256, 1, 1});
static_assert(AlexNet32::shape_after(12) == Shape{256, 1, 1});
static_assert(AlexNet32::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/models/alexnet_bn.hpp
// AlexNetWide and AlexNetBn: SystemDS's AlexNet, plain and with batch norm; the latter is that of large-batch training
// (You, Gitman, Ginsburg 2017).

namespace ctnn::inline CTNN_ISA {

namespace detail {
/// Layers of both.
template <int FirstPadding>
using WideConv1 = Conv2d<96, Kernel<11>, Stride<4>, Padding<FirstPadding>, SmallNormal, ZeroBias>;
using WideConv2 = Conv2d<256, Kernel<5>, Padding<2>, SmallNormal, ZeroBias>;
template <int Channels>
using WideConv3 = Conv2d<Channels, Kernel<3>, Padding<1>, SmallNormal, ZeroBias>;
using WideNorm = BatchNorm2d<Eps<1e-5>, Momentum<0.01>>;
using WidePool = MaxPool2d<Kernel<3>, Stride<2>>;
template <int Outputs>
using WideLinear = Linear<Outputs, SmallNormal, ZeroBias>;
}  // namespace detail

/// Weights begin N(0, 0.01), biases as zeros; dropout follows the hidden linear layers. The documents pad the first
/// convolution by 0, the code by 2: 46 787 978 or 58 322 314 parameters at 10 classes and 224×224.
template <int Classes = 10, int Size = 224, int FirstPadding = 0, double Drop = 0.5>
struct AlexNetWide : Sequential<Input<3, Size, Size>,                                        //
                                detail::WideConv1<FirstPadding>, ReLU, detail::WidePool,     //
                                detail::WideConv2, ReLU, detail::WidePool,                   //
                                detail::WideConv3<384>, ReLU, detail::WideConv3<384>, ReLU,  //
                                detail::WideConv3<256>, ReLU, detail::WidePool, Flatten,     //
                                detail::WideLinear<4096>, ReLU, Dropout<Drop>,               //
                                detail::WideLinear<4096>, ReLU, Dropout<Drop>, detail::WideLinear<Classes>> {};

/// Batch norm behind each convolution, whose running averages keep 0.99. 46 790 730 or 58 325 066 parameters.
template <int Classes = 10, int Size = 224, int FirstPadding = 0, double Drop = 0.5>
struct AlexNetBn : Sequential<Input<3, Size, Size>,                                                       //
                              detail::WideConv1<FirstPadding>, detail::WideNorm, ReLU, detail::WidePool,  //
                              detail::WideConv2, detail::WideNorm, ReLU, detail::WidePool,                //
                              detail::WideConv3<384>, detail::WideNorm, ReLU,                             //
                              detail::WideConv3<384>, detail::WideNorm, ReLU,                             //
                              detail::WideConv3<256>, detail::WideNorm, ReLU, detail::WidePool, Flatten,  //
                              detail::WideLinear<4096>, ReLU, Dropout<Drop>,                              //
                              detail::WideLinear<4096>, ReLU, Dropout<Drop>, detail::WideLinear<Classes>> {};

static_assert(AlexNetWide<>::parameter_count == 46'787'978 && AlexNetWide<10, 224, 2>::parameter_count == 58'322'314);
static_assert(AlexNetWide<>::shape_after(0) == Shape{96, 54, 54});
static_assert(AlexNetWide<>::shape_after(2) == Shape{96, 26, 26});
static_assert(AlexNetWide<>::shape_after(3) == Shape{256, 26, 26});
static_assert(AlexNetWide<>::shape_after(5) == Shape{256, 12, 12});
static_assert(AlexNetWide<>::shape_after(6) == Shape{384, 12, 12});
static_assert(AlexNetWide<>::shape_after(8) == Shape{384, 12, 12});
static_assert(AlexNetWide<>::shape_after(10) == Shape{256, 12, 12});
static_assert(AlexNetWide<>::shape_after(12) == Shape{256, 5, 5});
static_assert(AlexNetWide<>::shape_after(14) == Shape{4096, 1, 1});
static_assert(AlexNetWide<>::shape_after(17) == Shape{4096, 1, 1});
static_assert(AlexNetWide<>::output_shape == Shape{10, 1, 1});

static_assert(AlexNetBn<>::parameter_count == 46'790'730 && AlexNetBn<10, 224, 2>::parameter_count == 58'325'066);
static_assert(AlexNetBn<>::shape_after(3) == Shape{96, 26, 26});
static_assert(AlexNetBn<>::shape_after(7) == Shape{256, 12, 12});
static_assert(AlexNetBn<>::shape_after(10) == Shape{384, 12, 12});
static_assert(AlexNetBn<>::shape_after(13) == Shape{384, 12, 12});
static_assert(AlexNetBn<>::shape_after(17) == Shape{256, 5, 5});
static_assert(AlexNetBn<>::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/models/alexnet_one_tower.hpp
// AlexNetOneTower: the variant of Krizhevsky 2014 ("One weird trick"), as torchvision's alexnet has it.

namespace ctnn::inline CTNN_ISA {

/// Parameters carry torchvision's names, features.0.weight to classifier.6.bias, and begin by PyTorch's defaults.
/// 61 100 840 of them at 1000 classes, whatever the image's size: the adaptive pool gives 6×6.
template <int Classes = 1000, int Size = 224, double Drop = 0.5>
struct AlexNetOneTower : Sequential<Input<3, Size, Size>,
                                    Block<"features",                                           //
                                          Conv2d<64, Kernel<11>, Stride<4>, Padding<2>>, ReLU,  //
                                          MaxPool2d<Kernel<3>, Stride<2>>,                      //
                                          Conv2d<192, Kernel<5>, Padding<2>>, ReLU,             //
                                          MaxPool2d<Kernel<3>, Stride<2>>,                      //
                                          Conv2d<384, Kernel<3>, Padding<1>>, ReLU,             //
                                          Conv2d<256, Kernel<3>, Padding<1>>, ReLU,             //
                                          Conv2d<256, Kernel<3>, Padding<1>>, ReLU,             //
                                          MaxPool2d<Kernel<3>, Stride<2>>>,                     //
                                    AdaptiveAvgPool2d<6>, Flatten,                              //
                                    Block<"classifier",                                         //
                                          Dropout<Drop>, Linear<4096>, ReLU,                    //
                                          Dropout<Drop>, Linear<4096>, ReLU,                    //
                                          Linear<Classes>>> {};

static_assert(AlexNetOneTower<>::parameter_count == 61'100'840);
static_assert(AlexNetOneTower<>::multiply_adds <= 714'188'480);  // torchvision's count has the padding's
static_assert(AlexNetOneTower<>::shape_after(0) == Shape{64, 55, 55});
static_assert(AlexNetOneTower<>::shape_after(2) == Shape{64, 27, 27});
static_assert(AlexNetOneTower<>::shape_after(3) == Shape{192, 27, 27});
static_assert(AlexNetOneTower<>::shape_after(5) == Shape{192, 13, 13});
static_assert(AlexNetOneTower<>::shape_after(6) == Shape{384, 13, 13});
static_assert(AlexNetOneTower<>::shape_after(8) == Shape{256, 13, 13});
static_assert(AlexNetOneTower<>::shape_after(10) == Shape{256, 13, 13});
static_assert(AlexNetOneTower<>::shape_after(12) == Shape{256, 6, 6});
static_assert(AlexNetOneTower<>::shape_after(13) == Shape{256, 6, 6});
static_assert(AlexNetOneTower<>::shape_after(16) == Shape{4096, 1, 1});
static_assert(AlexNetOneTower<>::shape_after(19) == Shape{4096, 1, 1});
static_assert(AlexNetOneTower<>::output_shape == Shape{1000, 1, 1});

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/models/quick_alexnet.hpp
// QuickAlexNet: AlexNet's order of layers for 32×32 images, built to train fast.

namespace ctnn::inline CTNN_ISA {

/// Five convolutions with max pools behind the first, the second and the last, as AlexNet's, in the widths of its
/// one-tower form but for the last three; norms in place of dropout and hidden linear layers; and in front of all a
/// convolution of 2×2 for filters that whiten patches, which stay as data/whitening.hpp makes them (Page 2019, and
/// Jordan 2024, arXiv:2404.00498). Of the 12 directions of such patches, each filter has its negative beside it, so
/// that ReLU loses nothing. The other convolutions begin as identities, as Jordan's do.
template <int Classes = 10, class... Options>
struct QuickAlexNetFor
    : Sequential<Input<3, 32, 32>,                                                                                    //
                 Conv2d<24, Kernel<2>>, ReLU,                                                                         //
                 Conv2d<64, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,   //
                 MaxPool2d<Kernel<2>, Stride<2>>,                                                                     //
                 Conv2d<192, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,  //
                 MaxPool2d<Kernel<2>, Stride<2>>,                                                                     //
                 Conv2d<256, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,  //
                 Conv2d<256, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,  //
                 Conv2d<256, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,  //
                 MaxPool2d<Kernel<7>>, Flatten, Linear<Classes>> {};

/// 10 classes, convolutions of 3×3 by Winograd's filtering.
struct QuickAlexNet : QuickAlexNetFor<10, Winograd> {};

static_assert(QuickAlexNet::shape_after(0) == Shape{24, 31, 31});
static_assert(QuickAlexNet::shape_after(5) == Shape{64, 15, 15});
static_assert(QuickAlexNet::shape_after(9) == Shape{192, 7, 7});
static_assert(QuickAlexNet::shape_after(12) == Shape{256, 7, 7});
static_assert(QuickAlexNet::shape_after(18) == Shape{256, 7, 7});
static_assert(QuickAlexNet::shape_after(19) == Shape{256, 1, 1});
static_assert(QuickAlexNet::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/models/small_alexnet.hpp
// SmallAlexNet: AlexNet's shape scaled for 32×32 images, with batch norm and global average pooling; the network of
// CIFAR-AlexNet.

namespace ctnn::inline CTNN_ISA {

/// For a number of classes, an input and rates of dropout, in front of the last layer and on maps, of one's own.
/// `Options` are those of all convolutions but the first besides their own, such as Winograd.
template <int Classes = 10, class In = Input<3, 32, 32>, double Drop = 0.5, double MapDrop = 0.1, class... Options>
struct SmallAlexNetFor
    : Sequential<
          In,                                                                                                   //
          Conv2d<32, Kernel<5>, Padding<2>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>, Stride<2>>,              //
          Conv2d<64, Kernel<5>, Padding<2>, Options...>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>, Stride<2>>,  //
          Conv2d<128, Kernel<3>, Padding<1>, Options...>, BatchNorm2d<>, ReLU, Dropout2d<MapDrop>,              //
          Conv2d<128, Kernel<3>, Padding<1>, Options...>, BatchNorm2d<>, ReLU, Dropout2d<MapDrop>,              //
          Conv2d<96, Kernel<3>, Padding<1>, Options...>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>, Stride<2>>,  //
          AdaptiveAvgPool2d<1>, Flatten, Dropout<Drop>, Linear<Classes>> {};

/// 387 690 parameters, 31 million live multiply-adds per image.
struct SmallAlexNet : SmallAlexNetFor<> {};

/// The same network, weights exchangeable, with its convolutions behind the first by Winograd's filtering: faster, less
/// exact.
struct SmallAlexNetWinograd : SmallAlexNetFor<10, Input<3, 32, 32>, 0.5, 0.1, Winograd> {};

static_assert(SmallAlexNet::parameter_count == 387'690);
static_assert(SmallAlexNet::shape_after(3) == Shape{32, 16, 16});
static_assert(SmallAlexNet::shape_after(7) == Shape{64, 8, 8});
static_assert(SmallAlexNet::shape_after(11) == Shape{128, 8, 8});
static_assert(SmallAlexNet::shape_after(15) == Shape{128, 8, 8});
static_assert(SmallAlexNet::shape_after(19) == Shape{96, 4, 4});
static_assert(SmallAlexNet::shape_after(20) == Shape{96, 1, 1});
static_assert(SmallAlexNet::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/half_model.hpp
// Linear layers' weights in half precision: inference of few images waits for these to come from memory.

namespace ctnn::inline CTNN_ISA {

/// A copy in half precision of the weights of a model's linear layers, for inference of up to four images or so where
/// these weights are too many for the caches. It pays where the processor widens such numbers by itself (F16C, AVX-512,
/// 64-bit NEON); built for others it takes several times as long as `float`.
///
///     const HalfModel<Net> half{model.view()};
///     const auto logits = forward(half, image, 1, workspace);
///
/// Whatever else it needs it reads from the model, which must outlive it. Convolutions, which wait for arithmetic, keep
/// theirs. Sums and activations stay `float`: what is lost is the rounding of each weight w, at most 2⁻¹¹·|w| or, where
/// that is less, 2⁻²⁵. Weights from 65520 on, which no sound network has, become infinite. Const; any number of threads
/// may use one at the same time.
template <Network Net>
class HalfModel {
    static constexpr const LayerInfo& info(std::size_t layer) { return Net::description.layers[layer]; }
    static constexpr std::int64_t stored(std::size_t layer) { return info(layer).parameters[0].dims.stored(); }
    /// Where a layer's weights begin: on a cache line, in the arena's order.
    static constexpr std::size_t offset(std::size_t layer) {
        std::size_t at = 0;
        for (std::size_t i = 0; i < layer; ++i) {
            if (info(i).kind == LayerKind::linear) {
                at += round_up(static_cast<std::size_t>(stored(i)), block_alignment / sizeof(Half));
            }
        }
        return at;
    }

  public:
    static constexpr std::size_t bytes = offset(Net::layer_count) * sizeof(Half);

    /// Rounds the weights as they are now, on `threads` threads. Throws std::bad_alloc.
    explicit HalfModel(ModelView<Net> model, int threads = default_threads())
        : model_{model}, weights_(bytes / sizeof(Half)) {
        for (std::size_t layer = 0; layer < Net::layer_count; ++layer) {
            if (info(layer).kind != LayerKind::linear) { continue; }
            const float* const from = model.parameters + ParameterLayout<Net>::offset(layer, 0);
            Half* const to = weights_.data() + offset(layer);
            const std::int64_t count = stored(layer), run = 1 << 14;
            parallel_for(static_cast<int>((count + run - 1) / run), threads, [&](int item, int) {
                const std::int64_t begin = item * run;
                std::transform(from + begin, from + std::min(begin + run, count), to + begin, to_half);
            });
        }
    }

    [[nodiscard]] ModelView<Net> model() const { return model_; }
    /// The weights of a linear layer, as WeightDims says.
    [[nodiscard]] const Half* weight(std::size_t layer) const { return weights_.data() + offset(layer); }

  private:
    ModelView<Net> model_;
    AlignedArray<Half> weights_;
};

/// Inference as that of a ModelView, in the same workspace, but with these weights in linear layers.
template <class PlanType, class Observer = NoObserver>
    requires(!PlanType::training && std::same_as<typename PlanType::value_type, float>)
std::span<const float> forward(const HalfModel<typename PlanType::Net>& half, const float* input, int samples,
                               Workspace<PlanType>& workspace, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
    [&]<std::size_t... S>(std::index_sequence<S...>) {
        (
            [&] {
                constexpr StageSpec spec = PlanType::StageList::at(S);
                const auto io = detail::stage_io<PlanType, S>(workspace, half.model(), input, samples);
                if constexpr (spec.head == Head::linear) {
                    PlanType::template Runner<S>::forward(io, half.weight(spec.head_layer));
                } else {
                    PlanType::template Runner<S>::forward(io);
                }
                observer(PlanType::forward_time(S));
            }(),
            ...);
    }(std::make_index_sequence<PlanType::stage_count>{});
    return workspace.output(samples);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/transfer.hpp
// From one network's model to another's: what two networks have in common, such as the features in front of a new head.

namespace ctnn::inline CTNN_ISA {

/// Copies every parameter tensor, and the running statistics of every batch norm, that both networks have under the
/// same name and of the same size; the others stay as they are. Returns the number of parameter tensors copied: of
/// ParameterLayout<To>::tensors, so that a caller notices names that do not match. As PyTorch's
/// load_state_dict(…, strict=False), but for passing over a tensor of another size too, which a new head's are.
template <Network From, Network To, class T>
std::size_t copy_matching(const Model<From, T>& from, Model<To, T>& to) {
    std::size_t copied = 0;
    for (const ParameterSlot& source : ParameterLayout<From>::slots) {
        for (const ParameterSlot& target : ParameterLayout<To>::slots) {
            // Equal dimensions are equal storage, which with the shape also tells tensors of custom layers apart.
            if (source.name != target.name.view() || source.spec.dims != target.spec.dims ||
                source.spec.shape != target.spec.shape) {
                continue;
            }
            std::copy_n(from.parameters().data() + source.offset, source.spec.dims.stored(),
                        to.parameters().data() + target.offset);
            ++copied;
        }
    }
    for (const BufferSlot& source : ParameterLayout<From>::buffers) {
        for (const BufferSlot& target : ParameterLayout<To>::buffers) {
            if (source.mean != target.mean.view() || source.channels != target.channels) { continue; }
            std::copy_n(from.buffers().data() + source.mean_offset, source.channels,
                        to.buffers().data() + target.mean_offset);
            std::copy_n(from.buffers().data() + source.variance_offset, source.channels,
                        to.buffers().data() + target.variance_offset);
            to.buffers().batches_tracked = from.buffers().batches_tracked;
        }
    }
    return copied;
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/testing/gradient_check.hpp
// Gradients against central differences in double: for the library's own tests, and for authors of layers of their own.

namespace ctnn::inline CTNN_ISA {

/// How much check_gradients does. Each tensor is checked along whole random directions, which see every element, and at
/// single elements, which tell where an error is.
struct GradientCheck {
    int samples = 3;
    int directions = 2, entries = 4;  ///< per parameter tensor and for the input
    /// Relative to the derivative, or to the one that a random direction would have. Central differences in double are
    /// good to about 1e-8 here: the rest is margin.
    double tolerance = 1e-6;
    std::uint64_t seed = 1;
    int threads = default_threads();
};

/// What check_gradients found.
struct GradientReport {
    int checked = 0;      ///< derivatives compared
    int significant = 0;  ///< of these, well above the rounding of the differences
    int redrawn = 0;      ///< draws given up because the step crossed a kink
    double worst = 0;     ///< largest error, as a share of what was allowed
    std::string failure;  ///< empty, or a line that names the tensor and the numbers

    [[nodiscard]] bool passed() const { return failure.empty(); }
};

namespace detail {

/// One check of a network: a random model and input, and L = Σ c·y with random c, whose gradient is c.
template <Network Net, Fusion F>
class GradientChecker {
    using Plan = Training<Net, double, F, InputGradient::yes>;
    using Layout = ParameterLayout<Net>;
    static constexpr double epsilon = std::numeric_limits<double>::epsilon();
    static constexpr int tries = 6;

    /// Some elements of an array, their values before any step, and their gradients.
    struct Variable {
        std::string_view name;
        double* values;
        std::vector<std::int64_t> places;
        std::vector<double> original, gradient;
    };

  public:
    explicit GradientChecker(const GradientCheck& settings)
        : settings_{settings},
          model_{Seed{settings.seed}},
          workspace_{settings.samples, settings.threads},
          input_(static_cast<std::size_t>(settings.samples * Net::input_shape.size())),
          coefficients_(static_cast<std::size_t>(settings.samples * Net::output_shape.size())) {
        Random random{settings.seed, Stream::test};
        for (double& v : input_) { v = random.normal(); }
        for (double& v : coefficients_) { v = random.normal(); }
        // Zero biases would put a ReLU whose inputs are padding onto its kink.
        for (const ParameterSlot& slot : Layout::slots) {
            if (slot.spec.decays) { continue; }
            slot.spec.dims.for_canonical(
                [&](std::int64_t at) { model_.parameters().data()[slot.offset + at] += 0.1 * random.normal(); });
        }
    }

    GradientReport run() {
        Parameters<Net, double> gradients = analytic();
        const auto zero = [](double g) { return g == 0; };
        if (std::all_of(gradients.span().begin(), gradients.span().end(), zero) &&
            std::all_of(input_gradient_.begin(), input_gradient_.end(), zero)) {
            fail("all gradients are zero");
            return report_;
        }
        for (const ParameterSlot& slot : Layout::slots) {
            Variable v{slot.name.view(), model_.parameters().data() + slot.offset, {}, {}, {}};
            slot.spec.dims.for_canonical([&](std::int64_t at) {
                v.places.push_back(at);
                v.gradient.push_back(gradients.data()[slot.offset + at]);
            });
            check(v);
        }
        Variable v{"input", input_.data(), {}, {}, input_gradient_};
        for (std::size_t i = 0; i < input_.size(); ++i) { v.places.push_back(static_cast<std::int64_t>(i)); }
        check(v);
        if (report_.significant == 0) {
            fail("no derivative is larger than rounding");
        } else if (report_.redrawn > 2 * report_.checked) {
            fail(fmt::format("{} draws crossed a kink, only {} did not", report_.redrawn, report_.checked));
        }
        return report_;
    }

  private:
    /// Gradients by backward, into arrays full of NaN: what is not written, or added to, stays NaN.
    Parameters<Net, double> analytic() {
        Parameters<Net, double> gradients;
        for (const ParameterSlot& slot : Layout::slots) {
            slot.spec.dims.for_canonical([&](std::int64_t at) {
                gradients.data()[slot.offset + at] = std::numeric_limits<double>::quiet_NaN();
            });
        }
        std::fill(workspace_.bytes().begin(), workspace_.bytes().end(), std::byte{0xFF});
        forward(model_, input_.data(), settings_.samples, workspace_, key());
        std::copy(coefficients_.begin(), coefficients_.end(), workspace_.output_gradient(settings_.samples).begin());
        backward(model_, input_.data(), settings_.samples, workspace_, gradients);
        const auto dx = workspace_.input_gradient(settings_.samples);
        input_gradient_.assign(dx.begin(), dx.end());
        return gradients;
    }

    [[nodiscard]] RandomKey key() const { return {settings_.seed, 1, nullptr}; }

    /// L, and the sum of its terms' sizes, which bounds its rounding.
    double loss() {
        const auto y = forward(model_, input_.data(), settings_.samples, workspace_, key());
        double sum = 0;
        size_ = 0;
        for (std::size_t i = 0; i < coefficients_.size(); ++i) {
            sum += coefficients_[i] * y[i];
            size_ += std::abs(coefficients_[i] * y[i]);
        }
        return sum;
    }

    void check(Variable& v) {
        double squares = 0, gradient_squares = 0;
        for (std::size_t i = 0; i < v.places.size(); ++i) {
            if (!std::isfinite(v.gradient[i])) {
                fail(fmt::format("{}[{}]: the gradient is {}: never written, or added to what was there before", v.name,
                                 i, v.gradient[i]));
                return;
            }
            v.original.push_back(v.values[v.places[i]]);
            squares += v.original[i] * v.original[i];
            gradient_squares += v.gradient[i] * v.gradient[i];
        }
        // Steps follow the tensor's own scale; a typical derivative is the gradient's norm.
        const auto count = static_cast<double>(v.places.size());
        const double unit = squares > 0 ? std::sqrt(squares / count) : 1.0;
        for (int i = 0; i < settings_.directions; ++i) { differences(v, 1e-6 * unit, std::sqrt(gradient_squares), -1); }
        Random random{settings_.seed, Stream::test, draws_};
        for (int i = 0; i < settings_.entries; ++i) {
            const auto entry = static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(v.places.size())));
            differences(v, 1e-4 * unit, std::sqrt(gradient_squares / count), entry);
        }
    }

    /// One derivative: at `entry`, or with −1 along a direction of random signs. `typical` is its likely size.
    void differences(Variable& v, double step, double typical, std::int64_t entry) {
        for (int i = 0; i < tries; ++i, step /= 2) {
            const std::uint64_t draw = ++draws_;
            const auto sign = [&, random = Random{settings_.seed, Stream::test, draw}, n = std::uint32_t{0}]() mutable {
                return random.at(n++) < 0x80000000u ? -1.0 : 1.0;
            };
            const auto moved_loss = [&](double h) {
                auto next = sign;
                for_moved(v, entry, [&](std::size_t j) { v.values[v.places[j]] = v.original[j] + h * next(); });
                const double value = loss();
                for_moved(v, entry, [&](std::size_t j) { v.values[v.places[j]] = v.original[j]; });
                return value;
            };
            const double whole = (moved_loss(step) - moved_loss(-step)) / (2 * step);
            const double half = (moved_loss(step / 2) - moved_loss(-step / 2)) / step;
            double expected = 0;
            auto next = sign;
            for_moved(v, entry, [&](std::size_t j) { expected += v.gradient[j] * next(); });

            const double rounding = 100 * epsilon * size_ / step;
            const double scale = std::max({std::abs(half), std::abs(expected), typical});
            const double allowed = settings_.tolerance * scale + rounding;
            // Between smooth points the two differences agree, whether the gradient is right or wrong.
            if (std::abs(whole - half) > allowed) {
                ++report_.redrawn;
                if (entry >= 0) { entry = (entry + 1) % static_cast<std::int64_t>(v.places.size()); }
                continue;
            }
            ++report_.checked;
            report_.significant += std::abs(half) > 100 * rounding ? 1 : 0;
            const double error = std::abs(half - expected) / allowed;
            report_.worst = std::max(report_.worst, error);
            if (!(error <= 1)) {
                fail(fmt::format("{}{}: backward gives {:.9g}, differences {:.9g}", v.name,
                                 entry < 0 ? ", a direction" : fmt::format("[{}]", entry), expected, half));
            }
            return;
        }
        fail(fmt::format("{}: {} steps in turn crossed a kink", v.name, tries));
    }

    template <class Do>
    static void for_moved(const Variable& v, std::int64_t entry, Do&& f) {
        if (entry >= 0) {
            f(static_cast<std::size_t>(entry));
            return;
        }
        for (std::size_t i = 0; i < v.places.size(); ++i) { f(i); }
    }

    void fail(const std::string& what) {
        if (report_.failure.empty()) { report_.failure = what; }
    }

    GradientCheck settings_;
    Model<Net, double> model_;
    Workspace<Plan> workspace_;
    std::vector<double> input_, coefficients_, input_gradient_;
    double size_ = 0;
    std::uint64_t draws_ = 0;
    GradientReport report_;
};

}  // namespace detail

/// Compares backward with central differences for every parameter tensor and the input of a network, in double, in
/// training mode. A step that crosses a kink of ReLU or max pooling gives itself away, because differences over it and
/// over half of it disagree; it is drawn anew and smaller, a few times at most. Fails when a gradient is wrong, all are
/// zero, some element is never written, or nearly all draws were given up.
///
///     struct Net : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<3>>, Swish> {};
///     const GradientReport report = check_gradients<Net>();
///     if (!report.passed()) { std::puts(report.failure.c_str()); }
template <Network Net, Fusion F = Fusion::full>
GradientReport check_gradients(const GradientCheck& settings = {}) {
    return detail::GradientChecker<Net, F>{settings}.run();
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/early_stopping.hpp
// When to stop: no better epoch for some time.

namespace ctnn::inline CTNN_ISA {

/// Whether a run's best epoch lies `patience` epochs back or more. `scores` are those of all epochs, higher ones
/// better, such as validation accuracies; one is better only if it passes the best before it by more than `min_delta`,
/// and any is better than NaN.
/// A patience of 0 never stops. Keeps no state, so that a resumed run decides by its table of epochs as an unbroken one
/// does.
inline bool stops_early(std::span<const double> scores, int patience, double min_delta = 0.0) {
    if (patience <= 0 || scores.empty()) { return false; }
    std::size_t best = 0;
    for (std::size_t i = 1; i < scores.size(); ++i) {
        if (scores[i] > scores[best] + min_delta || (std::isnan(scores[best]) && !std::isnan(scores[i]))) { best = i; }
    }
    return scores.size() - 1 - best >= static_cast<std::size_t>(patience);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/metrics.hpp
// What a classifier gets right: accuracy, top-5, recall of every class, confusion matrix, mean loss.

namespace ctnn::inline CTNN_ISA {

/// Counts over a test set, batch by batch. Where logits tie, the lower class wins, in top-1 and top-5 alike. A sample
/// with a logit that is NaN is taken for no class: it counts as wrong, and the confusion matrix lacks it. A ratio over
/// no samples is NaN. Adding allocates nothing.
class Metrics {
  public:
    /// Throws ArgumentError on fewer than one class.
    explicit Metrics(int classes) : classes_{classes} {
        if (classes < 1) { raise<ArgumentError>({"metrics: ", classes, " classes, expected at least 1"}); }
        confusion_.resize(static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes));
        samples_of_.resize(static_cast<std::size_t>(classes));
    }

    /// Counts a batch of n × classes logits. Throws ArgumentError on a size that does not fit or a label outside
    /// [0, classes), and counts nothing then.
    template <class T>
    void add(std::span<const T> logits, std::span<const std::int32_t> labels) {
        detail::check_labels(detail::rows_of(logits.size(), classes_), labels, classes_);
        const auto width = static_cast<std::size_t>(classes_);
        for (std::size_t i = 0; i < labels.size(); ++i) {
            const auto row = logits.subspan(i * width, width);
            const auto truth = static_cast<std::size_t>(labels[i]);
            ++samples_of_[truth];
            if (std::any_of(row.begin(), row.end(), [](T x) { return std::isnan(x); })) {
                ++not_numbers_;
                continue;
            }
            std::size_t ahead = 0;  // classes that come before the true one
            for (std::size_t j = 0; j < width; ++j) { ahead += j < truth ? row[j] >= row[truth] : row[j] > row[truth]; }
            top5_ += ahead < 5;
            ++confusion_[truth * width + static_cast<std::size_t>(argmax(row))];
        }
        samples_ += static_cast<std::int64_t>(labels.size());
    }

    /// Counts the losses of a batch, as cross_entropy returns them; its `correct` is not used.
    void add_loss(const LossSum& loss) {
        loss_sum_ += loss.loss_sum;
        losses_ += loss.count;
    }

    /// Adds what another counted. Throws ArgumentError where the numbers of classes differ.
    void merge(const Metrics& other) {
        if (other.classes_ != classes_) {
            raise<ArgumentError>({"metrics: ", other.classes_, " classes cannot be merged into ", classes_});
        }
        for (std::size_t i = 0; i < confusion_.size(); ++i) { confusion_[i] += other.confusion_[i]; }
        for (std::size_t i = 0; i < samples_of_.size(); ++i) { samples_of_[i] += other.samples_of_[i]; }
        top5_ += other.top5_;
        not_numbers_ += other.not_numbers_;
        samples_ += other.samples_;
        loss_sum_ += other.loss_sum_;
        losses_ += other.losses_;
    }

    /// Becomes the sum over the ranks of a distributed::Communicator, on all of them.
    template <class Comm>
    void all_reduce(Comm& comm) {
        std::vector<double> numbers;  // counts below 2⁵³ are exact
        for_each([&](auto& value) { numbers.push_back(static_cast<double>(value)); });
        comm.all_reduce(std::span{numbers});
        std::size_t next = 0;
        for_each([&](auto& value) { value = static_cast<std::remove_reference_t<decltype(value)>>(numbers[next++]); });
    }

    void clear() { *this = Metrics{classes_}; }

    [[nodiscard]] int classes() const { return classes_; }
    [[nodiscard]] std::int64_t samples() const { return samples_; }
    /// Samples with a logit that is NaN.
    [[nodiscard]] std::int64_t not_numbers() const { return not_numbers_; }

    /// Samples of class `truth` that were taken for `predicted`. Throws ArgumentError on a class that is none.
    [[nodiscard]] std::int64_t confusion(int truth, int predicted) const {
        for (const int c : {truth, predicted}) {
            if (c < 0 || c >= classes_) {
                raise<ArgumentError>({"metrics: class ", c, ", expected 0 to ", classes_ - 1});
            }
        }
        return at(truth, predicted);
    }

    /// Share of samples whose largest logit is the true class's.
    [[nodiscard]] double accuracy() const {
        std::int64_t hits = 0;
        for (int c = 0; c < classes_; ++c) { hits += at(c, c); }
        return ratio(static_cast<double>(hits), samples_);
    }

    /// Share of samples whose true class is among the five largest logits.
    [[nodiscard]] double top5() const { return ratio(static_cast<double>(top5_), samples_); }

    /// Per class, the share of its samples that were recognised.
    [[nodiscard]] std::vector<double> recall() const {
        std::vector<double> result;
        result.reserve(static_cast<std::size_t>(classes_));
        for (int truth = 0; truth < classes_; ++truth) {
            result.push_back(
                ratio(static_cast<double>(at(truth, truth)), samples_of_[static_cast<std::size_t>(truth)]));
        }
        return result;
    }

    /// Mean over all samples of all batches given to add_loss, not over batches.
    [[nodiscard]] double mean_loss() const { return ratio(loss_sum_, losses_); }

  private:
    template <class F>
    void for_each(F&& f) {
        for (std::int64_t& count : confusion_) { f(count); }
        for (std::int64_t& count : samples_of_) { f(count); }
        f(top5_), f(samples_), f(not_numbers_), f(losses_), f(loss_sum_);
    }
    [[nodiscard]] std::int64_t at(int truth, int predicted) const {
        return confusion_[static_cast<std::size_t>(truth) * static_cast<std::size_t>(classes_) +
                          static_cast<std::size_t>(predicted)];
    }
    static double ratio(double part, std::int64_t whole) { return detail::ratio(part, static_cast<double>(whole)); }

    int classes_;
    std::vector<std::int64_t> confusion_;   // classes × classes, row = truth
    std::vector<std::int64_t> samples_of_;  // by their class
    std::int64_t top5_ = 0, samples_ = 0, not_numbers_ = 0, losses_ = 0;
    double loss_sum_ = 0.0;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/evaluate.hpp
// What a model says of many images, batch by batch, and how good that is.

namespace ctnn::inline CTNN_ISA {

/// How predict and evaluate look at an image: other views whose logits are averaged with the image's own.
struct EvaluateOptions {
    bool flip = false;  ///< every view's mirror image too
    /// If not 0, the image moved by so many pixels to the upper left and to the lower right (shift_images): the two
    /// together count as much as the image itself (Jordan 2024, arXiv:2404.00498).
    int shift = 0;
};

namespace detail {

struct View {
    std::ptrdiff_t shift;
    bool mirrored;
    float weight;  ///< of all views 1 together
};

inline std::vector<View> views(const EvaluateOptions& options) {
    std::vector<View> views{{0, false, 1.0f}};
    if (options.shift != 0) {
        const std::ptrdiff_t shift = options.shift;
        views = {{0, false, 0.5f}, {-shift, false, 0.25f}, {shift, false, 0.25f}};
    }
    if (options.flip) {
        for (std::size_t i = views.size(); i-- > 0;) {
            views[i].weight *= 0.5f;
            views.insert(views.begin() + static_cast<std::ptrdiff_t>(i) + 1, {views[i].shift, true, views[i].weight});
        }
    }
    return views;
}

}  // namespace detail

/// Calls f(batch, logits) for every batch of an epoch of a loader, which may resize its samples, with the n × outputs
/// of a ModelView or HalfModel; both are valid until f returns, which may be false to stop. Throws ArgumentError
/// when shapes do not fit, or batches are larger than the workspace's.
template <class AnyModel, Network Net, class F>
void predict(const AnyModel& model, BatchLoader& loader, Workspace<Inference<Net, float>>& workspace,
             const EvaluateOptions& options, F&& f) {
    loader.require_shape(Net::input_shape);
    loader.start_epoch(0);
    const std::vector<detail::View> views = detail::views(options);
    const std::size_t samples = views.size() > 1 ? static_cast<std::size_t>(workspace.batch()) : 0;
    AlignedArray<float> moved{samples * static_cast<std::size_t>(Net::input_shape.size())};
    std::vector<float> mean(samples * static_cast<std::size_t>(Net::output_shape.size()));
    while (const MiniBatch* batch = loader.next()) {
        if (batch->size == 0) { continue; }  // of a rank whose share is empty
        detail::check_samples(workspace, batch->size);
        std::span<const float> logits;
        std::fill(mean.begin(), mean.end(), 0.0f);
        for (const detail::View& view : views) {
            std::span<const float> images = batch->images;
            const auto place = moved.span().first(samples == 0 ? 0 : images.size());
            if (view.shift != 0) {
                shift_images(images, Net::input_shape, view.shift, place);
                images = place;
            }
            if (view.mirrored) {
                mirror_images(images, Net::input_shape, place);
                images = place;
            }
            logits = forward(model, images.data(), batch->size, workspace);
            if (views.size() == 1) { break; }
            for (std::size_t i = 0; i < logits.size(); ++i) { mean[i] += view.weight * logits[i]; }
            logits = std::span{mean}.first(logits.size());
        }
        if (!f(*batch, logits)) { return; }
    }
}

/// Loss without smoothing, accuracy, top-5, recalls and confusion on all samples of a loader. Throws as predict does.
template <class AnyModel, Network Net>
Metrics evaluate(const AnyModel& model, BatchLoader& loader, Workspace<Inference<Net, float>>& workspace,
                 const EvaluateOptions& options = {}) {
    static_assert(sizeof(decltype(verdict<detail::LossError<Net>>(pieces_of<detail::LossError<Net>>{}))) > 0);
    Metrics metrics{Net::classes};
    predict(model, loader, workspace, options, [&](const MiniBatch& batch, std::span<const float> logits) {
        metrics.add<float>(logits, batch.labels);
        metrics.add_loss(cross_entropy<float>({}, logits, batch.labels, Net::classes, {}));
        return true;
    });
    return metrics;
}

/// The same on the samples `indices` of a data set, in batches of the workspace's size. Throws ArgumentError when
/// shapes or classes do not fit.
template <class AnyModel, Network Net>
Metrics evaluate(const AnyModel& model, const Dataset& data, std::vector<std::uint32_t> indices,
                 Workspace<Inference<Net, float>>& workspace, const EvaluateOptions& options = {}) {
    if (data.classes() > Net::classes) {
        raise<ArgumentError>(
            {"the data set has ", data.classes(), " classes, expected at most the network's ", Net::classes});
    }
    BatchLoader loader{data, std::move(indices), {.batch_size = workspace.batch(), .shuffle = false}};
    return evaluate(model, loader, workspace, options);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/lars_recipes.hpp
// Settings for AlexNet with large batches by LARS: SystemDS's recommendations, and the paper's.

namespace ctnn::inline CTNN_ISA {

/// What to train an AlexNet with; the rate of a step is scaled_lr(base_lr, batch).
struct LarsHyperparameters {
    double base_lr = 0.0;  ///< for 256 samples
    double warmup_epochs = 0.0;
    int epochs = 0;
    std::string_view warning{};  ///< what speaks against this batch, or nothing
};

/// What SystemDS recommends for a batch size, with batch norm and without it.
constexpr LarsHyperparameters lars_hyperparameters(int batch, bool batch_norm) {
    if (batch_norm) { return {0.02, 5.0, batch > 16384 ? 200 : 100, {}}; }
    return {0.01, 2.0, 100, batch > 4096 ? "batches above 4096 lose accuracy without batch norm" : ""};
}

/// The settings of You, Gitman and Ginsburg 2017 for AlexNet on ImageNet, with batch norm and without it: LARS with
/// trust coefficient 0.001, momentum 0.9 and weight decay 5e-4, a rate that falls with power 2 over 100 epochs behind 2
/// of warmup, 5 with batch norm. Throws ArgumentError for a batch that the paper has no rate for.
inline TrainerSettings lars_paper_recipe(int batch, bool batch_norm) {
    struct Row {
        int batch;
        double lr, lr_batch_norm;
    };
    constexpr Row rows[] = {{512, 2, 2}, {4096, 10, 10}, {8192, 10, 14}, {16384, 14, 23}, {32768, 14, 22}};
    for (const Row& row : rows) {
        if (row.batch != batch) { continue; }
        TrainerSettings s;
        s.optimizer = Lars{};
        s.schedule.kind = ScheduleKind::polynomial;
        s.schedule.lr = batch_norm ? row.lr_batch_norm : row.lr;
        s.schedule.epochs = 100;
        s.schedule.warmup_epochs = batch_norm ? 5.0 : 2.0;
        s.batch_size = batch;
        return s;
    }
    raise<ArgumentError>(
        {"the LARS paper has no rate for batches of ", batch, ", expected one of 512, 4096, 8192, 16384, 32768"});
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/ctnn.hpp
// ctnn: compile-time neural networks. Everything.

