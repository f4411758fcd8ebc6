// Batch norm against the naive reference: statistics, gradients, running values, and every stage that it is fused into.
#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>
#endif

#include "reference/compare.hpp"

namespace {

using namespace ctnn;
using reference::compare;

struct Alone : Sequential<Input<19, 3, 5>, BatchNorm2d<>> {};
struct Settings
    : Sequential<Input<3, 4, 4>, BatchNorm2d<Eps<0.25>, Momentum<0.7>>, Sigmoid, BatchNorm2d<Momentum<1.0>>> {};
struct Pooled : Sequential<Input<3, 9, 10>, Conv2d<20, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU,
                           MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>, Conv2d<16, Kernel<3>, Bias<false>>,
                           BatchNorm2d<Momentum<0.3>>, Tanh, MaxPool2d<Kernel<2>>> {};
struct Dropped : Sequential<Input<3, 6, 7>, Conv2d<17, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU, Dropout2d<0.3>,
                            BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>>, Dropout<0.2>> {};
/// The norm's factors follow the groups' padded channels only where groups are whole blocks.
struct Grouped : Sequential<Input<6, 5, 5>, Conv2d<12, Kernel<3>, Groups<3>>, BatchNorm2d<>, ReLU,
                            Conv2d<32, Kernel<2>, Padding<1>, Groups<2>>, BatchNorm2d<>, ReLU> {};
struct NarrowNorm
    : Sequential<Input<4, 3, 3>, Conv2d<18, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU,
                 MaxPool2d<Kernel<3>, Stride<1>, Padding<1>>, LocalResponseNorm<3, Alpha<0.5>>,
                 Conv2d<16, Kernel<3>, Stride<2>, Padding<1>>, BatchNorm2d<>, LocalResponseNorm<4, Alpha<0.5>>> {};
struct Bands : Sequential<Input<1, 90, 100>, Conv2d<32, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU,
                          MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>> {};
struct BandsAlone
    : Sequential<Input<32, 70, 67>, BatchNorm2d<>, LocalResponseNorm<5, Alpha<0.5>>, MaxPool2d<Kernel<2>>> {};

template <class Net, class T = float>
void all_batches() {
    compare<Net, T>(6, 6);
    compare<Net, T>(3, 7, 3);
    compare<Net, T>(1, 2, 1);
}

}  // namespace

TEST_CASE("batch norm alone") {
    all_batches<Alone>();
    all_batches<Settings>();
    all_batches<Alone, double>();
}

TEST_CASE("batch norm in stages") {
    all_batches<Pooled>();
    all_batches<Dropped>();
    all_batches<Grouped>();
    all_batches<NarrowNorm>();
    all_batches<Pooled, double>();
}

TEST_CASE("batch norm in bands") {
    compare<Bands>(2, 2);
    compare<BandsAlone>(2, 3);
}
