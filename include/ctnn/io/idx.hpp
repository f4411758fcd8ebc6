// IDX, the format of MNIST (http://yann.lecun.com/exdb/mnist): arrays of any element type and rank, and data sets as a
// file of images beside a file of labels.
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
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/io/file.hpp>

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
