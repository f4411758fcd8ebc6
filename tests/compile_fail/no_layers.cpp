// A network without layers.
// EXPECT: a network without layers
// EXPECT: computes nothing; add one
// EXPECT: behind Input, for example
// EXPECT: Flatten, Linear<10>
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>> {};
