// A model as ML Odyssey keeps one: a directory with a text file of hexadecimal digits per tensor.
//
//     conv1_bias                  the tensor's name; the file is <name>.weights
//     float32 96                  type and dimensions, in PyTorch's order
//     0000803f0000803f…           the elements' bytes as they lie in memory, little-endian: 1.0f is 0000803f
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/io/safetensors.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/network/model.hpp>

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
