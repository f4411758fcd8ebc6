// A map is needed where the input is flat already.
// EXPECT: layer 1, Conv2d: needs a map
// EXPECT: but its input is flat; move it
// EXPECT: before Flatten
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Flatten, Conv2d<4, Kernel<3>>, Linear<10>> {};
