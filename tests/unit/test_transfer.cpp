// What one network's model takes over from another's.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/custom.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/network/transfer.hpp>
#endif

namespace {

using namespace ctnn;

/// Features of an odd number of channels, so that storage is padded, and a head of so many classes.
template <int Classes, int Channels = 19>
struct Net : Sequential<Input<3, 4, 4>, Block<"features", Conv2d<Channels, Kernel<3>>, BatchNorm2d<>>, ReLU, Flatten,
                        Block<"head", Linear<Classes>>> {};
/// As many numbers for its layer as the other, in another shape.
template <int Rows>
struct Table {
    static constexpr LayerInfo describe(Signal in) {
        LayerInfo info = custom_layer("Table", in, in.shape);
        custom_parameter(info, "weight", {Rows, 12 / Rows}, {InitKind::normal, 1});
        return info;
    }
};
template <int Rows>
struct OfTable : Sequential<Input<1, 1, 1>, Table<Rows>> {};

template <class N>
Model<N> some_model(std::uint64_t seed) {
    Model<N> model{Seed{seed}};
    for (float& x : model.buffers().span()) { x = static_cast<float>(seed); }
    model.buffers().batches_tracked = static_cast<std::int64_t>(seed);
    return model;
}

template <class N>
std::span<const float> tensor(const Model<N>& model, std::size_t i) {
    const ParameterSlot& slot = ParameterLayout<N>::slots[i];
    return model.parameters().span().subspan(static_cast<std::size_t>(slot.offset),
                                             static_cast<std::size_t>(slot.spec.dims.stored()));
}

}  // namespace

TEST_CASE("tensors of the same name and size are copied, the head stays") {
    const Model<Net<7>> from = some_model<Net<7>>(1);
    Model<Net<3>> to = some_model<Net<3>>(2);
    const Model<Net<3>> before = to;
    STATIC_REQUIRE(ParameterLayout<Net<3>>::tensors == 6);
    CHECK(copy_matching(from, to) == 4);
    for (std::size_t i = 0; i < 6; ++i) {
        INFO(i);
        const auto expected = i < 4 ? tensor(from, i) : tensor(before, i);
        CHECK(std::ranges::equal(tensor(to, i), expected));
    }
    CHECK(to.buffers().data()[0] == 1.0f);
    CHECK(to.buffers().data()[ParameterLayout<Net<3>>::buffers[0].variance_offset + 18] == 1.0f);
    CHECK(to.buffers().batches_tracked == 1);
}

TEST_CASE("all of a network of the same tensors is copied, and nothing where no size fits") {
    const Model<Net<7>> from = some_model<Net<7>>(1);
    Model<Net<7>> same = some_model<Net<7>>(2);
    CHECK(copy_matching(from, same) == 6);
    CHECK(std::ranges::equal(same.parameters().span(), from.parameters().span()));

    Model<Net<3, 5>> other = some_model<Net<3, 5>>(2);
    CHECK(copy_matching(from, other) == 0);
    CHECK(other.buffers().data()[0] == 2.0f);
    CHECK(other.buffers().batches_tracked == 2);

    Model<OfTable<3>> table{Seed{1}};
    CHECK(copy_matching(Model<OfTable<4>>{Seed{2}}, table) == 0);
    CHECK(copy_matching(Model<OfTable<3>>{Seed{2}}, table) == 1);
}
