// Optimizers against PyTorch's numbers and naive formulas, clipping, decay and rates by tensor, sums of squares,
// threads.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <variant>
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
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/train/optimizer_state.hpp>
#endif

namespace {

using namespace ctnn;

/// A tensor of four weights at the arena's beginning.
struct Four : Sequential<Input<1, 1, 1>, Flatten, Linear<4, Bias<false>>> {};

/// Weights, biases and a norm; the last layer spans several chunks of an update.
struct Mixed
    : Sequential<Input<3, 6, 6>, Conv2d<5, Kernel<3>>, BatchNorm2d<>, ReLU, Flatten, Linear<700>, ReLU, Linear<10>> {};

template <class T>
std::vector<T> random_vector(std::size_t n, std::uint32_t item) {
    Random random{11, Stream::test, 0, item};
    std::vector<T> x(n);
    for (T& v : x) { v = static_cast<T>(random.uniform(-1.0f, 1.0f)); }
    return x;
}

/// Random numbers in the places that are no padding.
template <class Net, class T>
Parameters<Net, T> random_arena(std::uint32_t item, double scale = 1.0) {
    Parameters<Net, T> arena;
    Random random{12, Stream::test, 0, item};
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
        slot.spec.dims.for_canonical([&](std::int64_t stored) {
            arena.data()[slot.offset + stored] = static_cast<T>(scale * static_cast<double>(random.uniform(-1, 1)));
        });
    }
    return arena;
}

template <class Net, class T>
std::vector<double> numbers_of(const Parameters<Net, T>& arena) {
    return {arena.span().begin(), arena.span().end()};
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

/// A step with clipping, as the trainer makes one.
template <class Net, class T>
StepNumbers<Net> clipped_step(OptimizerState<Net, T>& optimizer, double lr, std::int64_t number, double clip_norm,
                              Parameters<Net, T>& w, const Parameters<Net, T>& g) {
    StepNumbers<Net> numbers{lr, number};
    numbers.squares = tensor_squares(g);
    numbers.clip(clip_norm);
    optimizer.step(numbers, w, g);
    return numbers;
}

}  // namespace

TEMPLATE_TEST_CASE("ten steps of SGD, Adam and AdamW equal PyTorch's", "[optimizer]", float, double) {
    struct Case {
        Optimizer optimizer;
        double clip_norm;
        std::array<double, 4> weights;
    };
    // w = torch.nn.Parameter(torch.tensor([1, -2, 0.5, 3], dtype=torch.float64))
    // o = torch.optim.…([w], lr=0.1, …)
    // for s in range(1, 11):
    //     w.grad = torch.tensor([0.5, -1, 2, 0.25], dtype=torch.float64) * (s % 4 - 1.25)
    //     norm = torch.nn.utils.clip_grad_norm_([w], 3.0); o.step()                       # where clip_norm is 3
    // print(w, norm)                                                      # PyTorch 1.13, printed with %.17g
    const std::array cases{
        Case{Sgd{.weight_decay = 0.05},
             0.0,
             {0.82925300037818506, -1.6585060007563701, -0.011873455117461009, 2.7924018263535229}},
        Case{Sgd{.momentum = 0.9, .weight_decay = 0.05},
             0.0,
             {0.26738937460066797, -0.53477874920133595, -1.7373439330092135, 2.1386242811659657}},
        Case{Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 0.05},
             3.0,
             {0.40607431942433847, -0.81214863884867694, -1.0985082759235572, 2.1478982694413915}},
        Case{Adam{}, 0.0, {0.82172509837369268, -1.821725099398755, 0.32172509991128673, 2.8217250963235672}},
        Case{Adam{.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.05},
             3.0,
             {0.79545775408838293, -1.7939205572659529, 0.36748581597941371, 2.324863206670682}},
        Case{AdamW{}, 0.0, {0.81223724026522981, -1.8022821214800491, 0.31721480166796212, 2.7923269986745844}},
        Case{AdamW{.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.5},
             3.0,
             {0.49348994381713679, -1.0922689678240918, 0.19418514555361557, 1.6908839318831665}},
    };
    // Ten steps of some roundings each on numbers of about 1.
    const double tolerance = 64.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
    for (const auto& [optimizer, clip_norm, weights] : cases) {
        CAPTURE(std::visit([](const auto& o) { return std::string{o.name}; }, optimizer), clip_norm);
        OptimizerState<Four, TestType> state{optimizer};
        Parameters<Four, TestType> w, g;
        std::ranges::copy(std::array{1.0, -2.0, 0.5, 3.0}, w.data());
        double norm = 0.0;
        for (int s = 1; s <= 10; ++s) {
            for (std::size_t i = 0; i < 4; ++i) {
                g.data()[i] = static_cast<TestType>(std::array{0.5, -1.0, 2.0, 0.25}[i] * (s % 4 - 1.25));
            }
            norm = clipped_step(state, 0.1, s, clip_norm, w, g).gradient_norm();
        }
        CHECK(norm == Approx(1.7286645857424163).epsilon(1e-14));
        for (std::size_t i = 0; i < 4; ++i) {
            CHECK(static_cast<double>(w.data()[i]) == Approx(weights[i]).epsilon(tolerance).margin(tolerance));
        }
        const bool clean = std::ranges::all_of(w.span().subspan(4), [](TestType x) { return x == TestType{0}; });
        CHECK(clean);  // padding stays zero
    }
}

