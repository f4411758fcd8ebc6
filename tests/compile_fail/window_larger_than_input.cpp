// ML Odyssey's AlexNet as its document has it: the last pool meets a 1x1 map.
// EXPECT: layer 12, MaxPool2d: window 3x3
// EXPECT: is larger than its 1x1 input;
// EXPECT: use Padding<1> or drop the
// EXPECT: layer
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 32, 32>,                                                                      //
                        Conv2d<96, Kernel<11>, Stride<4>, Padding<2>>, ReLU, MaxPool2d<Kernel<3>, Stride<2>>,  //
                        Conv2d<256, Kernel<5>, Padding<2>>, ReLU, MaxPool2d<Kernel<3>, Stride<2>>,             //
                        Conv2d<384, Kernel<3>, Padding<1>>, ReLU,                                              //
                        Conv2d<384, Kernel<3>, Padding<1>>, ReLU,                                              //
                        Conv2d<256, Kernel<3>, Padding<1>>, ReLU,                                              //
                        MaxPool2d<Kernel<3>, Stride<2>>, Flatten,                                              //
                        Linear<4096>, ReLU, Dropout<0.5>,                                                      //
                        Linear<4096>, ReLU, Dropout<0.5>, Linear<10>> {};
