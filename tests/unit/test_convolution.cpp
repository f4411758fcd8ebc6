// Convolutions against the naive reference: windows, strides, paddings, channel counts and widths that do not divide.
#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/network/run.hpp>
#endif

#include "reference/compare.hpp"

namespace {

using namespace ctnn;
using reference::compare;

// Odd widths of one and several tiles with edges, 1, 3, 7, 16, 17, 32 and 48 channels.
struct Kernel1 : Sequential<Input<3, 5, 5>, Conv2d<7, Kernel<1>>, Conv2d<17, Kernel<1>, Padding<1>, Bias<false>>,
                            Conv2d<16, Kernel<1>, Stride<2>>> {};
struct Kernel2 : Sequential<Input<1, 9, 23>, Conv2d<32, Kernel<2>, Padding<1>>,
                            Conv2d<3, Kernel<2>, Stride<2>, Padding<3>, Bias<false>>> {};
struct Kernel3 : Sequential<Input<3, 7, 41>, Conv2d<48, Kernel<3>, Padding<1>>, Conv2d<16, Kernel<3>, Stride<2>>> {};
struct Kernel5
    : Sequential<Input<7, 9, 19>, Conv2d<16, Kernel<5>, Padding<2>>, Conv2d<5, Kernel<5>, Stride<3>, Padding<3>>> {};
struct Kernel11 : Sequential<Input<3, 32, 32>, Conv2d<17, Kernel<11>, Stride<4>, Padding<2>>> {};
struct Rectangles : Sequential<Input<3, 9, 11>, Conv2d<8, Kernel<1, 5>, Stride<2, 1>, Padding<0, 2>>,
                               Conv2d<6, Kernel<3, 2>, Stride<1, 3>, Padding<3, 0>>> {};
/// A stride beyond the kernel leaves inputs that no output sees: their gradient is 0.
struct Sparse
    : Sequential<Input<2, 9, 14>, Conv2d<4, Kernel<2>, Stride<3>>, Conv2d<3, Kernel<1>, Stride<4, 3>, Padding<2>>> {};
/// Outputs that see nothing but padding are the bias.
struct Padded
    : Sequential<Input<2, 3, 6>, Conv2d<4, Kernel<1>, Padding<3>>, Conv2d<4, Kernel<2>, Stride<2>, Padding<3>>> {};

/// Whole, partial and single batches.
template <class Net, class T = float>
void all_batches() {
    compare<Net, T>(4, 4);
    compare<Net, T>(3, 5, 3);
    compare<Net, T>(1, 2, 1);
}

}  // namespace

TEST_CASE("convolutions of every kernel size") {
    all_batches<Kernel1>();
    all_batches<Kernel2>();
    all_batches<Kernel3>();
    all_batches<Kernel5>();
    all_batches<Kernel11>();
}

TEST_CASE("convolutions with rectangles, strides beyond the kernel and padding beyond it") {
    all_batches<Rectangles>();
    all_batches<Sparse>();
    all_batches<Padded>();
}

TEST_CASE("convolutions in double") { all_batches<Kernel3, double>(); }
