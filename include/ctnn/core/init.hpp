// How a parameter tensor begins: the description a layer carries. The numbers come from core/initialize.hpp.
#pragma once

#include <ctnn/core/config.hpp>

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
    dirac,            ///< of each group, the first filters pass on one input channel each; further ones as by default
};

/// An initialiser and its number: the standard deviation of `normal`, the value of `constant`, else unused.
/// Structural, so that it can be a template argument.
struct Init {
    InitKind kind = InitKind::pytorch_default;
    double value = 0.0;

    constexpr bool operator==(const Init&) const = default;
};

}  // namespace ctnn::inline CTNN_ISA
