// Winograd's filtering is made for small kernels.
// EXPECT: layer 0, Conv2d: Winograd needs
// EXPECT: Kernel<3> or Kernel<5> without
// EXPECT: stride and groups; drop it
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 32, 32>, Conv2d<16, Kernel<7>, Padding<3>, Winograd>, Flatten, Linear<10>> {};
