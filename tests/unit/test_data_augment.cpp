// Chance in the preparation of samples: flips that alternate, random boxes, cutout, mixup's numbers, refusals.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/data/augment.hpp>
#include <ctnn/data/mixup.hpp>
#endif

using Catch::Matchers::Contains;

TEST_CASE("crops and flips are those of earlier versions", "[data][augment]") {
    // What random_placement(7, 3, i, 4, true) has given from the first: a resumed run goes on with the same batches.
    constexpr std::array<ctnn::Placement, 8> first{{{-2, -1, true},
                                                    {-3, -4, true},
                                                    {-3, 4, false},
                                                    {-1, 3, true},
                                                    {-3, -2, true},
                                                    {3, -1, false},
                                                    {0, 3, false},
                                                    {-2, 2, false}}};
    for (std::uint32_t i = 0; i < first.size(); ++i) { CHECK(ctnn::random_placement(7, 3, i, 4, true) == first[i]); }
}

TEST_CASE("a crop of a larger image lies anywhere in it", "[data][augment]") {
    std::array<int, 8> rows{};
    std::array<int, 4> columns{};
    for (std::uint32_t i = 0; i < 3200; ++i) {
        const auto p = ctnn::random_placement(1, 0, i, 1, false, 5, 1);  // rows −1 to 6, columns −1 to 2
        ++rows.at(static_cast<std::size_t>(p.dy + 1));
        ++columns.at(static_cast<std::size_t>(p.dx + 1));
    }
    // 400 and 800 each, standard deviations 19 and 24; five of them.
    for (const int n : rows) { CHECK(std::abs(n - 400) < 95); }
    for (const int n : columns) { CHECK(std::abs(n - 800) < 120); }
}

TEST_CASE("alternating flips change every epoch and begin by chance", "[data][augment]") {
    int mirrored = 0, by_seed = 0;
    for (std::uint32_t i = 0; i < 2000; ++i) {
        const bool first = ctnn::alternating_flip(5, 0, i);
        mirrored += first;
        by_seed += first != ctnn::alternating_flip(6, 0, i);
        for (int epoch = 1; epoch < 5; ++epoch) {
            REQUIRE(ctnn::alternating_flip(5, epoch, i) == (first != (epoch % 2 == 1)));
        }
    }
    CHECK(std::abs(mirrored - 1000) < 112);  // five standard deviations
    CHECK(std::abs(by_seed - 1000) < 112);
}

TEST_CASE("random resized boxes have the areas and aspects asked for", "[data][augment]") {
    const ctnn::Augmentation options{.random_resized_crop = true, .scale_min = 0.2, .scale_max = 0.6};
    constexpr int height = 200, width = 300, samples = 3000;
    std::vector<double> areas, ratios;
    for (std::uint32_t i = 0; i < samples; ++i) {
        const ctnn::Box box = ctnn::random_resized_box(options, 1, 2, i, height, width);
        REQUIRE((box.y >= 0 && box.x >= 0 && box.height >= 1 && box.width >= 1));
        REQUIRE((box.y + box.height <= height && box.x + box.width <= width));
        REQUIRE(box == ctnn::random_resized_box(options, 1, 2, i, height, width));
        areas.push_back(static_cast<double>(box.height) * box.width / (height * width));
        ratios.push_back(std::log(static_cast<double>(box.width) / box.height));
    }
    // Sides are rounded to whole pixels, and the smallest is about 95: 0.5 / 95 on each.
    CHECK(*std::ranges::min_element(areas) == Approx(0.2).margin(0.005));
    CHECK(*std::ranges::max_element(areas) == Approx(0.6).margin(0.01));
    CHECK(*std::ranges::min_element(ratios) == Approx(std::log(3.0 / 4)).margin(0.015));
    CHECK(*std::ranges::max_element(ratios) == Approx(std::log(4.0 / 3)).margin(0.015));
    // Uniform over 0.4 and ±0.288, standard errors 0.0021 and 0.003: no attempt fails here, and five of them.
    CHECK(std::accumulate(areas.begin(), areas.end(), 0.0) / samples == Approx(0.4).margin(0.011));
    CHECK(std::accumulate(ratios.begin(), ratios.end(), 0.0) / samples == Approx(0.0).margin(0.016));

    // Where no attempt can fit, the largest centred box whose aspect is in range, as torchvision has it.
    const ctnn::Augmentation whole{.random_resized_crop = true, .scale_min = 1, .scale_max = 1};
    CHECK(ctnn::random_resized_box(whole, 1, 0, 0, 10, 100) == ctnn::Box{0, 43, 10, 13});
    CHECK(ctnn::random_resized_box(whole, 1, 0, 0, 100, 10) == ctnn::Box{43, 0, 13, 10});
    CHECK(ctnn::random_resized_box(options, 1, 0, 0, 1, 1) == ctnn::Box{0, 0, 1, 1});
}

