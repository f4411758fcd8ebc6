// Half precision: the conversions on every number there is, and networks whose linear layers read such weights.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/half.hpp>
#include <ctnn/kernels/simd.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/half_model.hpp>
#include <ctnn/network/run.hpp>
#endif

namespace {

using namespace ctnn;

constexpr float infinity = std::numeric_limits<float>::infinity();

Half half_of(int bits) { return {static_cast<std::uint16_t>(bits)}; }

/// By the definition of the format.
float value_of(int bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double magnitude = exponent == 31  ? (fraction == 0 ? HUGE_VAL : NAN)
                             : exponent == 0 ? std::ldexp(fraction, -24)
                                             : std::ldexp(1024 + fraction, exponent - 25);
    return static_cast<float>((bits & 0x8000) != 0 ? -magnitude : magnitude);
}

bool same(float a, float b) { return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0; }

/// The model with the weights of its linear layers rounded to half precision.
template <class Net>
Model<Net> rounded(Model<Net> model) {
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
        if (Net::description.layers[slot.layer].kind != LayerKind::linear || slot.spec.name != "weight") { continue; }
        slot.spec.dims.for_canonical([&](std::int64_t at) {
            float& w = model.parameters().data()[slot.offset + at];
            w = to_float(to_half(w));
        });
    }
    return model;
}

template <class Net>
std::vector<float> images(int n) {
    std::vector<float> values(static_cast<std::size_t>(n * Net::input_shape.size()));
    Random random{8, Stream::test};
    for (float& v : values) { v = static_cast<float>(random.normal()); }
    return values;
}

/// Inference in a workspace of NaN for one image more than needed.
template <Fusion F, class Net, class AnyModel>
std::vector<float> infer(const AnyModel& model, int n, int threads) {
    Workspace<Inference<Net, float, F>> workspace(n + 1, threads);
    std::fill(workspace.bytes().begin(), workspace.bytes().end(), std::byte{0xFF});
    const auto output = forward(model, images<Net>(n).data(), n, workspace);
    return {output.begin(), output.end()};
}

/// Logits of a HalfModel beside those of the rounded weights in `float`. Widening is exact and the order of the sums
/// the same, so they may differ only where the compiler fuses a product and a sum in one of the two: by 2⁻²³ of the
/// largest logit for some terms.
template <class Net>
void compare(int n) {
    const Model<Net> model{Seed{3}};
    const HalfModel<Net> half{model.view(), 2};
    const auto expected = infer<Fusion::full, Net>(rounded(model).view(), n, 1);
    const auto found = infer<Fusion::full, Net>(half, n, 1);
    float most = 0;
    for (const float y : expected) { most = std::max(most, std::abs(y)); }
    REQUIRE(most > 0);
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
        REQUIRE(std::abs(found[i] - expected[i]) <= std::ldexp(most, -20));
    }
    CHECK(found != infer<Fusion::full, Net>(model.view(), n, 1));
    CHECK(found == infer<Fusion::full, Net>(half, n, 3));
    CHECK(infer<Fusion::none, Net>(half, n, 1).size() == found.size());
}

struct Single : Sequential<Input<1500, 1, 1>, Flatten, Linear<37>> {};
struct Deep : Sequential<Input<3, 9, 9>, Conv2d<18, Kernel<3>, Padding<1>>, ReLU, MaxPool2d<Kernel<3>>, Flatten,
                         Linear<256>, ReLU, Dropout<0.5>, Linear<133, Bias<false>>, Tanh, Linear<1>, Sigmoid> {};
struct NoLinear : Sequential<Input<3, 4, 4>, Conv2d<5, Kernel<4>>, Flatten> {};

// Whole blocks of outputs, and a cache line's worth of each layer: 162·256 + 256·144 + 133·16 rounded up to 32.
static_assert(HalfModel<Single>::bytes == 2 * 1500 * 48);
static_assert(HalfModel<Deep>::bytes == 2 * (162 * 256 + 256 * 144 + 2144));
static_assert(HalfModel<NoLinear>::bytes == 0);

static_assert(to_float(to_half(-1.5f)) == -1.5f && to_half(1.0f).bits == 0x3C00);

}  // namespace

TEST_CASE("every half precision number is widened exactly and comes back") {
    for (int bits = 0; bits < 1 << 16; ++bits) {
        INFO(bits);
        const float x = to_float(half_of(bits));
        REQUIRE(same(x, value_of(bits)));
        REQUIRE(std::signbit(x) == (bits >= 1 << 15));
        if (std::isnan(x)) {
            REQUIRE(std::isnan(to_float(to_half(x))));
        } else {
            REQUIRE(to_half(x).bits == bits);
        }
    }
}

