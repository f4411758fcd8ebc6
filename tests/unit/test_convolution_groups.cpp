// Convolutions against the naive reference: groups, narrow maps, and maps so large that they are worked on in bands.
#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>
#endif

#include "reference/compare.hpp"

namespace {

using namespace ctnn;
using reference::compare;

struct Groups2 : Sequential<Input<8, 6, 9>, Conv2d<64, Kernel<3>, Padding<1>, Groups<2>>, ReLU, MaxPool2d<Kernel<2>>,
                            Conv2d<10, Kernel<3>, Groups<2>, Padding<2>, Bias<false>>> {};
struct Groups3 : Sequential<Input<9, 8, 8>, Conv2d<21, Kernel<3>, Stride<2>, Groups<3>>, Sigmoid,
                            Conv2d<51, Kernel<2>, Padding<2>, Groups<3>>> {};
struct Depthwise : Sequential<Input<5, 6, 7>, Conv2d<5, Kernel<3>, Padding<1>, Groups<5>>, ReLU> {};

// Below four columns tiles run over samples.
struct Narrow : Sequential<Input<17, 5, 3>, Conv2d<20, Kernel<3>, Padding<1>>, ReLU,
                           Conv2d<33, Kernel<3>, Stride<2>, Padding<1>>, Conv2d<16, Kernel<3>, Padding<1>>> {};
struct NarrowPooled : Sequential<Input<6, 3, 3>, Conv2d<18, Kernel<3>, Padding<1>, Groups<2>>, Tanh,
                                 MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>, Conv2d<4, Kernel<1>>> {};
/// The input is wide and the output narrow, and the reverse.
struct Funnel
    : Sequential<Input<4, 12, 12>, Conv2d<8, Kernel<11>, Stride<4>, Padding<2>>, Conv2d<5, Kernel<3>, Padding<3>>> {};

/// A map of 1.3 MB is worked on in bands.
struct Bands : Sequential<Input<1, 101, 100>, Conv2d<32, Kernel<3>, Padding<1>>, ReLU,
                          MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>> {};
struct BandsUnpooled : Sequential<Input<1, 100, 101>, Conv2d<32, Kernel<3>, Padding<1>, Bias<false>>, Tanh> {};

/// Whole, partial and single batches.
template <class Net, class T = float>
void all_batches() {
    compare<Net, T>(4, 4);
    compare<Net, T>(3, 5, 3);
    compare<Net, T>(1, 2, 1);
}

}  // namespace

TEST_CASE("convolutions in groups") {
    all_batches<Groups2>();
    all_batches<Groups3>();
    all_batches<Depthwise>();
}

TEST_CASE("convolutions of narrow maps") {
    all_batches<Narrow>();
    compare<Narrow>(19, 20);
    all_batches<NarrowPooled>();
    compare<NarrowPooled>(17, 17);
    all_batches<Funnel>();
}

TEST_CASE("convolutions in bands") {
    compare<Bands>(2, 2);
    compare<BandsUnpooled>(1, 1);
}

TEST_CASE("convolutions in groups and of narrow maps, in double") {
    all_batches<Groups3, double>();
    compare<Narrow, double>(19, 20);
}