TEST_CASE("cutout's square is about a uniform pixel, cut at the border", "[data][augment]") {
    std::array<std::array<int, 5>, 4> hits{};  // by the pixel in the middle, where the square is whole
    for (std::uint32_t i = 0; i < 2000; ++i) {
        const ctnn::Box box = ctnn::random_cutout(3, 1, 0, i, 4, 5);
        REQUIRE((box.y >= 0 && box.x >= 0 && box.height >= 2 && box.width >= 2));
        REQUIRE((box.y + box.height <= 4 && box.x + box.width <= 5));
        const int y = box.y > 0 ? box.y + 1 : box.height - 2, x = box.x > 0 ? box.x + 1 : box.width - 2;
        ++hits.at(static_cast<std::size_t>(y)).at(static_cast<std::size_t>(x));
    }
    // 100 each, standard deviation 10; five of them.
    for (const auto& row : hits) {
        for (const int n : row) { CHECK(std::abs(n - 100) < 50); }
    }
    CHECK(ctnn::random_cutout(1000, 1, 0, 0, 4, 5) == ctnn::Box{0, 0, 4, 5});

    std::vector<float> image(2 * 4 * 5, 1.0f);
    ctnn::cut_out({1, 2, 2, 3}, {2, 4, 5}, image.data());
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 5; ++x) {
            const bool inside = y >= 1 && y < 3 && x >= 2;
            for (int c = 0; c < 2; ++c) {
                CHECK(image[static_cast<std::size_t>((y * 5 + x) * 2 + c)] == (inside ? 0.0f : 1.0f));
            }
        }
    }
}

TEST_CASE("mixup's shares are numbers for the smallest alpha", "[data][mixup]") {
    ctnn::Random random{3, ctnn::Stream::test};
    for (int i = 0; i < 1000; ++i) {
        const double x = ctnn::symmetric_beta(1e-308, random);
        REQUIRE((x >= 0 && x <= 1));
    }
}

TEST_CASE("mixup's shares follow the beta distribution", "[data][mixup]") {
    const double alpha = GENERATE(0.05, 0.2, 1.0, 4.0);
    constexpr int samples = 20000;
    ctnn::Random random{3, ctnn::Stream::test};
    double sum = 0, squares = 0;
    for (int i = 0; i < samples; ++i) {
        const double x = ctnn::symmetric_beta(alpha, random);
        REQUIRE((x >= 0 && x <= 1));
        sum += x;
        squares += x * x;
    }
    const double mean = sum / samples, variance = squares / samples - mean * mean;
    // Variance 1 / (4 (2α + 1)), at most 1/4: five standard errors of the mean are 0.018, and of the variance less.
    CHECK(mean == Approx(0.5).margin(0.018));
    CHECK(variance == Approx(1 / (4 * (2 * alpha + 1))).margin(0.01));
}

TEST_CASE("mixup blends each sample with one other", "[data][mixup]") {
    constexpr std::size_t n = 7, size = 4;
    std::vector<float> original(n * size);
    for (std::size_t i = 0; i < original.size(); ++i) { original[i] = static_cast<float>(i * i); }
    std::vector<std::int32_t> labels(n), second(n);
    std::iota(labels.begin(), labels.end(), 0);
    ctnn::Mixup mixup{1.0, 10, size};
    std::vector<float> images = original;
    const float lambda = mixup(5, 2, 3, images, labels, second);
    CHECK((lambda > 0 && lambda < 1));
    std::vector<std::int32_t> partners = second;
    std::ranges::sort(partners);
    CHECK(partners == labels);  // labels name the samples here
    for (std::size_t i = 0; i < n; ++i) {
        const auto partner = static_cast<std::size_t>(second[i]);
        CHECK(partner != i);
        for (std::size_t k = 0; k < size; ++k) {
            const float expected = lambda * original[i * size + k] + (1 - lambda) * original[partner * size + k];
            CHECK(images[i * size + k] == Approx(expected).epsilon(1e-6));  // a multiply-add may round once or twice
        }
    }
    auto again = original;
    std::vector<std::int32_t> other(n);
    CHECK(ctnn::Mixup{1.0, 7, size}(5, 2, 3, again, labels, other) == lambda);
    CHECK(again == images);
    CHECK(other == second);
    CHECK(mixup(5, 2, 4, again, labels, other) != lambda);
    CHECK(mixup(5, 3, 3, again, labels, other) != lambda);

    // A batch of one stays what it is, within the rounding of λ + (1 − λ).
    std::vector<float> alone(original.end() - size, original.end());
    mixup(5, 2, 3, alone, std::span{labels}.first(1), other);
    CHECK(other[0] == 0);
    for (std::size_t k = 0; k < size; ++k) { CHECK(alone[k] == Approx(original[(n - 1) * size + k]).epsilon(1e-6)); }
}

TEST_CASE("augmentations out of range are refused by name", "[data][augment]") {
    const auto refused = [](ctnn::Augmentation options, const std::string& piece) {
        CHECK_THROWS_WITH(options.validate(), Contains("augmentation: " + piece));
    };
    CHECK_NOTHROW(ctnn::Augmentation{}.validate());
    refused({.scale_min = 0}, "scale_min is 0");
    refused({.scale_min = 0.5, .scale_max = 0.4}, "scale_max is 0.4");
    refused({.scale_max = 1.5}, "scale_max is 1.5");
    refused({.ratio_min = -1}, "ratio_min is -1");
    refused({.ratio_min = 2, .ratio_max = 1}, "ratio_max is 1");
    refused({.jitter = {.brightness = 1.1}}, "brightness is 1.1");
    refused({.jitter = {.contrast = -0.1}}, "contrast is -0.1");
    refused({.jitter = {.saturation = std::nan("")}}, "saturation is");
    refused({.jitter = {.hue = 0.6}}, "hue is 0.6");
    refused({.lighting = -1}, "lighting is -1");
    refused({.cutout = -1}, "cutout is -1");
}
