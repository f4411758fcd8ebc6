// Losses, softmax and log-softmax: PyTorch's numbers, naive formulas, finite differences, parts of a batch, threads.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
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
#include <ctnn/train/loss.hpp>
#endif

namespace {

template <class T>
std::vector<T> random_logits(std::size_t n, float range) {
    ctnn::Random random{7, ctnn::Stream::test};
    std::vector<T> x(n);
    for (T& v : x) { v = static_cast<T>(random.uniform(-range, range)); }
    return x;
}

std::vector<std::int32_t> random_labels(std::size_t n, int classes) {
    ctnn::Random random{8, ctnn::Stream::test};
    std::vector<std::int32_t> labels(n);
    for (auto& label : labels) { label = static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(classes))); }
    return labels;
}

template <class T>
ctnn::LossSum loss_of(double smoothing, const std::vector<T>& x, const std::vector<std::int32_t>& labels, int classes,
                      std::span<T> gradient = {}) {
    return ctnn::cross_entropy<T>({.label_smoothing = smoothing}, x, labels, classes, gradient);
}

// x = torch.tensor([[2, -1, 0.5, 3], [0, 0, 0, 0], [-50, 60, 1, 7]], dtype=torch.float64, requires_grad=True)
// for e in (0.0, 0.1):
//     loss = F.cross_entropy(x, torch.tensor([0, 3, 2]), label_smoothing=e); x.grad = None; loss.backward()
//     print(F.cross_entropy(..., reduction='sum'), x.grad)
// print(F.softmax(x, 1), F.log_softmax(x, 1))                                      # PyTorch 1.13, printed with %.17g
constexpr std::array<double, 12> golden_logits{2, -1, 0.5, 3, 0, 0, 0, 0, -50, 60, 1, 7};
const std::vector<std::int32_t> golden_labels{0, 3, 2};
constexpr std::array<double, 2> golden_loss{1.3840917012886902 + 1.3862943611198906 + 59,
                                            1.4715917012886903 + 1.3862943611198906 + 58.650000000000006};
constexpr std::array<std::array<double, 12>, 2> golden_gradient{
    {{-0.24981624271096176, 0.004158071100701103, 0.018635181805700691, 0.22702298980455995, 0.083333333333333329,
      0.083333333333333329, 0.083333333333333329, -0.25, 5.6297062674151079e-49, 0.33333333333333331,
      -0.33333333333333331, 3.2008933515028919e-24},
     {-0.22481624271096173, -0.0041752622326322293, 0.010301848472367365, 0.21868965647122671, 0.075000000000000011,
      0.075000000000000011, 0.075000000000000011, -0.22500000000000001, -0.0083333333333333332, 0.32500000000000001,
      -0.30833333333333335, -0.0083333333333333332}}};
constexpr std::array<double, 12> golden_softmax{0.25055127186711473,
                                                0.012474213302103304,
                                                0.05590554541710209,
                                                0.68106896941367989,
                                                0.25,
                                                0.25,
                                                0.25,
                                                0.25,
                                                1.6889118802245324e-48,
                                                1,
                                                2.3802664086944007e-26,
                                                9.6026800545086756e-24};
constexpr std::array<double, 12> golden_log_softmax{-1.3840917012886902,
                                                    -4.38409170128869,
                                                    -2.8840917012886904,
                                                    -0.38409170128869025,
                                                    -1.3862943611198906,
                                                    -1.3862943611198906,
                                                    -1.3862943611198906,
                                                    -1.3862943611198906,
                                                    -110,
                                                    0,
                                                    -59,
                                                    -53};

// A few roundings in T: inputs are exact, and sums are double.
template <class T>
constexpr double few_ulps = 8.0 * static_cast<double>(std::numeric_limits<T>::epsilon());

