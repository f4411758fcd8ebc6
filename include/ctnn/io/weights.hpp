// A model as a file: safetensors with the names, shapes and element order of PyTorch's state_dict.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/io/mapped_file.hpp>
#include <ctnn/io/model_info.hpp>
#include <ctnn/io/native.hpp>
#include <ctnn/io/safetensors.hpp>
#include <ctnn/network/model.hpp>

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