namespace {

/// The update of one element as its papers have it, in double.
struct Reference {
    double w, first, second;

    void step(const SgdStep& s, double g) {
        g = s.gradient_scale * g + s.weight_decay * w;
        if (s.momentum != 0.0) { first = s.momentum * first + g; }
        w -= s.lr * (s.momentum == 0.0 ? g : s.nesterov ? g + s.momentum * first : first);
    }
    void step(const AdamStep& s, double g) {
        g *= s.gradient_scale;
        if (s.decoupled) {
            w -= s.lr * s.weight_decay * w;
        } else {
            g += s.weight_decay * w;
        }
        first = s.beta1 * first + (1 - s.beta1) * g;
        second = s.beta2 * second + (1 - s.beta2) * g * g;
        w -= s.lr * (first / s.correction1) / (std::sqrt(second / s.correction2) + s.eps);
    }
};

template <class T, class Step>
void check_update(const Step& step) {
    constexpr std::size_t guard = 3;  // also misaligns the vectors
    const double tolerance = 8.0 * static_cast<double>(std::numeric_limits<T>::epsilon());
    for (const int size : sizes) {
        const auto n = static_cast<std::size_t>(size);
        CAPTURE(n);
        const auto w0 = random_vector<T>(n + 2 * guard, 1), g = random_vector<T>(n + 2 * guard, 2);
        const auto first0 = random_vector<T>(n + 2 * guard, 3);
        auto second0 = random_vector<T>(n + 2 * guard, 4);
        for (T& v : second0) { v = std::abs(v) + T(0.1); }
        auto w = w0, first = first0, second = second0;
        const std::array ranges{UpdateRange<Step>{guard, guard + n, step}};
        update_arena<Step, T>(ranges, {w.data(), g.data(), first.data(), second.data()});
        double error = 0.0;
        bool outside = true;
        for (std::size_t i = 0; i < w.size(); ++i) {
            if (i < guard || i >= guard + n) {
                outside = outside && w[i] == w0[i] && first[i] == first0[i] && second[i] == second0[i];
                continue;
            }
            Reference r{static_cast<double>(w0[i]), static_cast<double>(first0[i]), static_cast<double>(second0[i])};
            r.step(step, static_cast<double>(g[i]));
            error = std::max({error, std::abs(static_cast<double>(w[i]) - r.w),
                              std::abs(static_cast<double>(first[i]) - r.first),
                              std::abs(static_cast<double>(second[i]) - r.second)});
        }
        CHECK(outside);
        CHECK(error < tolerance);  // all terms are of magnitude 4 at most, some roundings each
    }
}

}  // namespace

TEMPLATE_TEST_CASE("the fused updates equal the formulas at every size and alignment", "[optimizer]", float, double) {
    for (const double momentum : {0.0, 0.9}) { check_update<TestType>(SgdStep{0.1, momentum, false, 0.01, 0.5}); }
    check_update<TestType>(SgdStep{0.1, 0.9, true, 0.01, 0.5});
    for (const bool decoupled : {false, true}) {
        check_update<TestType>(AdamStep{0.1, 0.8, 0.9, 1e-3, 0.01, decoupled, 0.5, 0.7, 0.6});
    }
}

