// Three training steps of a network with response norm, number by number as PyTorch does them.
#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/weights.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/optimizer_state.hpp>
#endif

#include "golden/golden.hpp"

namespace {

using namespace ctnn;

/// classic_network of make_golden.py.
struct Classic
    : Sequential<Input<3, 15, 17>, Conv2d<8, Kernel<5>, Stride<2>, Padding<2>>, ReLU,
                 LocalResponseNorm<5, Alpha<0.5>, Beta<0.75>, K<2.0>>, MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>,
                 Conv2d<12, Kernel<3>, Padding<1>, Groups<2>>, Sigmoid,
                 AvgPool2d<Kernel<3>, Stride<1>, Padding<1>, CountIncludePad<false>>, Conv2d<9, Kernel<2>, Bias<false>>,
                 Tanh, AdaptiveAvgPool2d<2>, Flatten, Linear<11>, ReLU, Dropout<0.0>, Linear<6>> {};

}  // namespace

TEMPLATE_TEST_CASE("golden: a network with response norm as in PyTorch", "[golden]", float, double) {
    SECTION("fused") { golden::check<Classic, TestType, Fusion::full>("classic"); }
    SECTION("layer by layer") { golden::check<Classic, TestType, Fusion::none>("classic"); }
}