template <class T>
void check_close(const std::vector<T>& found, std::span<const double> expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
        CAPTURE(i);
        // The smallest float denormal covers e^-110, which underflows there.
        const double denormal = static_cast<double>(std::numeric_limits<T>::denorm_min());
        CHECK(std::abs(static_cast<double>(found[i]) - expected[i]) <= few_ulps<T> * std::abs(expected[i]) + denormal);
    }
}

/// Gradients that cancel: a few roundings of numbers of 1.
template <class T>
void check_gradient(const std::vector<T>& found, std::span<const double> expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(static_cast<double>(found[i]) - expected[i]) <= few_ulps<T>);
    }
}

}  // namespace

TEMPLATE_TEST_CASE("cross-entropy equals PyTorch's", "[loss]", float, double) {
    const std::vector<TestType> x(golden_logits.begin(), golden_logits.end());
    for (std::size_t k = 0; k < 2; ++k) {
        const double smoothing = k == 0 ? 0.0 : 0.1;
        CAPTURE(smoothing);
        std::vector<TestType> gradient(x.size(), TestType{99});
        const auto sum = loss_of<TestType>(smoothing, x, golden_labels, 4, gradient);
        CHECK(sum.loss_sum == Approx(golden_loss[k]).epsilon(few_ulps<TestType>));
        CHECK(sum.count == 3);
        CHECK(sum.correct == 0);  // the tie of the second row goes to class 0
        check_close<TestType>(gradient, golden_gradient[k]);

        // Without a gradient the same loss; in place the same gradient.
        CHECK(loss_of<TestType>(smoothing, x, golden_labels, 4).loss_sum == sum.loss_sum);
        auto in_place = x;
        CHECK(loss_of<TestType>(smoothing, in_place, golden_labels, 4, in_place).loss_sum == sum.loss_sum);
        CHECK(in_place == gradient);
    }
}

TEMPLATE_TEST_CASE("softmax and log-softmax equal PyTorch's", "[loss]", float, double) {
    const std::vector<TestType> x(golden_logits.begin(), golden_logits.end());
    std::vector<TestType> out(x.size());
    ctnn::softmax<TestType>(x, 4, out);
    check_close<TestType>(out, golden_softmax);
    auto in_place = x;
    ctnn::softmax<TestType>(in_place, 4, in_place);
    CHECK(in_place == out);

    ctnn::log_softmax<TestType>(x, 4, out);
    check_close<TestType>(out, golden_log_softmax);
    in_place = x;
    ctnn::log_softmax<TestType>(in_place, 4, in_place);
    CHECK(in_place == out);
}

TEMPLATE_TEST_CASE("cross-entropy with class weights equals PyTorch's", "[loss]", float, double) {
    // As above, with weight = torch.tensor([0.5, 2, 0, 1.25]) and labels 0, 3, 1; the mean loss.
    constexpr std::array<double, 2> golden_mean{0.64664368054512222, 1.4912389640508246};
    constexpr std::array<std::array<double, 12>, 2> gradients{
        {{-0.099926497084384697, 0.0016632284402804411, 0.0074540727222802763, 0.090809195921823987,
          0.083333333333333329, 0.083333333333333329, 0.083333333333333329, -0.25, 9.0075300278641735e-49, 0,
          1.2694754179703469e-26, 5.1214293624046271e-24},
         {-0.087003398912601698, -0.011524572404528354, 0.0081063040854798003, 0.090421667231650238,
          0.07791666666666669, 0.067916666666666681, 0.081250000000000017, -0.22708333333333339, -0.0033333333333333335,
          0.011666666666666659, 1.2020345363906723e-26, -0.0083333333333333332}}};
    const std::vector<TestType> x(golden_logits.begin(), golden_logits.end());
    for (std::size_t k = 0; k < 2; ++k) {
        const ctnn::CrossEntropy loss{.label_smoothing = k == 0 ? 0.0 : 0.1, .class_weights = {0.5, 2, 0, 1.25}};
        std::vector<TestType> gradient(x.size());
        const auto sum = ctnn::cross_entropy<TestType>(loss, x, std::vector<std::int32_t>{0, 3, 1}, 4, gradient);
        CHECK(sum.mean() == Approx(golden_mean[k]).epsilon(few_ulps<TestType>));
        CHECK(sum.weight == 3.75);
        CHECK(sum.count == 3);
        CHECK(sum.correct == 1);
        check_gradient<TestType>(gradient, gradients[k]);
    }
}

