// What the compile-time figures are measured on: a program on the single header that trains, evaluates and saves.
#include <cstdio>

#include <ctnn/ctnn.hpp>

using namespace ctnn;

int main(int argc, char** argv) {
    const TrainTest data = read_cifar10(argc > 1 ? argv[1] : "datasets/cifar10");
    BatchLoader loader{data.train, all_indices(data.train.size()), {.augment = true}};
    Model<SmallAlexNet> model{Seed{42}};
    Trainer trainer{model, CrossEntropy{.label_smoothing = 0.1}, Sgd{.momentum = 0.9}, Schedule{.lr = 0.05}};
    trainer.train_epoch(loader);
    Workspace<Inference<SmallAlexNet>> workspace{250};
    const Metrics test = evaluate(model.view(), data.test, all_indices(data.test.size()), workspace);
    std::printf("test accuracy %.2f %%\n", 100 * test.accuracy());
    save_weights("small_alexnet.safetensors", model,
                 {"SmallAlexNet", data.train.normalization, data.train.class_names});
}
