// Initialisers: bounds, means and variances against the gains of torch.nn.init.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/error.hpp>
#include <ctnn/core/init.hpp>
#include <ctnn/core/initialize.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/network/sequential.hpp>
#endif

namespace {

using ctnn::Init;
using ctnn::InitKind;

constexpr std::int64_t fan_in = 75, fan_out = 800;  // a 5×5 convolution from 3 to 32 channels

std::vector<double> sample(const Init& init, std::size_t n) {
    ctnn::Random stream{42, ctnn::Stream::init};
    std::vector<double> values(n);
    for (double& v : values) { v = ctnn::init_value(init, fan_in, fan_out, stream); }
    return values;
}

template <Init init>
constexpr double value_of = init.value;

}  // namespace

static_assert(value_of<Init{InitKind::normal, 0.01}> == 0.01);  // a template argument
static_assert(Init{} == Init{InitKind::pytorch_default, 0.0});

TEST_CASE("initialisers have the spread of torch.nn.init", "[initialize]") {
    struct Case {
        Init init;
        bool uniform;
        double std;
    };
    // torch.nn.init: std = gain / √fan (kaiming, fan_in) or gain·√(2 / (fan_in + fan_out)) (xavier); a uniform has
    // the bound √3·std. Gain √2 for ReLU, 1 for xavier, √(2 / (1 + a²)) with a = √5 for PyTorch's default.
    const double fans = std::sqrt(2.0 / (fan_in + fan_out)), root = std::sqrt(static_cast<double>(fan_in));
    const std::array cases{
        Case{{InitKind::he_uniform}, true, std::sqrt(2.0) / root},
        Case{{InitKind::he_normal}, false, std::sqrt(2.0) / root},
        Case{{InitKind::xavier_uniform}, true, fans},
        Case{{InitKind::xavier_normal}, false, fans},
        Case{{InitKind::normal, 0.01}, false, 0.01},
        Case{{InitKind::pytorch_default}, true, std::sqrt(2.0 / 6.0) / root},
    };
    constexpr std::size_t n = 20000;
    for (const auto& [init, uniform, std] : cases) {
        CAPTURE(static_cast<int>(init.kind));
        const auto values = sample(init, n);
        double mean = 0.0, square = 0.0, largest = 0.0;
        for (const double v : values) {
            mean += v / n;
            square += v * v / n;
            largest = std::max(largest, std::abs(v));
        }
        // Four standard errors: of a mean std / √n, of a standard deviation std·√((κ − 1) / 4n), κ = 3 at most.
        const double error = std / std::sqrt(static_cast<double>(n));
        CHECK(std::abs(mean) < 4 * error);
        CHECK(std::abs(std::sqrt(square) - std) < 4 * error / std::sqrt(2.0));
        if (uniform) {
            CHECK(largest <= std::sqrt(3.0) * std * (1 + 1e-12));
            CHECK(largest > std::sqrt(3.0) * std * 0.999);
        } else {
            CHECK(largest > 3.5 * std);  // a normal has tails: 9 of 20 000 expected beyond
        }
        CHECK(sample(init, n) == values);  // a stream repeats
    }
}

TEST_CASE("constant initialisers draw no random numbers", "[initialize]") {
    ctnn::Random stream{1, ctnn::Stream::init}, untouched{1, ctnn::Stream::init};
    CHECK(ctnn::init_value({InitKind::zeros}, 0, 0, stream) == 0.0);
    CHECK(ctnn::init_value({InitKind::ones}, 0, 0, stream) == 1.0);
    CHECK(ctnn::init_value({InitKind::constant, -0.25}, 0, 0, stream) == -0.25);
    CHECK(stream.next() == untouched.next());
}

TEST_CASE("an initialiser refuses a fan that is not positive", "[initialize]") {
    ctnn::Random stream{1, ctnn::Stream::init};
    for (const auto kind : {InitKind::he_uniform, InitKind::he_normal, InitKind::pytorch_default}) {
        CHECK_THROWS_WITH(ctnn::init_value({kind}, 0, 4, stream), "initialiser: the fan is 0, expected at least 1");
    }
    for (const auto kind : {InitKind::xavier_uniform, InitKind::xavier_normal}) {
        CHECK_THROWS_AS(ctnn::init_value({kind}, 0, 0, stream), ctnn::ArgumentError);
    }
    CHECK_THROWS_AS(ctnn::init_value({static_cast<InitKind>(99)}, 4, 4, stream), ctnn::ArgumentError);
}

TEST_CASE("dirac passes channels on, as torch.nn.init.dirac_ on the first filters", "[initialize]") {
    using namespace ctnn;
    using Dirac = WeightInit<InitKind::dirac>;
    using Net = Sequential<Input<4, 5, 5>, Conv2d<6, Kernel<3>, Padding<1>, Groups<2>, Bias<false>, Dirac>,  //
                           Conv2d<4, Kernel<2>, Bias<false>, Dirac>>;
    const Model<Net> model{Seed{3}};
    using Layout = ParameterLayout<Net>;
    for (std::size_t i = 0; i < Layout::tensors; ++i) {
        const ParameterSlot& slot = Layout::slots[i];
        const WeightDims& d = slot.spec.dims;
        int ones = 0, others = 0;
        for (int g = 0; g < d.groups; ++g) {
            for (int o = 0; o < d.out; ++o) {
                for (int in = 0; in < d.in; ++in) {
                    for (int tap = 0; tap < d.kernel_y * d.kernel_x; ++tap) {
                        const int y = tap / d.kernel_x, x = tap % d.kernel_x;
                        const float weight = model.parameters().data()[slot.offset + d.stored_offset(g, o, in, y, x)];
                        if (o < d.in) {
                            const bool one = in == o && y == d.kernel_y / 2 && x == d.kernel_x / 2;
                            CHECK(weight == (one ? 1.0F : 0.0F));
                            ones += one ? 1 : 0;
                        } else {
                            const double bound = 1 / std::sqrt(static_cast<double>(slot.spec.fan_in));
                            CHECK(std::abs(weight) <= bound);
                            others += weight != 0 ? 1 : 0;
                        }
                    }
                }
            }
        }
        CHECK(ones == d.groups * std::min(d.in, d.out));
        CHECK(others == d.groups * std::max(0, d.out - d.in) * d.in * d.kernel_y * d.kernel_x);
    }
}

TEST_CASE("filled words are those of as many calls", "[random]") {
    for (const std::size_t before : {0u, 1u, 3u, 4u}) {
        for (const std::size_t count : {0u, 1u, 63u, 64u, 65u, 200u}) {
            ctnn::Random one_by_one{5, ctnn::Stream::test, 6, 7}, filled = one_by_one;
            for (std::size_t i = 0; i < before; ++i) {
                one_by_one.next();
                filled.next();
            }
            std::vector<std::uint32_t> words(count), expected(count);
            for (std::uint32_t& word : expected) { word = one_by_one.next(); }
            filled.fill(words);
            CAPTURE(before, count);
            CHECK(words == expected);
            CHECK(filled.next() == one_by_one.next());
        }
    }
}