TEMPLATE_TEST_CASE("cross-entropy of mixed labels is PyTorch's two losses, mixed", "[loss]", float, double) {
    // 0.3·F.cross_entropy(x, y, label_smoothing=e) + 0.7·F.cross_entropy(x, torch.tensor([1, 0, 1]), label_smoothing=e)
    constexpr std::array<double, 2> golden_mean{1.6234620208028603, 3.4326286874695269};
    constexpr std::array<std::array<double, 12>, 2> gradients{
        {{-0.016482909377628419, -0.22917526223263221, 0.018635181805700691, 0.22702298980455995, -0.14999999999999999,
          0.083333333333333329, 0.083333333333333329, -0.01666666666666667, 5.6297062674151079e-49, 0,
          7.9342213623146689e-27, 3.2008933515028919e-24},
         {-0.014816242710961769, -0.21417526223263222, 0.010301848472367359, 0.21868965647122662, -0.13500000000000001,
          0.074999999999999997, 0.074999999999999997, -0.015000000000000013, -0.0083333333333333332,
          0.024999999999999994, -0.0083333333333333332, -0.0083333333333333332}}};
    const std::vector<TestType> x(golden_logits.begin(), golden_logits.end());
    const std::vector<std::int32_t> first{0, 3, 1}, second{1, 0, 1};
    for (std::size_t k = 0; k < 2; ++k) {
        const ctnn::CrossEntropy loss{.label_smoothing = k == 0 ? 0.0 : 0.1};
        std::vector<TestType> gradient(x.size());
        const auto sum = ctnn::cross_entropy<TestType>(loss, x, ctnn::Labels{first, second, 0.3}, 4, gradient);
        CHECK(sum.mean() == Approx(golden_mean[k]).epsilon(few_ulps<TestType>));
        CHECK(sum.correct == 2);  // of the second labels, which have the larger share: classes 3, 0, 1 come first
        check_gradient<TestType>(gradient, gradients[k]);
    }
    CHECK(ctnn::cross_entropy<TestType>({}, x, ctnn::Labels{first, second, 1.0}, 4, {}).loss_sum ==
          ctnn::cross_entropy<TestType>({}, x, first, 4, {}).loss_sum);
    CHECK(ctnn::cross_entropy<TestType>({}, x, ctnn::Labels{first, second, 0.0}, 4, {}).loss_sum ==
          ctnn::cross_entropy<TestType>({}, x, second, 4, {}).loss_sum);
}

