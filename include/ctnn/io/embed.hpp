// A model as C++: a header whose constexpr arrays are the weights, for programs that read no file.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/core/layout.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/io/json.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/network/model.hpp>

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
