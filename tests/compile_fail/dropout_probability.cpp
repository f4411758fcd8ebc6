// A probability that drops everything.
// EXPECT: layer 1, Dropout: probability
// EXPECT: must lie in [0, 1); write for
// EXPECT: example Dropout<0.5>
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Flatten, Dropout<1.0>, Linear<10>> {};
