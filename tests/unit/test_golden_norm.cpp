// Three training steps of a network with batch norm, number by number as PyTorch does them.
#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/weights.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/optimizer_state.hpp>
#endif

#include "golden/golden.hpp"

namespace {

using namespace ctnn;

/// norm_network of make_golden.py.
struct WithNorm
    : Sequential<Input<3, 13, 16>, Conv2d<6, Kernel<5>, Padding<2>, Bias<false>>, BatchNorm2d<>, ReLU,
                 MaxPool2d<Kernel<3>, Stride<2>>, Conv2d<8, Kernel<3>, Padding<1>, Groups<2>>,
                 BatchNorm2d<Eps<1e-3>, Momentum<0.2>>, ReLU, Dropout2d<0.0>,
                 AvgPool2d<Kernel<3>, Stride<2>, Padding<1>>, Flatten, Dropout<0.0>, Linear<12>, ReLU, Linear<7>> {};

}  // namespace

TEMPLATE_TEST_CASE("golden: a network with batch norm as in PyTorch", "[golden]", float, double) {
    SECTION("fused") { golden::check<WithNorm, TestType, Fusion::full>("norm"); }
    SECTION("layer by layer") { golden::check<WithNorm, TestType, Fusion::none>("norm"); }
}