TEST_CASE("update ranges have steps of their own, and what is in none stays", "[optimizer]") {
    // Ranges that begin and end inside chunks of 16384.
    constexpr std::size_t n = 40000;
    std::vector<double> w(n, 1.0);
    const std::vector<double> g(n, 1.0);
    const std::array ranges{UpdateRange<SgdStep>{5, 20000, {.lr = 0.5}},
                            UpdateRange<SgdStep>{20000, 20016, {.lr = 0.25}},
                            UpdateRange<SgdStep>{30000, n, {.lr = 0.125}}};
    on_threads([&](int threads) {
        std::ranges::fill(w, 1.0);
        update_arena<SgdStep, double>(ranges, {w.data(), g.data(), nullptr, nullptr}, threads);
        bool right = true;
        for (std::size_t i = 0; i < n; ++i) {
            const double lr = i < 5 ? 0.0 : i < 20000 ? 0.5 : i < 20016 ? 0.25 : i < 30000 ? 0.0 : 0.125;
            right = right && w[i] == 1.0 - lr;
        }
        CHECK(right);
    });
}

namespace {

/// LARS as its definition has it: tensor by tensor, element by element, in double.
struct LarsReference {
    Lars lars;
    std::vector<double> w, v;

    void step(double lr, const std::vector<double>& g) {
        for (const ParameterSlot& slot : ParameterLayout<Mixed>::slots) {
            const auto begin = static_cast<std::size_t>(slot.offset);
            const std::size_t end = begin + static_cast<std::size_t>(slot.spec.dims.stored());
            const bool weight = slot.spec.name == "weight" && slot.spec.rank > 1;  // neither bias nor batch norm
            double w2 = 0.0, g2 = 0.0;
            for (std::size_t i = begin; i < end; ++i) {
                w2 += w[i] * w[i];
                g2 += g[i] * g[i];
            }
            double local = 1.0;
            if (weight && std::sqrt(w2) >= 1e-3) {
                local =
                    lars.trust_coefficient * std::sqrt(w2) / (std::sqrt(g2) + lars.weight_decay * std::sqrt(w2) + 1e-8);
            }
            for (std::size_t i = begin; i < end; ++i) {
                const double decayed = g[i] + (weight ? lars.weight_decay * w[i] : 0.0);
                if (lars.lr_in_velocity) {
                    v[i] = lars.momentum * v[i] + lr * local * decayed;
                    w[i] -= v[i];
                } else {
                    v[i] = lars.momentum * v[i] + local * decayed;
                    w[i] -= lr * v[i];
                }
            }
        }
    }
};

template <class T>
std::vector<double> lars_error(bool lr_in_velocity, double weight_scale, double clip_norm) {
    const Lars lars{.weight_decay = 0.01, .trust_coefficient = 0.02, .lr_in_velocity = lr_in_velocity};
    OptimizerState<Mixed, T> state{lars};
    auto w = random_arena<Mixed, T>(1, weight_scale);
    LarsReference reference{lars, numbers_of(w), std::vector<double>(w.span().size())};
    const std::vector<double> start = reference.w;
    for (int s = 1; s <= 100; ++s) {
        const auto g = random_arena<Mixed, T>(static_cast<std::uint32_t>(100 + s), 0.1);
        const double lr = 0.2 * (1.0 - s / 100.0);  // the conventions differ where it moves
        clipped_step(state, lr, s, clip_norm, w, g);
        std::vector<double> clipped = numbers_of(g);
        double squares = 0.0;
        for (const double x : clipped) { squares += x * x; }
        const double scale = clip_norm > 0.0 ? std::min(1.0, clip_norm / (std::sqrt(squares) + 1e-6)) : 1.0;
        for (double& x : clipped) { x *= scale; }
        reference.step(lr, clipped);
    }
    std::vector<double> moved_and_error(2);
    const auto found = numbers_of(w);
    for (std::size_t i = 0; i < found.size(); ++i) {
        moved_and_error[0] = std::max(moved_and_error[0], std::abs(found[i] - start[i]));
        moved_and_error[1] = std::max(moved_and_error[1], std::abs(found[i] - reference.w[i]));
    }
    return moved_and_error;
}

}  // namespace

