// AlexNet with local response normalisation: as in the paper (Krizhevsky, Sutskever, Hinton 2012), and as UP_ALEXNET
// trains it.
#pragma once

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/models/initializers.hpp>
#include <ctnn/network/sequential.hpp>

namespace ctnn::inline CTNN_ISA {

/// The network of the paper: convolutions 2, 4 and 5 see one half of the channels each, as they did on two GPUs. The
/// paper's 224 pixels do not close; its code's 227 do. Weights begin N(0, 0.01), biases of convolutions 2, 4 and 5 and
/// of the hidden linear layers as ones (section 5). The paper's α of 10⁻⁴ is not divided by the size, so it is 5·10⁻⁴
/// here. Dropout follows the hidden layers (section 4.2). 60 965 224 parameters at 1000 classes.
template <int Classes = 1000, int Size = 227, double Drop = 0.5>
struct AlexNet : Sequential<Input<3, Size, Size>,  //
                            Conv2d<96, Kernel<11>, Stride<4>, detail::SmallNormal, detail::ZeroBias>, ReLU,
                            LocalResponseNorm<5, Alpha<5e-4>, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>>,  //
                            Conv2d<256, Kernel<5>, Padding<2>, Groups<2>, detail::SmallNormal, detail::OneBias>, ReLU,
                            LocalResponseNorm<5, Alpha<5e-4>, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>>,  //
                            Conv2d<384, Kernel<3>, Padding<1>, detail::SmallNormal, detail::ZeroBias>, ReLU,
                            Conv2d<384, Kernel<3>, Padding<1>, Groups<2>, detail::SmallNormal, detail::OneBias>, ReLU,
                            Conv2d<256, Kernel<3>, Padding<1>, Groups<2>, detail::SmallNormal, detail::OneBias>, ReLU,
                            MaxPool2d<Kernel<3>, Stride<2>>, Flatten,                                 //
                            Linear<4096, detail::SmallNormal, detail::OneBias>, ReLU, Dropout<Drop>,  //
                            Linear<4096, detail::SmallNormal, detail::OneBias>, ReLU, Dropout<Drop>,  //
                            Linear<Classes, detail::SmallNormal, detail::ZeroBias>> {};

/// UP_ALEXNET: one tower, dropout in front of the hidden linear layers, and PyTorch's reading of α. Weights and biases
/// begin as the paper's. 58 322 314 parameters at 10 classes.
template <int Classes = 10, int Size = 227, double Drop = 0.5>
struct AlexNetLrn : Sequential<Input<3, Size, Size>,  //
                               Conv2d<96, Kernel<11>, Stride<4>, detail::SmallNormal, detail::ZeroBias>, ReLU,
                               LocalResponseNorm<5, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>>,  //
                               Conv2d<256, Kernel<5>, Padding<2>, detail::SmallNormal, detail::OneBias>, ReLU,
                               LocalResponseNorm<5, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>>,  //
                               Conv2d<384, Kernel<3>, Padding<1>, detail::SmallNormal, detail::ZeroBias>, ReLU,
                               Conv2d<384, Kernel<3>, Padding<1>, detail::SmallNormal, detail::OneBias>, ReLU,
                               Conv2d<256, Kernel<3>, Padding<1>, detail::SmallNormal, detail::OneBias>, ReLU,
                               MaxPool2d<Kernel<3>, Stride<2>>, Flatten,                                 //
                               Dropout<Drop>, Linear<4096, detail::SmallNormal, detail::OneBias>, ReLU,  //
                               Dropout<Drop>, Linear<4096, detail::SmallNormal, detail::OneBias>, ReLU,  //
                               Linear<Classes, detail::SmallNormal, detail::ZeroBias>> {};

static_assert(AlexNet<>::parameter_count == 60'965'224);
static_assert(AlexNet<>::shape_after(0) == Shape{96, 55, 55});
static_assert(AlexNet<>::shape_after(3) == Shape{96, 27, 27});
static_assert(AlexNet<>::shape_after(4) == Shape{256, 27, 27});
static_assert(AlexNet<>::shape_after(7) == Shape{256, 13, 13});
static_assert(AlexNet<>::shape_after(8) == Shape{384, 13, 13});
static_assert(AlexNet<>::shape_after(10) == Shape{384, 13, 13});
static_assert(AlexNet<>::shape_after(12) == Shape{256, 13, 13});
static_assert(AlexNet<>::shape_after(14) == Shape{256, 6, 6});
static_assert(AlexNet<>::shape_after(16) == Shape{4096, 1, 1});
static_assert(AlexNet<>::shape_after(19) == Shape{4096, 1, 1});
static_assert(AlexNet<>::output_shape == Shape{1000, 1, 1});

static_assert(AlexNetLrn<>::parameter_count == 58'322'314);
static_assert(AlexNetLrn<>::shape_after(0) == Shape{96, 55, 55});
static_assert(AlexNetLrn<>::shape_after(3) == Shape{96, 27, 27});
static_assert(AlexNetLrn<>::shape_after(4) == Shape{256, 27, 27});
static_assert(AlexNetLrn<>::shape_after(7) == Shape{256, 13, 13});
static_assert(AlexNetLrn<>::shape_after(8) == Shape{384, 13, 13});
static_assert(AlexNetLrn<>::shape_after(10) == Shape{384, 13, 13});
static_assert(AlexNetLrn<>::shape_after(12) == Shape{256, 13, 13});
static_assert(AlexNetLrn<>::shape_after(14) == Shape{256, 6, 6});
static_assert(AlexNetLrn<>::shape_after(17) == Shape{4096, 1, 1});
static_assert(AlexNetLrn<>::shape_after(20) == Shape{4096, 1, 1});
static_assert(AlexNetLrn<>::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA
