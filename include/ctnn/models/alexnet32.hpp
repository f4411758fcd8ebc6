// AlexNet32: Krizhevsky's AlexNet (2012) on 32×32 images, in the geometry of ML Odyssey's CIFAR-10 example.
#pragma once

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/models/initializers.hpp>
#include <ctnn/network/sequential.hpp>

namespace ctnn::inline CTNN_ISA {

/// For a number of classes, an input and a rate of dropout of one's own. The last pool is padded by 1, which the
/// original leaves out: without it a 3×3 window meets a 1×1 map. On ReLU's outputs the padded pool is the identity.
/// Convolutions begin He uniform, linear layers Xavier uniform, biases zero.
template <int Classes = 10, class In = Input<3, 32, 32>, double Drop = 0.5>
struct AlexNet32For : Sequential<In,  //
                                 Conv2d<96, Kernel<11>, Stride<4>, Padding<2>, detail::HeUniform, detail::ZeroBias>,
                                 ReLU, MaxPool2d<Kernel<3>, Stride<2>>,  //
                                 Conv2d<256, Kernel<5>, Padding<2>, detail::HeUniform, detail::ZeroBias>, ReLU,
                                 MaxPool2d<Kernel<3>, Stride<2>>,                                                //
                                 Conv2d<384, Kernel<3>, Padding<1>, detail::HeUniform, detail::ZeroBias>, ReLU,  //
                                 Conv2d<384, Kernel<3>, Padding<1>, detail::HeUniform, detail::ZeroBias>, ReLU,  //
                                 Conv2d<256, Kernel<3>, Padding<1>, detail::HeUniform, detail::ZeroBias>, ReLU,  //
                                 MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>, Flatten,                           //
                                 Linear<4096, detail::XavierUniform, detail::ZeroBias>, ReLU, Dropout<Drop>,     //
                                 Linear<4096, detail::XavierUniform, detail::ZeroBias>, ReLU, Dropout<Drop>,     //
                                 Linear<Classes, detail::XavierUniform, detail::ZeroBias>> {};

/// ML Odyssey's: 21 622 154 parameters, of which 5 of 6 sit in the linear layers.
struct AlexNet32 : AlexNet32For<> {};

static_assert(AlexNet32::parameter_count == 21'622'154);
static_assert(AlexNet32::shape_after(0) == Shape{96, 7, 7});
static_assert(AlexNet32::shape_after(2) == Shape{96, 3, 3});
static_assert(AlexNet32::shape_after(3) == Shape{256, 3, 3});
static_assert(AlexNet32::shape_after(5) == Shape{256, 1, 1});
static_assert(AlexNet32::shape_after(6) == Shape{384, 1, 1});
static_assert(AlexNet32::shape_after(8) == Shape{384, 1, 1});
static_assert(AlexNet32::shape_after(10) == Shape{256, 1, 1});
static_assert(AlexNet32::shape_after(12) == Shape{256, 1, 1});
static_assert(AlexNet32::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA
