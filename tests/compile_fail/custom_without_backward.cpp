// A custom layer that can infer, but not train.
// EXPECT: layer 1, Twice: has no
// EXPECT: backward(Shape in, const T* x,
// EXPECT: const T* y, const T* dy, T* dx)
// EXPECT: for T = float
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/custom.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/train/trainer.hpp>

using namespace ctnn;

struct Twice {
    static constexpr LayerInfo describe(Signal in) { return custom_layer("Twice", in, in.shape); }

    template <class T>
    static void forward(Shape in, const T* x, T* y) {
        for (std::int64_t i = 0; i < in.size(); ++i) { y[i] = 2 * x[i]; }
    }
};

struct Net : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<3>>, Twice, Flatten, Linear<10>> {};

void train(Model<Net>& model) { Trainer trainer{model, CrossEntropy{}, Sgd{}, Schedule{}}; }
