// AlexNetWide and AlexNetBn: SystemDS's AlexNet, plain and with batch norm; the latter is that of large-batch training
// (You, Gitman, Ginsburg 2017).
#pragma once

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/models/initializers.hpp>
#include <ctnn/network/sequential.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {
/// Layers of both.
template <int FirstPadding>
using WideConv1 = Conv2d<96, Kernel<11>, Stride<4>, Padding<FirstPadding>, SmallNormal, ZeroBias>;
using WideConv2 = Conv2d<256, Kernel<5>, Padding<2>, SmallNormal, ZeroBias>;
template <int Channels>
using WideConv3 = Conv2d<Channels, Kernel<3>, Padding<1>, SmallNormal, ZeroBias>;
using WideNorm = BatchNorm2d<Eps<1e-5>, Momentum<0.01>>;
using WidePool = MaxPool2d<Kernel<3>, Stride<2>>;
template <int Outputs>
using WideLinear = Linear<Outputs, SmallNormal, ZeroBias>;
}  // namespace detail

/// Weights begin N(0, 0.01), biases as zeros; dropout follows the hidden linear layers. The documents pad the first
/// convolution by 0, the code by 2: 46 787 978 or 58 322 314 parameters at 10 classes and 224×224.
template <int Classes = 10, int Size = 224, int FirstPadding = 0, double Drop = 0.5>
struct AlexNetWide : Sequential<Input<3, Size, Size>,                                        //
                                detail::WideConv1<FirstPadding>, ReLU, detail::WidePool,     //
                                detail::WideConv2, ReLU, detail::WidePool,                   //
                                detail::WideConv3<384>, ReLU, detail::WideConv3<384>, ReLU,  //
                                detail::WideConv3<256>, ReLU, detail::WidePool, Flatten,     //
                                detail::WideLinear<4096>, ReLU, Dropout<Drop>,               //
                                detail::WideLinear<4096>, ReLU, Dropout<Drop>, detail::WideLinear<Classes>> {};

/// Batch norm behind each convolution, whose running averages keep 0.99. 46 790 730 or 58 325 066 parameters.
template <int Classes = 10, int Size = 224, int FirstPadding = 0, double Drop = 0.5>
struct AlexNetBn : Sequential<Input<3, Size, Size>,                                                       //
                              detail::WideConv1<FirstPadding>, detail::WideNorm, ReLU, detail::WidePool,  //
                              detail::WideConv2, detail::WideNorm, ReLU, detail::WidePool,                //
                              detail::WideConv3<384>, detail::WideNorm, ReLU,                             //
                              detail::WideConv3<384>, detail::WideNorm, ReLU,                             //
                              detail::WideConv3<256>, detail::WideNorm, ReLU, detail::WidePool, Flatten,  //
                              detail::WideLinear<4096>, ReLU, Dropout<Drop>,                              //
                              detail::WideLinear<4096>, ReLU, Dropout<Drop>, detail::WideLinear<Classes>> {};

static_assert(AlexNetWide<>::parameter_count == 46'787'978 && AlexNetWide<10, 224, 2>::parameter_count == 58'322'314);
static_assert(AlexNetWide<>::shape_after(0) == Shape{96, 54, 54});
static_assert(AlexNetWide<>::shape_after(2) == Shape{96, 26, 26});
static_assert(AlexNetWide<>::shape_after(3) == Shape{256, 26, 26});
static_assert(AlexNetWide<>::shape_after(5) == Shape{256, 12, 12});
static_assert(AlexNetWide<>::shape_after(6) == Shape{384, 12, 12});
static_assert(AlexNetWide<>::shape_after(8) == Shape{384, 12, 12});
static_assert(AlexNetWide<>::shape_after(10) == Shape{256, 12, 12});
static_assert(AlexNetWide<>::shape_after(12) == Shape{256, 5, 5});
static_assert(AlexNetWide<>::shape_after(14) == Shape{4096, 1, 1});
static_assert(AlexNetWide<>::shape_after(17) == Shape{4096, 1, 1});
static_assert(AlexNetWide<>::output_shape == Shape{10, 1, 1});

static_assert(AlexNetBn<>::parameter_count == 46'790'730 && AlexNetBn<10, 224, 2>::parameter_count == 58'325'066);
static_assert(AlexNetBn<>::shape_after(3) == Shape{96, 26, 26});
static_assert(AlexNetBn<>::shape_after(7) == Shape{256, 12, 12});
static_assert(AlexNetBn<>::shape_after(10) == Shape{384, 12, 12});
static_assert(AlexNetBn<>::shape_after(13) == Shape{384, 12, 12});
static_assert(AlexNetBn<>::shape_after(17) == Shape{256, 5, 5});
static_assert(AlexNetBn<>::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA
