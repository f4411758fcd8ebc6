// SGD against PyTorch's numbers and a naive formula, clipping, decay by range, sums of squares, threads.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/error.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/kernels/update.hpp>
#include <ctnn/train/optimizer.hpp>
#endif

namespace {

using ctnn::Sgd;

template <class T>
std::vector<T> random_vector(std::size_t n, std::uint32_t item) {
    ctnn::Random random{11, ctnn::Stream::test, 0, item};
    std::vector<T> x(n);
    for (T& v : x) { v = static_cast<T>(random.uniform(-1.0f, 1.0f)); }
    return x;
}

/// Runs `body` on 1, 2 and 3 threads and hands it the number.
template <class Body>
void on_threads(Body body) {
    for (const int threads : {1, 2, 3}) {
        CAPTURE(threads);
#ifdef _OPENMP
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
        body(threads);
        omp_set_num_threads(before);
#else
        body(threads);
#endif
    }
}

constexpr std::array sizes{1, 15, 16, 17, 100, 16383, 16384, 16385, 50001};

}  // namespace

TEMPLATE_TEST_CASE("three SGD steps equal PyTorch's", "[optimizer]", float, double) {
    struct Case {
        Sgd sgd;
        std::array<double, 4> weights;
        double norm;
    };
    // w = torch.nn.Parameter(torch.tensor([1, -2, 0.5, 3], dtype=torch.float64))
    // o = torch.optim.SGD([w], lr=0.1, momentum=…, nesterov=…, weight_decay=0.05)
    // for s in (1, 2, 3):
    //     w.grad = torch.tensor([0.5, -1, 2, 0.25], dtype=torch.float64) * s
    //     norm = torch.nn.utils.clip_grad_norm_([w], 3.0); o.step()      # the first case without clipping
    // print(w, norm)                                                     # PyTorch 1.13, printed with %.17g
    const std::array cases{
        Case{{.momentum = 0.9, .weight_decay = 0.05},
             {0.49801862499999988, -0.99603724999999976, -1.4101700625, 2.6791839999999998},
             0.0},
        Case{{.momentum = 0.9, .nesterov = true, .weight_decay = 0.05, .clip_norm = 3.0},
             {0.49187768002722865, -0.9837553600544573, -1.3928457290785854, 2.6461934465761145},
             6.914658342969665},
        Case{{.weight_decay = 0.05, .clip_norm = 3.0},
             {0.80574076945435336, -1.6114815389087067, -0.22479898468258641, 2.8655575722271767},
             6.914658342969665},
    };
    // Three steps of some roundings each on numbers of about 1.
    const double tolerance = 16.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
    for (const auto& [sgd, weights, norm] : cases) {
        std::vector<TestType> w{1, -2, TestType(0.5), 3}, v(sgd.momentum == 0.0 ? 0 : 4);
        double last = -1.0;
        for (int s = 1; s <= 3; ++s) {
            std::vector<TestType> g{TestType(0.5), -1, 2, TestType(0.25)};
            for (TestType& x : g) { x *= static_cast<TestType>(s); }
            last = ctnn::sgd_step<TestType>(sgd, 0.1, w, g, v, 4);
        }
        CHECK(last == Approx(norm).epsilon(1e-14));
        for (std::size_t i = 0; i < 4; ++i) {
            CHECK(static_cast<double>(w[i]) == Approx(weights[i]).epsilon(tolerance).margin(tolerance));
        }
    }
}