TEMPLATE_TEST_CASE("a hundred steps of LARS equal the definition in double", "[optimizer]", float, double) {
    // With a scale of 1e-6 the weights' norms begin below the 1e-3 at which the local rate takes effect. The gradients'
    // norm is about 14; clipped to 1e-3 it no longer outweighs the decay, so that clipping changes the local rates too.
    constexpr std::array<std::array<double, 2>, 3> cases{{{1.0, 0.0}, {1e-6, 0.0}, {1.0, 1e-3}}};
    for (const bool lr_in_velocity : {true, false}) {
        for (const auto& [scale, clip_norm] : cases) {
            CAPTURE(lr_in_velocity, scale, clip_norm);
            const auto error = lars_error<TestType>(lr_in_velocity, scale, clip_norm);
            CHECK(error[0] > 0.01);
            // A hundred steps that add numbers of about 1, half an ε of rounding in each of a few operations.
            CHECK(error[1] < 400.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon()));
        }
    }
}

TEST_CASE("LARS' conventions are one while the rate stays, and differ where it moves", "[optimizer]") {
    const auto run = [](bool lr_in_velocity, double slope) {
        OptimizerState<Mixed, double> state{Lars{.lr_in_velocity = lr_in_velocity}};
        auto w = random_arena<Mixed, double>(1);
        for (int s = 1; s <= 20; ++s) {
            const auto g = random_arena<Mixed, double>(static_cast<std::uint32_t>(100 + s));
            StepNumbers<Mixed> numbers{0.2 - slope * s, s};
            numbers.squares = tensor_squares(g);
            state.step(numbers, w, g);
        }
        return numbers_of(w);
    };
    const auto distance = [&](double slope) {
        const auto a = run(true, slope), b = run(false, slope);
        double most = 0.0;
        for (std::size_t i = 0; i < a.size(); ++i) { most = std::max(most, std::abs(a[i] - b[i])); }
        return most;
    };
    CHECK(distance(0.0) < 1e-13);  // rounding alone
    CHECK(distance(0.009) > 1e-3);
}

TEST_CASE("decay can spare biases and norms", "[optimizer]") {
    constexpr auto decayed = Parameters<Mixed>::decayed;
    for (const bool all : {true, false}) {
        const std::array<Optimizer, 3> optimizers{
            Sgd{.momentum = 0.9, .weight_decay = 0.5, .decay_biases_and_norms = all},
            Adam{.weight_decay = 0.5, .decay_biases_and_norms = all},
            AdamW{.weight_decay = 0.5, .decay_biases_and_norms = all}};
        for (const Optimizer& optimizer : optimizers) {
            OptimizerState<Mixed, double> state{optimizer};
            Parameters<Mixed, double> w;
            const Parameters<Mixed, double> g;
            std::ranges::fill(w.span(), 1.0);
            state.step(StepNumbers<Mixed>{0.1}, w, g);
            // 0.95 where decay is the gradient or acts on the weight, and 0.9 where Adam makes a step of it.
            const double less = std::holds_alternative<Adam>(optimizer) ? 0.9 : 0.95;
            const auto all_are = [](std::span<double> x, double value) {
                return std::ranges::all_of(x, [&](double v) { return v == Approx(value); });
            };
            CHECK(all_are(w.span().first(decayed), less));
            CHECK(all_are(w.span().subspan(decayed), all ? less : 1.0));
        }
    }
}

TEMPLATE_TEST_CASE("clipping scales to the norm, and only down", "[optimizer]", float, double) {
    Parameters<Four, TestType> g;
    std::ranges::copy(std::array{3, 0, -4, 12}, g.data());  // norm 13
    const auto moved = [&](double clip) {
        OptimizerState<Four, TestType> state{Sgd{}};
        Parameters<Four, TestType> w;
        CHECK(clipped_step(state, 1.0, 1, clip, w, g).gradient_norm() == 13.0);
        return std::vector<TestType>{w.data(), w.data() + 4};
    };
    CHECK(moved(0.0) == std::vector<TestType>{-3, 0, 4, -12});
    CHECK(moved(100.0) == std::vector<TestType>{-3, 0, 4, -12});
    // The 1e-6 of PyTorch's formula shows at this tolerance in double.
    const double scale = 6.5 / (13.0 + 1e-6);
    const double epsilon = 4.0 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
    const auto w = moved(6.5);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(static_cast<double>(w[i]) == Approx(-scale * static_cast<double>(g.data()[i])).epsilon(epsilon));
    }
}

