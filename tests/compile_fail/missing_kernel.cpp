// A convolution without a kernel size.
// EXPECT: layer 0, Conv2d: has no kernel
// EXPECT: size; add Kernel<n>
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Conv2d<4, Padding<1>>, Flatten, Linear<10>> {};