TEMPLATE_TEST_CASE("the fused update equals the formula at every size and alignment", "[optimizer]", float, double) {
    constexpr std::size_t guard = 3;  // also misaligns the vectors
    const double tolerance = 4.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
    for (const int size : sizes) {
        const auto n = static_cast<std::size_t>(size);
        for (const bool nesterov : {false, true}) {
            for (const double momentum : {0.0, 0.9}) {
                CAPTURE(n, nesterov, momentum);
                const auto w0 = random_vector<TestType>(n + 2 * guard, 1);
                const auto g = random_vector<TestType>(n + 2 * guard, 2);
                const auto v0 = random_vector<TestType>(n + 2 * guard, 3);
                auto w = w0, v = v0;
                const ctnn::SgdStep step{0.1, momentum, nesterov && momentum > 0, 0.01, 0.5};
                ctnn::sgd_update<TestType>(std::span{w}.subspan(guard, n), std::span{g}.subspan(guard, n),
                                           std::span{v}.subspan(guard, n), step);
                double w_error = 0.0, v_error = 0.0;
                bool outside = true;
                for (std::size_t i = 0; i < w.size(); ++i) {
                    if (i < guard || i >= guard + n) {
                        outside = outside && w[i] == w0[i] && v[i] == v0[i];
                        continue;
                    }
                    const double decayed = 0.5 * static_cast<double>(g[i]) + 0.01 * static_cast<double>(w0[i]);
                    const double velocity = momentum * static_cast<double>(v0[i]) + decayed;
                    const double move = step.nesterov ? decayed + momentum * velocity : velocity;
                    w_error = std::max(w_error, std::abs(static_cast<double>(w[i] - w0[i]) + 0.1 * move));
                    const double kept = momentum == 0.0 ? static_cast<double>(v0[i]) : velocity;
                    v_error = std::max(v_error, std::abs(static_cast<double>(v[i]) - kept));
                }
                CHECK(outside);
                CHECK(w_error < tolerance);  // all terms are of magnitude 2 at most, some roundings each
                CHECK(v_error < tolerance);
            }
        }
    }
}

TEST_CASE("decay can spare biases and norms", "[optimizer]") {
    for (const bool all : {true, false}) {
        std::vector<double> w(40, 1.0), v(40);
        const std::vector<double> g(40, 0.0);
        const Sgd sgd{.momentum = 0.9, .weight_decay = 0.5, .decay_biases_and_norms = all};
        CHECK(ctnn::sgd_step<double>(sgd, 0.1, w, g, v, 24) == 0.0);
        CHECK(std::all_of(w.begin(), w.begin() + 24, [](double x) { return x == Approx(0.95); }));
        CHECK(std::all_of(w.begin() + 24, w.end(), [&](double x) { return x == Approx(all ? 0.95 : 1.0); }));
    }
}

TEMPLATE_TEST_CASE("clipping scales to the norm, and only down", "[optimizer]", float, double) {
    const std::vector<TestType> g{3, 0, -4, 12};  // norm 13
    const auto moved = [&](double clip) {
        std::vector<TestType> w(4);
        CHECK(ctnn::sgd_step<TestType>({.clip_norm = clip}, 1.0, w, g, {}, 4) == 13.0);
        return w;
    };
    CHECK(moved(100.0) == std::vector<TestType>{-3, 0, 4, -12});
    // The 1e-6 of PyTorch's formula shows at this tolerance in double.
    const double scale = 6.5 / (13.0 + 1e-6);
    const double epsilon = 4.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
    const auto w = moved(6.5);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(static_cast<double>(w[i]) == Approx(-scale * static_cast<double>(g[i])).epsilon(epsilon));
    }

    // A norm that is not finite changes nothing.
    for (const TestType bad : {std::numeric_limits<TestType>::infinity(), std::numeric_limits<TestType>::quiet_NaN()}) {
        std::vector<TestType> weights(4, 1), v(4, 2);
        const std::vector<TestType> broken{1, bad, 1, 1};
        const Sgd sgd{.momentum = 0.9, .clip_norm = 1.0};
        CHECK_FALSE(std::isfinite(ctnn::sgd_step<TestType>(sgd, 0.1, weights, broken, v, 4)));
        CHECK(weights == std::vector<TestType>(4, 1));
        CHECK(v == std::vector<TestType>(4, 2));
    }
}

TEMPLATE_TEST_CASE("the sum of squares is right at every size", "[optimizer]", float, double) {
    CHECK(ctnn::sum_of_squares<TestType>({}) == 0.0);
    for (const int size : sizes) {
        CAPTURE(size);
        const auto x = random_vector<TestType>(static_cast<std::size_t>(size) + 1, 4);
        long double expected = 0.0L;
        for (std::size_t i = 1; i < x.size(); ++i) { expected += static_cast<long double>(x[i]) * x[i]; }
        // The bound of 1024 additions to each of a chunk's 16 sums, half an ε each, is 1.1e-13; one element is 2e-5.
        CHECK(ctnn::sum_of_squares<TestType>(std::span{x}.subspan(1)) ==
              Approx(static_cast<double>(expected)).epsilon(1.2e-13));
    }
    CHECK(ctnn::sum_of_squares<TestType>(std::vector<TestType>(3, TestType(1e30))) == Approx(3e60).epsilon(1e-6));
}

