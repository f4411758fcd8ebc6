// SmallAlexNet: AlexNet's shape scaled for 32×32 images, with batch norm and global average pooling; the network of
// CIFAR-AlexNet.
#pragma once

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/sequential.hpp>

namespace ctnn::inline CTNN_ISA {

/// For a number of classes, an input and rates of dropout, in front of the last layer and on maps, of one's own.
/// `Options` are those of all convolutions but the first besides their own, such as Winograd.
template <int Classes = 10, class In = Input<3, 32, 32>, double Drop = 0.5, double MapDrop = 0.1, class... Options>
struct SmallAlexNetFor
    : Sequential<
          In,                                                                                                   //
          Conv2d<32, Kernel<5>, Padding<2>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>, Stride<2>>,              //
          Conv2d<64, Kernel<5>, Padding<2>, Options...>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>, Stride<2>>,  //
          Conv2d<128, Kernel<3>, Padding<1>, Options...>, BatchNorm2d<>, ReLU, Dropout2d<MapDrop>,              //
          Conv2d<128, Kernel<3>, Padding<1>, Options...>, BatchNorm2d<>, ReLU, Dropout2d<MapDrop>,              //
          Conv2d<96, Kernel<3>, Padding<1>, Options...>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>, Stride<2>>,  //
          AdaptiveAvgPool2d<1>, Flatten, Dropout<Drop>, Linear<Classes>> {};

/// 387 690 parameters, 31 million live multiply-adds per image.
struct SmallAlexNet : SmallAlexNetFor<> {};

/// The same network, weights exchangeable, with its convolutions behind the first by Winograd's filtering: faster, less
/// exact.
struct SmallAlexNetWinograd : SmallAlexNetFor<10, Input<3, 32, 32>, 0.5, 0.1, Winograd> {};

static_assert(SmallAlexNet::parameter_count == 387'690);
static_assert(SmallAlexNet::shape_after(3) == Shape{32, 16, 16});
static_assert(SmallAlexNet::shape_after(7) == Shape{64, 8, 8});
static_assert(SmallAlexNet::shape_after(11) == Shape{128, 8, 8});
static_assert(SmallAlexNet::shape_after(15) == Shape{128, 8, 8});
static_assert(SmallAlexNet::shape_after(19) == Shape{96, 4, 4});
static_assert(SmallAlexNet::shape_after(20) == Shape{96, 1, 1});
static_assert(SmallAlexNet::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA
