// Trains SmallAlexNet (or AlexNet32) on a folder with CIFAR-10's binary files.
//
//     ./example_02_cifar10 datasets/cifar10 [epochs = 10] [small | alexnet32] [weights.safetensors]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <ctnn/ctnn.hpp>

using namespace ctnn;

namespace {

/// What differs between the two networks: one has batch norm, the other does not and begins with small steps.
struct Recipe {
    const char* name;
    double lr, label_smoothing, clip_norm;
};

template <class Net>
void train(const TrainTest& data, const Recipe& recipe, int epochs, const std::string& weights) {
    constexpr int batch_size = 128;
    fmt::print("{}: {} parameters, {:.1f} million multiply-adds an image, training plan {:.1f} MiB\n", recipe.name,
               Net::parameter_count, static_cast<double>(Net::multiply_adds) / 1e6,
               static_cast<double>(Training<Net>::bytes(batch_size, default_threads())) / (1 << 20));

    Model<Net> model{Seed{42}};
    Trainer trainer{
        model,
        {.loss = CrossEntropy{.label_smoothing = recipe.label_smoothing},
         .optimizer = Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4, .decay_biases_and_norms = false},
         .schedule = {.kind = ScheduleKind::linear, .lr = recipe.lr, .epochs = epochs, .warmup_epochs = epochs / 5.0},
         .batch_size = batch_size,
         .seed = 42,
         .clip_norm = recipe.clip_norm}};
    BatchLoader loader{
        data.train, all_indices(data.train.size()), {.batch_size = batch_size, .seed = 42, .augment = true}};
    Workspace<Inference<Net>> workspace{250};
    Metrics test{Net::classes};
    fmt::print("epoch      lr  train loss  train acc  test loss  test acc  seconds\n");
    for (int epoch = 1; epoch <= epochs; ++epoch) {
        const auto start = std::chrono::steady_clock::now();
        const StepResult result = trainer.train_epoch(loader);
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        test = evaluate(model.view(), data.test, all_indices(data.test.size()), workspace);
        fmt::print("{:5} {:7.4f} {:11.4f} {:8.2f} % {:10.4f} {:7.2f} % {:8.1f}\n", epoch, result.lr, result.loss.mean(),
                   100 * result.loss.accuracy(), test.mean_loss(), 100 * test.accuracy(), seconds.count());
        std::fflush(stdout);
    }
    fmt::print("top-5 {:.2f} %\nrecall", 100 * test.top5());
    const std::vector<double> recall = test.recall();
    for (std::size_t c = 0; c < recall.size(); ++c) {
        fmt::print("{} {} {:.1f} %", c == 0 ? ":" : ",", data.test.class_names[c], 100 * recall[c]);
    }
    fmt::print("\n");
    if (!weights.empty()) {
        save_weights(weights, model, {recipe.name, data.train.normalization, data.train.class_names});
        fmt::print("weights in {}\n", weights);
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::string folder = argc > 1 ? argv[1] : "datasets/cifar10";
        const int epochs = argc > 2 ? std::atoi(argv[2]) : 10;
        const std::string model = argc > 3 ? argv[3] : "small";
        const std::string weights = argc > 4 ? argv[4] : "";
        const TrainTest data = read_cifar10(folder);
        if (model == "small") {
            train<SmallAlexNet>(data, {"SmallAlexNet", 0.1, 0.1, 0}, epochs, weights);
        } else if (model == "alexnet32") {
            train<AlexNet32>(data, {"AlexNet32", 0.02, 0, 1}, epochs, weights);
        } else {
            throw ArgumentError("unknown model '" + model + "'; expected small or alexnet32");
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "error: {}\n", error.what());
        return 1;
    }
}
