// The checker itself: it passes right custom layers, and fails wrong ones.
#include <cmath>
#include <cstddef>
#include <string>

#include <catch2/catch.hpp>

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/custom.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/testing/gradient_check.hpp>

namespace {

using namespace ctnn;

/// y = x² · sign(x), right, or wrong in the way that the number says.
template <int Fault>
struct SignedSquare {
    static constexpr LayerInfo describe(Signal in) { return custom_layer("SignedSquare", in, in.shape); }
    template <class T>
    static void forward(Shape in, const T* x, T* y) {
        for (std::ptrdiff_t i = 0; i < in.size(); ++i) { y[i] = x[i] * std::abs(x[i]); }
    }
    template <class T>
    static void backward(Shape in, const T* x, const T*, const T* dy, T* dx) {
        for (std::ptrdiff_t i = 0; i < in.size(); ++i) {
            const T right = 2 * std::abs(x[i]) * dy[i];
            switch (Fault) {
                case 1: dx[i] = right * T{1.0001}; break;
                case 2: dx[i] = 0; break;
                case 3: dx[i] += right; break;  // instead of overwriting
                case 4:
                    if (i != 5) { dx[i] = right; }  // one is never written
                    break;
                case 5: dx[i] = i == 5 ? T{} : right; break;  // one is wrong
                default: dx[i] = right;
            }
        }
    }
};

template <int Fault>
struct Alone : Sequential<Input<3, 4, 4>, SignedSquare<Fault>> {};
template <int Fault>
struct Between : Sequential<Input<3, 4, 4>, Conv2d<5, Kernel<3>>, SignedSquare<Fault>, ReLU, Flatten, Linear<3>> {};

/// Half the plane of every channel: a shape of its own.
struct TopHalf {
    static constexpr LayerInfo describe(Signal in) {
        return custom_layer("TopHalf", in, {in.shape.channels, in.shape.height / 2, in.shape.width});
    }
    template <class T>
    static void forward(Shape in, const T* x, T* y) {
        for (std::ptrdiff_t i = 0; i < in.size() / 2; ++i) { y[i] = x[i]; }
    }
    template <class T>
    static void backward(Shape in, const T*, const T*, const T* dy, T* dx) {
        for (std::ptrdiff_t i = 0; i < in.size(); ++i) { dx[i] = i < in.size() / 2 ? dy[i] : T{}; }
    }
};

/// y = (weight[c] · x + bias[c])² by channel, right, or wrong in the way that the number says: two tensors to learn.
template <int Fault>
struct SquaredScale {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("SquaredScale", in, in.shape);
        custom_parameter(info, "weight", {in.shape.channels}, {InitKind::ones});
        custom_parameter(info, "bias", {in.shape.channels}, {InitKind::zeros});
        return info;
    }
    template <class T>
    static void forward(Shape in, const T* weight, const T* bias, const T* x, T* y) {
        for (std::ptrdiff_t i = 0; i < in.size(); ++i) {
            const T v = weight[i % in.channels] * x[i] + bias[i % in.channels];
            y[i] = v * v;
        }
    }
    template <class T>
    static void backward(Shape in, const T* weight, const T* bias, const T* x, const T*, const T* dy, T* dx, T* dweight,
                         T* dbias) {
        for (int c = 0; c < in.channels; ++c) {
            if (Fault != 1) { dweight[c] = 0; }  // or added to what was there
            if (Fault != 2 || c != 1) { dbias[c] = 0; }
        }
        for (std::ptrdiff_t i = 0; i < in.size(); ++i) {
            const std::ptrdiff_t c = i % in.channels;
            const T v = 2 * (weight[c] * x[i] + bias[c]) * dy[i];
            dx[i] = v * weight[c];
            dweight[c] += v * x[i];
            dbias[c] += Fault == 3 ? v * T{1.0001} : v;
        }
    }
};
template <int Fault>
struct Learnt : Sequential<Input<3, 4, 5>, SquaredScale<Fault>, Conv2d<20, Kernel<3>>, SquaredScale<Fault>> {};

struct Halved : Sequential<Input<3, 8, 6>, TopHalf, Conv2d<4, Kernel<3>>, SignedSquare<0>, TopHalf> {};

}  // namespace

TEST_CASE("right custom layers pass") {
    for (const GradientReport& report :
         {check_gradients<Alone<0>>(), check_gradients<Between<0>>(), check_gradients<Halved>(),
          check_gradients<Learnt<0>>(), check_gradients<Learnt<0>, Fusion::none>()}) {
        INFO(report.failure);
        CHECK(report.passed());
        CHECK(report.significant * 2 > report.checked);
        CHECK(report.worst > 0);  // differences are never exact: they were taken
    }
}

TEST_CASE("wrong custom layers fail") {
    CHECK_FALSE(check_gradients<Alone<1>>().passed());
    CHECK_FALSE(check_gradients<Between<1>>().passed());
    CHECK(check_gradients<Alone<2>>().failure == "all gradients are zero");
    CHECK_FALSE(check_gradients<Between<2>>().passed());
    CHECK(check_gradients<Alone<3>>().failure.find("added to") != std::string::npos);
    CHECK(check_gradients<Alone<4>>().failure.find("never written") != std::string::npos);
    CHECK_FALSE(check_gradients<Alone<5>>().passed());
    CHECK(check_gradients<Learnt<1>>().failure.find("0.weight") == 0);
    CHECK(check_gradients<Learnt<2>>().failure.find("0.bias") == 0);
    CHECK(check_gradients<Learnt<3>>().failure.find("0.bias") == 0);
}
