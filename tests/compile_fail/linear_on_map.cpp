// A linear layer that meets a map.
// EXPECT: layer 2, Linear: needs a flat
// EXPECT: input but meets a 4x6x6 map;
// EXPECT: put Flatten before it
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<3>>, ReLU, Linear<10>> {};
