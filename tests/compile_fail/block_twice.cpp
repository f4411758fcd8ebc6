// Two blocks of one name, whose tensors could not be told apart.
// EXPECT: layer a.0, Linear: another
// EXPECT: layer has its place in names;
// EXPECT: give every block a name of its
// EXPECT: own
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Flatten, Block<"a", Linear<20>, ReLU>, Block<"a", Linear<10>>> {};