TEST_CASE("the sum of squares of more than 1024 chunks' worth", "[optimizer]") {
    // Sums of ones are exact in double, so every element counts exactly once.
    const std::vector<float> ones(1024 * 16384 + 17, 1.0f);
    on_threads([&](int) { CHECK(ctnn::sum_of_squares<float>(ones) == static_cast<double>(ones.size())); });
}

TEMPLATE_TEST_CASE("all_finite sees every element", "[optimizer]", float, double) {
    std::vector<TestType> x(40001, std::numeric_limits<TestType>::max());  // squares overflow in double, not in float
    CHECK(ctnn::all_finite<TestType>(x));
    CHECK(ctnn::all_finite<TestType>({}));
    for (const std::size_t at : {std::size_t{0}, std::size_t{16390}, x.size() - 1}) {
        for (const TestType bad :
             {std::numeric_limits<TestType>::quiet_NaN(), -std::numeric_limits<TestType>::infinity()}) {
            const TestType kept = x[at];
            x[at] = bad;
            CHECK_FALSE(ctnn::all_finite<TestType>(x));
            x[at] = kept;
        }
    }
}

TEMPLATE_TEST_CASE("SGD is the same to the bit for any number of threads", "[optimizer]", float, double) {
    constexpr std::size_t n = 100003;
    const Sgd sgd{
        .momentum = 0.9, .nesterov = true, .weight_decay = 1e-3, .decay_biases_and_norms = false, .clip_norm = 1.0};
    std::vector<TestType> first_w, first_v;
    double first_norm = 0.0;
    on_threads([&](int threads) {
        auto w = random_vector<TestType>(n, 5), v = random_vector<TestType>(n, 6);
        const auto g = random_vector<TestType>(n, 7);
        const double norm = ctnn::sgd_step<TestType>(sgd, 0.1, w, g, v, 70000);
        if (threads == 1) {
            first_w = w;
            first_v = v;
            first_norm = norm;
        }
        CHECK(norm == first_norm);
        CHECK(w == first_w);
        CHECK(v == first_v);
    });
    CHECK(first_norm == Approx(std::sqrt(n / 3.0)).epsilon(0.01));
}

TEST_CASE("SGD refuses bad settings and sizes", "[optimizer]") {
    CHECK_NOTHROW((Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4, .clip_norm = 1.0}.validate()));
    CHECK_THROWS_WITH((Sgd{.momentum = -0.5}.validate()),
                      "SGD: momentum is -0.5, expected a finite number, at least 0");
    CHECK_THROWS_AS((Sgd{.momentum = std::nan("")}.validate()), ctnn::ArgumentError);
    CHECK_THROWS_WITH(Sgd{.nesterov = true}.validate(), "SGD: nesterov needs a momentum above 0, found 0");
    CHECK_THROWS_AS((Sgd{.weight_decay = -1e-4}.validate()), ctnn::ArgumentError);
    CHECK_THROWS_AS((Sgd{.clip_norm = -1.0}.validate()), ctnn::ArgumentError);
    CHECK_THROWS_AS((Sgd{.clip_norm = std::numeric_limits<double>::infinity()}.validate()), ctnn::ArgumentError);

    std::vector<float> w(4), v(4);
    const std::vector<float> g(4);
    const auto call = [&](std::size_t gradients, std::size_t velocities, std::size_t decayed) {
        ctnn::sgd_step<float>({.momentum = 0.9}, 0.1, w, std::span{g}.first(gradients), std::span{v}.first(velocities),
                              decayed);
    };
    CHECK_NOTHROW(call(4, 4, 4));
    CHECK_THROWS_AS(call(3, 4, 4), ctnn::ArgumentError);
    CHECK_THROWS_AS(call(4, 0, 4), ctnn::ArgumentError);
    CHECK_THROWS_AS(call(4, 4, 5), ctnn::ArgumentError);
}
