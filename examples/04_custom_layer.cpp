// A layer of one's own with numbers to learn, PReLU (He et al. 2015): its gradient is checked, then it is trained.
//
//     g++ -std=c++20 -O3 -march=native -fopenmp -I ../single_include 04_custom_layer.cpp -lfmt && ./a.out
#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include <ctnn/ctnn.hpp>

using namespace ctnn;

// y = x where x > 0, else weight[c]·x: PyTorch's nn.PReLU(C). Both functions see one sample, [row][column][channel].
struct PReLU {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("PReLU", in, in.shape);
        custom_parameter(info, "weight", {in.shape.channels}, {InitKind::constant, 0.25});
        return info;
    }
    template <class T>
    static void forward(Shape in, const T* weight, const T* x, T* y) {
        for (int i = 0; i < in.size(); ++i) { y[i] = x[i] > 0 ? x[i] : weight[i % in.channels] * x[i]; }
    }
    template <class T>
    static void backward(Shape in, const T* weight, const T* x, const T*, const T* dy, T* dx, T* dweight) {
        std::fill_n(dweight, in.channels, T{0});
        for (int i = 0; i < in.size(); ++i) {
            dx[i] = x[i] > 0 ? dy[i] : weight[i % in.channels] * dy[i];
            dweight[i % in.channels] += x[i] > 0 ? T{0} : x[i] * dy[i];
        }
    }
};

struct Net : Sequential<Input<3, 32, 32>,                                                               //
                        Conv2d<16, Kernel<5>, Padding<2>>, BatchNorm2d<>, PReLU, MaxPool2d<Kernel<2>>,  //
                        Conv2d<32, Kernel<3>, Padding<1>>, BatchNorm2d<>, PReLU, MaxPool2d<Kernel<2>>,  //
                        Conv2d<64, Kernel<3>, Padding<1>>, BatchNorm2d<>, PReLU, MaxPool2d<Kernel<2>>,  //
                        Flatten, Linear<10>> {};

int main() try {
    const GradientReport report = check_gradients<Net>();
    if (!report.passed()) { throw Error(report.failure); }
    fmt::print("{} derivatives agree with differences\n", report.checked);
    const TrainTest data = make_synthetic(4000, 0, 1);
    BatchLoader loader{data.train, all_indices(data.train.size()), {.batch_size = 64}};
    Model<Net> model{Seed{1}};
    Trainer trainer{model, CrossEntropy{}, Sgd{.momentum = 0.9}, Schedule{.lr = 0.01}, 64};
    for (int epoch = 1; epoch <= 3; ++epoch) {
        const LossSum loss = trainer.train_epoch(loader).loss;
        fmt::print("epoch {}: loss {:.3f}, accuracy {:.1f} %\n", epoch, loss.mean(), 100 * loss.accuracy());
    }
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
        if (Net::description.layers[slot.layer].type != "PReLU") { continue; }
        fmt::print("{}[0]: from 0.25 to {:.3f}\n", slot.name.view(), tensor_of(model.parameters(), slot)[0]);
    }
} catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
}