TEMPLATE_TEST_CASE("MSE equals PyTorch's", "[loss]", float, double) {
    // x = torch.tensor([[2, -1, 0.5, 3], [0, 0, 0, 0], [-5, 6, 1, 7]], dtype=torch.float64, requires_grad=True)
    // F.mse_loss(x, F.one_hot(torch.tensor([0, 3, 1]), 4).double())
    const std::vector<TestType> x{2, -1, 0.5, 3, 0, 0, 0, 0, -5, 6, 1, 7};
    const std::vector<std::int32_t> labels{0, 3, 1};
    constexpr std::array<double, 12> golden{1.0 / 6, -1.0 / 6, 1.0 / 12, 0.5,     0,       0,
                                            0,       -1.0 / 6, -5.0 / 6, 5.0 / 6, 1.0 / 6, 7.0 / 6};
    std::vector<TestType> gradient(x.size());
    const auto sum = ctnn::mse<TestType>(x, labels, 4, gradient);
    CHECK(sum.mean() == Approx(9.3541666666666661).epsilon(few_ulps<TestType>));
    CHECK(sum.correct == 0);
    CHECK(sum.count == 3);
    check_gradient<TestType>(gradient, golden);

    const std::vector<TestType> targets{1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0};
    std::vector<TestType> same(x.size());
    CHECK(ctnn::mse_to<TestType>(x, targets, 3, same).loss_sum == Approx(sum.loss_sum).epsilon(few_ulps<TestType>));
    check_gradient<TestType>(same, golden);
    auto in_place = x;
    ctnn::mse<TestType>(in_place, labels, 4, in_place);
    CHECK(in_place == gradient);

    // Mixed labels are mixed targets.
    const std::vector<TestType> mixed{0.25, 0.75, 0, 0, 0.75, 0, 0, 0.25, 0, 1, 0, 0};
    const std::vector<std::int32_t> second{1, 0, 1};
    CHECK(ctnn::mse<TestType>(x, ctnn::Labels{labels, second, 0.25}, 4, gradient).loss_sum ==
          Approx(ctnn::mse_to<TestType>(x, mixed, 3, same).loss_sum).epsilon(few_ulps<TestType>));
    check_gradient<TestType>(same, std::vector<double>{gradient.begin(), gradient.end()});
    CHECK_THROWS_AS(ctnn::mse_to<TestType>(x, targets, 5, same), ctnn::ArgumentError);
    CHECK_THROWS_AS(ctnn::mse_to<TestType>(x, std::span{targets}.first(8), 3, same), ctnn::ArgumentError);
    CHECK_THROWS_AS(ctnn::mse<TestType>(x, second, 6, same), ctnn::ArgumentError);
}

TEST_CASE("the parts of a batch add up to the whole", "[loss]") {
    constexpr int classes = 7;
    const auto x = random_logits<double>(9 * classes, 3.0f);
    const auto first = random_labels(9, classes), second = random_labels(18, classes);
    const ctnn::Labels labels{first, std::span{second}.last(9), 0.4};
    for (const ctnn::Loss& loss :
         {ctnn::Loss{ctnn::CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 2, 3, 0.5, 0, 1, 1}}},
          ctnn::Loss{ctnn::CrossEntropy{}}, ctnn::Loss{ctnn::Mse{}}}) {
        std::vector<double> whole(x.size()), parts(x.size());
        const auto expected = ctnn::loss_and_gradient<double>(loss, x, labels, classes, whole);
        const double divisor = std::visit([&](const auto& l) { return l.divisor(labels); }, loss);
        CHECK(expected.weight == Approx(divisor).epsilon(1e-15));
        ctnn::LossSum sum;
        for (const auto& [begin, count] : {std::pair{0u, 2u}, std::pair{2u, 1u}, std::pair{3u, 6u}}) {
            sum += ctnn::loss_and_gradient<double>(
                loss, std::span{x}.subspan(begin * classes, count * classes), labels.part(begin, count), classes,
                std::span{parts}.subspan(begin * classes, count * classes), 1, divisor);
        }
        CHECK(sum.mean() == Approx(expected.mean()).epsilon(1e-14));  // sums of nine numbers in another order
        CHECK(sum.correct == expected.correct);
        CHECK(parts == whole);
    }
}

