// An argument that is no option.
// EXPECT: layer 0, Conv2d: an argument is
// EXPECT: not an option; Conv2d takes
// EXPECT: Kernel, Stride, Padding,
// EXPECT: Groups, Bias, WeightInit,
// EXPECT: BiasInit and Winograd
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Same {};
struct Bad : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<3>, Same>, Flatten, Linear<10>> {};
