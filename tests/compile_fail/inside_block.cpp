// A layer inside a block is named by its key.
// EXPECT: layer features.2, MaxPool2d:
// EXPECT: window 7x7 is larger than its
// EXPECT: 6x6 input; use Padding<1> or
// EXPECT: drop the layer
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Block<"features", Conv2d<4, Kernel<3>>, ReLU, MaxPool2d<Kernel<7>>>, Flatten,
                        Linear<10>> {};
