// Every kernel, by a layer that uses it, compiles without optimisation, too, for the processor of this machine:
// intrinsics are other code then.
#include <ctnn/ctnn.hpp>

using namespace ctnn;

struct Every
    : Sequential<Input<3, 12, 12>, Conv2d<16, Kernel<3>, Padding<1>, Winograd>, BatchNorm2d<>, ReLU,
                 MaxPool2d<Kernel<2>, Stride<2>>, Conv2d<16, Kernel<3>, Groups<2>>, LocalResponseNorm<5, Beta<0.6>>,
                 Tanh, AvgPool2d<Kernel<2>>, Dropout2d<0.1>, Flatten, Linear<20>, Sigmoid, Dropout<>, Linear<10>> {};

void train(Trainer<Every>& trainer, BatchLoader& images) { trainer.train_epoch(images); }
