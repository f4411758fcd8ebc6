// What a layer type says about itself: the description from which shapes, parameters, plans and fusion follow.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <string_view>

#include <ctnn/core/init.hpp>
#include <ctnn/core/options.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/core/text.hpp>

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
