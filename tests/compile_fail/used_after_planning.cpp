// A wrong network adds no further error where its stages are planned: a pool joins the convolution before it.
// EXPECT: layer 3, MaxPool2d: window 9x9
// EXPECT: is larger than its 8x8 input;
// EXPECT: use Padding<1> or drop the
// EXPECT: layer
#include <ctnn/ctnn.hpp>

using namespace ctnn;

struct Bad : Sequential<Input<3, 8, 8>, Conv2d<16, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<9>>,
                        Flatten, Linear<10>> {};

void use(const TrainTest& data, BatchLoader& loader) {
    Model<Bad> model{Seed{1}};
    Trainer trainer{model, CrossEntropy{}, Sgd{}, Schedule{}};
    trainer.train_epoch(loader);
    Workspace<Inference<Bad>> workspace{1};
    evaluate(model.view(), data.test, all_indices(data.test.size()), workspace);
}
