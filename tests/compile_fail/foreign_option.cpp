// An option of another layer.
// EXPECT: layer 0, MaxPool2d: an option
// EXPECT: does not belong to this layer;
// EXPECT: MaxPool2d takes Kernel, Stride
// EXPECT: and Padding
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, MaxPool2d<Kernel<2>, Groups<2>>, Flatten, Linear<10>> {};
