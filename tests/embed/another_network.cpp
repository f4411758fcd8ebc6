// The weights of a network as those of one with other tensors.
// EXPECT: these are the weights of another network
#include "embedded.hpp"

using namespace ctnn;

struct Other : Sequential<Input<3, 6, 5>, Conv2d<20, Kernel<3>>, Flatten, Linear<4>> {};

constexpr ModelView<Other> view = tiny::view<Other>();
