// A layer from outside the library that leaves nothing.
// EXPECT: layer 0, Halving: its output is
// EXPECT: empty; give describe(Signal) a
// EXPECT: shape of at least 1x1x1
#include <ctnn/layers/custom.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/network/sequential.hpp>

using namespace ctnn;

struct Halving {
    static constexpr LayerInfo describe(Signal in) {
        return custom_layer("Halving", in, {in.shape.channels, in.shape.height / 2, in.shape.width});
    }
};
struct Bad : Sequential<Input<3, 1, 1>, Halving, Flatten, Linear<10>> {};
