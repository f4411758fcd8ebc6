// QuickAlexNet: AlexNet's order of layers for 32×32 images, built to train fast.
#pragma once

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/models/initializers.hpp>
#include <ctnn/network/sequential.hpp>

namespace ctnn::inline CTNN_ISA {

/// Five convolutions with max pools behind the first, the second and the last, as AlexNet's, in the widths of its
/// one-tower form but for the last three; norms in place of dropout and hidden linear layers; and in front of all a
/// convolution of 2×2 for filters that whiten patches, which stay as data/whitening.hpp makes them (Page 2019, and
/// Jordan 2024, arXiv:2404.00498). Of the 12 directions of such patches, each filter has its negative beside it, so
/// that ReLU loses nothing. The other convolutions begin as identities, as Jordan's do.
template <int Classes = 10, class... Options>
struct QuickAlexNetFor
    : Sequential<Input<3, 32, 32>,                                                                                    //
                 Conv2d<24, Kernel<2>>, ReLU,                                                                         //
                 Conv2d<64, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,   //
                 MaxPool2d<Kernel<2>, Stride<2>>,                                                                     //
                 Conv2d<192, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,  //
                 MaxPool2d<Kernel<2>, Stride<2>>,                                                                     //
                 Conv2d<256, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,  //
                 Conv2d<256, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,  //
                 Conv2d<256, Kernel<3>, Padding<1>, Bias<false>, detail::Identity, Options...>, BatchNorm2d<>, ReLU,  //
                 MaxPool2d<Kernel<7>>, Flatten, Linear<Classes>> {};

/// 10 classes, convolutions of 3×3 by Winograd's filtering.
struct QuickAlexNet : QuickAlexNetFor<10, Winograd> {};

static_assert(QuickAlexNet::shape_after(0) == Shape{24, 31, 31});
static_assert(QuickAlexNet::shape_after(5) == Shape{64, 15, 15});
static_assert(QuickAlexNet::shape_after(9) == Shape{192, 7, 7});
static_assert(QuickAlexNet::shape_after(12) == Shape{256, 7, 7});
static_assert(QuickAlexNet::shape_after(18) == Shape{256, 7, 7});
static_assert(QuickAlexNet::shape_after(19) == Shape{256, 1, 1});
static_assert(QuickAlexNet::output_shape == Shape{10, 1, 1});

}  // namespace ctnn::inline CTNN_ISA
