// A type that is no layer.
// EXPECT: layer 1: this type is not a
// EXPECT: layer; give it a constexpr
// EXPECT: describe(Signal) or remove it
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Flatten, int, Linear<10>> {};
