// A network, some training steps on pictures made in memory, and a prediction.
//
//     g++ -std=c++20 -O3 -march=native -fopenmp -I ../single_include 01_hello.cpp -lfmt && ./a.out
#include <cstdio>
#include <exception>

#include <ctnn/ctnn.hpp>

using namespace ctnn;

// The compiler checks the geometry, lays out weights and activations, and fuses the layers. Change a size and see: it
// trains, or one error says which layer does not fit.
struct Net : Sequential<Input<3, 32, 32>,                                                              //
                        Conv2d<16, Kernel<5>, Padding<2>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>>,  //
                        Conv2d<32, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>>,  //
                        Conv2d<64, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>>,  //
                        Flatten, Linear<10>> {};

int main() try {
    // Constants of the type: they could stand in a static_assert as well.
    constexpr Shape input = Net::input_shape;
    std::printf("%dx%dx%d to %d classes by %lld parameters\n", input.channels, input.height, input.width, Net::classes,
                static_cast<long long>(Net::parameter_count));

    const TrainTest data = make_synthetic(8000, 1000, 1);
    BatchLoader loader{data.train, all_indices(data.train.size()), {.batch_size = 64}};

    constexpr int epochs = 4;
    Model<Net> model{Seed{42}};
    Trainer trainer{model, CrossEntropy{}, Sgd{.momentum = 0.9, .weight_decay = 5e-4},
                    Schedule{.kind = ScheduleKind::one_cycle, .lr = 0.05, .epochs = epochs}, 64};
    for (int epoch = 0; epoch < epochs; ++epoch) {
        const LossSum loss = trainer.train_epoch(loader).loss;
        std::printf("epoch %d: loss %.3f, accuracy %.1f %%\n", epoch + 1, loss.mean(), 100 * loss.accuracy());
    }

    Workspace<Inference<Net>> workspace{64};
    const Metrics test = evaluate(model.view(), data.test, all_indices(data.test.size()), workspace);
    std::printf("test accuracy %.1f %%\n", 100 * test.accuracy());

    // One picture: bytes to normalised numbers, forward, softmax.
    AlignedArray<float> picture(static_cast<std::size_t>(input.size()));
    place_image(data.test.image(0), data.test.shape, ByteTable{data.test.normalization, 3}, {}, picture.data());
    AlignedArray<float> probability(Net::classes);
    softmax<float>(forward(model.view(), picture.data(), 1, workspace), Net::classes, probability.span());
    const auto guess = static_cast<std::size_t>(argmax<float>(probability.span()));
    std::printf("picture 0 is a %s: %s with probability %.2f\n", data.test.class_names[data.test.labels[0]].c_str(),
                data.test.class_names[guess].c_str(), static_cast<double>(probability[guess]));
} catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
