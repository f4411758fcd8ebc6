// A model as a file that is used where it lies: the arenas themselves, mapped instead of read and converted.
//
// A native file is a safetensors file of two tensors, "buffers" and "parameters", which are the arenas as they are in
// memory, and of the metadata of save_weights and three more: format ("ctnn native 1"), layout (layout_hash in 16
// hexadecimal digits) and batches_tracked. Arenas are the same on every instruction set. What it cannot be used for is
// another network, or a ctnn that lays arenas out otherwise: keep the file of save_weights, which is for all of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <ctnn/core/error.hpp>
#include <ctnn/core/layout.hpp>
#include <ctnn/io/mapped_file.hpp>
#include <ctnn/io/model_info.hpp>
#include <ctnn/io/safetensors.hpp>
#include <ctnn/network/model.hpp>

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
