// A network that does not say its input.
// EXPECT: a network begins with its
// EXPECT: input; write
// EXPECT: Sequential<Input<channels,
// EXPECT: height, width>, ...>
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Conv2d<4, Kernel<3>>, Flatten, Linear<10>> {};
