// Filters that whiten: the eigensystem of a symmetric matrix, and what the filters make of the patches they come from.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/data/synthetic.hpp>
#include <ctnn/data/whitening.hpp>
#endif

using Catch::Matchers::Contains;

TEST_CASE("a symmetric matrix is its eigensystem multiplied out", "[data][whitening]") {
    const std::size_t n = GENERATE(1u, 2u, 5u, 27u);
    ctnn::Random random{4, ctnn::Stream::test};
    std::vector<double> a(n * n);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j <= i; ++j) { a[i * n + j] = a[j * n + i] = random.normal(); }
    }
    const ctnn::Eigensystem found = ctnn::symmetric_eigensystem(a);
    REQUIRE(found.values.size() == n);
    CHECK(std::ranges::is_sorted(found.values, std::ranges::greater{}));
    // Values of size 10 at most, in double, through some hundred rotations.
    for (std::size_t i = 0; i < n; ++i) {
        const auto largest = *std::ranges::max_element(found.vector(i), {}, [](double x) { return std::abs(x); });
        CHECK(largest > 0);
        for (std::size_t j = 0; j < n; ++j) {
            double product = 0, dot = 0;
            for (std::size_t k = 0; k < n; ++k) {
                product += found.values[k] * found.vector(k)[i] * found.vector(k)[j];
                dot += found.vector(i)[k] * found.vector(j)[k];
            }
            CHECK(product == Approx(a[i * n + j]).margin(1e-12));
            CHECK(dot == Approx(i == j ? 1.0 : 0.0).margin(1e-13));
        }
    }
}

TEST_CASE("the eigensystem of a known matrix", "[data][whitening]") {
    const auto found = ctnn::symmetric_eigensystem({2, -1, 0, -1, 2, -1, 0, -1, 2});  // 2 + √2, 2, 2 − √2
    CHECK(found.values[0] == Approx(2 + std::sqrt(2.0)).epsilon(1e-14));
    CHECK(found.values[1] == Approx(2).epsilon(1e-14));
    CHECK(found.values[2] == Approx(2 - std::sqrt(2.0)).epsilon(1e-14));
    CHECK(found.vector(0)[1] == Approx(std::sqrt(0.5)).epsilon(1e-14));
    CHECK(found.vector(0)[0] == Approx(-0.5).epsilon(1e-14));
    CHECK(ctnn::symmetric_eigensystem({0, 0, 0, 0}).values == std::vector<double>{0, 0});
    CHECK_THROWS_WITH(ctnn::symmetric_eigensystem({1, 2, 3}), Contains("3 numbers"));
}

TEST_CASE("whitened patches have the identity as their covariance", "[data][whitening]") {
    const int kernel = GENERATE(2, 3);
    auto data = ctnn::make_synthetic(60, 0, 3).train;
    data.normalization = {{0.3f, 0.2f, 0.4f}, {0.2f, 0.3f, 0.25f}};  // unequal channels
    constexpr std::size_t images = 50;
    const ctnn::Eigensystem components = ctnn::patch_whitening(data, kernel, images, 2);
    const auto taps = static_cast<std::size_t>(3 * kernel * kernel);
    REQUIRE(components.values.size() == taps);
    const ctnn::Eigensystem alone = ctnn::patch_whitening(data, kernel, images, 1);
    CHECK(alone.values == components.values);
    CHECK(alone.vectors == components.vectors);

    constexpr double epsilon = 5e-4;
    std::vector<float> filters(2 * taps * taps);
    ctnn::fill_whitening_filters(components, filters, epsilon);
    // The filters' outputs over normalised patches, as a convolution gives them.
    const int side = 32 - kernel + 1;
    std::vector<double> sums(taps), products(taps * taps), out(taps), patch(taps);
    for (std::size_t image = 0; image < images; ++image) {
        for (int y = 0; y < side; ++y) {
            for (int x = 0; x < side; ++x) {
                for (std::size_t t = 0; t < taps; ++t) {
                    const int i = static_cast<int>(t), c = i / (kernel * kernel);
                    const int row = y + i / kernel % kernel, column = x + i % kernel;
                    const auto k = static_cast<std::size_t>(c);
                    const double byte = data.image(image)[static_cast<std::size_t>((c * 32 + row) * 32 + column)];
                    patch[t] = (byte / 255 - static_cast<double>(data.normalization.mean[k])) /
                               static_cast<double>(data.normalization.std[k]);
                }
                for (std::size_t o = 0; o < taps; ++o) {
                    out[o] = 0;
                    for (std::size_t t = 0; t < taps; ++t) {
                        out[o] += static_cast<double>(filters[o * taps + t]) * patch[t];
                    }
                    sums[o] += out[o];
                    for (std::size_t p = 0; p <= o; ++p) { products[o * taps + p] += out[o] * out[p]; }
                }
            }
        }
    }
    const double patches = static_cast<double>(images) * side * side;
    for (std::size_t o = 0; o < taps; ++o) {
        for (std::size_t p = 0; p <= o; ++p) {
            const double covariance = products[o * taps + p] / patches - sums[o] / patches * sums[p] / patches;
            const double lambda = components.values[o];
            CHECK(lambda > epsilon);
            // Filters are floats, of which the largest eigenvalue and the smallest differ by 10^3 or so.
            CHECK(covariance == Approx(o == p ? lambda / (lambda + epsilon) : 0.0).margin(1e-4));
        }
    }
    for (std::size_t i = 0; i < taps * taps; ++i) { REQUIRE(filters[taps * taps + i] == -filters[i]); }

    // Fewer filters are the first components and their opposites.
    std::vector<float> four(4 * taps);
    ctnn::fill_whitening_filters(components, four, epsilon);
    CHECK(std::equal(four.begin(), four.begin() + static_cast<std::ptrdiff_t>(2 * taps), filters.begin()));
    CHECK(four[2 * taps] == -filters[0]);

    std::vector<float> wrong(3 * taps), many(2 * taps * taps + 2 * taps);
    CHECK_THROWS_WITH(ctnn::fill_whitening_filters(components, wrong), Contains("an even number"));
    CHECK_THROWS_AS(ctnn::fill_whitening_filters(components, many), ctnn::ArgumentError);
    CHECK_THROWS_AS(ctnn::fill_whitening_filters(components, std::span<float>{}), ctnn::ArgumentError);
    CHECK_THROWS_WITH(ctnn::patch_whitening(data, 33, 5),
                      Contains("kernel 33, expected images and a kernel of 1 to 32"));
    CHECK_THROWS_WITH(ctnn::patch_whitening(data, 2, 0), Contains("0 images"));
}