TEST_CASE("Adam counts the steps of each tensor, as PyTorch does", "[optimizer]") {
    for (const Optimizer& optimizer : {Optimizer{Adam{.weight_decay = 0.1}}, Optimizer{AdamW{}}}) {
        const auto start = random_arena<Mixed, double>(1), g = random_arena<Mixed, double>(2);
        auto frozen_first = start, expected = start;
        OptimizerState<Mixed, double> state{optimizer}, fresh{optimizer};
        const ParameterSlot& slot = ParameterLayout<Mixed>::slots[4];
        for (int step = 1; step <= 20; ++step) {
            StepNumbers<Mixed> numbers{0.1, step};
            if (step <= 15) { numbers.lr_scale[4] = 0.0; }
            state.step(numbers, frozen_first, g);
            if (step <= 15) { continue; }
            fresh.step(StepNumbers<Mixed>{0.1, step - 15}, expected, g);
            CAPTURE(step);
            CHECK(std::ranges::equal(tensor_of(frozen_first, slot), tensor_of(expected, slot)));
        }
        CHECK(!std::ranges::equal(tensor_of(start, slot), tensor_of(expected, slot)));
        CHECK(state.frozen_steps() == std::array<std::int64_t, 8>{0, 0, 0, 0, 15, 0, 0, 0});
    }
}

