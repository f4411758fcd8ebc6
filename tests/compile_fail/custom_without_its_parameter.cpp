// A custom layer that declares a parameter, but whose functions do not take it.
// EXPECT: layer 0, Scale: has no
// EXPECT: forward(Shape in, const T* p,
// EXPECT: const T* x, T* y) for T = float
#include <ctnn/layers/custom.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/train/trainer.hpp>

using namespace ctnn;

struct Scale {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("Scale", in, in.shape);
        custom_parameter(info, "weight", {in.shape.channels}, {InitKind::ones});
        return info;
    }
    template <class T>
    static void forward(Shape in, const T* x, T* y) {
        for (std::int64_t i = 0; i < in.size(); ++i) { y[i] = x[i]; }
    }
};

struct Net : Sequential<Input<3, 8, 8>, Scale, Flatten, Linear<10>> {};

void train(Model<Net>& model) { Trainer trainer{model, CrossEntropy{}, Sgd{}, Schedule{}}; }
