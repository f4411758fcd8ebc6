// Parameters, buffers, the model that owns both, and the view of them that inference takes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/initialize.hpp>
#include <ctnn/core/layout.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/network/sequential.hpp>

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
