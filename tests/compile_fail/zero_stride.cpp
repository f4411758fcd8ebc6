// A window that never moves.
// EXPECT: layer 0, Conv2d: stride 0x0 is
// EXPECT: below 1; write Stride<n> with n
// EXPECT: >= 1
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<3>, Stride<0>>, Flatten, Linear<10>> {};
