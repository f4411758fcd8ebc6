// Factors of the learning rate for single tensors: frozen layers, faster biases.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/layout.hpp>

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
