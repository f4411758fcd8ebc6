// Accuracy, top-5, recall, confusion and mean loss on counts done by hand.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/error.hpp>
#include <ctnn/train/metrics.hpp>
#endif

TEMPLATE_TEST_CASE("metrics count what a classifier gets right", "[metrics]", float, double) {
    ctnn::Metrics metrics{3};
    const std::vector<TestType> first{3, 1, 2, 0, 5, 1, 1, 2, 0};  // predictions 0, 1, 1
    const std::vector<TestType> second{0, 0, 9};                   // prediction 2
    metrics.add<TestType>(first, std::vector<std::int32_t>{0, 1, 0});
    metrics.add<TestType>(second, std::vector<std::int32_t>{1});
    CHECK(metrics.classes() == 3);
    CHECK(metrics.samples() == 4);
    CHECK(metrics.confusion(0, 0) == 1);
    CHECK(metrics.confusion(0, 1) == 1);
    CHECK(metrics.confusion(1, 1) == 1);
    CHECK(metrics.confusion(1, 2) == 1);
    CHECK(metrics.confusion(2, 1) == 0);
    CHECK(metrics.accuracy() == 0.5);
    CHECK(metrics.top5() == 1.0);  // with three classes the true one is always among five
    const auto recall = metrics.recall();
    REQUIRE(recall.size() == 3);
    CHECK(recall[0] == 0.5);
    CHECK(recall[1] == 0.5);
    CHECK(std::isnan(recall[2]));  // no such sample
}

TEST_CASE("top-5 takes the five largest, and the lower class where they tie", "[metrics]") {
    const std::vector<float> falling{9, 8, 7, 6, 5, 4, 3};
    const std::vector<float> equal(7, 1.0f);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> broken(7, nan);
    for (std::int32_t truth = 0; truth < 7; ++truth) {
        CAPTURE(truth);
        for (const auto& logits : {falling, equal}) {
            ctnn::Metrics metrics{7};
            metrics.add<float>(logits, std::vector{truth});
            CHECK(metrics.top5() == (truth < 5 ? 1.0 : 0.0));
            CHECK(metrics.accuracy() == (truth == 0 ? 1.0 : 0.0));
            CHECK(metrics.confusion(truth, 0) == 1);
        }
        // A NaN makes a sample one of no class, whatever the others are.
        std::vector<float> spoilt = falling;
        spoilt[6] = nan;
        for (const auto& logits : {broken, spoilt}) {
            ctnn::Metrics metrics{7};
            metrics.add<float>(logits, std::vector{truth});
            CHECK(metrics.top5() == 0.0);
            CHECK(metrics.accuracy() == 0.0);
            CHECK(metrics.recall()[static_cast<std::size_t>(truth)] == 0.0);
            for (int guess = 0; guess < 7; ++guess) { CHECK(metrics.confusion(truth, guess) == 0); }
            metrics.merge(metrics);
            CHECK(metrics.not_numbers() == 2);
            CHECK(metrics.samples() == 2);
            CHECK(metrics.recall()[static_cast<std::size_t>(truth)] == 0.0);
        }
    }
}

TEST_CASE("the mean loss is over samples, not batches", "[metrics]") {
    ctnn::Metrics metrics{2};
    CHECK(std::isnan(metrics.mean_loss()));
    CHECK_FALSE(std::signbit(metrics.mean_loss()));
    CHECK(std::isnan(metrics.accuracy()));
    CHECK(std::isnan(metrics.top5()));
    metrics.add_loss({.loss_sum = 6.0, .correct = 1, .count = 3});
    metrics.add_loss({.loss_sum = 4.0, .correct = 0, .count = 1});
    CHECK(metrics.mean_loss() == 2.5);
}

TEST_CASE("metrics merge and clear", "[metrics]") {
    const std::vector<float> x{1, 0, 0, 1}, y{0, 1};
    ctnn::Metrics whole{2}, left{2}, right{2};
    whole.add<float>(x, std::vector<std::int32_t>{0, 0});
    whole.add<float>(y, std::vector<std::int32_t>{1});
    left.add<float>(x, std::vector<std::int32_t>{0, 0});
    left.add_loss({.loss_sum = 1.0, .correct = 0, .count = 2});
    right.add<float>(y, std::vector<std::int32_t>{1});
    right.add_loss({.loss_sum = 2.0, .correct = 0, .count = 1});
    left.merge(right);
    CHECK(left.samples() == 3);
    CHECK(left.accuracy() == whole.accuracy());
    CHECK(left.top5() == whole.top5());
    CHECK(left.recall() == whole.recall());
    CHECK(left.mean_loss() == 1.0);
    for (const int t : {0, 1}) {
        for (const int p : {0, 1}) { CHECK(left.confusion(t, p) == whole.confusion(t, p)); }
    }
    left.clear();
    CHECK(left.samples() == 0);
    CHECK(left.confusion(0, 0) == 0);
    CHECK(std::isnan(left.mean_loss()));
}

TEST_CASE("metrics refuse what does not fit and count nothing of it", "[metrics]") {
    ctnn::Metrics metrics{2};
    const std::vector<float> x{1, 0, 0, 1};
    CHECK_THROWS_AS(metrics.add<float>(x, std::vector<std::int32_t>{0, 2}), ctnn::ArgumentError);
    CHECK_THROWS_AS(metrics.add<float>(x, std::vector<std::int32_t>{-1, 0}), ctnn::ArgumentError);
    CHECK_THROWS_AS(metrics.add<float>(x, std::vector<std::int32_t>{0}), ctnn::ArgumentError);
    CHECK(metrics.samples() == 0);
    CHECK(metrics.confusion(0, 0) == 0);
    CHECK_THROWS_WITH(metrics.confusion(0, 2), "metrics: class 2, expected 0 to 1");
    CHECK_THROWS_AS(metrics.confusion(-1, 0), ctnn::ArgumentError);
    CHECK_THROWS_AS(metrics.merge(ctnn::Metrics{3}), ctnn::ArgumentError);
    CHECK_THROWS_AS(ctnn::Metrics{0}, ctnn::ArgumentError);
}
