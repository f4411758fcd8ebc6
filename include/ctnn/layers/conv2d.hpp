// Conv2d: two-dimensional cross-correlation, PyTorch's nn.Conv2d.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

/// y[n, o, i, j] = bias[o] + Σ_{c, u, v} weight[o, c, u, v] · x[n, c, i·stride − padding + u, j·stride − padding + v],
/// c over the channels of o's group.
///
/// Shape: (C, H, W) → (OutChannels, ⌊(H + 2·padding − kernel) / stride⌋ + 1, likewise W).
/// Parameters: weight (out, C / groups, kernel height, kernel width), decays; bias (out).
/// Options: Kernel<h, w> (needed), Stride<1>, Padding<0>, Groups<1>, Bias<true>, WeightInit, BiasInit (both PyTorch's
/// default, U(±1/√fan_in)), and Winograd for a kernel of 3×3 or 5×5 without stride and groups: all three directions
/// then take 25 or 36 % of the multiplications, as kernels/winograd.hpp has it, and their rounding errors are some ten
/// times larger. Remembers its input. Backward overwrites the parameters' gradients.
template <int OutChannels, class... Options>
struct Conv2d {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::conv2d, "Conv2d", in);
        detail::check_options(
            info, options,
            O::kernel | O::stride | O::padding | O::groups | O::bias | O::weight_init | O::bias_init | O::winograd,
            "Conv2d takes Kernel, Stride, Padding, Groups, Bias, WeightInit, BiasInit and Winograd");
        if (!detail::need_map(info) || !detail::read_window(info, options, false)) { return info; }
        if (OutChannels < 1) {
            info.error << OutChannels << " output channels; write at least 1";
            return info;
        }
        const int groups = options.group_count;
        if (groups < 1 || in.shape.channels % groups != 0 || OutChannels % groups != 0) {
            info.error << groups << " groups do not divide " << in.shape.channels << " input and " << OutChannels
                       << " output channels; choose a common divisor";
            return info;
        }
        info.winograd = options.has(O::winograd);
        const auto [y, x] = info.window;
        if (info.winograd && (groups != 1 || (y.extent != 3 && y.extent != 5) || x.extent != y.extent ||
                              y.stride != 1 || x.stride != 1)) {
            info.error << "Winograd needs Kernel<3> or Kernel<5> without stride and groups; drop it";
            return info;
        }
        info.groups = groups;
        info.bias = options.with_bias;
        info.out = {info.window.output(in.shape, OutChannels), false, {}};
        const int group_in = in.shape.channels / groups;
        const std::int64_t taps = std::int64_t{options.kernel_y} * options.kernel_x;
        ParameterSpec weight;
        weight.name = "weight";
        weight.shape = {OutChannels, group_in, options.kernel_y, options.kernel_x};
        weight.rank = 4;
        weight.dims = {groups, OutChannels / groups, options.kernel_y, options.kernel_x, group_in};
        weight.init = options.weights;
        weight.fan_in = group_in * taps;
        weight.fan_out = OutChannels * taps;  // as torch.nn.init counts: groups do not enter
        weight.decays = true;
        info.add(weight);
        if (options.with_bias) {
            info.add(detail::vector_parameter("bias", groups, OutChannels / groups, options.biases, weight.fan_in));
        }
        info.multiply_adds = info.window.live_taps(in.shape) * group_in * OutChannels;
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA
