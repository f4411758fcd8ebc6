// Using a wrong network adds no further error.
// EXPECT: layer 0, Conv2d: window 9x9 is
// EXPECT: larger than its 8x8 input; use
// EXPECT: Padding<1> or drop the layer
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/train/trainer.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<9>>, Flatten, Linear<10>> {};

void train(Model<Bad>& model) { Trainer trainer{model, CrossEntropy{}, Sgd{}, Schedule{}}; }