TEST_CASE("cross-entropy equals the formula on batches of any size", "[loss]") {
    for (const std::size_t n : {1u, 2u, 127u, 128u, 129u, 300u}) {
        for (const int classes : {1, 2, 10, 37}) {
            CAPTURE(n, classes);
            const auto width = static_cast<std::size_t>(classes);
            const auto x = random_logits<double>(n * width, 5.0f);
            const auto labels = random_labels(n, classes);
            double expected = 0.0;
            std::int64_t correct = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const double* row = x.data() + i * width;
                const auto label = static_cast<std::size_t>(labels[i]);
                double sum = 0.0;
                for (std::size_t j = 0; j < width; ++j) { sum += std::exp(row[j]); }
                for (std::size_t j = 0; j < width; ++j) {
                    const double target = 0.2 / classes + (j == label ? 0.8 : 0.0);
                    expected -= target * std::log(std::exp(row[j]) / sum);
                }
                correct += std::max_element(row, row + width) == row + label;
            }
            std::vector<double> gradient(x.size());
            const auto sum = loss_of<double>(0.2, x, labels, classes, gradient);
            CHECK(sum.loss_sum == Approx(expected).epsilon(1e-12).margin(1e-12));  // sums of up to 11 100 terms
            CHECK(sum.correct == correct);
            CHECK(sum.count == static_cast<std::int64_t>(n));
        }
    }
}

TEST_CASE("the gradients of the losses are those of finite differences", "[loss]") {
    constexpr int classes = 7;
    const auto labels = random_labels(5, classes), more = random_labels(10, classes);
    auto x = random_logits<double>(5 * classes, 3.0f);
    using ctnn::CrossEntropy;
    for (const ctnn::Loss& loss :
         {ctnn::Loss{CrossEntropy{}}, ctnn::Loss{CrossEntropy{.label_smoothing = 0.1}},
          ctnn::Loss{CrossEntropy{.label_smoothing = 1.0}},
          ctnn::Loss{CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 2, 3, 0.5, 0.1, 1, 1}}},
          ctnn::Loss{ctnn::Mse{}}}) {
        for (const auto& mixed : {ctnn::Labels{labels}, ctnn::Labels{labels, std::span{more}.last(5), 0.3}}) {
            CAPTURE(loss.index(), mixed.mixed());
            const auto mean = [&](std::span<double> gradient = {}) {
                return ctnn::loss_and_gradient<double>(loss, x, mixed, classes, gradient).mean();
            };
            std::vector<double> gradient(x.size());
            mean(gradient);
            REQUIRE(std::all_of(gradient.begin(), gradient.end(), [](double g) { return std::abs(g) > 1e-6; }));
            for (std::size_t i = 0; i < x.size(); ++i) {
                CAPTURE(i);
                constexpr double h = 1e-5;
                const double kept = x[i];
                x[i] = kept + h;
                const double above = mean();
                x[i] = kept - h;
                const double below = mean();
                x[i] = kept;
                // Truncation is h² ≈ 1e-10 times a third derivative below 0.1; rounding ε·loss / h ≈ 1e-10.
                CHECK(gradient[i] == Approx((above - below) / (2 * h)).epsilon(0).margin(1e-9));
            }
        }
    }
}

TEMPLATE_TEST_CASE("cross-entropy and softmax do not overflow", "[loss]", float, double) {
    const TestType huge = std::numeric_limits<TestType>::max() / 4;
    const TestType infinity = std::numeric_limits<TestType>::infinity();
    std::vector<TestType> gradient(3);
    const std::vector<TestType> x{huge, -huge, 0};
    CHECK(loss_of<TestType>(0.0, x, {0}, 3, gradient).loss_sum == 0.0);
    CHECK(gradient == std::vector<TestType>{0, 0, 0});
    CHECK(loss_of<TestType>(0.0, x, {2}, 3, gradient).loss_sum == Approx(static_cast<double>(huge)));
    CHECK(gradient == std::vector<TestType>{1, 0, -1});

    // A class masked with −∞ has no share and does no harm.
    const std::vector<TestType> masked{0, -infinity, 0};
    CHECK(loss_of<TestType>(0.0, masked, {0}, 3, gradient).loss_sum == Approx(std::log(2.0)));
    CHECK(gradient == std::vector<TestType>{TestType(-0.5), 0, TestType(0.5)});

    // What is not a number shows.
    const std::vector<TestType> bad{0, std::numeric_limits<TestType>::quiet_NaN(), 0};
    CHECK(std::isnan(loss_of<TestType>(0.0, bad, {0}, 3).loss_sum));
}

