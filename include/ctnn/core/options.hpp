// Options of layers: empty tags, written in any order behind a layer's own arguments.
#pragma once

#include <ctnn/core/init.hpp>
#include <ctnn/core/shape.hpp>

namespace ctnn::inline CTNN_ISA {

template <int Height, int Width = Height>
struct Kernel {};
template <int Height, int Width = Height>
struct Stride {};
template <int Height, int Width = Height>
struct Padding {};
/// A convolution of 3×3 or 5×5 by minimal filtering: about half the time, and a decimal digit less of accuracy.
struct Winograd {};
/// Output and input channels are split into this many groups that do not see each other.
template <int Count>
struct Groups {};
/// Whether a convolution or linear layer adds a bias; default true.
template <bool Value>
struct Bias {};
/// Whether average pooling divides by the whole window (default, as PyTorch) or by the pixels inside the map.
template <bool Value>
struct CountIncludePad {};
template <double Value>
struct Eps {};
/// Weight of the new batch in running statistics: running ← (1 − momentum)·running + momentum·batch.
template <double Value>
struct Momentum {};
template <double Value>
struct Alpha {};
template <double Value>
struct Beta {};
template <double Value>
struct K {};
/// How weights begin: WeightInit<InitKind::he_normal>, WeightInit<InitKind::normal, 0.01>. The number is the standard
/// deviation of `normal` or the value of `constant`.
template <InitKind Kind, double Value = 1.0>
struct WeightInit {};
/// How biases begin: BiasInit<InitKind::zeros>, BiasInit<InitKind::constant, 1.0>.
template <InitKind Kind, double Value = 0.0>
struct BiasInit {};

/// Everything an option can say, and what was said. A layer accepts some; the rest is an error it reports.
struct OptionValues {
    enum Flag : unsigned {
        kernel = 1,
        stride = 2,
        padding = 4,
        groups = 8,
        bias = 16,
        count_include_pad = 32,
        eps = 64,
        momentum = 128,
        alpha = 256,
        beta = 512,
        k = 1024,
        weight_init = 2048,
        bias_init = 4096,
        winograd = 8192,
        unknown = 16384,
        repeated = 32768
    };
    unsigned given = 0;
    int kernel_y = 0, kernel_x = 0, stride_y = 0, stride_x = 0, padding_y = 0, padding_x = 0;
    int group_count = 1;
    bool with_bias = true;
    bool count_padding = true;
    double eps_value = 0, momentum_value = 0, alpha_value = 0, beta_value = 0, k_value = 0;
    Init weights{}, biases{};

    constexpr void mark(unsigned flag) {
        if ((given & flag) != 0) { given |= repeated; }
        given |= flag;
    }
    [[nodiscard]] constexpr bool has(unsigned flag) const { return (given & flag) != 0; }

    template <int Y, int X>
    constexpr void read(Kernel<Y, X>) {
        mark(kernel);
        kernel_y = Y;
        kernel_x = X;
    }
    template <int Y, int X>
    constexpr void read(Stride<Y, X>) {
        mark(stride);
        stride_y = Y;
        stride_x = X;
    }
    template <int Y, int X>
    constexpr void read(Padding<Y, X>) {
        mark(padding);
        padding_y = Y;
        padding_x = X;
    }
    template <int N>
    constexpr void read(Groups<N>) {
        mark(groups);
        group_count = N;
    }
    constexpr void read(Winograd) { mark(winograd); }
    template <bool V>
    constexpr void read(Bias<V>) {
        mark(bias);
        with_bias = V;
    }
    template <bool V>
    constexpr void read(CountIncludePad<V>) {
        mark(count_include_pad);
        count_padding = V;
    }
    template <double V>
    constexpr void read(Eps<V>) {
        mark(eps);
        eps_value = V;
    }
    template <double V>
    constexpr void read(Momentum<V>) {
        mark(momentum);
        momentum_value = V;
    }
    template <double V>
    constexpr void read(Alpha<V>) {
        mark(alpha);
        alpha_value = V;
    }
    template <double V>
    constexpr void read(Beta<V>) {
        mark(beta);
        beta_value = V;
    }
    template <double V>
    constexpr void read(K<V>) {
        mark(k);
        k_value = V;
    }
    template <InitKind Kind, double V>
    constexpr void read(WeightInit<Kind, V>) {
        mark(weight_init);
        weights = {Kind, V};
    }
    template <InitKind Kind, double V>
    constexpr void read(BiasInit<Kind, V>) {
        mark(bias_init);
        biases = {Kind, V};
    }
    /// Anything that is no option: flagged here, reported with the layer's number by the describe pass.
    constexpr void read(...) { given |= unknown; }
};

template <class... Options>
constexpr OptionValues read_options() {
    OptionValues values;
    (values.read(Options{}), ...);
    return values;
}

}  // namespace ctnn::inline CTNN_ISA
