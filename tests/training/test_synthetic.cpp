// The synthetic set separates networks: a linear classifier cannot learn it, SmallAlexNet can. The whole chain at work:
// data, loader, trainer, schedule, evaluation.
#include <catch2/catch.hpp>

#include <ctnn/ctnn.hpp>

namespace {

using namespace ctnn;

struct LinearClassifier : Sequential<Input<3, 32, 32>, Flatten, Linear<10>> {};

/// Test accuracy after training on 10 000 pictures.
template <class Net>
double accuracy_after(int epochs, double lr) {
    const TrainTest data = make_synthetic(10000, 1000, 1);
    BatchLoader loader{data.train, all_indices(data.train.size()), {.batch_size = 128, .seed = 1}};
    Model<Net> model{Seed{1}};
    Trainer<Net> trainer{model,
                         CrossEntropy{},
                         Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4},
                         Schedule{.kind = ScheduleKind::one_cycle, .lr = lr, .epochs = epochs},
                         128,
                         Seed{1}};
    for (int epoch = 0; epoch < epochs; ++epoch) { trainer.train_epoch(loader); }
    Workspace<Inference<Net>> workspace{128};
    return evaluate(model.view(), data.test, all_indices(data.test.size()), workspace).accuracy();
}

}  // namespace

TEST_CASE("synthetic set: a linear classifier stays under 60 %", "[training]") {
    // Chance is 10 %: it learns something, but at no rate enough.
    for (const double lr : {0.001, 0.01}) {
        const double accuracy = accuracy_after<LinearClassifier>(10, lr);
        INFO("learning rate " << lr);
        CHECK(accuracy > 0.12);
        CHECK(accuracy < 0.60);
    }
}

TEST_CASE("synthetic set: SmallAlexNet passes 90 %", "[training]") {
    CHECK(accuracy_after<SmallAlexNet>(3, 0.05) > 0.90);
}
