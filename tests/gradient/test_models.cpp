// Gradients of the shipped networks against central differences.
#include <catch2/catch.hpp>

#include <ctnn/models/alexnet32.hpp>
#include <ctnn/models/small_alexnet.hpp>
#include <ctnn/testing/gradient_check.hpp>

namespace {

template <ctnn::Network Net>
void check(const ctnn::GradientCheck& settings) {
    const ctnn::GradientReport report = ctnn::check_gradients<Net>(settings);
    INFO(report.failure);
    INFO(report.checked << " checked, " << report.significant << " significant, " << report.redrawn << " redrawn");
    CHECK(report.passed());
}

}  // namespace

TEST_CASE("gradients of SmallAlexNet") { check<ctnn::SmallAlexNet>({.samples = 2, .directions = 1, .entries = 2}); }

TEST_CASE("gradients of AlexNet32") { check<ctnn::AlexNet32>({.samples = 2, .directions = 1, .entries = 1}); }