TEMPLATE_TEST_CASE("loss, gradient and softmax are the same to the bit for any number of threads", "[loss]", float,
                   double) {
    constexpr int classes = 37;
    const auto labels = random_labels(1001, classes);
    const auto x = random_logits<TestType>(1001 * classes, 9.0f);
    std::vector<TestType> first(x.size()), first_softmax(x.size());
    double first_loss = 0.0;
    for (const int threads : {1, 2, 3}) {
        CAPTURE(threads);
#ifdef _OPENMP
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
#endif
        std::vector<TestType> gradient(x.size()), probability(x.size());
        const auto sum = loss_of<TestType>(0.1, x, labels, classes, gradient);
        ctnn::softmax<TestType>(x, classes, probability);
#ifdef _OPENMP
        omp_set_num_threads(before);
#endif
        if (threads == 1) {
            first = gradient;
            first_softmax = probability;
            first_loss = sum.loss_sum;
        }
        CHECK(sum.loss_sum == first_loss);
        CHECK(gradient == first);
        CHECK(probability == first_softmax);
    }
}

TEST_CASE("cross-entropy refuses what does not fit, before it writes", "[loss]") {
    const std::vector<float> x(6, 1.0f);
    std::vector<float> gradient(6, 99.0f);
    const auto call = [&](double smoothing, const std::vector<std::int32_t>& labels, int classes, std::size_t size) {
        loss_of<float>(smoothing, x, labels, classes, std::span{gradient}.first(size));
    };
    CHECK_THROWS_WITH(call(0.0, {0, 3}, 3, 6), "label of sample 1 is 3, expected 0 to 2");
    CHECK_THROWS_AS(call(0.0, {0, -1}, 3, 6), ctnn::ArgumentError);
    CHECK_THROWS_AS(call(0.0, {0}, 3, 6), ctnn::ArgumentError);      // labels
    CHECK_THROWS_AS(call(0.0, {0}, 4, 6), ctnn::ArgumentError);      // classes do not divide
    CHECK_THROWS_AS(call(0.0, {0, 1}, 0, 6), ctnn::ArgumentError);   // no classes
    CHECK_THROWS_AS(call(0.0, {0, 1}, 3, 5), ctnn::ArgumentError);   // gradient
    CHECK_THROWS_AS(call(-0.1, {0, 1}, 3, 6), ctnn::ArgumentError);  // smoothing
    CHECK_THROWS_AS(call(1.1, {0, 1}, 3, 6), ctnn::ArgumentError);
    CHECK_THROWS_AS(call(std::nan(""), {0, 1}, 3, 6), ctnn::ArgumentError);
    const auto refused = [&](const ctnn::CrossEntropy& loss, const ctnn::Labels& labels) {
        CHECK_THROWS_AS(ctnn::cross_entropy<float>(loss, x, labels, 3, gradient), ctnn::ArgumentError);
    };
    const std::vector<std::int32_t> good{0, 1}, outside{0, 3};
    refused({.class_weights = {1, 2}}, good);
    refused({.class_weights = {1, 2, -1}}, good);
    refused({.class_weights = {1, 2, std::nan("")}}, good);
    refused({}, {good, outside, 0.5});
    refused({}, {good, std::span{good}.first(1), 0.5});
    refused({}, {good, good, 1.5});
    refused({}, {good, good, std::nan("")});
    CHECK(gradient == std::vector<float>(6, 99.0f));
    CHECK_THROWS_AS(ctnn::softmax<float>(x, 3, std::span{gradient}.first(3)), ctnn::ArgumentError);
    CHECK_THROWS_AS(ctnn::log_softmax<float>(x, 4, gradient), ctnn::ArgumentError);

    CHECK(loss_of<float>(0.0, {}, {}, 3).count == 0);
}
