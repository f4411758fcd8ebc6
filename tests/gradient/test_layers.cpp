// Every layer's gradients against central differences, fused and not.
#include <catch2/catch.hpp>

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/testing/gradient_check.hpp>

namespace {

using namespace ctnn;

struct Convolution : Sequential<Input<3, 7, 9>, Conv2d<5, Kernel<3>, Stride<2>, Padding<1>>> {};
struct Grouped : Sequential<Input<6, 5, 3>, Conv2d<9, Kernel<3, 2>, Padding<2, 1>, Groups<3>, Bias<false>>> {};
struct Dense : Sequential<Input<3, 2, 4>, Flatten, Linear<7>> {};
struct Norm : Sequential<Input<3, 3, 4>, BatchNorm2d<>> {};
struct Response : Sequential<Input<7, 2, 3>, LocalResponseNorm<4, Alpha<0.7>>> {};
struct Rectifier : Sequential<Input<3, 4, 5>, ReLU> {};
struct Logistic : Sequential<Input<3, 4, 5>, Sigmoid> {};
struct Hyperbolic : Sequential<Input<3, 4, 5>, Tanh> {};
struct Largest : Sequential<Input<3, 7, 6>, MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>> {};
struct Mean : Sequential<Input<3, 7, 6>, AvgPool2d<Kernel<3>, Stride<2>, Padding<1>, CountIncludePad<false>>> {};
struct AdaptiveMean : Sequential<Input<3, 7, 5>, AdaptiveAvgPool2d<3, 2>> {};
struct Dropped : Sequential<Input<3, 4, 5>, Dropout<0.4>> {};
struct DroppedChannels : Sequential<Input<20, 2, 2>, Dropout2d<0.4>> {};

struct Classic : Sequential<Input<3, 15, 14>, Conv2d<18, Kernel<3>, Padding<1>, Groups<3>>, ReLU,
                            LocalResponseNorm<5, Alpha<0.5>>, MaxPool2d<Kernel<3>, Stride<2>>, Conv2d<8, Kernel<3>>,
                            Tanh, AvgPool2d<Kernel<2>>, Flatten, Linear<12>, ReLU, Dropout<0.5>, Linear<4>> {};
struct Modern : Sequential<Input<3, 12, 12>, Conv2d<17, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU,
                           MaxPool2d<Kernel<2>>, Conv2d<8, Kernel<3>, Padding<1>, Bias<false>>, BatchNorm2d<>, Sigmoid,
                           Dropout2d<0.2>, AdaptiveAvgPool2d<1>, Flatten, Dropout<0.3>, Linear<4>> {};

template <Network Net, Fusion F>
void check() {
    const GradientReport report = check_gradients<Net, F>();
    INFO(report.failure);
    INFO(report.checked << " checked, " << report.significant << " significant, " << report.redrawn << " redrawn");
    CHECK(report.passed());
}

}  // namespace

TEMPLATE_TEST_CASE("gradients of single layers", "", Convolution, Grouped, Dense, Norm, Response, Rectifier, Logistic,
                   Hyperbolic, Largest, Mean, AdaptiveMean, Dropped, DroppedChannels) {
    check<TestType, Fusion::full>();
}

TEMPLATE_TEST_CASE("gradients of mixed networks", "", Classic, Modern) {
    check<TestType, Fusion::full>();
    check<TestType, Fusion::none>();
}
