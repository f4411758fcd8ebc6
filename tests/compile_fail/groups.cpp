// Groups that do not divide the channels.
// EXPECT: layer 0, Conv2d: 2 groups do
// EXPECT: not divide 3 input and 8 output
// EXPECT: channels; choose a common
// EXPECT: divisor
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Conv2d<8, Kernel<3>, Groups<2>>, Flatten, Linear<10>> {};