TEST_CASE("tensors can be frozen and have rates of their own", "[optimizer]") {
    // Mixed's tensors are 0.weight, 0.bias, 1.weight, 1.bias, 4.weight, 4.bias, 6.weight, 6.bias.
    const std::vector<LrScale> scales{lr_scale("BatchNorm2d", 4), freeze("BatchNorm2d.weight"), freeze("0.weight"),
                                      freeze("0.bias", 3),        lr_scale("Linear.bias", 64),  lr_scale("4.bias", 2),
                                      lr_scale("6", 0.5)};
    CHECK_NOTHROW(check_lr_scales<Mixed>(scales));
    CHECK(lr_scales_in<Mixed>(2, scales) == std::array<double, 8>{0, 1, 0, 4, 1, 2, 0.5, 0.5});
    CHECK(lr_scales_in<Mixed>(3, scales) == std::array<double, 8>{0, 0, 0, 4, 1, 2, 0.5, 0.5});
    CHECK_THROWS_WITH(check_lr_scales<Mixed>(std::vector{freeze("0.weigh")}),
                      Catch::Contains("no tensor is '0.weigh'"));
    CHECK_THROWS_AS(check_lr_scales<Mixed>(std::vector{freeze("")}), ArgumentError);
    CHECK_THROWS_AS(check_lr_scales<Mixed>(std::vector{freeze("Conv2d.scale")}), ArgumentError);
    CHECK_THROWS_AS(check_lr_scales<Mixed>(std::vector{lr_scale("4", -1)}), ArgumentError);
    CHECK_THROWS_AS(check_lr_scales<Mixed>(std::vector{freeze("4", -1)}), ArgumentError);

    for (const Optimizer& optimizer :
         {Optimizer{Sgd{.momentum = 0.9}}, Optimizer{Adam{}}, Optimizer{AdamW{}}, Optimizer{Lars{}}}) {
        OptimizerState<Mixed, double> state{optimizer}, plain{optimizer};
        const auto start = random_arena<Mixed, double>(1), g = random_arena<Mixed, double>(2);
        auto w = start, without = start;
        StepNumbers<Mixed> numbers{0.1};
        numbers.squares = tensor_squares(g);
        plain.step(numbers, without, g);
        const double whole = numbers.gradient_norm();
        numbers.lr_scale = lr_scales_in<Mixed>(0, scales);
        CHECK(numbers.gradient_norm() < whole);  // frozen ones do not count
        state.step(numbers, w, g);
        for (std::size_t t = 0; t < 8; ++t) {
            const ParameterSlot& slot = ParameterLayout<Mixed>::slots[t];
            INFO(slot.name.view());
            double error = 0.0;
            for (std::size_t i = 0; i < tensor_of(w, slot).size(); ++i) {
                const double moved = tensor_of(w, slot)[i] - tensor_of(start, slot)[i];
                const double expected = tensor_of(without, slot)[i] - tensor_of(start, slot)[i];
                error = std::max(error, std::abs(moved - numbers.lr_scale[t] * expected));
            }
            CHECK(error < 1e-14);  // the first step is proportional to the rate; roundings of numbers of about 1
        }
        // A frozen tensor has no velocity either.
        for (const auto& arena : state.arenas()) {
            const auto frozen = tensor_of(arena, ParameterLayout<Mixed>::slots[0]);
            CHECK(std::ranges::all_of(frozen, [](double x) { return x == 0.0; }));
        }
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

TEST_CASE("sums over arenas", "[optimizer]") {
    std::vector<float> sum(50001, 1.0f), average(50001, 1.0f);
    const std::vector<float> x(50001, 3.0f);
    add_to<float>(sum, x);
    CHECK(std::ranges::all_of(sum, [](float v) { return v == 4.0f; }));
    move_average<float>(average, x, 0.25);
    CHECK(std::ranges::all_of(average, [](float v) { return v == 1.5f; }));
}

TEMPLATE_TEST_CASE("every optimizer is the same to the bit for any number of threads", "[optimizer]", float, double) {
    for (const Optimizer& optimizer :
         {Optimizer{Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 1e-3, .decay_biases_and_norms = false}},
          Optimizer{Adam{.weight_decay = 1e-3}}, Optimizer{AdamW{}}, Optimizer{Lars{}}}) {
        std::vector<double> first;
        on_threads([&](int threads) {
            OptimizerState<Mixed, TestType> state{optimizer};
            auto w = random_arena<Mixed, TestType>(5);
            std::vector<double> norms;
            for (int s = 1; s <= 3; ++s) {
                const auto g = random_arena<Mixed, TestType>(static_cast<std::uint32_t>(6 + s));
                norms.push_back(clipped_step(state, 0.1, s, 1.0, w, g).gradient_norm());
            }
            std::vector<double> all = numbers_of(w);
            for (const auto& arena : state.arenas()) {
                const auto more = numbers_of(arena);
                all.insert(all.end(), more.begin(), more.end());
            }
            all.insert(all.end(), norms.begin(), norms.end());
            if (threads == 1) { first = all; }
            CHECK(all == first);
        });
        CHECK(first.back() == Approx(std::sqrt(static_cast<double>(Mixed::parameter_count) / 3)).epsilon(0.02));
    }
}

TEST_CASE("optimizers remember no more than they need", "[optimizer]") {
    CHECK(OptimizerState<Four>{Sgd{}}.arenas().empty());
    CHECK(OptimizerState<Four>{Sgd{.momentum = 0.9}}.arenas().size() == 1);
    CHECK(OptimizerState<Four>{Lars{}}.arenas().size() == 1);
    CHECK(OptimizerState<Four>{Adam{}}.arenas().size() == 2);
    CHECK(OptimizerState<Four>{AdamW{}}.names()[1] == "exp_avg_sq");
}

TEST_CASE("optimizers refuse bad settings", "[optimizer]") {
    const double nan = std::nan("");
    CHECK_NOTHROW((Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4}.validate()));
    CHECK_THROWS_WITH((Sgd{.momentum = -0.5}.validate()),
                      "SGD: momentum is -0.5, expected a finite number, at least 0");
    CHECK_THROWS_WITH(Sgd{.nesterov = true}.validate(), "SGD: nesterov needs a momentum above 0, found 0");
    CHECK_THROWS_WITH(Adam{.eps = 0}.validate(), Catch::Contains("Adam: eps is 0, expected at least 1.17"));
    CHECK_THROWS_WITH(AdamW{.eps = 1e-40}.validate(), Catch::Contains("AdamW: eps is 1e-40, expected at least"));
    CHECK_THROWS_WITH(Adam{.beta2 = 1}.validate(),
                      "Adam: beta2 is 1, expected a finite number, at least 0 and below 1");
    for (const Optimizer& bad :
         std::vector<Optimizer>{Sgd{.momentum = nan}, Sgd{.weight_decay = -1e-4}, Adam{.beta1 = -0.1}, Adam{.eps = -1},
                                Adam{.weight_decay = nan}, AdamW{.beta1 = 1}, AdamW{.weight_decay = -1},
                                Lars{.momentum = -1}, Lars{.weight_decay = nan}, Lars{.trust_coefficient = -1}}) {
        CHECK_THROWS_AS(OptimizerState<Four>{bad}, ArgumentError);
    }
}
