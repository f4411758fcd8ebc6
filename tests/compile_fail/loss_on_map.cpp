// Training a network that ends in a map.
// EXPECT: CrossEntropy: the network ends
// EXPECT: in a 4x6x6 map, not in one
// EXPECT: number per class; end it with
// EXPECT: Flatten and Linear<classes>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/train/trainer.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<3>>, ReLU> {};

void train(Model<Bad>& model) { Trainer trainer{model, CrossEntropy{}, Sgd{}, Schedule{}}; }
