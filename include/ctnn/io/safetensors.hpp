// The safetensors format, strictly: 8 bytes of header length, a JSON header, then the tensors' bytes without gaps.
// As of huggingface/safetensors 0.8.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/io/json_parser.hpp>

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
