// AlexNetOneTower: the variant of Krizhevsky 2014 ("One weird trick"), as torchvision's alexnet has it.
#pragma once

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/sequential.hpp>

namespace ctnn::inline CTNN_ISA {

/// Parameters carry torchvision's names, features.0.weight to classifier.6.bias, and begin by PyTorch's defaults.
/// 61 100 840 of them at 1000 classes, whatever the image's size: the adaptive pool gives 6×6.
template <int Classes = 1000, int Size = 224, double Drop = 0.5>
struct AlexNetOneTower : Sequential<Input<3, Size, Size>,
                                    Block<"features",                                           //
                                          Conv2d<64, Kernel<11>, Stride<4>, Padding<2>>, ReLU,  //
                                          MaxPool2d<Kernel<3>, Stride<2>>,                      //
                                          Conv2d<192, Kernel<5>, Padding<2>>, ReLU,             //
                                          MaxPool2d<Kernel<3>, Stride<2>>,                      //
                                          Conv2d<384, Kernel<3>, Padding<1>>, ReLU,             //
                                          Conv2d<256, Kernel<3>, Padding<1>>, ReLU,             //
                                          Conv2d<256, Kernel<3>, Padding<1>>, ReLU,             //
                                          MaxPool2d<Kernel<3>, Stride<2>>>,                     //
                                    AdaptiveAvgPool2d<6>, Flatten,                              //
                                    Block<"classifier",                                         //
                                          Dropout<Drop>, Linear<4096>, ReLU,                    //
                                          Dropout<Drop>, Linear<4096>, ReLU,                    //
                                          Linear<Classes>>> {};

static_assert(AlexNetOneTower<>::parameter_count == 61'100'840);
static_assert(AlexNetOneTower<>::multiply_adds <= 714'188'480);  // torchvision's count has the padding's
static_assert(AlexNetOneTower<>::shape_after(0) == Shape{64, 55, 55});
static_assert(AlexNetOneTower<>::shape_after(2) == Shape{64, 27, 27});
static_assert(AlexNetOneTower<>::shape_after(3) == Shape{192, 27, 27});
static_assert(AlexNetOneTower<>::shape_after(5) == Shape{192, 13, 13});
static_assert(AlexNetOneTower<>::shape_after(6) == Shape{384, 13, 13});
static_assert(AlexNetOneTower<>::shape_after(8) == Shape{256, 13, 13});
static_assert(AlexNetOneTower<>::shape_after(10) == Shape{256, 13, 13});
static_assert(AlexNetOneTower<>::shape_after(12) == Shape{256, 6, 6});
static_assert(AlexNetOneTower<>::shape_after(13) == Shape{256, 6, 6});
static_assert(AlexNetOneTower<>::shape_after(16) == Shape{4096, 1, 1});
static_assert(AlexNetOneTower<>::shape_after(19) == Shape{4096, 1, 1});
static_assert(AlexNetOneTower<>::output_shape == Shape{1000, 1, 1});

}  // namespace ctnn::inline CTNN_ISA
