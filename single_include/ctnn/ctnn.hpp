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
#include <exception>
#include <filesystem>
#include <fstream>
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

struct Version {
    int major, minor, patch;
};
inline constexpr Version version{CTNN_VERSION_MAJOR, CTNN_VERSION_MINOR, CTNN_VERSION_PATCH};

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

/// Base of everything ctnn throws at run time. `what()` is one line without a trailing newline.
class Error : public std::runtime_error {
    using std::runtime_error::runtime_error;
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

    constexpr void add(ParameterSpec spec) { parameters[static_cast<std::size_t>(parameter_tensors++)] = spec; }
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

/// Gives every buffer an offset, largest first, each at the lowest place that no buffer live at the same time holds.
/// Returns the units needed in all.
template <std::size_t Count>
constexpr std::int64_t place_buffers(std::array<LiveBuffer, Count>& buffers) {
    std::array<bool, Count> placed{};
    std::int64_t total = 0;
    for (std::size_t round = 0; round < Count; ++round) {
        std::size_t next = Count;
        for (std::size_t i = 0; i < Count; ++i) {
            if (!placed[i] && buffers[i].size > 0 && (next == Count || buffers[i].size > buffers[next].size)) {
                next = i;
            }
        }
        if (next == Count) { break; }
        LiveBuffer& buffer = buffers[next];
        std::int64_t offset = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (std::size_t i = 0; i < Count; ++i) {
                const LiveBuffer& other = buffers[i];
                if (placed[i] && buffer.overlaps(other) && offset < other.offset + other.size &&
                    other.offset < offset + buffer.size) {
                    offset = other.offset + other.size;
                    moved = true;
                }
            }
        }
        buffer.offset = offset;
        placed[next] = true;
        total = total > offset + buffer.size ? total : offset + buffer.size;
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
    Shape shape;
    std::vector<std::uint8_t> pixels;   ///< planes as in CIFAR and PyTorch: sample, channel, row, column
    std::vector<std::uint16_t> labels;  ///< one per sample, below class_names.size()
    std::vector<std::string> class_names;
    Normalization normalization;

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

// ---- ctnn/data/augment.hpp
// What happens to one sample on its way into a batch: random crop, horizontal flip, normalisation, channels last.

namespace ctnn::inline CTNN_ISA {

/// The normalised value of every byte, 256 entries per channel: normalising is one load.
class ByteTable {
  public:
    /// Throws ArgumentError unless `normalization` has a mean and a positive std for each of `channels`.
    ByteTable(const Normalization& normalization, int channels) {
        const auto n = static_cast<std::size_t>(channels);
        if (normalization.mean.size() != n || normalization.std.size() != n) {
            throw ArgumentError{"normalization: " + std::to_string(normalization.mean.size()) + " means and " +
                                std::to_string(normalization.std.size()) + " stds, expected " + std::to_string(n) +
                                " of each, one per channel"};
        }
        values_.resize(n * 256);
        for (std::size_t c = 0; c < n; ++c) {
            const float mean = normalization.mean[c], std = normalization.std[c];
            if (!(std > 0)) {
                throw ArgumentError{"normalization: std of channel " + std::to_string(c) + " is " +
                                    std::to_string(std) + ", expected more than 0"};
            }
            for (std::size_t byte = 0; byte < 256; ++byte) {
                values_[c * 256 + byte] = (static_cast<float>(byte) / 255.0f - mean) / std;
            }
        }
    }

    /// The 256 values of channel `c`.
    [[nodiscard]] const float* channel(int c) const { return values_.data() + 256 * static_cast<std::size_t>(c); }

  private:
    std::vector<float> values_;
};

/// Output pixel (y, x) shows input pixel (y + dy, x + dx), or byte 0 beyond the border; `mirror` then reverses x.
struct Placement {
    int dy = 0, dx = 0;
    bool mirror = false;
    bool operator==(const Placement&) const = default;
};

/// PyTorch's RandomCrop(size, padding) with both offsets in [−padding, padding], then RandomHorizontalFlip(0.5)
/// where `flip` is set. Depends on its arguments alone.
constexpr Placement random_placement(std::uint64_t seed, int epoch, std::uint32_t sample, int padding, bool flip) {
    Random random{seed, Stream::augment, static_cast<std::uint64_t>(epoch), sample};
    const auto offsets = static_cast<std::uint32_t>(2 * padding + 1);
    Placement placement;
    placement.dy = static_cast<int>(random.below(offsets)) - padding;
    placement.dx = static_cast<int>(random.below(offsets)) - padding;
    placement.mirror = random.below(2) == 1 && flip;
    return placement;
}

/// Writes one sample, byte planes (C, H, W), to `out` as normalised floats (H, W, C); both have shape.size()
/// elements. Padding is byte 0 and so is normalised too, as in the usual PyTorch pipeline, which crops before
/// ToTensor and Normalize.
inline void place_image(std::span<const std::uint8_t> planes, Shape shape, const ByteTable& table, Placement placement,
                        float* out) {
    const std::ptrdiff_t channels = shape.channels, height = shape.height, width = shape.width;
    // Columns [begin, end) of the unmirrored output lie on the image.
    const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(-placement.dx, 0, width);
    const std::ptrdiff_t end = std::clamp<std::ptrdiff_t>(width - placement.dx, begin, width);
    const std::ptrdiff_t step = placement.mirror ? -channels : channels;
    for (std::ptrdiff_t y = 0; y < height; ++y) {
        const std::ptrdiff_t from = y + placement.dy;
        const bool row_exists = from >= 0 && from < height;
        for (std::ptrdiff_t c = 0; c < channels; ++c) {
            const float* const value = table.channel(static_cast<int>(c));
            float* const first = out + (y * width + (placement.mirror ? width - 1 : 0)) * channels + c;
            if (!row_exists) {
                for (std::ptrdiff_t x = 0; x < width; ++x) { first[x * step] = value[0]; }
                continue;
            }
            const std::uint8_t* const row = planes.data() + (c * height + from) * width;
            for (std::ptrdiff_t x = 0; x < begin; ++x) { first[x * step] = value[0]; }
            for (std::ptrdiff_t x = begin; x < end; ++x) { first[x * step] = value[row[x + placement.dx]]; }
            for (std::ptrdiff_t x = end; x < width; ++x) { first[x * step] = value[0]; }
        }
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/split.hpp
// Which samples of a set are used, and in which order.

namespace ctnn::inline CTNN_ISA {

/// 0, 1, …, size − 1. Throws ArgumentError when an index does not fit 32 bits.
inline std::vector<std::uint32_t> all_indices(std::size_t size) {
    if (size > 0xFFFF'FFFFu) {
        throw ArgumentError{"data set: " + std::to_string(size) + " samples, expected fewer than 2^32"};
    }
    std::vector<std::uint32_t> indices(size);
    std::iota(indices.begin(), indices.end(), 0u);
    return indices;
}

/// {training, validation}: the last `validation` of `size` samples validate, all before them train.
/// Throws ArgumentError when there are fewer samples than that.
inline std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> split_by_index(std::size_t size,
                                                                                        std::size_t validation) {
    if (validation > size) {
        throw ArgumentError{"split: validation is " + std::to_string(validation) + ", expected at most the " +
                            std::to_string(size) + " samples there are"};
    }
    std::vector<std::uint32_t> training = all_indices(size);
    const auto cut = training.end() - static_cast<std::ptrdiff_t>(validation);
    std::vector<std::uint32_t> held_out(cut, training.end());
    training.erase(cut, training.end());
    return {std::move(training), std::move(held_out)};
}

/// Shuffles in place (Fisher and Yates); the order depends on (seed, epoch) and the order before.
constexpr void shuffle_indices(std::span<std::uint32_t> indices, std::uint64_t seed, int epoch) {
    Random random{seed, Stream::shuffle, static_cast<std::uint64_t>(epoch)};
    for (std::size_t i = indices.size(); i > 1; --i) {
        std::swap(indices[i - 1], indices[random.below(static_cast<std::uint32_t>(i))]);
    }
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/data/loader.hpp
// Batches prepared by a thread beside the training step: shuffled, augmented, normalised, channels last.

namespace ctnn::inline CTNN_ISA {

/// `size` samples, ready to be fed to a network.
struct MiniBatch {
    std::span<const float> images;         ///< size × (height, width, channels), normalised
    std::span<const std::int32_t> labels;  ///< size
    std::span<const std::uint32_t> ids;    ///< size; each sample's index in the data set, which keys dropout
    int size = 0;
};

struct LoaderOptions {
    int batch_size = 128;
    std::uint64_t seed = 0;
    bool shuffle = true;     ///< a new order every epoch, from (seed, epoch)
    bool augment = false;    ///< random crop and flip, from (seed, epoch, sample)
    int crop_padding = 4;    ///< used where `augment` is set
    bool flip = true;        ///< used where `augment` is set
    bool drop_last = false;  ///< leave out the last batch where it is not full
};

/// Iterates over the samples of a data set that `indices` names, in batches:
///
///     BatchLoader loader{data, all_indices(data.size()), {.batch_size = 128, .augment = true}};
///     loader.start_epoch(epoch);
///     while (const MiniBatch* batch = loader.next()) { … }
///
/// One thread prepares the batches behind the one in use. What a batch holds depends on the options, the epoch and its
/// number alone, never on timing. The data set must outlive the loader and stay as it is. To be used from one thread.
class BatchLoader {
  public:
    /// Throws ArgumentError for a data set that contradicts itself, and for arguments out of range.
    BatchLoader(const Dataset& data, std::vector<std::uint32_t> indices, LoaderOptions options)
        : data_{data},
          indices_{std::move(indices)},
          options_{options},
          table_{data.normalization, data.shape.channels} {
        check();
        const std::size_t n = indices_.size(), b = batch_capacity();
        batches_ = static_cast<int>(options_.drop_last ? n / b : (n + b - 1) / b);
        order_ = indices_;
        for (Slot& slot : slots_) {
            slot.images = AlignedArray<float>{b * sample_size()};
            slot.labels.resize(b);
        }
        worker_ = std::thread{[this] { work(); }};
    }
    BatchLoader(const BatchLoader&) = delete;
    BatchLoader& operator=(const BatchLoader&) = delete;
    ~BatchLoader() {
        {
            const std::lock_guard lock{mutex_};
            stop_ = true;
        }
        wake_worker_.notify_one();
        worker_.join();
    }

    /// Begins epoch `epoch` ≥ 0 at batch `first_batch` in [0, batches()], as a resumed run does; whatever was left of
    /// another epoch is dropped, and the batch last returned is no longer valid.
    void start_epoch(int epoch, int first_batch = 0) {
        if (epoch < 0) { fail("epoch", epoch, "at least 0"); }
        if (first_batch < 0 || first_batch > batches_) {
            fail("first_batch", first_batch, "0 to " + std::to_string(batches_));
        }
        {
            const std::lock_guard lock{mutex_};
            ++generation_;
            epoch_ = epoch;
            prepared_ = returned_ = first_batch;
            holding_ = false;
            ordered_ = false;
            running_ = true;
            error_ = nullptr;
        }
        wake_worker_.notify_one();
    }

    /// The next batch, valid until the next call of next() or start_epoch(); null at the end of the epoch and before
    /// the first one. Waits where the thread is behind. Never allocates. Rethrows what stopped the thread.
    const MiniBatch* next() {
        std::unique_lock lock{mutex_};
        holding_ = false;
        wake_worker_.notify_one();
        if (!running_ || returned_ == batches_) { return nullptr; }
        wake_user_.wait(lock, [this] { return prepared_ > returned_ || error_ != nullptr; });
        if (prepared_ == returned_) { std::rethrow_exception(error_); }
        holding_ = true;
        return &slot_of(returned_++).batch;
    }

    /// Batches in an epoch.
    [[nodiscard]] int batches() const { return batches_; }
    /// Samples in an epoch, those that drop_last leaves out not counted.
    [[nodiscard]] std::size_t samples() const {
        return std::min(indices_.size(), static_cast<std::size_t>(batches_) * batch_capacity());
    }
    [[nodiscard]] const LoaderOptions& options() const { return options_; }

  private:
    struct Slot {
        AlignedArray<float> images;
        std::vector<std::int32_t> labels;
        MiniBatch batch;
    };

    template <class Value>
    [[noreturn]] static void fail(const std::string& what, Value value, const std::string& expected) {
        throw ArgumentError{"batch loader: " + what + " is " + std::to_string(value) + ", expected " + expected};
    }

    void check() const {
        if (options_.batch_size < 1) { fail("batch_size", options_.batch_size, "at least 1"); }
        if (options_.crop_padding < 0) { fail("crop_padding", options_.crop_padding, "at least 0"); }
        if (std::min({data_.shape.channels, data_.shape.height, data_.shape.width}) < 1) {
            fail("smallest extent of the images",
                 std::min({data_.shape.channels, data_.shape.height, data_.shape.width}), "at least 1");
        }
        if (data_.pixels.size() != data_.size() * sample_size()) {
            fail("number of pixel bytes", data_.pixels.size(),
                 std::to_string(data_.size()) + " samples of " + std::to_string(sample_size()));
        }
        if (indices_.empty()) { fail("number of indices", 0, "at least 1"); }
        for (const std::uint32_t i : indices_) {
            if (i >= data_.size()) { fail("index", i, "less than the " + std::to_string(data_.size()) + " samples"); }
            if (data_.labels[i] >= data_.class_names.size()) {
                fail("label of sample " + std::to_string(i), data_.labels[i],
                     "less than the " + std::to_string(data_.classes()) + " classes");
            }
        }
        if (options_.drop_last && indices_.size() < batch_capacity()) {
            fail("batch_size", options_.batch_size,
                 "at most the " + std::to_string(indices_.size()) + " samples, as drop_last would leave no batch");
        }
    }

    [[nodiscard]] std::size_t batch_capacity() const { return static_cast<std::size_t>(options_.batch_size); }
    [[nodiscard]] std::size_t sample_size() const { return static_cast<std::size_t>(data_.shape.size()); }
    [[nodiscard]] Slot& slot_of(int batch) { return slots_[static_cast<std::size_t>(batch) % slots_.size()]; }

    /// The thread: fills free slots in order. While it fills one it does not hold the mutex, and an epoch that was
    /// started meanwhile makes the result void.
    void work() {
        std::unique_lock lock{mutex_};
        for (;;) {
            wake_worker_.wait(lock, [this] { return stop_ || has_work(); });
            if (stop_) { return; }
            const std::uint64_t generation = generation_;
            const int epoch = epoch_, batch = prepared_;
            const bool reorder = !std::exchange(ordered_, true);
            std::exception_ptr error;
            lock.unlock();
            try {
                if (reorder) { set_order(epoch); }
                fill(slot_of(batch), epoch, batch);
            } catch (...) { error = std::current_exception(); }
            lock.lock();
            if (generation != generation_) { continue; }
            if (error != nullptr) {
                error_ = error;
            } else {
                ++prepared_;
            }
            wake_user_.notify_one();
        }
    }

    /// A slot is free when neither a batch waiting in it nor the one the user holds is there.
    [[nodiscard]] bool has_work() const {
        const int in_use = prepared_ - returned_ + (holding_ ? 1 : 0);
        return running_ && error_ == nullptr && prepared_ < batches_ && in_use < static_cast<int>(slots_.size());
    }

    void set_order(int epoch) {
        std::copy(indices_.begin(), indices_.end(), order_.begin());
        if (options_.shuffle) { shuffle_indices(order_, options_.seed, epoch); }
    }

    void fill(Slot& slot, int epoch, int batch) const {
        if (data_.pixels.size() != data_.size() * sample_size()) {
            fail("number of pixel bytes", data_.pixels.size(), "a data set that stays as it was");
        }
        const std::size_t begin = static_cast<std::size_t>(batch) * batch_capacity();
        const std::size_t n = std::min(batch_capacity(), order_.size() - begin);
        const std::span<const std::uint32_t> ids = std::span{order_}.subspan(begin, n);
        for (std::size_t i = 0; i < n; ++i) {
            const Placement placement =
                options_.augment ? random_placement(options_.seed, epoch, ids[i], options_.crop_padding, options_.flip)
                                 : Placement{};
            place_image(data_.image(ids[i]), data_.shape, table_, placement, slot.images.data() + i * sample_size());
            slot.labels[i] = data_.labels[ids[i]];
        }
        slot.batch = {slot.images.span().first(n * sample_size()), std::span{slot.labels}.first(n), ids,
                      static_cast<int>(n)};
    }

    const Dataset& data_;
    const std::vector<std::uint32_t> indices_;
    const LoaderOptions options_;
    const ByteTable table_;
    int batches_ = 0;

    std::vector<std::uint32_t> order_;  // of this epoch; the thread's
    std::array<Slot, 3> slots_;         // one with the user, one ready, one being filled

    std::mutex mutex_;  // guards everything below
    std::condition_variable wake_worker_, wake_user_;
    std::uint64_t generation_ = 0;
    int epoch_ = 0;
    int prepared_ = 0, returned_ = 0;  // batches of this epoch
    bool holding_ = false, ordered_ = false, running_ = false, stop_ = false;
    std::exception_ptr error_;

    std::thread worker_;
};

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
CTNN_ONE_COPY void work_on(Share* share, int shares, int run, int thread, F& f) {
    for (int s = 0; s < shares; ++s) {
        Share& mine = share[(thread + s) % shares];
        for (int begin = mine.next.fetch_add(run); begin < mine.end; begin = mine.next.fetch_add(run)) {
            for (int i = begin; i < std::min(begin + run, mine.end); ++i) { f(i, thread); }
        }
    }
}

}  // namespace detail

/// Calls f(item, thread) for every item in [0, items), each once; f must not throw. Every thread begins with a
/// contiguous share of its own, the same in every loop, so that what it touched before is still in its cache; a thread
/// that has finished helps with the shares of those that other work on the machine holds up. The team is always
/// `threads` strong, because OpenMP's runtimes keep a team that does not change and allocate for one that does.
template <class F>
void parallel_for(int items, int threads, F&& f) {
#if defined(_OPENMP)
    if (items > 1 && threads > 1) {
        constexpr int most = 64;
        const int shares = std::min({items, threads, most});
        std::array<detail::Share, most> share;
        for (int s = 0; s < shares; ++s) {
            share[static_cast<std::size_t>(s)].next = static_cast<int>(std::int64_t{items} * s / shares);
            share[static_cast<std::size_t>(s)].end = static_cast<int>(std::int64_t{items} * (s + 1) / shares);
        }
        const int run = std::max(1, items / (shares * 8));
#pragma omp parallel num_threads(threads)
        detail::work_on(share.data(), shares, run, omp_get_thread_num(), f);
        return;
    }
#else
    static_cast<void>(threads);
#endif
    detail::Share all{0, items};
    detail::work_on(&all, 1, std::max(items, 1), 0, f);
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

    for (std::int32_t y = 0; y < side; ++y) {
        for (std::int32_t x = 0; x < side; ++x) {
            std::array<int, 3> points{};  // how many of the four show each colour
            for (std::int32_t k = 0; k < 4; ++k) {
                const std::int32_t dx = 16 * x + 4 + 8 * (k % 2) - centre_x, dy = 16 * y + 4 + 8 * (k / 2) - centre_y;
                if (!inside(outline, figure.u(dx, dy) >> 10, figure.v(dx, dy) >> 10)) {
                    ++points[0];
                    continue;
                }
                std::int32_t index = (weave.u(dx, dy) + phase) >> 20;
                if (texture == Texture::checks) { index += (weave.v(dx, dy) + phase) >> 20; }
                ++points[index % 2 == 0 ? 1 : 2];
            }
            for (std::size_t c = 0; c < 3; ++c) {
                const int clean =
                    (points[0] * colours[0][c] + points[1] * colours[1][c] + points[2] * colours[2][c]) / 4;
                // The sum of four random bytes is nearly normal, with mean 510 and standard deviation 148.
                const std::uint32_t bits = random.next();
                const auto sum = static_cast<int>((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
                const int value = clean + (sum - 510) * noise / 148;
                planes[c * side * side + static_cast<std::size_t>(y * side + x)] =
                    static_cast<std::uint8_t>(value < 0     ? 0
                                              : value > 255 ? 255
                                                            : value);
            }
        }
    }
}

inline Dataset draw_figures(std::size_t count, std::uint64_t seed, std::uint64_t split) {
    Dataset set{.shape = {3, 32, 32},
                .pixels = std::vector<std::uint8_t>(count * 3 * 32 * 32),
                .labels = std::vector<std::uint16_t>(count),
                .class_names = {"striped disc", "striped square", "striped triangle", "striped ring", "striped cross",
                                "checked disc", "checked square", "checked triangle", "checked ring", "checked cross"},
                .normalization = {{0.32f, 0.32f, 0.32f}, {0.25f, 0.25f, 0.25f}}};
    constexpr std::size_t chunk = 64;
    parallel_for(static_cast<int>((count + chunk - 1) / chunk), default_threads(), [&](int c, int) {
        const std::size_t first = static_cast<std::size_t>(c) * chunk;
        for (std::size_t i = first; i < std::min(first + chunk, count); ++i) {
            const std::size_t label = i % 10;
            set.labels[i] = static_cast<std::uint16_t>(label);
            draw_figure(Random{seed, Stream::synthetic, split, static_cast<std::uint32_t>(i)},
                        static_cast<Outline>(label % 5), static_cast<Texture>(label / 5),
                        std::span{set.pixels}.subspan(i * 3 * 32 * 32, 3 * 32 * 32));
        }
    });
    return set;
}

}  // namespace detail

/// Two sets of 3×32×32 images of ten classes, {striped, checked} × {disc, square, triangle, ring, cross}. Colours,
/// position, size, rotation, weave and noise vary per sample, so that no linear function of the pixels tells the
/// classes apart, while a small convolutional network does. Sample i has label i mod 10 and depends on (seed, split, i)
/// alone: a longer set begins with the shorter one. Throws ArgumentError from 2^32 samples on.
inline TrainTest make_synthetic(std::size_t train, std::size_t test, std::uint64_t seed) {
    for (const std::size_t count : {train, test}) {
        if (count > 0xFFFF'FFFFu) {
            throw ArgumentError{"synthetic set: " + std::to_string(count) + " samples, expected fewer than 2^32"};
        }
    }
    return {detail::draw_figures(train, seed, 0), detail::draw_figures(test, seed, 1)};
}

}  // namespace ctnn::inline CTNN_ISA

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
    constexpr std::string_view hex = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            (out += '\\') += c;
        } else if (code < 0x20 || code == 0x7F) {
            ((out += "\\u00") += hex[code >> 4]) += hex[code & 15];
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
            wrong(place, "an integer from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
                             std::to_string(std::numeric_limits<T>::max()));
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
        const std::string member_place = std::string{place} + ": key " + detail::shown(key);
        if (member == nullptr) {
            static_cast<void>(get<Object>(place));
            throw FileError{member_place + ": found nothing, expected the key and a value"};
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
        if (!std::isfinite(x)) { throw ArgumentError{"JSON number: found " + shortest(x) + ", expected a finite one"}; }
        const std::string digits = shortest(x);
        text += digits;
        if (digits.find_first_of(".e") == std::string::npos) { text += ".0"; }  // a double stays one
    }
    void append(const std::string& x, int) {
        if (const auto valid = utf8_prefix(x); valid != x.size()) {
            throw ArgumentError{"JSON string " + shown(std::string_view{x}.substr(0, valid)) +
                                ": found a byte that is not UTF-8 behind it, expected UTF-8"};
        }
        append_quoted(text, x);
    }
    void append(const Json::Array& x, int depth) {
        list('[', ']', x, depth, [&](const Json& item) { write(item, depth + 1); });
    }
    void append(const Json::Object& x, int depth) {
        if (const auto i = duplicate_key(x)) {
            throw ArgumentError{"JSON object: found the key " + shown(x[*i].first) + " twice, expected it once"};
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
            throw ArgumentError{"JSON value: found more than " + std::to_string(json_depth_limit) +
                                " levels, expected no more"};
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
        if (indent_ > 0) { (text += '\n').append(static_cast<std::size_t>(indent_ * depth), ' '); }
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
    throw FileError{std::string{place} + ": found " + std::visit(Describe{}, value_) + ", expected " +
                    std::string{expected}};
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
        throw FileError{std::string{source_} + ": offset " + std::to_string(first_offset_ + at) + ": found " + found +
                        ", expected " + std::string{expected}};
    }
    [[noreturn]] void fail(std::string_view expected) const { fail(at_, found(at_), expected); }

    [[nodiscard]] std::string found(std::size_t at) const {
        if (at >= text_.size()) { return "the end"; }
        const auto code = static_cast<unsigned char>(text_[at]);
        if (code > 0x20 && code < 0x7F) { return std::string{'\''} + text_[at] + '\''; }
        return "the byte " + std::to_string(code);
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
        if (depth == json_depth_limit) { fail(at_, "one level more", "at most " + std::to_string(json_depth_limit)); }
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
            fail(offsets[*i], "the key " + shown(members[*i].first) + " again", "each key once");
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
            fail(start, "an integer of " + std::to_string(token.size()) + " characters", "one of 64 bits");
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
        throw FileError{path.string() + ": found a " +
                        (std::filesystem::is_directory(status) ? "directory" : "special file") +
                        ", expected a regular file"};
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
        if (!stream_) { throw detail::file_error(path_, "open", errno != 0 ? errno : EIO); }
        std::error_code error;
        size_ = std::filesystem::file_size(path_, error);
        if (error) { throw detail::file_error(path_, "find the size", error.value()); }
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    /// Bytes in the whole file, at the time of opening.
    [[nodiscard]] std::uintmax_t size() const { return size_; }

    /// Fills `out` with the next bytes; fewer are an error.
    void read(std::span<std::byte> out) {
        errno = 0;
        stream_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
        const auto count = static_cast<std::uintmax_t>(stream_.gcount());
        if (stream_.bad()) { throw detail::file_error(path_, "read", errno != 0 ? errno : EIO); }
        if (count != out.size()) {
            throw FileError{path_.string() + ": offset " + std::to_string(offset_ + count) +
                            ": found the end of the file, expected " + std::to_string(out.size() - count) +
                            " bytes more"};
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

/// A new file beside `target` that takes its place on commit(), and is removed when that does not happen.
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

    void commit() {
        if (::fsync(descriptor_) != 0) { fail("sync"); }
        if (::close(std::exchange(descriptor_, -1)) != 0) { fail("close"); }  // some network disks fail only here
        if (::rename(path_.c_str(), target_.c_str()) != 0) { fail("replace"); }
        committed_ = true;
        sync_directory();
    }

  private:
    [[noreturn]] void fail(std::string_view action) const { throw file_error(target_, action, errno); }

    /// Makes the rename itself survive a power cut. File systems that cannot sync a directory say EINVAL.
    void sync_directory() const {
        const auto directory = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path{"."};
        const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) { return; }  // writable but not readable: nothing can be done
        const int error = ::fsync(descriptor) == 0 ? 0 : errno;
        ::close(descriptor);
        if (error != 0 && error != EINVAL) { throw file_error(directory, "sync the directory", error); }
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

    void commit() {
        errno = 0;
        stream_.close();
        if (!stream_) { fail("write"); }
        std::error_code error;
        std::filesystem::rename(path_, target_, error);
        if (error) { throw FileError{target_.string() + ": cannot replace: " + error.message()}; }
        committed_ = true;
    }

  private:
    [[noreturn]] void fail(std::string_view action) const {
        throw file_error(target_, action, errno != 0 ? errno : EIO);
    }

    std::filesystem::path target_, path_;
    std::ofstream stream_;
    bool committed_ = false;
};

#endif

}  // namespace detail

/// Makes `path` a file of the given parts, one after the other: a temporary file in the same directory, synced, then
/// renamed over `path`, then the directory synced. On any failure the temporary file is removed, an old file at
/// `path` is whole and unchanged, and FileError says what failed. A symbolic link at `path` is itself replaced.
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
    std::string out{dtype_info(dtype).name};
    out += " [";
    for (std::size_t i = 0; i < shape.size(); ++i) { (out += i > 0 ? ", " : "") += std::to_string(shape[i]); }
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
            throw FileError{"tensor " + detail::shown(name) + ": found " + detail::shown(dtype, shape) + ", expected " +
                            std::to_string(std::ranges::size(out)) + " elements of " +
                            std::string{dtype_info(expected).name}};
        }
        std::ranges::copy(data, to.begin());
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
        const auto at = std::ranges::find(tensors, name, &TensorView::name);
        return at == tensors.end() ? nullptr : &*at;
    }

    /// The tensor of this name, type and shape. Throws FileError where it is missing or of another kind.
    [[nodiscard]] const TensorView& require(std::string_view name, Dtype dtype,
                                            std::span<const std::int64_t> shape) const {
        const TensorView* tensor = find(name);
        if (tensor == nullptr || tensor->dtype != dtype || !std::ranges::equal(tensor->shape, shape)) {
            throw FileError{source + ": tensor " + detail::shown(name) + ": found " +
                            (tensor ? detail::shown(tensor->dtype, tensor->shape) : "none of this name") +
                            ", expected " + detail::shown(dtype, shape)};
        }
        return *tensor;
    }

    /// The metadata of this key, or nullptr.
    [[nodiscard]] const std::string* find_metadata(std::string_view key) const {
        const auto at = std::ranges::find(metadata, key, &SafetensorsMetadata::value_type::first);
        return at == metadata.end() ? nullptr : &at->second;
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
    const auto known = std::ranges::find(dtype_infos, dtype_name, &DtypeInfo::name);
    if (known == dtype_infos.end()) {
        throw FileError{place + ": found the dtype " + shown(dtype_name) + ", expected one of BOOL, F4 … U64"};
    }
    dtype = static_cast<Dtype>(known - dtype_infos.begin());

    for (const Json& n : entry.field<Json::Array>("shape", place)) {
        shape.push_back(n.get<std::int64_t>(place + ": shape"));
    }
    const auto bytes = tensor_bytes(dtype, shape);
    if (!bytes) {
        throw FileError{place + ": found " + shown(dtype, shape) +
                        ", expected dimensions of at least 0 whose product is a number of whole bytes below 2^61"};
    }

    const auto& offsets = entry.field<Json::Array>("data_offsets", place);
    if (offsets.size() != 2) {
        throw FileError{place + ": found " + std::to_string(offsets.size()) + " data_offsets, expected 2"};
    }
    result.begin = offsets[0].get<std::uint64_t>(place + ": data_offsets");
    result.end = offsets[1].get<std::uint64_t>(place + ": data_offsets");
    if (result.end < result.begin || result.end - result.begin != *bytes) {
        throw FileError{place + ": found data_offsets [" + std::to_string(result.begin) + ", " +
                        std::to_string(result.end) + "], expected " + std::to_string(*bytes) + " bytes for " +
                        shown(dtype, shape)};
    }
    return result;
}

}  // namespace detail

/// Reads a whole file. Throws FileError, which names the source, the tensor or offset, what was found and what was
/// expected, for anything that is not a complete and gapless safetensors file.
inline SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, std::string_view source_name) {
    SafetensorsFile file{std::string{source_name}, {}, {}};
    const auto fail = [&](const std::string& what) { throw FileError{file.source + ": " + what}; };
    if (bytes.size() < 8) { fail("found " + std::to_string(bytes.size()) + " bytes, expected at least 8"); }

    std::uint64_t header_size = 0;
    for (std::size_t i = 8; i-- > 0;) { header_size = header_size << 8 | std::to_integer<std::uint64_t>(bytes[i]); }
    if (header_size > safetensors_header_limit || header_size > bytes.size() - 8) {
        fail("offset 0: found a header of " + std::to_string(header_size) + " bytes, expected at most " +
             std::to_string(std::min<std::uint64_t>(bytes.size() - 8, safetensors_header_limit)));
    }
    const auto data = bytes.subspan(8 + static_cast<std::size_t>(header_size));
    const std::string_view text{reinterpret_cast<const char*>(bytes.data()) + 8, static_cast<std::size_t>(header_size)};
    if (!text.starts_with('{')) { fail("offset 8: found no '{', expected the header to begin with it"); }

    const Json header = parse_json(text, file.source, 8);
    std::vector<detail::TensorEntry> entries;
    for (const auto& [name, value] : header.get<Json::Object>(file.source)) {
        if (name == detail::metadata_key) {
            const std::string place = file.source + ": __metadata__";
            for (const auto& [key, text_value] : value.get<Json::Object>(place)) {
                file.metadata.emplace_back(key, text_value.get<std::string>(place + ": key " + detail::shown(key)));
            }
        } else {
            entries.push_back(detail::parse_tensor_entry(name, value, file.source + ": tensor " + detail::shown(name)));
        }
    }

    std::ranges::sort(entries, {},
                      [](const auto& e) { return std::tuple{e.begin, e.end, std::string_view{e.tensor.name}}; });
    std::uint64_t end = 0;
    for (auto& [tensor, entry_begin, entry_end] : entries) {
        const std::string place = "tensor " + detail::shown(tensor.name);
        if (entry_begin != end) {
            fail(place + ": found its data at " + std::to_string(entry_begin) + ", expected " + std::to_string(end) +
                 ", where the data before it end");
        }
        if (entry_end > data.size()) {
            fail(place + ": found " + std::to_string(data.size()) + " bytes of data in the file, expected at least " +
                 std::to_string(entry_end));
        }
        end = entry_end;
        tensor.data =
            data.subspan(static_cast<std::size_t>(entry_begin), static_cast<std::size_t>(entry_end - entry_begin));
        file.tensors.push_back(std::move(tensor));
    }
    if (end != data.size()) {
        fail("found " + std::to_string(data.size()) + " bytes of data, expected " + std::to_string(end) +
             ", where the last tensor ends");
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
    std::ranges::sort(order, [](const TensorView* a, const TensorView* b) {
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
            throw ArgumentError{"tensor " + shown(tensor->name) + ": found " + std::to_string(tensor->data.size()) +
                                " bytes of data, expected those of " + shown(tensor->dtype, tensor->shape) +
                                " and a name other than __metadata__"};
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
        throw ArgumentError{"safetensors header: found " + std::to_string(text.size()) + " bytes, expected at most " +
                            std::to_string(safetensors_header_limit)};
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

// ---- ctnn/core/initialize.hpp
// Initial values of parameters, one number at a time, so that the caller chooses stream, order and threads.

namespace ctnn::inline CTNN_ISA {

/// The next value of a tensor with this initialiser; formulas at InitKind. Uniform ones lie in [−bound, bound).
/// Constant kinds draw nothing from the stream. Throws ArgumentError where the formula needs a fan that is not
/// positive.
inline double init_value(const Init& init, std::int64_t fan_in, std::int64_t fan_out, Random& stream) {
    const auto inverse = [](std::int64_t fan) {
        if (fan < 1) {
            throw ArgumentError("initialiser: the fan is " + std::to_string(fan) + ", expected at least 1");
        }
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
        case InitKind::pytorch_default: return uniform(std::sqrt(inverse(fan_in)));
    }
    throw ArgumentError("initialiser: unknown kind " + std::to_string(static_cast<int>(init.kind)));
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

template <class T>
struct LayersOf {
    using type = std::tuple<T>;
};
template <Literal BlockName, class... Layers>
struct LayersOf<Block<BlockName, Layers...>> {
    using type = decltype(std::tuple_cat(typename LayersOf<Layers>::type{}...));
};
template <class... Layers>
using FlatLayers = decltype(std::tuple_cat(typename LayersOf<Layers>::type{}...));

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
    using types = FlatLayers<First, Layers...>;
    static constexpr std::size_t count = 0;
    static constexpr Description<1> make() {
        Description<1> d;
        d.error << "a network begins with its input; write Sequential<Input<channels, height, width>, ...>";
        return d;
    }
};

template <int C, int H, int W, class... Layers>
struct Described<Input<C, H, W>, Layers...> {
    using types = FlatLayers<Layers...>;
    static constexpr std::size_t count = std::tuple_size_v<types>;
    static constexpr auto make() {
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
    }
};

/// What `verdict` asks for the sentence.
template <class First, class... Layers>
struct NetworkError {
    static constexpr Sentence sentence = Described<First, Layers...>::make().error;
    static constexpr std::string_view error() { return sentence.view(); }
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
    static constexpr auto description = detail::Described<First, Layers...>::make();
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

/// A network's numbers. Const in inference.
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
        parameters_ = {};
        buffers_ = {};
        for (std::size_t i = 0; i < Layout::tensors; ++i) {
            const ParameterSlot& slot = Layout::slots[i];
            const WeightDims& d = slot.spec.dims;
            Random random{seed.value, Stream::init, i};
            d.for_canonical([&](std::int64_t stored) {
                parameters_.data()[slot.offset + stored] =
                    static_cast<T>(init_value(slot.spec.init, slot.spec.fan_in, slot.spec.fan_out, random));
            });
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

// ---- ctnn/io/weights.hpp
// A model as a file: safetensors with the names, shapes and element order of PyTorch's state_dict.

namespace ctnn::inline CTNN_ISA {

/// What evaluating needs besides numbers; kept in a file's metadata.
struct ModelInfo {
    std::string model;  ///< a name, such as "SmallAlexNet"
    Normalization normalization;
    std::vector<std::string> class_names;
    bool operator==(const ModelInfo&) const = default;
};

namespace detail {

/// Converts between storage and the order of files, by all threads: f(stored place, canonical place).
template <class F>
void for_stored_and_canonical(const WeightDims& d, F&& f) {
    const std::int64_t per_out = std::int64_t{d.in} * d.kernel_y * d.kernel_x;
    parallel_for(d.groups * d.out, default_threads(), [&](int row, int) {
        std::int64_t canonical = row * per_out;
        for (int i = 0; i < d.in; ++i) {
            for (int y = 0; y < d.kernel_y; ++y) {
                for (int x = 0; x < d.kernel_x; ++x) {
                    f(d.stored_offset(row / d.out, row % d.out, i, y, x), canonical++);
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
            views_.push_back(
                tensor_view(prefix + std::string{slot.name.view()}, shape_of(slot.spec), std::span{values}));
        }
    }
    /// Adds the running statistics, as PyTorch's batch norm does: running_mean, running_var, num_batches_tracked.
    void add_buffers(const Buffers<Net, T>& buffers) {
        for (const BufferSlot& slot : Layout::buffers) {
            const auto n = static_cast<std::size_t>(slot.channels);
            const auto add = [&](const Name& name, std::int64_t offset) {
                const auto values = buffers.span().subspan(static_cast<std::size_t>(offset), n);
                views_.push_back(tensor_view(std::string{name.view()}, {slot.channels}, values));
            };
            add(slot.mean, slot.mean_offset);
            add(slot.variance, slot.variance_offset);
            views_.push_back(tensor_view(std::string{slot.batches.view()}, {}, std::span{&buffers.batches_tracked, 1}));
        }
    }
    [[nodiscard]] std::span<const TensorView> views() const { return views_; }

    static std::vector<std::int64_t> shape_of(const ParameterSpec& spec) {
        return {spec.shape.begin(), spec.shape.begin() + spec.rank};
    }

    /// Throws FileError unless the file holds every tensor of an arena in the right type and shape.
    static void check_arena(const SafetensorsFile& file, const std::string& prefix = "") {
        for (const ParameterSlot& slot : Layout::slots) {
            static_cast<void>(file.require(prefix + std::string{slot.name.view()}, dtype_of<T>(), shape_of(slot.spec)));
        }
    }
    static void check_buffers(const SafetensorsFile& file) {
        for (const BufferSlot& slot : Layout::buffers) {
            const std::array<std::int64_t, 1> shape{slot.channels};
            static_cast<void>(file.require(slot.mean.view(), dtype_of<T>(), shape));
            static_cast<void>(file.require(slot.variance.view(), dtype_of<T>(), shape));
            static_cast<void>(file.require(slot.batches.view(), Dtype::i64, {}));
        }
    }
    /// Throws FileError where the file holds a tensor that is neither a model's nor one of an arena under `prefix`.
    static void check_known(const SafetensorsFile& file, const std::string& prefix = "") {
        for (const TensorView& tensor : file.tensors) {
            const std::string& name = tensor.name;
            const bool parameter = std::ranges::any_of(Layout::slots, [&](const ParameterSlot& slot) {
                return name == slot.name.view() || name == prefix + std::string{slot.name.view()};
            });
            const bool buffer = std::ranges::any_of(Layout::buffers, [&](const BufferSlot& slot) {
                return name == slot.mean.view() || name == slot.variance.view() || name == slot.batches.view();
            });
            if (!parameter && !buffer) {
                throw FileError(file.source + ": tensor " + detail::shown(name) + ": found " +
                                detail::shown(tensor.dtype, tensor.shape) + ", expected none of this name");
            }
        }
    }

    /// Reads an arena that check_arena has passed.
    static void read_arena(const SafetensorsFile& file, std::span<T> arena, const std::string& prefix = "") {
        std::vector<T> values;
        for (const ParameterSlot& slot : Layout::slots) {
            values.resize(static_cast<std::size_t>(slot.spec.dims.count()));
            file.find(prefix + std::string{slot.name.view()})->copy_to(values);
            detail::for_stored_and_canonical(slot.spec.dims, [&](std::int64_t stored, std::int64_t canonical) {
                arena[static_cast<std::size_t>(slot.offset + stored)] = values[static_cast<std::size_t>(canonical)];
            });
        }
    }
    static void read_buffers(const SafetensorsFile& file, Buffers<Net, T>& buffers) {
        for (const BufferSlot& slot : Layout::buffers) {
            const auto n = static_cast<std::size_t>(slot.channels);
            file.find(slot.mean.view())->copy_to(buffers.span().subspan(static_cast<std::size_t>(slot.mean_offset), n));
            file.find(slot.variance.view())
                ->copy_to(buffers.span().subspan(static_cast<std::size_t>(slot.variance_offset), n));
            file.find(slot.batches.view())->copy_to(std::span{&buffers.batches_tracked, 1});
        }
    }

  private:
    std::vector<std::vector<T>> floats_;
    std::vector<TensorView> views_;
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
    const auto array = [&](const char* key) {
        const std::string* text = file.find_metadata(key);
        return text == nullptr ? Json{Json::Array{}} : parse_json(*text, file.source + ": metadata '" + key + "'");
    };
    const auto floats = [&](const char* key) {
        std::vector<float> values;
        const Json json = array(key);
        for (const Json& x : json.template get<Json::Array>(file.source)) {
            values.push_back(static_cast<float>(x.template get<double>(file.source)));
        }
        return values;
    };
    if (const std::string* name = file.find_metadata("model")) { info.model = *name; }
    info.normalization = {floats("mean"), floats("std")};
    const Json names = array("classes");
    for (const Json& x : names.template get<Json::Array>(file.source)) {
        info.class_names.push_back(x.template get<std::string>(file.source));
    }
    return info;
}

}  // namespace detail

/// Writes a model to `path`: temporary file, sync, rename, so that an older file stays whole until the new one is.
/// Equal models and infos give equal bytes. Throws FileError.
template <Network Net, class T>
void save_weights(const std::filesystem::path& path, const Model<Net, T>& model, const ModelInfo& info) {
    StateDict<Net, T> state;
    state.add_arena(model.parameters().span());
    state.add_buffers(model.buffers());
    save_safetensors(path, state.views(), detail::info_metadata(info));
}

/// What a file says of its model: enough to choose the network's type before load_weights. Empty where the file says
/// nothing, as those of PyTorch. Throws FileError.
inline ModelInfo load_model_info(const std::filesystem::path& path) {
    const std::vector<std::byte> bytes = read_file(path);
    return detail::read_info(parse_safetensors(bytes, path.string()));
}

/// Reads a model that save_weights or PyTorch wrote, and what the file says of it. Throws FileError, which names the
/// first tensor that is missing, of another shape or type, or unknown to the network; the model then stays as it was.
template <Network Net, class T>
ModelInfo load_weights(const std::filesystem::path& path, Model<Net, T>& model) {
    using State = StateDict<Net, T>;
    const std::vector<std::byte> bytes = read_file(path);
    const SafetensorsFile file = parse_safetensors(bytes, path.string());
    State::check_arena(file);
    State::check_buffers(file);
    State::check_known(file);
    ModelInfo info = detail::read_info(file);
    State::read_arena(file, model.parameters().span());
    State::read_buffers(file, model.buffers());
    return info;
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

namespace ctnn::inline CTNN_ISA {

/// Stands for 'no vector unit': vectors of one element. Selected by -DCTNN_FORCE_SCALAR.
struct ScalarArch {};

#if defined(CTNN_FORCE_SCALAR)
using DefaultArch = ScalarArch;
#else
using DefaultArch = xsimd::default_arch;
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
    static Vec load(const T* p, int count) { return {count > 0 ? *p : T{}}; }
    static Vec broadcast(T x) { return {x}; }
    void store(T* p) const { *p = v; }
    void store(T* p, int count) const {
        if (count > 0) { *p = v; }
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
    friend Vec where_greater(Vec a, Vec b, Vec yes, Vec no) { return a.v > b.v ? yes : no; }
    friend Vec where_greater_or_nan(Vec a, Vec b, Vec yes, Vec no) { return a.v > b.v || a.v != a.v ? yes : no; }
    friend T sum(Vec a) { return a.v; }
};

#if !defined(CTNN_FORCE_SCALAR)
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
    friend CTNN_ALWAYS_INLINE Vec pow(Vec a, Vec b) { return {xsimd::pow(a.v, b.v)}; }
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
/// `store(p, v)` touch only what exists.
template <class T, class Arch = DefaultArch, class F>
CTNN_ALWAYS_INLINE void for_vectors(std::ptrdiff_t count, F&& f) {
    using V = Vec<T, Arch>;
    std::ptrdiff_t i = 0;
    for (; i + V::width <= count; i += V::width) {
        f(i, [](const T* p) { return V::load(p); }, [](T* p, V v) { v.store(p); });
    }
    if (i < count) {
        const int left = static_cast<int>(count - i);
        f(i, [left](const T* p) { return V::load(p, left); }, [left](T* p, V v) { v.store(p, left); });
    }
}

/// Stores a whole vector at an address that is a multiple of its size, past the caches where the machine can: for
/// what is larger than they are. finish_streams() must follow before another thread reads.
template <class T, class Arch>
CTNN_ALWAYS_INLINE void stream(T* p, Vec<T, Arch> x) {
#if defined(__AVX512F__) && !defined(CTNN_FORCE_SCALAR)
    if constexpr (sizeof(x.v) == 64 && std::is_same_v<T, float>) { return _mm512_stream_ps(p, x.v); }
#endif
#if defined(__AVX__) && !defined(CTNN_FORCE_SCALAR)
    if constexpr (sizeof(x.v) == 32 && std::is_same_v<T, float>) { return _mm256_stream_ps(p, x.v); }
#endif
    x.store(p);
}
CTNN_ALWAYS_INLINE void finish_streams() {
#if defined(__AVX__) && !defined(CTNN_FORCE_SCALAR)
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

/// out[c] = Σ_row rows[row, c] in row order, accumulated in double; rows lie `stride` elements apart.
template <class T>
void add_rows(const T* rows, std::ptrdiff_t stride, int count, int channels, T* out) {
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

// ---- ctnn/kernels/pooling.hpp
// Max and average pooling over channels-last maps, forward and backward, band by band.

namespace ctnn::inline CTNN_ISA {

struct PoolDims {
    Shape in, out;
    Window window;
    constexpr bool operator==(const PoolDims&) const = default;
};

/// Output rows [row_begin, row_end) of activation(max over the window of x · scale + shift); scale and shift may be
/// null. `x` is where input row 0 would be: only rows that the windows meet are read. `places` (may be null) gets the
/// tap of the maximum, ky · kernel width + kx, one byte per output. `y` and `places` begin at output row 0.
template <PoolDims D, Activation A, class T, class Arch = DefaultArch>
void max_pool_rows(const T* x, const T* scale, const T* shift, T* y, std::uint8_t* places, int row_begin, int row_end) {
    using V = Vec<T, Arch>;
    constexpr int channels = D.in.channels;
    for (int oy = row_begin; oy < row_end; ++oy) {
        const int ky_begin = D.window.y.live_begin(oy), ky_end = D.window.y.live_end(oy, D.in.height);
        for (int ox = 0; ox < D.out.width; ++ox) {
            const int kx_begin = D.window.x.live_begin(ox), kx_end = D.window.x.live_end(ox, D.in.width);
            const std::ptrdiff_t at = (std::ptrdiff_t{oy} * D.out.width + ox) * channels;
            const T* corner = x + (std::ptrdiff_t{D.window.y.first(oy)} * D.in.width + D.window.x.first(ox)) * channels;
            for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
                V best = V::broadcast(-std::numeric_limits<T>::infinity());
                V place = V::broadcast(static_cast<T>(ky_begin * D.window.x.extent + kx_begin));
                const V factor = scale != nullptr ? load(scale + c) : V::broadcast(T{1});
                const V offset = scale != nullptr ? load(shift + c) : V::broadcast(T{});
                for (int ky = ky_begin; ky < ky_end; ++ky) {
                    for (int kx = kx_begin; kx < kx_end; ++kx) {
                        V value = load(corner + (std::ptrdiff_t{ky} * D.in.width + kx) * channels + c);
                        if (scale != nullptr) { value = fma(value, factor, offset); }
                        const V tap = V::broadcast(static_cast<T>(ky * D.window.x.extent + kx));
                        place = where_greater_or_nan(value, best, tap, place);
                        best = where_greater_or_nan(value, best, value, best);
                    }
                }
                store(y + at + c, activate<A>(best));
                if (places != nullptr) {
                    T part[V::width];
                    place.store(part);
                    const int n = static_cast<int>(std::min<std::ptrdiff_t>(V::width, channels - c));
                    for (int i = 0; i < n; ++i) { places[at + c + i] = static_cast<std::uint8_t>(part[i]); }
                }
            });
        }
    }
}

/// Adds factor[c] · dy to the input gradient at every output's place; factor may be null for 1. All of one sample.
template <PoolDims D, class T>
void max_pool_scatter(const T* dy, const std::uint8_t* places, const T* factor, T* dx) {
    constexpr int channels = D.in.channels;
    for (int oy = 0; oy < D.out.height; ++oy) {
        for (int ox = 0; ox < D.out.width; ++ox) {
            const std::ptrdiff_t at = (std::ptrdiff_t{oy} * D.out.width + ox) * channels;
            T* corner = dx + (std::ptrdiff_t{D.window.y.first(oy)} * D.in.width + D.window.x.first(ox)) * channels;
            for (int c = 0; c < channels; ++c) {
                const int place = places[at + c];
                const std::ptrdiff_t tap =
                    std::ptrdiff_t{place / D.window.x.extent} * D.in.width + place % D.window.x.extent;
                corner[tap * channels + c] += factor != nullptr ? dy[at + c] * factor[c] : dy[at + c];
            }
        }
    }
}

/// Batch norm's two sums over one sample behind a max pool, where only the places of the maxima have a gradient:
/// sums[c] = Σ dy and sums[channels + c] = Σ dy · (x − mean)·istd.
template <PoolDims D, class T>
void max_pool_batch_norm_sums(const T* x, const T* dy, const std::uint8_t* places, const T* mean, const T* istd,
                              T* sums) {
    constexpr int channels = D.in.channels;
    std::fill_n(sums, 2 * channels, T{});
    for (int oy = 0; oy < D.out.height; ++oy) {
        for (int ox = 0; ox < D.out.width; ++ox) {
            const std::ptrdiff_t at = (std::ptrdiff_t{oy} * D.out.width + ox) * channels;
            const T* corner = x + (std::ptrdiff_t{D.window.y.first(oy)} * D.in.width + D.window.x.first(ox)) * channels;
            for (int c = 0; c < channels; ++c) {
                const int place = places[at + c];
                const std::ptrdiff_t tap =
                    std::ptrdiff_t{place / D.window.x.extent} * D.in.width + place % D.window.x.extent;
                sums[c] += dy[at + c];
                sums[channels + c] += dy[at + c] * ((corner[tap * channels + c] - mean[c]) * istd[c]);
            }
        }
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
    /// apart.
    template <int Lo, int Hi>
    CTNN_ALWAYS_INLINE void add(const T* x, std::ptrdiff_t step, const T* w, std::ptrdiff_t block_stride, int count) {
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
    CTNN_ALWAYS_INLINE void load(const T* out, std::ptrdiff_t step, int channels) {
#pragma GCC unroll 32
        for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                const int left = channels - v * V::width;
                sum[p][v] = left >= V::width ? V::load(out + p * step + v * V::width)
                                             : V::load(out + p * step + v * V::width, std::max(left, 0));
            }
        }
    }

    /// Stores the first `channels` channels of every pixel, `step` elements apart.
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
        if (channels >= vectors * V::width) {
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
        const T* weights = w + block_group * tile.blocks * D.block_weights();
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
    /// over blocks of a long reduction.
    static void samples(const T* x, std::ptrdiff_t in_sample, const T* w, T* out, std::ptrdiff_t out_sample, int begin,
                        int end, int block_group, const Epilogue<T>& epilogue, int channel_begin = 0,
                        int channel_count = D.in_channels) {
        const int channel = block_group * channels_per_group;
        const Epilogue<T> shifted = shift(epilogue, channel);
        const T* weights = w + block_group * tile.blocks * D.block_weights() + channel_begin * block_size;
        for (int row = 0; row < D.out_height; ++row) {
            for (int column = 0; column < D.out_width; ++column) {
                T* to = out + static_cast<std::ptrdiff_t>(row) * D.out_row + column * D.out_pixel + channel;
                const auto run = [&]<int Pixels>(std::integral_constant<int, Pixels>, int n) {
                    sample_tile<Pixels>(x + n * in_sample + channel_begin, in_sample, weights, to + n * out_sample,
                                        out_sample, row, column, D.out_channels - channel, shifted, channel_count);
                };
                int n = begin;
                // Whole tiles, but no remainder of 1 to 3 samples where two tiles of 8 serve better: a batch of 16 or
                // 128.
                const auto good = [&](int left) {
                    const int rest = left - tile.pixels;
                    return rest == 0 || rest > 3 || (rest > 0 && tile.pixels < 13);
                };
                for (; good(end - n); n += tile.pixels) { run(std::integral_constant<int, tile.pixels>{}, n); }
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
        sums.store(out, D.out_pixel, channels, epilogue);
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
        sums.store(out, D.out_pixel, channels, epilogue);
    }

    /// Pixels [begin, end) of a tile whose tap at input column `column` (of the first pixel) meets the input.
    static constexpr int live_begin(int column, int pixels) {
        return column >= 0 ? 0 : std::min(pixels, ceil_div(-column, D.x.stride));
    }
    static constexpr int live_end(int column, int pixels) {
        const int last = D.in_width - column;
        return last <= 0 ? 0 : std::min(pixels, ceil_div(last, D.x.stride));
    }

    template <int Pixels>
    static void sample_tile(const T* x, std::ptrdiff_t in_sample, const T* w, T* out, std::ptrdiff_t out_sample,
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
        sums.store(out, out_sample, channels, epilogue);
    }

    template <class Sums>
    static CTNN_ALWAYS_INLINE void start(Sums& sums, const T* out, std::ptrdiff_t step, int channels,
                                         const Epilogue<T>& epilogue) {
        if (epilogue.accumulate) {
            sums.load(out, step, channels);
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
        T* to = gradient + block_group * tile.blocks * D.block_weights() +
                (std::ptrdiff_t{ky} * D.x.extent * D.in_channels + channel) * block_size;
        const Span span{x,          in_sample, dy + block_group * tile.blocks * block_size,
                        out_sample, begin,     end,
                        ky,         channel,   D.out_channels - block_group * tile.blocks * block_size,
                        overwrite};
        if (index < larger) {
            item_columns<least + (larger > 0 ? 1 : 0)>(span, to, std::make_integer_sequence<int, columns>{});
        } else {
            item_columns<least>(span, to, std::make_integer_sequence<int, columns>{});
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

    template <int Channels, int... Kx>
    static void item_columns(const Span& s, T* to, std::integer_sequence<int, Kx...>) {
        constexpr bool always_whole = D.out_channels % (tile.blocks * block_size) == 0;
        if (always_whole || s.out_channels >= tile.blocks * block_size) {
            (one_column<Channels, live_begin(Kx), live_end(Kx), true>(s, to, Kx), ...);
        } else if constexpr (!always_whole) {
            (one_column<Channels, live_begin(Kx), live_end(Kx), false>(s, to, Kx), ...);
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

    template <int Channels, int Begin, int End, bool Whole>
    static void one_column(const Span& s, T* to, int kx) {
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
                if constexpr (fused_columns) { edge_pixels<Channels, 0, Begin, Whole>(sum, x, dy, s); }
#pragma GCC unroll 1
                for (int ox = Begin; ox < End; ++ox) {
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
                    edge_pixels<Channels, std::max(Begin, End), D.out_width, Whole>(sum, x, dy, s);
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
    template <int Channels, int Begin, int End, bool Whole>
    static CTNN_ALWAYS_INLINE void edge_pixels(V (&sum)[Channels][vectors], const T* x, const T* dy, const Span& s) {
#pragma GCC unroll 1
        for (int ox = Begin; ox < End; ++ox) {
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

/// Writes the transposed weights of input block `block` of group `group`; blocks may be written in parallel.
template <ConvolutionDims D, class T>
void transpose_weights(const T* weights, T* transposed, int group, int block) {
    const T* from = weights + group * D.group_weights();
    T* group_to = transposed + transposed_weights(D) / D.groups * group;
    const int channels = std::min(block_size, D.group_in() - block * block_size);
    for (int py = 0; py < D.window.y.stride; ++py) {
        for (int px = 0; px < D.window.x.stride; ++px) {
            const Phase y = phase_of(D.window.y, D.in.height, py);
            const Phase x = phase_of(D.window.x, D.in.width, px);
            T* to = group_to + phase_begin(D, py, px) +
                    std::ptrdiff_t{block} * y.taps * x.taps * D.group_out() * block_size;
            for (int ty = 0; ty < y.taps; ++ty) {
                for (int tx = 0; tx < x.taps; ++tx) {
                    const int ky = y.first_tap + (y.taps - 1 - ty) * D.window.y.stride;
                    const int kx = x.first_tap + (x.taps - 1 - tx) * D.window.x.stride;
                    for (int o = 0; o < D.group_out(); ++o, to += block_size) {
                        const T* w =
                            from +
                            (((std::ptrdiff_t{o / block_size} * D.window.y.extent + ky) * D.window.x.extent + kx) *
                                 D.group_in() +
                             block * block_size) *
                                block_size +
                            o % block_size;
                        for (int c = 0; c < channels; ++c) { to[c] = w[std::ptrdiff_t{c} * block_size]; }
                        for (int c = channels; c < block_size; ++c) { to[c] = T{}; }
                    }
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
// An item of work is a run of inputs: a panel of 16 outputs passes over it with the output gradients in registers, so
// that the weights of a panel are a stream and are used by up to `most_samples` samples while they are in cache.

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
        for (int o = 0; o < panels * block_size; ++o) {
            T* const row = to + (std::ptrdiff_t{o / block_size} * n + first) * block_size + o % block_size * count;
            for (int s = 0; s < count; ++s) { row[s] = o < D.out ? dy[std::ptrdiff_t{first + s} * D.out + o] : T{}; }
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
                for (int t = 0; t < tiles; ++t) {
                    const int sample = begin + t * lanes, samples = std::min(lanes, n - sample);
                    const T* dy = transposed_dy + (std::ptrdiff_t{panel} * n + sample) * block_size;
                    T* to = sum + std::ptrdiff_t{t} * count * lanes;
                    // The next panel's weights lie far away: no prefetcher of the machine's finds them.
                    const T* next = t == 0 && panel + 1 < panels ? w + std::ptrdiff_t{D.in} * block_size : w;
                    if (samples == lanes) {
                        add_panel<true>(dy, lanes, w, next, to, count);
                    } else {
                        add_panel<false>(dy, samples, w, next, to, count);
                    }
                }
            }
            for (int s = begin; s < std::min(n, begin + most_samples); ++s) {
                const T* from = sum + std::ptrdiff_t{(s - begin) / lanes} * count * lanes + s % lanes;
                for (int i = 0; i < count; ++i) { dx[std::ptrdiff_t{s} * D.in + first + i] = from[i * lanes]; }
            }
        }
    }

  private:
    /// Outputs whose gradients stay in registers, and inputs that are summed side by side.
    static constexpr int held = std::min(block_size, V::registers / 2);
    static constexpr int together = std::max(1, V::registers / 4);

    /// sum[i] += Σ_o dy[o] · w[i, o] over a panel, for `count` inputs and a tile of samples.
    template <bool Whole>
    static void add_panel(const T* dy, int samples, const T* w, const T* next, T* sum, int count) {
        for (int v = 0; v < samples; v += V::width) {
            for (int o = 0; o < block_size; o += held) {
                V gradient[held];
#pragma GCC unroll 16
                for (int h = 0; h < held; ++h) {
                    const T* from = dy + (o + h) * samples + v;
                    gradient[h] = Whole ? V::load(from) : V::load(from, std::min(V::width, samples - v));
                }
                int i = 0;
                for (; i + together <= count; i += together) {
                    if (v == 0 && o == 0) {
#pragma GCC unroll 16
                        for (int j = 0; j < together; ++j) { prefetch(next + (i + j) * block_size); }
                    }
                    add<together>(gradient, w + o, sum + v, i);
                }
                for (; i < count; ++i) { add<1>(gradient, w + o, sum + v, i); }
            }
        }
    }

    template <int Inputs>
    static CTNN_ALWAYS_INLINE void add(const V (&gradient)[held], const T* w, T* to, int i) {
        V sum[Inputs];
#pragma GCC unroll 16
        for (int j = 0; j < Inputs; ++j) { sum[j] = V::load(to + (i + j) * lanes); }
#pragma GCC unroll 16
        for (int h = 0; h < held; ++h) {
#pragma GCC unroll 16
            for (int j = 0; j < Inputs; ++j) {
                sum[j] = fma(V::broadcast(w[(i + j) * block_size + h]), gradient[h], sum[j]);
            }
        }
#pragma GCC unroll 16
        for (int j = 0; j < Inputs; ++j) { sum[j].store(to + (i + j) * lanes); }
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
    const T *weight = nullptr, *bias = nullptr, *norm_weight = nullptr, *norm_bias = nullptr;
    T *weight_gradient = nullptr, *bias_gradient = nullptr, *norm_weight_gradient = nullptr,
      *norm_bias_gradient = nullptr;
    const T *running_mean = nullptr, *running_variance = nullptr;
    T *next_running_mean = nullptr, *next_running_variance = nullptr;  ///< the same in training, where they move
    RandomKey random{};
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
    /// the second-level cache.
    static void forward(const StageIO<T>& io, T* map, const Epilogue<T>& epilogue) {
        constexpr int run = Linear ? 1024 : D.group_in();
        constexpr int chunk = Linear ? 1 << 30 : 64;
        const int chunks = ceil_div(io.samples, chunk);
        const T* const input = io.samples > 1 ? set_apart<D.in.channels>(io.input, io.packed, io) : io.input;
        const std::ptrdiff_t in_sample = input == io.input ? D.in.size() : apart(D.in.channels);
        parallel_for(D.groups * Forward::block_groups * chunks, io.threads, [&](int item, int) {
            const int c = item % chunks, b = item / chunks % Forward::block_groups,
                      g = item / chunks / Forward::block_groups;
            const int end = Linear ? io.samples : std::min(io.samples, (c + 1) * chunk);
            for (int first = 0; first < D.group_in(); first += run) {
                Epilogue<T> part;
                if (first + run >= D.group_in()) { part = of_group(epilogue, g); }
                part.accumulate = first > 0;
                Forward::samples(input + g * D.group_in(), in_sample, io.weight + g * D.group_weights(),
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
        constexpr int run = Linear ? 1 << 30 : static_cast<int>(std::max<std::ptrdiff_t>(1, 384 * 1024 / sample_bytes));
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
        for (int i = 0; i < together / 2 && first + i < bytes; ++i) {
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

/// Merges the moments of `rows` runs of pixels in fixed order (Chan, Golub and LeVeque 1979), in double, writes the
/// vectors, and moves the running statistics as PyTorch does: unbiased variance, weight `momentum` on the new batch.
/// `pixels(row)` is the number of pixels of a run.
template <class T, class Pixels>
void batch_norm_statistics(const T* moments, int rows, Pixels&& pixels, int channels, const T* weight, const T* bias,
                           double eps, double momentum, BatchNormVectors<T> out, T* running_mean, T* running_variance) {
    double count = 0;
    for (int r = 0; r < rows; ++r) { count += pixels(r); }
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

/// dx = scale · (dy − a − x̂ · b); dy may be null for zeros. dx may be x or dy.
template <class T, class Arch = DefaultArch>
void batch_norm_gradient(const T* x, const T* dy, BatchNormVectors<T> v, T* dx, int pixels, int channels) {
    for (int p = 0; p < pixels; ++p) {
        const std::ptrdiff_t row = std::ptrdiff_t{p} * channels;
        for_vectors<T, Arch>(channels, [&](std::ptrdiff_t c, auto load, auto store) {
            const auto normal = (load(x + row + c) - load(v.mean + c)) * load(v.istd + c);
            const auto g = dy != nullptr ? load(dy + row + c) : Vec<T, Arch>::broadcast(T{});
            store(dx + row + c, load(v.scale + c) * (g - load(v.a + c) - normal * load(v.b + c)));
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
                max_pool_rows<pool, Activation::identity, T>(rows, nullptr, nullptr, out, places, r0, r1);
            }
        } else if constexpr (S.pooled) {
            max_pool_rows<pool, pending>(map, Affine ? scale : nullptr, Affine ? shift : nullptr, out, places, r0, r1);
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
            max_pool_batch_norm_sums<pool>(map, gradient, places, v.mean, v.istd, to);
        } else {
            batch_norm_sums(map, gradient, v, to, S.map.pixels(), channels);
        }
    }

    /// The gradient with respect to the map from the gradient that undo_output left, one sample. `map` is what forward
    /// met (for response norm the activated map); `to` may be `map` or `gradient`. `rows` is scratch of one map.
    template <bool Activated>
    static void backward(const T* map, T* gradient, const std::uint8_t* places, BatchNormVectors<T> v, T* to, T* rows,
                         T* scratch) {
        if constexpr (S.batch_norm) {
            batch_norm_gradient<T>(map, S.pooled ? nullptr : gradient, v, to, S.map.pixels(), channels);
            if constexpr (S.pooled) { max_pool_scatter<pool, T>(gradient, places, v.scale, to); }
        } else if constexpr (S.response_norm) {
            const T* from = gradient;
            if constexpr (S.pooled) {
                std::fill_n(rows, map_size, T{});
                max_pool_scatter<pool, T>(gradient, places, nullptr, rows);
                from = rows;
            }
            if constexpr (!Activated && S.activation != Activation::identity) {
                T* activated = rows + (S.pooled ? map_size : 0);
                activate<S.activation>(map, activated, map_size);
                map = activated;
            }
            response_norm_gradient<response, S.activation>(map, from, to, S.map.pixels(), scratch);
        } else if constexpr (S.pooled) {
            std::fill_n(to, map_size, T{});
            max_pool_scatter<pool, T>(gradient, places, nullptr, to);
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

    /// Bᵀ: a patch to its points.
    static CTNN_ALWAYS_INLINE void input(const V (&d)[6], V (&t)[6]) {
        const V even = d[4] - times(4, d[2]), odd = d[3] - times(4, d[1]);
        const V far = d[4] - d[2], near = times(2, d[3] - d[1]);
        t[0] = times(4, d[0]) - times(5, d[2]) + d[4];
        t[1] = even + odd;
        t[2] = even - odd;
        t[3] = far + near;
        t[4] = far - near;
        t[5] = times(4, d[1]) - times(5, d[3]) + d[5];
    }

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

    static constexpr auto output = [](const auto& sums, auto& y) { gather(sums, y); };
    static constexpr auto output_gradient = [](const auto& y, auto& values) { evaluate(y, values); };
    static constexpr auto filter = [](const auto& g, auto& values) {
        evaluate(g, values);
        scale(values);
    };
    static constexpr auto filter_gradient = [](const auto& values, auto& g) {
        V scaled[6];
        std::copy_n(values, 6, scaled);
        scale(scaled);
        gather(scaled, g);
    };
};

/// Applies a transform of In to Out numbers to the rows and then to the columns of a square.
template <int In, int Out, class V, class F>
CTNN_ALWAYS_INLINE void transform_square(const V (&in)[In][In], V (&out)[Out][Out], F&& f) {
    V half[Out][In];  // columns of `half` are transformed rows
#pragma GCC unroll 8
    for (int i = 0; i < In; ++i) {
        V to[Out];
        f(in[i], to);
#pragma GCC unroll 8
        for (int j = 0; j < Out; ++j) { half[j][i] = to[j]; }
    }
#pragma GCC unroll 8
    for (int j = 0; j < Out; ++j) {
        V to[Out];
        f(half[j], to);
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
        512 * 1024 / (std::ptrdiff_t{points} * tiles * D.in_channels * std::ptrdiff_t{sizeof(T)}), 1, 32));
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
            detail::transform_square(g, u, Transforms::filter);
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
            detail::transform_square(u, g, Transforms::filter_gradient);
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
                const T* w = filters + p * point_filters + b * tile.blocks * product.block_weights();
                for (int row = 0; row < used; row += tile.pixels) {
                    Accumulators<T, Arch, tile.pixels, tile.blocks> products;
                    products.clear();
                    products.template add<0, tile.pixels>(patches + std::ptrdiff_t{row} * D.in_channels, D.in_channels,
                                                          w, product.block_weights(), D.in_channels);
                    products.store(sums + p * sum_stride + std::ptrdiff_t{row} * group_channels, group_channels,
                                   group_channels, {});
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
                detail::transform_square(d, v, Transforms::input);
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
                detail::transform_square(d, v, Transforms::output_gradient);
                for (int p = 0; p < points; ++p) {
                    store(to + p * stride + std::ptrdiff_t{first + t} * D.out_channels + c, v[p / 6][p % 6]);
                }
            });
        }
    }

    /// Items of the weights' gradient: runs of filter gradients that one thread adds up whole.
    using Gradient = WeightGradient<product, T, Arch>;
    static constexpr int gradient_items = points * Gradient::items;
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
                detail::transform_square(m, y, Transforms::output);
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
    static void forward(const StageIO<T>& io, T* map, const Epilogue<T>& epilogue) {
        correlate<Forward>(io, io.input, D.in.size(), io.weight, io.filters, map, D.out.size(), epilogue);
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
            });
        }
        parallel_for(D.forward().blocks(), io.threads,
                     [&](int block, int) { Forward::filters_to_weights(filters, io.weight_gradient, block); });
    }

    static void data_gradient(const StageIO<T>& io, const T* map_gradient) {
        T* const filters = io.transposed + transposed_weights(D);
        parallel_for(ceil_div(D.in.channels, block_size), io.threads,
                     [&](int block, int) { transpose_weights<D>(io.weight, io.transposed, 0, block); });
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
/// gradient with respect to the input. `Custom` is the layer's type where it is from outside the library.
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
    static constexpr int band_map_rows = [] {
        int most = 0;
        for (int b = 0; b < bands; ++b) {
            most = std::max(most, Behind::map_end(band_row(b + 1, bands)) - Behind::map_begin(band_row(b, bands)));
        }
        return most;
    }();

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
    static void forward(const StageIO<T>& io) {
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
                head_all(io, io.map, epilogue(io));
                parallel_for(io.samples * bands, io.threads,
                             [&](int item, int) { moments(io, item / bands, item % bands); });
            }
            batch_norm_statistics(
                io.rows, io.samples * bands,
                [](int row) { return double{1} * (map_row(row % bands + 1) - map_row(row % bands)) * S.map.width; },
                S.map.channels, io.norm_weight, io.norm_bias, S.eps, S.momentum, vectors(io), io.next_running_mean,
                io.next_running_variance);
        } else if constexpr (whole) {
            head_all(io, map_elements > 0 ? io.map : io.output, epilogue(io));
        }
        const int parts = bands_for(io);
        parallel_for(io.samples * parts, io.threads, [&](int item, int thread) {
            const int n = item / parts, part = item % parts;
            tail_band(io, n, band_row(part, parts), band_row(part + 1, parts), io.scratch + thread * io.scratch_stride);
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
                             vectors(io), io.rows + n * 2 * S.map.channels);
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
                    sum_pixels(to, io.rows + n * S.map.channels, S.map.pixels(), S.map.channels);
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
    static void head_all(const StageIO<T>& io, T* map, const Epilogue<T>& e) {
        Passes::forward(io, map, e);
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
            head_rows(io, n, Behind::map_begin(r0), Behind::map_end(r1), map, epilogue(io));
            Behind::template forward<false, true>(map, nullptr, nullptr, rows, pixel, out, to_places, r0, r1);
        }
    }

    /// dγ and dβ, and their means a and b, from the samples' sums in order.
    static void merge_norm_sums(const StageIO<T>& io) {
        const BatchNormVectors<T> v = vectors(io);
        const T count = static_cast<T>(io.samples) * static_cast<T>(S.map.pixels());
        add_rows(io.rows, 2 * S.map.channels, io.samples, S.map.channels, io.norm_bias_gradient);
        add_rows(io.rows + S.map.channels, 2 * S.map.channels, io.samples, S.map.channels, io.norm_weight_gradient);
        for (int c = 0; c < S.map.channels; ++c) {
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

/// Layers from outside the library: see layers/custom.hpp.
template <StageSpec S, class T, bool TrainingPass, bool InGradient, class Custom>
    requires(S.head == Head::custom)
struct Stage<S, T, TrainingPass, InGradient, Custom> {
    static constexpr bool backward_needs_input = true, backward_needs_output = true, map_in_forward = false;
    static constexpr std::ptrdiff_t map_elements = 0, mask_bytes = 0, row_elements = 0, packed_elements = 0,
                                    saved_elements = 0, filter_elements = 0, transposed_elements = 0,
                                    scratch_elements = 0;

    static void forward(const StageIO<T>& io) {
        parallel_for(io.samples, io.threads, [&](int n, int) {
            Custom::forward(S.in, io.input + n * S.in.size(), io.output + n * S.out.size());
        });
    }
    static void backward(const StageIO<T>& io) {
        if (io.input_gradient == nullptr) { return; }
        parallel_for(io.samples, io.threads, [&](int n, int) {
            Custom::backward(S.in, io.input + n * S.in.size(), io.output + n * S.out.size(),
                             static_cast<const T*>(io.output_gradient + n * S.out.size()),
                             io.input_gradient + n * S.in.size());
        });
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
    using Runner =
        Stage<StageList::at(I), T, training, (I > 0 || input_gradient),
              std::conditional_t<StageList::at(I).head == Head::custom,
                                 std::tuple_element_t<StageList::at(I).head_layer, typename Net::layer_types>, void>>;

    /// Times: forward of stage s at s, the loss at stage_count, backward of stage s at 2·stage_count − s.
    static constexpr int forward_time(std::size_t s) { return static_cast<int>(s); }
    static constexpr int backward_time(std::size_t s) { return static_cast<int>(2 * stage_count - s); }
    static constexpr int end_time = static_cast<int>(2 * stage_count);

    static constexpr std::size_t index(std::size_t stage, Slot slot) {
        return stage * slot_count + static_cast<std::size_t>(slot);
    }
    static constexpr bool per_sample(std::size_t i) { return i % slot_count < static_cast<std::size_t>(Slot::saved); }
    /// The gradient with respect to the input is a buffer behind those of the stages.
    static constexpr std::size_t input_gradient_index = stage_count * slot_count;
    static constexpr std::size_t buffer_count = stage_count * slot_count + 1;

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
        std::array<LiveBuffer, buffer_count> scaled{}, fixed{};
        for (std::size_t i = 0; i < buffer_count; ++i) {
            (i == input_gradient_index || per_sample(i) ? scaled : fixed)[i] = t.buffers[i];
        }
        t.sample_lines = place_buffers(scaled);
        t.fixed_bytes = place_buffers(fixed);
        for (std::size_t i = 0; i < buffer_count; ++i) {
            t.buffers[i] = i == input_gradient_index || per_sample(i) ? scaled[i] : fixed[i];
        }
        return t;
    }(std::make_index_sequence<stage_count>{});

  public:
    static constexpr const auto& buffers = table.buffers;
    /// Bytes per sample, fixed, and per thread.
    static constexpr std::size_t sample_bytes = static_cast<std::size_t>(table.sample_lines) * block_alignment;
    static constexpr std::size_t fixed_bytes = static_cast<std::size_t>(table.fixed_bytes);
    static constexpr std::size_t thread_bytes = static_cast<std::size_t>(table.thread_bytes);

    /// Bytes of a workspace for at most `batch` samples and `threads` threads.
    static constexpr std::size_t bytes(int batch, int threads) {
        return sample_bytes * static_cast<std::size_t>(batch) + fixed_bytes +
               thread_bytes * static_cast<std::size_t>(threads);
    }

    /// Byte offset of a buffer in a workspace made for `batch` samples: per-sample buffers first, fixed ones, scratch.
    static constexpr std::size_t offset(std::size_t i, int batch) {
        const auto at = static_cast<std::size_t>(table.buffers[i].offset);
        return i == input_gradient_index || per_sample(i) ? at * block_alignment * static_cast<std::size_t>(batch)
                                                          : sample_bytes * static_cast<std::size_t>(batch) + at;
    }
    /// Bytes of a buffer in such a workspace.
    static constexpr std::size_t buffer_bytes(std::size_t i, int batch) {
        const auto size = static_cast<std::size_t>(table.buffers[i].size);
        return i == input_gradient_index || per_sample(i) ? size * block_alignment * static_cast<std::size_t>(batch)
                                                          : size;
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

/// Sizes to ask a plan's bytes for: TrainingPlan<Net, Batch<128>, Threads<2>>::bytes.
template <int N>
struct Batch : std::integral_constant<int, N> {};
template <int N>
struct Threads : std::integral_constant<int, N> {};

template <Network Net, class B, class Th = Threads<1>, class T = float>
struct TrainingPlan {
    static constexpr std::size_t bytes = Training<Net, T>::bytes(B::value, Th::value);
};
template <Network Net, class B, class Th = Threads<1>, class T = float>
struct InferencePlan {
    static constexpr std::size_t bytes = Inference<Net, T>::bytes(B::value, Th::value);
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/network/workspace.hpp
// Workspace: all activations of one plan in one block. One per thread or request; nothing is allocated after it exists.

namespace ctnn::inline CTNN_ISA {

/// Memory for passes over at most `batch` samples on at most `threads` threads: PlanType::bytes(batch, threads).
/// Throws ArgumentError for a batch or thread count below 1, std::bad_alloc when memory is short.
template <class PlanType>
class Workspace {
  public:
    using T = typename PlanType::value_type;
    static constexpr std::size_t stage_count = PlanType::stage_count;

    explicit Workspace(int batch, int threads = default_threads())
        : batch_{at_least_one("batch size", batch)},
          threads_{at_least_one("number of threads", threads)},
          block_(PlanType::bytes(batch, threads)) {}

    [[nodiscard]] int batch() const { return batch_; }
    [[nodiscard]] int threads() const { return threads_; }
    [[nodiscard]] std::span<std::byte> bytes() { return block_.span(); }

    /// Pointer to a buffer of the plan; null when the plan has none.
    template <class U = T>
    [[nodiscard]] U* at(std::size_t index) {
        if (PlanType::buffers[index].size == 0) { return nullptr; }
        return reinterpret_cast<U*>(block_.data() + PlanType::offset(index, batch_));
    }
    template <class U = T>
    [[nodiscard]] U* at(std::size_t stage, Slot slot) {
        return at<U>(PlanType::index(stage, slot));
    }
    [[nodiscard]] T* scratch() { return reinterpret_cast<T*>(block_.data() + PlanType::scratch_offset(batch_)); }

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
    static int at_least_one(const char* what, int value) {
        if (value < 1) {
            throw ArgumentError(std::string{what} + " is " + std::to_string(value) + "; expected at least 1");
        }
        return value;
    }

    int batch_, threads_;
    AlignedArray<std::byte> block_;
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

template <class PlanType, std::size_t S>
StageIO<typename PlanType::value_type> stage_io(Workspace<PlanType>& workspace,
                                                ModelView<typename PlanType::Net, typename PlanType::value_type> model,
                                                const typename PlanType::value_type* input, int samples) {
    using T = typename PlanType::value_type;
    using Layout = ParameterLayout<typename PlanType::Net>;
    constexpr StageSpec spec = PlanType::StageList::at(S);
    constexpr bool weighted = spec.head == Head::convolution || spec.head == Head::linear;
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
    if constexpr (weighted) {
        io.weight = model.parameters + Layout::offset(spec.head_layer, 0);
        if constexpr (spec.bias) { io.bias = model.parameters + Layout::offset(spec.head_layer, 1); }
    }
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
        throw ArgumentError("a batch of " + std::to_string(samples) + " samples; expected 1 to " +
                            std::to_string(workspace.batch()) + ", the workspace's batch size");
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
/// the workspace what backward needs; `input` must stay as it is until then.
template <class PlanType, class Observer = NoObserver>
    requires PlanType::training
std::span<const typename PlanType::value_type> forward(
    Model<typename PlanType::Net, typename PlanType::value_type>& model, const typename PlanType::value_type* input,
    int samples, Workspace<PlanType>& workspace, const RandomKey& key, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
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
                if constexpr (spec.head == Head::convolution || spec.head == Head::linear) {
                    io.weight_gradient = gradients.data() + Layout::offset(spec.head_layer, 0);
                    if constexpr (spec.bias) {
                        io.bias_gradient = gradients.data() + Layout::offset(spec.head_layer, 1);
                    }
                }
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

// ---- ctnn/train/loss.hpp
// Cross-entropy on class labels, loss and gradient in one pass over each row of logits; softmax and log-softmax.

namespace ctnn::inline CTNN_ISA {

/// Softmax cross-entropy. With smoothing ε the target is (1 − ε)·one-hot + ε / classes (Szegedy et al. 2016,
/// section 7), as in PyTorch's CrossEntropyLoss(label_smoothing=ε).
struct CrossEntropy {
    double label_smoothing = 0.0;  ///< in [0, 1]

    /// Throws ArgumentError.
    void validate() const {
        if (!(label_smoothing >= 0.0 && label_smoothing <= 1.0)) {
            throw ArgumentError("label_smoothing is " + std::to_string(label_smoothing) + ", expected 0 to 1");
        }
    }
};

/// Sums over samples: the losses, how many were classified correctly (ties: the lower class), how many there were.
struct LossSum {
    double loss_sum = 0.0;
    std::int64_t correct = 0;
    std::int64_t count = 0;

    /// Per sample; NaN over none.
    [[nodiscard]] double mean() const { return loss_sum / static_cast<double>(count); }
    [[nodiscard]] double accuracy() const { return static_cast<double>(correct) / static_cast<double>(count); }

    LossSum& operator+=(const LossSum& other) {
        loss_sum += other.loss_sum;
        correct += other.correct;
        count += other.count;
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
        throw ArgumentError(std::to_string(size) + " logits are no whole number of rows of " + std::to_string(classes) +
                            " classes");
    }
    return size / static_cast<std::size_t>(classes);
}

/// Throws ArgumentError unless there is one label a row, each in [0, classes).
inline void check_labels(std::size_t rows, std::span<const std::int32_t> labels, int classes) {
    if (labels.size() != rows) {
        throw ArgumentError(std::to_string(labels.size()) + " labels for " + std::to_string(rows) + " rows of logits");
    }
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0 || labels[i] >= classes) {
            throw ArgumentError("label of sample " + std::to_string(i) + " is " + std::to_string(labels[i]) +
                                ", expected 0 to " + std::to_string(classes - 1));
        }
    }
}

/// One row: loss, hit, and, unless `d` is empty, (softmax − target)·scale. The row's maximum is subtracted first, so
/// exp never overflows and the sum is at least 1; sums are double. `d` may be `x`: an element is read before it is
/// written.
template <class T>
LossSum cross_entropy_row(std::span<const T> x, std::size_t label, double smoothing, double scale, std::span<T> d) {
    const int best = argmax(x);
    const T top = x[static_cast<std::size_t>(best)];
    const double below_top = static_cast<double>(x[label] - top);
    double sum = 0.0, below_sum = 0.0, label_exp = 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) {
        const T below = x[j] - top;
        const T e = std::exp(below);
        sum += static_cast<double>(e);
        below_sum += static_cast<double>(below);
        if (j == label) { label_exp = static_cast<double>(e); }
        if (!d.empty()) { d[j] = e; }
    }
    const double off = smoothing / static_cast<double>(x.size());
    if (!d.empty()) {
        const double inverse = 1.0 / sum;
        for (T& v : d) { v = static_cast<T>((static_cast<double>(v) * inverse - off) * scale); }
        d[label] = static_cast<T>((label_exp * inverse - off - (1.0 - smoothing)) * scale);
    }
    double loss = std::log(sum) - (1.0 - smoothing) * below_top;
    if (smoothing > 0.0) { loss -= off * below_sum; }  // unless: 0 · −∞ would make a masked logit NaN
    return {loss, best == static_cast<int>(label) ? 1 : 0, 1};
}

/// Below this many logits a row loop stays on the calling thread: starting the others would take longer.
inline constexpr std::size_t parallel_logits = 4096;
inline int threads_for(std::size_t logits, int threads) { return logits >= parallel_logits ? threads : 1; }

}  // namespace detail

/// Loss and gradient of a batch. `logits` are n × classes, row-major; `labels` n classes. `dlogits`, of the size of
/// `logits`, is overwritten with the gradient of the MEAN loss over the n samples; it may be `logits` itself, or
/// empty where only the loss is wanted. Bit-identical for any number of threads; allocates nothing. Throws
/// ArgumentError on a size that does not fit, a label outside [0, classes) or a bad smoothing, before it writes.
template <class T>
LossSum cross_entropy(const CrossEntropy& settings, std::span<const T> logits, std::span<const std::int32_t> labels,
                      int classes, std::span<T> dlogits, int threads = default_threads()) {
    settings.validate();
    const std::size_t rows = detail::rows_of(logits.size(), classes);
    detail::check_labels(rows, labels, classes);
    if (!dlogits.empty() && dlogits.size() != logits.size()) {
        throw ArgumentError("the gradient has " + std::to_string(dlogits.size()) + " elements, the logits " +
                            std::to_string(logits.size()));
    }
    if (rows == 0) { return {}; }

    // Chunks depend on the number of rows alone; their sums are added in order.
    std::array<LossSum, 128> partial{};
    const std::size_t width = static_cast<std::size_t>(classes);
    const std::size_t chunk = (rows + partial.size() - 1) / partial.size();
    const double scale = 1.0 / static_cast<double>(rows);
    const auto chunks = static_cast<int>((rows + chunk - 1) / chunk);
    parallel_for(chunks, detail::threads_for(logits.size(), threads), [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * chunk;
        LossSum sum;
        for (std::size_t i = begin; i < std::min(begin + chunk, rows); ++i) {
            const auto d = dlogits.empty() ? dlogits : dlogits.subspan(i * width, width);
            sum += detail::cross_entropy_row(logits.subspan(i * width, width), static_cast<std::size_t>(labels[i]),
                                             settings.label_smoothing, scale, d);
        }
        partial[static_cast<std::size_t>(c)] = sum;
    });
    LossSum total;
    for (const LossSum& sum : partial) { total += sum; }
    return total;
}

namespace detail {

/// Softmax or its logarithm of every row; see there.
template <bool Log, class T>
void softmax_rows(std::span<const T> logits, int classes, std::span<T> out, int threads) {
    const auto rows = static_cast<int>(rows_of(logits.size(), classes));
    if (out.size() != logits.size()) {
        throw ArgumentError("softmax: the output has " + std::to_string(out.size()) + " elements, the logits " +
                            std::to_string(logits.size()));
    }
    const std::size_t width = static_cast<std::size_t>(classes);
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

/// Probabilities of every row of n × classes logits; overflow-safe. `out` has their size and may be `logits`.
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

// ---- ctnn/kernels/update.hpp
// Passes over contiguous parameter memory: the fused SGD update and the sum of squares that clipping needs.

namespace ctnn::inline CTNN_ISA {

/// The numbers of one update.
struct SgdStep {
    double lr = 0.0, momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    double gradient_scale = 1.0;  ///< from clipping; applied before decay
};

namespace detail {

/// Elements a thread takes at a time: 64 KiB of floats from each array, enough to make starting it worth while.
inline constexpr std::size_t update_chunk = 16384;

enum class Velocity { none, plain, nesterov };

template <Velocity V, class T>
void sgd_chunk(T* __restrict w, const T* __restrict gradient, T* __restrict velocity, std::size_t n,
               const SgdStep& step) {
    const T lr = static_cast<T>(step.lr), momentum = static_cast<T>(step.momentum);
    const T decay = static_cast<T>(step.weight_decay), scale = static_cast<T>(step.gradient_scale);
    for (std::size_t i = 0; i < n; ++i) {
        const T g = scale * gradient[i] + decay * w[i];
        if constexpr (V == Velocity::none) {
            w[i] -= lr * g;
        } else {
            const T v = momentum * velocity[i] + g;
            velocity[i] = v;
            w[i] -= lr * (V == Velocity::nesterov ? g + momentum * v : v);
        }
    }
}

template <Velocity V, class T>
void sgd_chunks(std::span<T> weights, std::span<const T> gradients, std::span<T> velocity, const SgdStep& step,
                int threads) {
    const std::size_t n = weights.size();
    const auto chunks = static_cast<int>((n + update_chunk - 1) / update_chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * update_chunk;
        sgd_chunk<V>(weights.data() + begin, gradients.data() + begin,
                     V == Velocity::none ? nullptr : velocity.data() + begin, std::min(update_chunk, n - begin), step);
    });
}

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

/// One step of torch.optim.SGD over a contiguous range, each array read and written once:
/// g = scale·g + decay·w; v = momentum·v + g; w −= lr·(nesterov ? g + momentum·v : v). Velocity begins as zeros.
/// All spans have one size and do not overlap; with momentum 0 velocity is not touched and may be empty.
template <class T>
void sgd_update(std::span<T> weights, std::span<const T> gradients, std::span<T> velocity, const SgdStep& step,
                int threads = default_threads()) {
    using detail::Velocity;
    if (step.momentum == 0.0) {
        detail::sgd_chunks<Velocity::none>(weights, gradients, velocity, step, threads);
    } else if (step.nesterov) {
        detail::sgd_chunks<Velocity::nesterov>(weights, gradients, velocity, step, threads);
    } else {
        detail::sgd_chunks<Velocity::plain>(weights, gradients, velocity, step, threads);
    }
}

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

// ---- ctnn/train/optimizer.hpp
// Stochastic gradient descent with momentum, weight decay and clipping by the global norm: PyTorch's semantics.

namespace ctnn::inline CTNN_ISA {

/// Settings of torch.optim.SGD, and of torch.nn.utils.clip_grad_norm_ before it.
struct Sgd {
    double momentum = 0.0;
    bool nesterov = false;
    double weight_decay = 0.0;
    bool decay_biases_and_norms = true;  ///< as PyTorch does by default
    double clip_norm = 0.0;              ///< 0 is off; else gradients are scaled by min(1, clip_norm / (norm + 1e-6))

    /// Throws ArgumentError on a negative or infinite number, or on Nesterov without momentum.
    void validate() const {
        const auto require = [](std::string_view what, double value) {
            if (!(std::isfinite(value) && value >= 0.0)) {
                throw ArgumentError(fmt::format("SGD: {} is {}, expected a finite number, at least 0", what, value));
            }
        };
        require("momentum", momentum);
        require("weight_decay", weight_decay);
        require("clip_norm", clip_norm);
        if (nesterov && momentum == 0.0) { throw ArgumentError("SGD: nesterov needs a momentum above 0, found 0"); }
    }
};

/// One step with valid settings over a whole arena: elements [0, decayed) are weights, which decay, the rest biases
/// and norms. Returns the gradients' norm before clipping, 0 where clipping is off. Where that norm is not finite
/// nothing is changed, so that the caller can report it and the weights are still good. Velocity begins as zeros and
/// may be empty where momentum is 0. Bit-identical for any number of threads; allocates nothing. Throws
/// ArgumentError where sizes differ.
template <class T>
double sgd_step(const Sgd& sgd, double lr, std::span<T> weights, std::span<const T> gradients, std::span<T> velocity,
                std::size_t decayed, int threads = default_threads()) {
    const std::size_t n = weights.size();
    const bool moving = sgd.momentum != 0.0;
    if (gradients.size() != n || (moving && velocity.size() != n) || decayed > n) {
        throw ArgumentError(fmt::format("SGD: {} weights, {} gradients, {} velocities, {} decayed, expected one size",
                                        n, gradients.size(), velocity.size(), decayed));
    }
    SgdStep step{lr, sgd.momentum, sgd.nesterov, sgd.weight_decay, 1.0};
    double norm = 0.0;
    if (sgd.clip_norm > 0.0) {
        norm = std::sqrt(sum_of_squares(gradients, threads));
        if (!std::isfinite(norm)) { return norm; }
        step.gradient_scale = std::min(1.0, sgd.clip_norm / (norm + 1e-6));
    }
    const std::size_t first = sgd.decay_biases_and_norms || sgd.weight_decay == 0.0 ? n : decayed;
    const auto update = [&](std::size_t begin, std::size_t size) {
        sgd_update(weights.subspan(begin, size), gradients.subspan(begin, size),
                   moving ? velocity.subspan(begin, size) : velocity, step, threads);
    };
    update(0, first);
    step.weight_decay = 0.0;
    update(first, n - first);
    return norm;
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/schedule.hpp
// Learning-rate schedules as pure functions of the progress of training, by PyTorch's formulas.

namespace ctnn::inline CTNN_ISA {

/// The schedules; factors of the learning rate, p = progress from 0 after warmup to 1 at the end.
enum class ScheduleKind {
    constant,    ///< 1
    step,        ///< gamma^⌊epoch / step_size⌋: StepLR
    linear,      ///< 1 − p
    cosine,      ///< (1 + cos πp) / 2: CosineAnnealingLR with T_max = epochs
    polynomial,  ///< (1 − p)^power: PolynomialLR; power 2 is that of You, Gitman and Ginsburg 2017 (LARS)
    one_cycle,   ///< up from 1 / div_factor to 1, down to 1 / (div_factor · final_div_factor): OneCycleLR
};

/// How one-cycle moves between its rates.
enum class Anneal { cosine, linear };

namespace detail {
inline constexpr std::array<std::pair<std::string_view, ScheduleKind>, 6> schedule_names{{
    {"constant", ScheduleKind::constant},
    {"step", ScheduleKind::step},
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
    throw ArgumentError(fmt::format("unknown {} '{}', expected one of {}", what, text, valid));
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

/// A schedule and its settings; those of other kinds are ignored. With warmup the rate rises linearly from 0 and
/// multiplies the schedule: step counts its epochs from the start of training, the others begin where warmup ends.
struct Schedule {
    ScheduleKind kind = ScheduleKind::constant;
    double lr = 0.01;  ///< the peak
    int epochs = 1;
    double warmup_epochs = 0.0;      ///< below epochs
    int step_size = 30;              ///< step: epochs between drops
    double gamma = 0.1;              ///< step: factor of each drop
    double power = 2.0;              ///< polynomial
    double final_lr_fraction = 0.0;  ///< linear, cosine, polynomial: they end at this share of lr, as with eta_min
    double pct_start = 0.3;          ///< one-cycle: share of progress that rises
    double div_factor = 25.0;        ///< one-cycle: begins at lr / div_factor
    double final_div_factor = 1e4;   ///< one-cycle: ends at that / final_div_factor
    Anneal anneal = Anneal::cosine;  ///< one-cycle

    /// The rate at a point of training in epochs, fractions included: step / steps_per_epoch, so that every step has
    /// its own. Held at its last value from `epochs` on. One-cycle reaches its end at `epochs`; PyTorch's counts
    /// steps and reaches it one step earlier.
    [[nodiscard]] double at(double epoch) const {
        const double ramp = epoch < warmup_epochs ? std::max(epoch, 0.0) / warmup_epochs : 1.0;
        return lr * ramp * factor(std::clamp(epoch, 0.0, static_cast<double>(epochs)));
    }

    /// Throws ArgumentError that names the first setting outside its range.
    void validate() const {
        const auto require = [](bool good, std::string_view what, double value, std::string_view range) {
            if (!good) { throw ArgumentError(fmt::format("schedule: {} is {}, expected {}", what, value, range)); }
        };
        const auto positive = [](double x) { return std::isfinite(x) && x > 0.0; };
        require(std::isfinite(lr) && lr >= 0.0, "lr", lr, "a finite number, at least 0");
        require(epochs >= 1, "epochs", epochs, "at least 1");
        require(warmup_epochs >= 0.0 && warmup_epochs < epochs, "warmup_epochs", warmup_epochs,
                "at least 0 and below epochs");
        require(step_size >= 1, "step_size", step_size, "at least 1");
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

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/settings.hpp
// Everything that decides a trainer's numbers, as one value that files can hold.

namespace ctnn::inline CTNN_ISA {

/// All settings of a trainer that decide a run's numbers; the loader has its own. The number of threads is none.
struct TrainerSettings {
    CrossEntropy loss{};
    Sgd optimizer{};
    Schedule schedule{};
    int batch_size = 128;
    std::uint64_t seed = 0;  ///< of dropout; the loader has its own
};

/// Calls f(key, value) for every setting, values being numbers, bools and enumerations with name() and parse_name():
/// one list for whoever writes, reads or compares them.
template <class Settings, class F>
void for_each_setting(Settings& s, F&& f) {
    f("seed", s.seed);
    f("batch_size", s.batch_size);
    f("label_smoothing", s.loss.label_smoothing);
    f("momentum", s.optimizer.momentum);
    f("nesterov", s.optimizer.nesterov);
    f("weight_decay", s.optimizer.weight_decay);
    f("decay_biases_and_norms", s.optimizer.decay_biases_and_norms);
    f("clip_norm", s.optimizer.clip_norm);
    f("schedule", s.schedule.kind);
    f("lr", s.schedule.lr);
    f("epochs", s.schedule.epochs);
    f("warmup_epochs", s.schedule.warmup_epochs);
    f("step_size", s.schedule.step_size);
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

/// Where a run stands: epochs done, batches done in the current one and their losses, steps in all.
struct TrainerProgress {
    int epoch = 0, batch = 0;
    std::int64_t step = 0;
    LossSum loss{};
    bool operator==(const TrainerProgress&) const = default;
};

/// One step, or an epoch: the sum over its steps.
struct StepResult {
    LossSum loss{};
    double lr = 0;             ///< of the last step
    double gradient_norm = 0;  ///< of the last step, before clipping; 0 where clipping is off
};

namespace detail {

/// Cross-entropy needs one number per class.
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

/// Trains a model that the caller owns. Everything is allocated here; a step allocates nothing.
///
/// Throws ArgumentError for settings outside their ranges.
template <Network Net, class T = float>
class Trainer {
    static_assert(sizeof(decltype(verdict<detail::LossError<Net>>(pieces_of<detail::LossError<Net>>{}))) > 0);

  public:
    Trainer(Model<Net, T>& model, const TrainerSettings& settings, int threads = default_threads())
        : model_{model}, settings_{checked(settings)}, workspace_{settings.batch_size, threads} {}
    Trainer(Model<Net, T>& model, CrossEntropy loss, Sgd optimizer, const Schedule& schedule, int batch_size = 128,
            Seed seed = {}, int threads = default_threads())
        : Trainer(model, TrainerSettings{loss, optimizer, schedule, batch_size, seed.value}, threads) {}

    /// One step on `samples` samples at `images` ([sample][row][column][channel]) with learning rate `lr`. `ids` key
    /// dropout; where they are null, the place in the batch and the step do. Throws ArgumentError for more samples than
    /// the batch size or a label that is none, and NumericError, which names step and layer, when the loss or, where
    /// clipping is on, the gradient norm is not finite. The model is then as it was before the step.
    StepResult step(const T* images, std::span<const std::int32_t> labels, const std::uint32_t* ids, double lr) {
        const int samples = static_cast<int>(labels.size());
        // Samples without ids are told apart by the step, so that no two steps draw the same masks.
        const RandomKey key{settings_.seed,
                            static_cast<std::uint32_t>(ids != nullptr ? progress_.epoch : progress_.step), ids};
        buffers_before_ = model_.buffers();
        StepResult result;
        result.lr = lr;
        result.loss = forward_and_loss(images, labels, key, nullptr);
        if (!std::isfinite(result.loss.loss_sum)) {
            model_.buffers() = buffers_before_;
            loss_not_finite(images, labels, key);
        }
        backward(model_, images, samples, workspace_, gradients_);
        result.gradient_norm = sgd_step<T>(settings_.optimizer, lr, model_.parameters().span(), gradients_.span(),
                                           velocity_.span(), Parameters<Net, T>::decayed, workspace_.threads());
        if (!std::isfinite(result.gradient_norm)) {
            model_.buffers() = buffers_before_;
            not_finite("gradient norm", "the first gradient that is not: " + first_not_finite(gradients_));
        }
        ++progress_.step;
        return result;
    }

    /// The rest of the current epoch: the loader starts it at the batch where this trainer stands. `after_step(result)`
    /// is called with every step's result and may return false to stop; then the epoch stays unfinished. The result's
    /// loss is that of the epoch from its first batch on, also where another call or another process began it.
    template <class AfterStep>
    StepResult train_epoch(BatchLoader& loader, AfterStep&& after_step) {
        StepResult total;
        total.loss = progress_.loss;
        total.lr = settings_.schedule.at(position(progress_.batch - 1, loader));
        loader.start_epoch(progress_.epoch, progress_.batch);
        while (const MiniBatch* batch = loader.next()) {
            const double lr = settings_.schedule.at(position(progress_.batch, loader));
            const StepResult result = step(batch->images.data(), batch->labels, batch->ids.data(), lr);
            ++progress_.batch;
            progress_.loss += result.loss;
            total = result;
            total.loss = progress_.loss;
            if (!after_step(result)) { return total; }
        }
        ++progress_.epoch;
        progress_.batch = 0;
        progress_.loss = {};
        return total;
    }
    StepResult train_epoch(BatchLoader& loader) {
        return train_epoch(loader, [](const StepResult&) { return true; });
    }

    /// Throws NumericError that names the first parameter tensor with a number that is not finite: to be called before
    /// a good checkpoint is replaced, because without clipping a step looks at the loss alone.
    void require_finite() const {
        const std::string name = first_not_finite(model_.parameters());
        if (!name.empty()) { not_finite("model", "the first parameter that is not: " + name); }
    }

    [[nodiscard]] const TrainerSettings& settings() const { return settings_; }
    [[nodiscard]] const TrainerProgress& progress() const { return progress_; }
    [[nodiscard]] Model<Net, T>& model() { return model_; }
    [[nodiscard]] const Model<Net, T>& model() const { return model_; }
    [[nodiscard]] Parameters<Net, T>& velocity() { return velocity_; }
    [[nodiscard]] const Parameters<Net, T>& velocity() const { return velocity_; }
    /// The last step's gradients.
    [[nodiscard]] const Parameters<Net, T>& gradients() const { return gradients_; }
    /// Continues a run from there; model and velocity have been restored.
    void resume_at(const TrainerProgress& progress) { progress_ = progress; }

  private:
    /// Of a batch of the current epoch, in epochs.
    [[nodiscard]] double position(int batch, const BatchLoader& loader) const {
        return progress_.epoch + static_cast<double>(batch) / loader.batches();
    }
    static const TrainerSettings& checked(const TrainerSettings& settings) {
        settings.loss.validate();
        settings.optimizer.validate();
        settings.schedule.validate();
        return settings;
    }
    /// Forward, loss and its gradient. Where `broken` points to −1 it becomes the first stage whose output is not
    /// finite: one instantiation serves the step and the search behind a failed one.
    LossSum forward_and_loss(const T* images, std::span<const std::int32_t> labels, const RandomKey& key, int* broken) {
        const int samples = static_cast<int>(labels.size());
        const auto logits = forward(model_, images, samples, workspace_, key, [&](int stage) {
            if (broken != nullptr && *broken < 0 && !is_finite_behind(stage, samples)) { *broken = stage; }
        });
        return cross_entropy<T>(settings_.loss, logits, labels, Net::classes, workspace_.output_gradient(samples),
                                workspace_.threads());
    }
    bool is_finite_behind(int stage, int samples) {
        const auto s = static_cast<std::size_t>(stage);
        const auto n = static_cast<std::size_t>(samples * StageList::at(s).out.size());
        return all_finite<T>(std::span<const T>{workspace_.at(s, Slot::output), n}, workspace_.threads());
    }

    [[noreturn]] void loss_not_finite(const T* images, std::span<const std::int32_t> labels, const RandomKey& key) {
        const auto n = labels.size() * static_cast<std::size_t>(Net::input_shape.size());
        if (!all_finite<T>(std::span{images, n}, workspace_.threads())) { not_finite("loss", "the input is not"); }
        int broken = -1;
        forward_and_loss(images, labels, key, &broken);
        model_.buffers() = buffers_before_;
        std::string where = "every layer's output is";
        if (broken >= 0) {
            const StageSpec& stage = StageList::at(static_cast<std::size_t>(broken));
            where = "the first output that is not: layer " + std::to_string(stage.begin);
            where += ", " + std::string{Net::description.layers[stage.begin].type};
            if (stage.end > stage.begin + 1) { where += ", to layer " + std::to_string(stage.end - 1); }
        }
        const std::string parameter = first_not_finite(model_.parameters());
        if (!parameter.empty()) { where += "; the first parameter that is not: " + parameter; }
        not_finite("loss", where + "; lower the learning rate, warm up, or clip gradients");
    }
    /// The name of the first tensor with a number that is not finite, or nothing.
    std::string first_not_finite(const Parameters<Net, T>& arena) const {
        for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
            const auto values = arena.span().subspan(static_cast<std::size_t>(slot.offset),
                                                     static_cast<std::size_t>(slot.spec.dims.stored()));
            if (!all_finite<T>(values, workspace_.threads())) { return std::string{slot.name.view()}; }
        }
        return {};
    }
    [[noreturn]] void not_finite(const char* what, const std::string& where) const {
        throw NumericError("step " + std::to_string(progress_.step) + ": the " + what + " is not finite; " + where);
    }

    using StageList = typename Training<Net, T>::StageList;

    Model<Net, T>& model_;
    TrainerSettings settings_;
    TrainerProgress progress_;
    Parameters<Net, T> gradients_, velocity_;
    Buffers<Net, T> buffers_before_;  // those of before the step
    Workspace<Training<Net, T>> workspace_;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/checkpoint.hpp
// A trainer as a file: everything that an unbroken run would still know, in one safetensors file of its own.

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// The text of a setting that reads back as the same: a double with the fewest digits, a bool as 0 or 1, an
/// enumeration by its name.
template <class N>
std::string exact(N value) {
    if constexpr (std::is_same_v<N, double>) {
        return shortest(value);
    } else if constexpr (std::is_enum_v<N>) {
        return std::string{name(value)};
    } else {
        return std::to_string(value);
    }
}

inline SafetensorsMetadata trainer_metadata(const TrainerSettings& settings, const TrainerProgress& progress) {
    SafetensorsMetadata metadata{{"format", "ctnn trainer 1"},
                                 {"epoch", exact(progress.epoch)},
                                 {"batch", exact(progress.batch)},
                                 {"step", exact(progress.step)},
                                 {"epoch_loss_sum", exact(progress.loss.loss_sum)},
                                 {"epoch_correct", exact(progress.loss.correct)},
                                 {"epoch_count", exact(progress.loss.count)},
                                 {"loss", "cross_entropy"},
                                 {"optimizer", "sgd"}};
    for_each_setting(settings, [&](const char* key, auto value) { metadata.emplace_back(key, exact(value)); });
    return metadata;
}

/// Reads metadata by key, with one clear error for what is missing or no number.
struct MetadataReader {
    const SafetensorsFile& file;

    [[nodiscard]] const std::string& text(const char* key) const {
        const std::string* value = file.find_metadata(key);
        if (value == nullptr) {
            throw FileError(file.source + ": no metadata '" + key + "'; expected a trainer's state");
        }
        return *value;
    }
    template <class N>
    void read(const char* key, N& to) const {
        const std::string& value = text(key);
        N number{};
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (error != std::errc{} || end != value.data() + value.size()) {
            throw FileError(file.source + ": metadata '" + key + "' is '" + value + "'; expected a number");
        }
        to = number;
    }
    void read(const char* key, bool& to) const {
        int number = 0;
        read(key, number);
        to = number != 0;
    }
    template <class Enum>
        requires std::is_enum_v<Enum>
    void read(const char* key, Enum& to) const {
        try {
            parse_name(text(key), to);
        } catch (const ArgumentError& error) { throw FileError(file.source + ": " + error.what()); }
    }
    void expect(const char* key, const std::string& expected) const {
        if (text(key) != expected) {
            throw FileError(file.source + ": metadata '" + key + "' is '" + text(key) + "'; expected '" + expected +
                            "'");
        }
    }
};

}  // namespace detail

/// A loader's settings as `further` metadata for save_trainer and load_trainer: they decide a run's numbers too.
inline SafetensorsMetadata loader_metadata(const LoaderOptions& options) {
    return {{"loader_batch_size", detail::exact(options.batch_size)},
            {"loader_seed", detail::exact(options.seed)},
            {"shuffle", detail::exact(options.shuffle)},
            {"augment", detail::exact(options.augment)},
            {"crop_padding", detail::exact(options.crop_padding)},
            {"flip", detail::exact(options.flip)},
            {"drop_last", detail::exact(options.drop_last)}};
}

/// Writes parameters, running statistics, velocity, progress and all settings of a trainer, atomically, and `further`
/// settings of the caller's, such as the loader's. The bytes hold no time, path or number of threads. Throws FileError.
template <Network Net, class T>
void save_trainer(const std::filesystem::path& path, const Trainer<Net, T>& trainer,
                  const SafetensorsMetadata& further = {}) {
    StateDict<Net, T> state;
    state.add_arena(trainer.model().parameters().span());
    state.add_buffers(trainer.model().buffers());
    state.add_arena(trainer.velocity().span(), "velocity.");
    SafetensorsMetadata metadata = detail::trainer_metadata(trainer.settings(), trainer.progress());
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
    reader.expect("format", "ctnn trainer 1");
    reader.expect("loss", "cross_entropy");
    reader.expect("optimizer", "sgd");
    TrainerSettings s;
    for_each_setting(s, [&](const char* key, auto& value) { reader.read(key, value); });
    return s;
}

/// Restores what save_trainer wrote into a trainer of the same network and settings, and with the same `further`
/// settings. Throws FileError, naming the first difference, and then changes nothing.
template <Network Net, class T>
void load_trainer(const std::filesystem::path& path, Trainer<Net, T>& trainer,
                  const SafetensorsMetadata& further = {}) {
    using State = StateDict<Net, T>;
    const std::vector<std::byte> bytes = read_file(path);
    const SafetensorsFile file = parse_safetensors(bytes, path.string());
    const detail::MetadataReader reader{file};
    reader.expect("format", "ctnn trainer 1");
    State::check_arena(file);
    State::check_buffers(file);
    State::check_arena(file, "velocity.");
    State::check_known(file, "velocity.");
    TrainerProgress progress;
    reader.read("epoch", progress.epoch);
    reader.read("batch", progress.batch);
    reader.read("step", progress.step);
    reader.read("epoch_loss_sum", progress.loss.loss_sum);
    reader.read("epoch_correct", progress.loss.correct);
    reader.read("epoch_count", progress.loss.count);
    for (const auto& [key, value] : detail::trainer_metadata(trainer.settings(), progress)) {
        reader.expect(key.c_str(), value);
    }
    for (const auto& [key, value] : further) { reader.expect(key.c_str(), value); }
    State::read_arena(file, trainer.model().parameters().span());
    State::read_buffers(file, trainer.model().buffers());
    State::read_arena(file, trainer.velocity().span(), "velocity.");
    trainer.resume_at(progress);
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/io/cifar.hpp
// CIFAR-10 in its binary layout (Krizhevsky, "Learning multiple layers of features from tiny images", 2009): files of
// 10 000 records, each a label byte and 3072 pixel bytes in planes R, G, B.

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline constexpr Shape cifar10_shape{3, 32, 32};
inline constexpr std::size_t cifar10_pixels = 3 * 32 * 32, cifar10_records = 10'000;

/// Opens a batch and checks its size, so that six files are known to be there before any is read.
inline InputFile open_cifar10_batch(const std::filesystem::path& path) {
    constexpr std::uintmax_t expected = cifar10_records * (1 + cifar10_pixels);
    InputFile file{path};
    if (file.size() != expected) {
        throw FileError{path.string() + ": found " + std::to_string(file.size()) + " bytes, expected " +
                        std::to_string(expected) + " (10000 records of a label and 3072 pixels)"};
    }
    return file;
}

/// Fills records [first, first + 10 000) of `out`.
inline void read_cifar10_records(InputFile& file, Dataset& out, std::size_t first) {
    const auto pixels = std::as_writable_bytes(std::span{out.pixels}).subspan(first * cifar10_pixels);
    for (std::size_t i = 0; i < cifar10_records; ++i) {
        std::byte label{};
        file.read({&label, 1});
        if (std::to_integer<std::size_t>(label) >= out.class_names.size()) {
            throw FileError{file.path().string() + ": offset " + std::to_string(i * (1 + cifar10_pixels)) +
                            ": found the label " + std::to_string(std::to_integer<int>(label)) + ", expected 0 to 9"};
        }
        out.labels[first + i] = std::to_integer<std::uint16_t>(label);
        file.read(pixels.subspan(i * cifar10_pixels, cifar10_pixels));
    }
}

inline Dataset read_cifar10_batches(std::span<InputFile> files, std::vector<std::string> class_names) {
    const std::size_t records = files.size() * cifar10_records;
    Dataset set{cifar10_shape, std::vector<std::uint8_t>(records * cifar10_pixels), std::vector<std::uint16_t>(records),
                std::move(class_names), cifar10_normalization()};
    for (std::size_t i = 0; i < files.size(); ++i) { read_cifar10_records(files[i], set, i * cifar10_records); }
    return set;
}

/// The ten names of batches.meta.txt, one a line, blank lines aside.
inline std::vector<std::string> read_cifar10_class_names(const std::filesystem::path& path) {
    const auto bytes = read_file(path);
    std::istringstream text{std::string{reinterpret_cast<const char*>(bytes.data()), bytes.size()}};
    std::vector<std::string> names;
    for (std::string line; std::getline(text, line);) {
        line.erase(line.find_last_not_of(" \t\r") + 1);
        if (!line.empty()) { names.push_back(line); }
    }
    if (names.size() != 10) {
        throw FileError{path.string() + ": found " + std::to_string(names.size()) + " class names, expected 10"};
    }
    return names;
}

}  // namespace detail

/// The names of CIFAR-10's classes, by label.
inline std::vector<std::string> cifar10_class_names() {
    return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
}

/// One batch file: 10 000 samples under the standard class names. Throws FileError.
inline Dataset read_cifar10_batch(const std::filesystem::path& path) {
    auto file = detail::open_cifar10_batch(path);
    return detail::read_cifar10_batches({&file, 1}, cifar10_class_names());
}

/// The whole set from a directory: data_batch_1.bin to data_batch_5.bin in this order for training, test_batch.bin for
/// testing, and class names from batches.meta.txt where it exists. The pixels are read straight into place. Throws
/// FileError, naming the file and offset, for a missing directory or file, a wrong size, a label above 9.
inline TrainTest read_cifar10(const std::filesystem::path& directory) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(directory, ignored)) {
        throw FileError{directory.string() +
                        ": found no directory, expected one with CIFAR-10's data_batch_1.bin to "
                        "data_batch_5.bin and test_batch.bin"};
    }
    std::vector<InputFile> train;
    for (int i = 1; i <= 5; ++i) {
        train.push_back(detail::open_cifar10_batch(directory / ("data_batch_" + std::to_string(i) + ".bin")));
    }
    auto test = detail::open_cifar10_batch(directory / "test_batch.bin");
    const auto meta = directory / "batches.meta.txt";
    const auto names =
        std::filesystem::exists(meta, ignored) ? detail::read_cifar10_class_names(meta) : cifar10_class_names();
    return {detail::read_cifar10_batches(train, names), detail::read_cifar10_batches({&test, 1}, names)};
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
/// default, U(±1/√fan_in)), and Winograd for a kernel of 3×3 without stride and groups: all three directions then take
/// a quarter of the multiplications, as kernels/winograd.hpp has it, and their rounding errors are some ten times
/// larger. Remembers its input. Backward overwrites the parameters' gradients.
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
constexpr LayerInfo custom_layer(std::string_view type, Signal in, Shape out) {
    LayerInfo info = detail::start_layer(LayerKind::custom, type, in);
    info.out = {out, in.flat, out};
    return info;
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

// ---- ctnn/train/metrics.hpp
// What a classifier gets right: accuracy, top-5, recall of every class, confusion matrix, mean loss.

namespace ctnn::inline CTNN_ISA {

/// Counts over a test set, batch by batch. Where logits tie, the lower class wins, in top-1 and top-5 alike. A ratio
/// over no samples is NaN. Adding allocates nothing.
class Metrics {
  public:
    /// Throws ArgumentError on fewer than one class.
    explicit Metrics(int classes) : classes_{classes} {
        if (classes < 1) {
            throw ArgumentError("metrics: " + std::to_string(classes) + " classes, expected at least 1");
        }
        confusion_.resize(static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes));
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
            std::size_t ahead = 0;  // classes that come before the true one; a NaN beats it and is beaten by all
            for (std::size_t j = 0; j < width; ++j) {
                ahead += j < truth ? !(row[truth] > row[j]) : j > truth && !(row[truth] >= row[j]);
            }
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
            throw ArgumentError("metrics: " + std::to_string(other.classes_) + " classes cannot be merged into " +
                                std::to_string(classes_));
        }
        for (std::size_t i = 0; i < confusion_.size(); ++i) { confusion_[i] += other.confusion_[i]; }
        top5_ += other.top5_;
        samples_ += other.samples_;
        loss_sum_ += other.loss_sum_;
        losses_ += other.losses_;
    }

    void clear() { *this = Metrics{classes_}; }

    [[nodiscard]] int classes() const { return classes_; }
    [[nodiscard]] std::int64_t samples() const { return samples_; }

    /// Samples of class `truth` that were taken for `predicted`. Throws ArgumentError on a class that is none.
    [[nodiscard]] std::int64_t confusion(int truth, int predicted) const {
        for (const int c : {truth, predicted}) {
            if (c < 0 || c >= classes_) {
                throw ArgumentError("metrics: class " + std::to_string(c) + ", expected 0 to " +
                                    std::to_string(classes_ - 1));
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
        for (int truth = 0; truth < classes_; ++truth) {
            std::int64_t samples = 0;
            for (int c = 0; c < classes_; ++c) { samples += at(truth, c); }
            result.push_back(ratio(static_cast<double>(at(truth, truth)), samples));
        }
        return result;
    }

    /// Mean over all samples of all batches given to add_loss, not over batches.
    [[nodiscard]] double mean_loss() const { return ratio(loss_sum_, losses_); }

  private:
    [[nodiscard]] std::int64_t at(int truth, int predicted) const {
        return confusion_[static_cast<std::size_t>(truth) * static_cast<std::size_t>(classes_) +
                          static_cast<std::size_t>(predicted)];
    }
    static double ratio(double part, std::int64_t whole) {
        return whole > 0 ? part / static_cast<double>(whole) : std::numeric_limits<double>::quiet_NaN();
    }

    int classes_;
    std::vector<std::int64_t> confusion_;  // classes × classes, row = truth
    std::int64_t top5_ = 0, samples_ = 0, losses_ = 0;
    double loss_sum_ = 0.0;
};

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/train/evaluate.hpp
// Evaluation of a model on a data set.

namespace ctnn::inline CTNN_ISA {

/// Loss without smoothing, accuracy, top-5, recalls and confusion of a model on the samples `indices` of a data set, in
/// batches of the workspace's size. Throws ArgumentError when shapes or classes do not fit.
template <Network Net>
Metrics evaluate(ModelView<Net, float> model, const Dataset& data, std::vector<std::uint32_t> indices,
                 Workspace<Inference<Net, float>>& workspace) {
    if (data.shape != Net::input_shape || data.classes() > Net::classes) {
        throw ArgumentError("the data set's images or classes do not fit the network");
    }
    BatchLoader loader{data, std::move(indices), {.batch_size = workspace.batch(), .shuffle = false}};
    loader.start_epoch(0);
    Metrics metrics{Net::classes};
    while (const MiniBatch* batch = loader.next()) {
        const auto logits = forward(model, batch->images.data(), batch->size, workspace);
        metrics.add<float>(logits, batch->labels);
        metrics.add_loss(cross_entropy<float>({}, logits, batch->labels, Net::classes, {}));
    }
    return metrics;
}

}  // namespace ctnn::inline CTNN_ISA

// ---- ctnn/ctnn.hpp
// ctnn: compile-time neural networks. Everything.