TEST_CASE("floats round to the nearest half, ties to the even one") {
    for (int bits = 0; bits < 0x7C00; ++bits) {
        INFO(bits);
        // Behind the largest the format would go on with 65536, which stands for infinity.
        const float low = value_of(bits), high = bits == 0x7BFF ? 65536.0f : value_of(bits + 1);
        const float tie = 0.5f * (low + high);  // exact
        for (const int sign : {0, 0x8000}) {
            const float s = sign == 0 ? 1.0f : -1.0f;
            REQUIRE(to_half(s * std::nextafter(low, infinity)).bits == (sign | bits));
            REQUIRE(to_half(s * std::nextafter(tie, 0.0f)).bits == (sign | bits));
            REQUIRE(to_half(s * tie).bits == (sign | (bits % 2 == 0 ? bits : bits + 1)));
            REQUIRE(to_half(s * std::nextafter(tie, infinity)).bits == (sign | (bits + 1)));
            REQUIRE(to_half(s * std::nextafter(high, 0.0f)).bits == (sign | (bits + 1)));
        }
    }
    for (const float large : {65536.0f, 1e10f, std::numeric_limits<float>::max(), infinity}) {
        CHECK(to_half(large).bits == 0x7C00);
        CHECK(to_half(-large).bits == 0xFC00);
    }
    CHECK(to_half(std::numeric_limits<float>::denorm_min()).bits == 0);
    CHECK(to_half(-std::numeric_limits<float>::min()).bits == 0x8000);
}

TEST_CASE("vectors widen every half precision number exactly") {
    using V = Vec<float>;
    std::vector<Half> halves(1 << 16);
    for (int bits = 0; bits < 1 << 16; ++bits) { halves[static_cast<std::size_t>(bits)] = half_of(bits); }
    std::vector<float> wide(halves.size());
    for (std::size_t i = 0; i < halves.size(); i += V::width) { V::load(halves.data() + i).store(wide.data() + i); }
    for (int bits = 0; bits < 1 << 16; ++bits) {
        INFO(bits);
        REQUIRE(same(wide[static_cast<std::size_t>(bits)], value_of(bits)));
    }
    V::load(halves.data() + 3).store(wide.data());  // no alignment is asked for
    for (int i = 0; i < V::width; ++i) { CHECK(same(wide[static_cast<std::size_t>(i)], value_of(i + 3))); }
}

TEST_CASE("a linear layer with half weights is off by no more than their rounding") {
    constexpr int n = 3, in = 1500, out = 37;
    const Model<Single> model{Seed{3}};
    const std::vector<float> x = images<Single>(n), y = infer<Fusion::full, Single>(model.view(), n, 1),
                             z = infer<Fusion::full, Single>(HalfModel<Single>{model.view(), 1}, n, 1);
    const ParameterSlot& weight = ParameterLayout<Single>::slots[0];
    double largest_error = 0;
    for (int s = 0; s < n; ++s) {
        for (int o = 0; o < out; ++o) {
            double rounding = 0, terms = 0;
            for (int i = 0; i < in; ++i) {
                const double w =
                    std::abs(model.parameters().data()[weight.offset + weight.spec.dims.stored_offset(0, o, i, 0, 0)]);
                const double input = std::abs(x[static_cast<std::size_t>(s * in + i)]);
                rounding += input * std::max(std::ldexp(w, -11), std::ldexp(1.0, -25));
                terms += input * w;
            }
            const auto at = static_cast<std::size_t>(s * out + o);
            const double error = std::abs(double{y[at]} - double{z[at]});
            // Both sums also round: at most once for every term, and by far less together.
            CHECK(error <= rounding + std::ldexp(terms, -20));
            largest_error = std::max(largest_error, error);
        }
    }
    CHECK(largest_error > 0);
}

TEST_CASE("networks with half weights compute what rounded weights give, for any number of samples and threads") {
    for (const int n : {1, 2, 7, 19}) {
        INFO(n << " samples");
        compare<Single>(n);
        compare<Deep>(n);
    }
}

TEST_CASE("a network without linear layers takes nothing from a HalfModel") {
    const Model<NoLinear> model{Seed{3}};
    CHECK(infer<Fusion::full, NoLinear>(HalfModel<NoLinear>{model.view()}, 2, 1) ==
          infer<Fusion::full, NoLinear>(model.view(), 2, 1));
}
