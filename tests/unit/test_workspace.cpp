// Workspaces in the caller's memory.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>
#endif

namespace {

using namespace ctnn;

struct Net : Sequential<Input<3, 8, 8>, Conv2d<8, Kernel<3>>, ReLU, MaxPool2d<Kernel<2>>, Flatten, Linear<5>> {};
using Small = Inference<Net>;

}  // namespace

TEST_CASE("a workspace in the caller's memory computes the same, whatever that holds") {
    const Model<Net> model{Seed{1}};
    std::vector<float> input(2 * static_cast<std::size_t>(Net::input_shape.size()));
    Random random{1, Stream::test};
    for (float& x : input) { x = static_cast<float>(random.normal()); }

    Workspace<Small> own{2, 2};
    const auto expected = forward(model.view(), input.data(), 2, own);
    REQUIRE(expected[0] != expected[1]);
    AlignedArray<std::byte> memory(Small::bytes(2, 2));
    std::fill(memory.begin(), memory.end(), std::byte{0xFF});
    Workspace<Small> before{memory.span(), 2, 2};
    Workspace<Small> given = std::move(before);
    const auto found = forward(model.view(), input.data(), 2, given);
    CHECK(std::ranges::equal(found, expected));
    const auto* const at = reinterpret_cast<const std::byte*>(found.data());
    CHECK(at >= memory.begin());
    CHECK(at < memory.end());
}

TEST_CASE("a workspace that was moved from takes no pass") {
    const Model<Net> model{Seed{1}};
    const std::vector<float> input(static_cast<std::size_t>(Net::input_shape.size()));
    Workspace<Small> first{1, 1}, second{1, 1};
    const Workspace<Small> third = std::move(first);
    second = Workspace<Small>{3, 1};
    CHECK(second.batch() == 3);
    CHECK_NOTHROW(forward(model.view(), input.data(), 1, second));
    CHECK(first.bytes().empty());  // NOLINT(bugprone-use-after-move): that is the question
    CHECK_THROWS_AS(forward(model.view(), input.data(), 1, first), ArgumentError);
}

// Of 32 bits, a number of bytes that they do not hold is one that no memory has.
static_assert(sizeof(std::size_t) > 4 || Small::bytes(1 << 30, 1) == std::numeric_limits<std::size_t>::max());
static_assert(Small::bytes(1 << 30, 1) >= (std::size_t{1} << 30));

TEST_CASE("memory that is too short or not aligned is refused") {
    AlignedArray<std::byte> memory(Small::bytes(1, 1) + block_alignment);
    const auto all = memory.span();
    CHECK_NOTHROW(Workspace<Small>{all.subspan(block_alignment), 1, 1});
    CHECK_THROWS_WITH(Workspace<Small>(all.subspan(block_alignment + 1), 1, 1), Catch::Contains("aligned to 64"));
    CHECK_THROWS_AS(Workspace<Small>(all.subspan(1), 1, 1), ArgumentError);
    CHECK_THROWS_AS(Workspace<Small>(all.first(Small::bytes(1, 1) - 1), 1, 1), ArgumentError);
    CHECK_THROWS_WITH(Workspace<Small>(all, 0, 1), Catch::Contains("batch size is 0"));
}
