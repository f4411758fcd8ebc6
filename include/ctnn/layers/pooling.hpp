// MaxPool2d, AvgPool2d and AdaptiveAvgPool2d: PyTorch's layers of the same names.
#pragma once

#include <ctnn/core/layer.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// A window must start or end on a pixel, so PyTorch allows padding up to half the kernel.
constexpr bool check_pool_padding(LayerInfo& info, const OptionValues& options) {
    if (info.error.empty() && (2 * options.padding_y > options.kernel_y || 2 * options.padding_x > options.kernel_x)) {
        write_size(info.error << "padding ", options.padding_y, options.padding_x) << " is more than half of window ";
        write_size(info.error, options.kernel_y, options.kernel_x) << "; pad less";
    }
    return info.error.empty();
}

}  // namespace detail

/// y = the largest input in each window; padding never wins; of equal inputs the first in row order gets the gradient.
///
/// Shape: (C, H, W) → (C, ⌊(H + 2·padding − kernel) / stride⌋ + 1, likewise W).
/// Options: Kernel<h, w> (needed), Stride (the kernel's size unless given), Padding<0>.
/// Remembers one byte per output: the place of the maximum in its window.
template <class... Options>
struct MaxPool2d {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::max_pool2d, "MaxPool2d", in);
        detail::check_options(info, options, O::kernel | O::stride | O::padding,
                              "MaxPool2d takes Kernel, Stride and Padding");
        if (!detail::need_map(info) || !detail::read_window(info, options, true) ||
            !detail::check_pool_padding(info, options)) {
            return info;
        }
        if (options.kernel_y * options.kernel_x > 256) {
            detail::write_size(info.error << "window ", options.kernel_y, options.kernel_x)
                << " has more than 256 taps; pool twice";
            return info;
        }
        info.out = {info.window.output(in.shape, in.shape.channels), false, {}};
        return info;
    }
};

/// y = the mean of each window. Padding counts as zeros unless CountIncludePad<false>.
///
/// Shape as MaxPool2d. Options: Kernel<h, w> (needed), Stride (the kernel's size unless given), Padding<0>,
/// CountIncludePad<true>. Remembers nothing.
template <class... Options>
struct AvgPool2d {
    static constexpr LayerInfo describe(Signal in) {
        using O = OptionValues;
        constexpr OptionValues options = read_options<Options...>();
        LayerInfo info = detail::start_layer(LayerKind::avg_pool2d, "AvgPool2d", in);
        detail::check_options(info, options, O::kernel | O::stride | O::padding | O::count_include_pad,
                              "AvgPool2d takes Kernel, Stride, Padding and CountIncludePad");
        if (!detail::need_map(info) || !detail::read_window(info, options, true) ||
            !detail::check_pool_padding(info, options)) {
            return info;
        }
        info.count_include_pad = options.count_padding;
        info.out = {info.window.output(in.shape, in.shape.channels), false, {}};
        return info;
    }
};

/// y[i, j] = the mean of input rows ⌊i·H/Height⌋ to ⌈(i + 1)·H/Height⌉ and the like columns.
///
/// Shape: (C, H, W) → (C, Height, Width), for any input size. Remembers nothing.
template <int Height, int Width = Height>
struct AdaptiveAvgPool2d {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = detail::start_layer(LayerKind::avg_pool2d, "AdaptiveAvgPool2d", in);
        if (!detail::need_map(info)) { return info; }
        if (Height < 1 || Width < 1) {
            detail::write_size(info.error << "output ", Height, Width) << " is below 1; write at least 1";
            return info;
        }
        info.adaptive = true;
        info.out = {{in.shape.channels, Height, Width}, false, {}};
        return info;
    }
};

}  // namespace ctnn::inline CTNN_ISA
