// Transforms of byte images: resizing and colours against PIL, crops, normalisation, mirrored batches.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/data/colour.hpp>
#include <ctnn/data/image.hpp>
#include <ctnn/data/normalize.hpp>
#include <ctnn/data/transforms.hpp>
#endif

namespace {

using Bytes = std::vector<std::uint8_t>;
using Catch::Matchers::Contains;

/// The picture of tests/golden/make_image_tables.py.
ctnn::Image picture(int height, int width, int channels = 1) {
    ctnn::Image image{{channels, height, width}};
    auto to = image.pixels.begin();
    for (int c = 0; c < channels; ++c) {
        for (int y = 0; y < height; ++y) {
            for (int x = 0; x < width; ++x) {
                *to++ = static_cast<std::uint8_t>((x * 37 + y * 91 + c * 53 + x * y * 7) % 256);
            }
        }
    }
    return image;
}

std::uint64_t fnv1a(const Bytes& bytes) {
    std::uint64_t hash = 0xCBF29CE484222325u;
    for (const std::uint8_t byte : bytes) { hash = (hash ^ byte) * 0x100000001B3u; }
    return hash;
}

int largest_difference(const Bytes& a, const Bytes& b) {
    REQUIRE(a.size() == b.size());
    int most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) { most = std::max(most, std::abs(a[i] - b[i])); }
    return most;
}

/// Any image, dense.
Bytes bytes_of(const ctnn::ImageView& view) {
    ctnn::Image copy;
    copy.assign(view);
    return copy.pixels;
}

}  // namespace

// All tables are what `python3 tests/golden/make_image_tables.py` prints.
TEST_CASE("resizing equals PIL's, to the byte", "[data][transforms]") {
    struct Case {
        int height, width, out_height, out_width;
        Bytes expected;
    };
    const std::vector<Case> cases{
        {5, 6, 3, 4, {54, 110, 131, 114, 144, 121, 128, 126, 92, 163, 139, 141}},
        {4, 5, 7, 6, {0,   28,  59,  89,  120, 148, 33,  62,  95,  128, 138, 99,  85,  117,
                      154, 189, 166, 21,  137, 172, 137, 123, 131, 71,  170, 209, 113, 57,
                      100, 138, 76,  118, 110, 118, 165, 206, 17,  61,  109, 157, 206, 249}},
        {12, 10, 3, 3, {120, 131, 123, 123, 136, 127, 150, 121, 129}},
        {3, 4, 3, 9, {0,   6,   23,  39,  56,  72,  88,  105, 111, 91, 98, 118, 137, 157,
                      177, 196, 216, 223, 182, 191, 213, 222, 131, 39, 48, 70,  79}},
        {1, 1, 2, 3, {0, 0, 0, 0, 0, 0}},
    };
    for (const Case& c : cases) {
        INFO(c.height << "x" << c.width << " to " << c.out_height << "x" << c.out_width);
        const auto image = picture(c.height, c.width);
        const auto out = ctnn::resize_bilinear(image.view(), c.out_height, c.out_width);
        CHECK(out.shape == ctnn::Shape{1, c.out_height, c.out_width});
        CHECK(out.pixels == c.expected);
    }
    const auto hash = [](int height, int width, int out_height, int out_width) {
        return fnv1a(ctnn::resize_bilinear(picture(height, width).view(), out_height, out_width).pixels);
    };
    CHECK(hash(32, 32, 227, 224) == 0xEA0E331D2B9708C1u);
    CHECK(hash(227, 224, 32, 48) == 0xC1C26AFD65C78B82u);
    CHECK(hash(100, 140, 64, 64) == 0x31D51D20D0A821F9u);
}

TEST_CASE("resizing treats channels alike, views as images, and the same again", "[data][transforms]") {
    ctnn::BilinearResizer resize;
    ctnn::Image out;
    const auto rgb = picture(9, 8, 3);
    for (const auto& [height, width] :
         {std::array{5, 11}, std::array{9, 8}, std::array{9, 3}, std::array{4, 8}, std::array{5, 11}}) {
        resize(rgb.view(), height, width, out);
        Bytes each;
        for (int c = 0; c < 3; ++c) {
            const ctnn::Image plane =
                ctnn::resize_bilinear(ctnn::ImageView{ctnn::Image{rgb}.plane(c), {1, 9, 8}}, height, width);
            each.insert(each.end(), plane.pixels.begin(), plane.pixels.end());
        }
        CHECK(out.pixels == each);
    }
    ctnn::Image part;
    part.assign(rgb.view().crop(2, 1, 5, 6));
    CHECK(ctnn::resize_bilinear(rgb.view().crop(2, 1, 5, 6), 7, 4).pixels ==
          ctnn::resize_bilinear(part.view(), 7, 4).pixels);

    const ctnn::Image white = [] {
        ctnn::Image image{{1, 13, 17}};
        std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{255});
        return image;
    }();
    CHECK(ctnn::resize_bilinear(white.view(), 31, 5).pixels == Bytes(31 * 5, 255));

    CHECK_THROWS_WITH(ctnn::resize_bilinear(rgb.view(), 0, 4), Contains("from 9x8 to 0x4"));
    CHECK_THROWS_AS(ctnn::resize_bilinear(ctnn::ImageView{}, 2, 2), ctnn::ArgumentError);
}

TEST_CASE("the shorter side and the middle are torchvision's", "[data][transforms]") {
    CHECK(ctnn::shape_with_shorter_side({3, 375, 500}, 256) == ctnn::Shape{3, 256, 341});  // int(256 * 500 / 375)
    CHECK(ctnn::shape_with_shorter_side({3, 500, 375}, 256) == ctnn::Shape{3, 341, 256});
    CHECK(ctnn::shape_with_shorter_side({1, 32, 32}, 40) == ctnn::Shape{1, 40, 40});
    CHECK(ctnn::shape_with_shorter_side({1, 1, 1 << 20}, 16) == ctnn::Shape{1, 16, 1 << 24});
    CHECK_THROWS_WITH(ctnn::shape_with_shorter_side({1, 1, 12'000'000}, 256),
                      Contains("1x12000000 with a shorter side of 256 is 3072000000 pixels long"));
    // Products that overflow 64 bits.
    constexpr int most = std::numeric_limits<int>::max();
    CHECK_THROWS_AS(ctnn::shape_with_shorter_side({3, 400, 100}, most), ctnn::ArgumentError);
    CHECK_THROWS_AS(ctnn::shape_with_shorter_side({3, 1 << 28, 1}, 1 << 18), ctnn::ArgumentError);
    const auto image = picture(6, 9);
    const auto smaller = ctnn::resize_shorter_side(image.view(), 4);
    CHECK(smaller.shape == ctnn::Shape{1, 4, 6});
    CHECK(smaller.pixels == ctnn::resize_bilinear(image.view(), 4, 6).pixels);

    // int(round(difference / 2)) of Python, where halves go to the even side.
    CHECK(ctnn::centre_offset(10, 4) == 3);
    CHECK(ctnn::centre_offset(9, 8) == 0);
    CHECK(ctnn::centre_offset(11, 8) == 2);
    CHECK(ctnn::centre_offset(13, 8) == 2);
    CHECK(ctnn::centre_offset(15, 8) == 4);
    const auto rgb = picture(5, 7, 3);
    const auto middle = ctnn::centre_crop(rgb.view(), 3, 2);
    CHECK(middle.shape == ctnn::Shape{3, 3, 2});
    for (int c = 0; c < 3; ++c) {
        for (int y = 0; y < 3; ++y) { CHECK(middle.row(c, y) == rgb.view().row(c, y + 1) + 2); }
    }
    CHECK_THROWS_WITH(ctnn::centre_crop(rgb.view(), 6, 2), Contains("6x2") && Contains("5x7"));
}

TEST_CASE("a grey image is shown as RGB, others are refused", "[data][transforms]") {
    const auto grey = picture(3, 4);
    const auto rgb = grey.view().with_channels(3);
    CHECK(rgb.shape == ctnn::Shape{3, 3, 4});
    const Bytes all = bytes_of(rgb);
    for (std::size_t i = 0; i < 36; ++i) { CHECK(all[i] == grey.pixels[i % 12]); }
    CHECK(bytes_of(grey.view().with_channels(1)) == grey.pixels);
    const auto four = picture(3, 4, 4);
    CHECK_THROWS_WITH(four.view().with_channels(3), Contains("4 channels, expected 3"));
    CHECK_THROWS_WITH(four.view().with_channels(1), Contains("4 channels, expected 1"));
    CHECK_THROWS_WITH((ctnn::ImageView{grey.pixels, {1, 3, 5}}), Contains("12 bytes, expected 15"));
}

TEST_CASE("brightness, contrast and saturation are PIL's", "[data][colour]") {
    using Adjust = void (*)(ctnn::Image&, double);
    struct Case {
        Adjust adjust;
        double factor;
        Bytes expected;
    };
    const std::vector<Case> cases{
        {ctnn::adjust_brightness, 0.3, {0, 11, 22, 27, 40, 53, 15, 27, 38, 43, 56, 69, 31, 42, 54, 59, 72, 8}},
        {ctnn::adjust_brightness,
         1.6,
         {0, 59, 118, 145, 216, 255, 84, 144, 203, 230, 255, 255, 169, 228, 255, 255, 255, 46}},
        {ctnn::adjust_contrast,
         0.3,
         {86, 97, 109, 114, 127, 140, 102, 113, 124, 130, 143, 156, 118, 129, 140, 145, 159, 95}},
        {ctnn::adjust_contrast, 1.6, {0, 0, 44, 71, 141, 212, 10, 69, 128, 156, 226, 255, 95, 154, 213, 240, 255, 0}},
        {ctnn::adjust_saturation,
         0.3,
         {30, 67, 104, 121, 165, 188, 46, 83, 120, 137, 181, 204, 61, 98, 135, 152, 196, 143}},
        {ctnn::adjust_saturation,
         1.6,
         {0, 11, 48, 65, 109, 170, 59, 96, 133, 150, 194, 255, 143, 180, 217, 234, 255, 0}},
    };
    for (const Case& c : cases) {
        auto image = picture(2, 3, 3);
        c.adjust(image, c.factor);
        CHECK(largest_difference(image.pixels, c.expected) <= 1);  // PIL cuts fractions off, ctnn rounds
        auto same = picture(2, 3, 3);
        c.adjust(same, 1.0);
        CHECK(same.pixels == picture(2, 3, 3).pixels);
    }
    auto grey = picture(2, 3);
    ctnn::adjust_saturation(grey, 0.2);
    ctnn::adjust_hue(grey, 0.2);
    CHECK(grey.pixels == picture(2, 3).pixels);
    ctnn::adjust_contrast(grey, 0.0);
    CHECK(grey.pixels == Bytes(6, 86));  // (0 + 37 + 74 + 91 + 135 + 179) / 6
}

TEST_CASE("hues turn as in colorsys", "[data][colour]") {
    const auto turned = [](double turn) {
        auto image = picture(2, 3, 3);
        ctnn::adjust_hue(image, turn);
        return image.pixels;
    };
    // Both round once, halves apart.
    CHECK(largest_difference(turned(-0.4),
                             {95, 132, 169, 186, 230, 204, 106, 143, 180, 197, 241, 29, 0, 37, 74, 91, 135, 232}) <= 1);
    CHECK(largest_difference(turned(0.1),
                             {11, 48, 85, 102, 146, 57, 0, 37, 74, 91, 135, 232, 106, 143, 180, 197, 241, 29}) <= 1);
    CHECK(largest_difference(turned(1.0 / 3),
                             {106, 143, 180, 197, 241, 29, 0, 37, 74, 91, 135, 179, 53, 90, 127, 144, 188, 232}) <= 1);
    CHECK(turned(0) == picture(2, 3, 3).pixels);
}

TEST_CASE("colour jitter stays within its strengths and changes what it should", "[data][colour]") {
    const auto original = picture(8, 8, 3);
    const auto jittered = [&](ctnn::ColourJitter jitter, std::uint32_t sample) {
        auto image = original;
        ctnn::jitter_colours(image, jitter, ctnn::Random{1, ctnn::Stream::test, 0, sample});
        return image.pixels;
    };
    CHECK(jittered({}, 1) == original.pixels);
    int differ = 0;
    double darkest = 2, brightest = 0;
    for (std::uint32_t sample = 0; sample < 200; ++sample) {
        const Bytes out = jittered({.brightness = 0.25}, sample);
        const double factor = out[1] / 37.0;  // of a byte that no factor up to 1.25 clips
        darkest = std::min(darkest, factor);
        brightest = std::max(brightest, factor);
        differ += jittered({.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1}, sample) !=
                  jittered({.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1}, sample + 1);
    }
    // A byte of 37 is rounded to 1/74; of 200 uniform factors the extremes are within 0.025 of the ends but for chance
    // 1e-4.
    CHECK(darkest == Approx(0.75).margin(0.04));
    CHECK(brightest == Approx(1.25).margin(0.04));
    CHECK(differ == 200);
}

TEST_CASE("lighting adds the 2012 paper's colours", "[data][colour]") {
    // Over many samples the offset's variance along component i is (strength · λ_i · |p_i|²)², and components are
    // apart.
    const ctnn::ColourComponents components;
    std::array<double, 3> squares{};
    constexpr int samples = 4000;
    for (std::uint32_t i = 0; i < samples; ++i) {
        const auto offset = ctnn::lighting_offset(0.1, ctnn::Random{2, ctnn::Stream::test, 0, i});
        for (std::size_t k = 0; k < 3; ++k) {
            double along = 0;
            for (std::size_t c = 0; c < 3; ++c) { along += static_cast<double>(offset[c]) * components.vectors[c][k]; }
            squares[k] += along * along;
        }
    }
    // The relative error of a standard deviation of 4000 samples is 1.1 %; the published vectors are unit within 1e-3.
    for (std::size_t k = 0; k < 3; ++k) {
        CHECK(std::sqrt(squares[k] / samples) == Approx(0.1 * components.values[k]).epsilon(0.05));
    }
    CHECK(ctnn::lighting_offset(0, ctnn::Random{2, ctnn::Stream::test}) == std::array<float, 3>{});
}

TEST_CASE("normalize_rgb gives a network's input", "[data][normalize]") {
    const auto two = picture(2, 3, 6);  // two images of 3 channels, one behind the other
    const std::array<float, 3> mean{0.485f, 0.456f, 0.406f}, std{0.229f, 0.224f, 0.225f};
    std::vector<float> out(36, -100.0f);
    ctnn::normalize_rgb(two.pixels, {3, 2, 3}, mean, std, out);
    for (std::size_t n = 0; n < 2; ++n) {
        for (std::size_t c = 0; c < 3; ++c) {
            for (std::size_t p = 0; p < 6; ++p) {
                const float byte = two.pixels[(n * 3 + c) * 6 + p];
                CHECK(out[(n * 6 + p) * 3 + c] == (byte / 255.0f - mean[c]) / std[c]);  // the same operations
            }
        }
    }
    CHECK_THROWS_WITH(ctnn::normalize_rgb(two.pixels, {3, 2, 4}, mean, std, out), Contains("36 bytes"));
    CHECK_THROWS_WITH(ctnn::normalize_rgb(two.pixels, {1, 2, 3}, mean, std, out), Contains("1x2x3"));
    CHECK_THROWS_AS(ctnn::normalize_rgb(two.pixels, {3, 2, 3}, mean, std, std::span{out}.first(18)),
                    ctnn::ArgumentError);
    CHECK_THROWS_WITH(ctnn::normalize_rgb(two.pixels, {3, 2, 3}, mean, {1, 0, 1}, out), Contains("std of channel 1"));
}

TEST_CASE("a crop may reflect the border, and take a piece of a larger image", "[data][normalize]") {
    const ctnn::ByteTable table{{{0.0f}, {1.0f / 255.0f}}, 1};  // a byte's value is the byte, nearly
    const auto image = picture(3, 4);
    const auto placed = [&](ctnn::Placement placement, int height, int width) {
        std::vector<float> out(static_cast<std::size_t>(height * width));
        ctnn::place_image(image.view(), table, placement, height, width, out.data());
        std::vector<int> bytes;
        for (const float value : out) { bytes.push_back(static_cast<int>(std::lround(value))); }
        return bytes;
    };
    // Rows 0, 37, 74, 111; 91, 135, 179, 223; 182, 233, 28, 79. Behind the border PyTorch's ReflectionPad2d.
    CHECK(placed({-1, -2, false, true}, 3, 4) == std::vector<int>{179, 135, 91, 135, 74, 37, 0, 37, 179, 135, 91, 135});
    CHECK(placed({-1, -2, true, true}, 3, 4) == std::vector<int>{135, 91, 135, 179, 37, 0, 37, 74, 135, 91, 135, 179});
    CHECK(placed({2, 3, false, true}, 2, 3) == std::vector<int>{79, 28, 233, 223, 179, 135});
    CHECK(placed({-5, 0, false, true}, 1, 4) ==
          placed({1, 0, false, true}, 1, 4));  // a period is 4 rows: −5 is −1 is 1
    CHECK(placed({1, 1, false, false}, 2, 2) == std::vector<int>{135, 179, 233, 28});
    CHECK(placed({1, 1, true, false}, 2, 2) == std::vector<int>{179, 135, 28, 233});
    CHECK(placed({2, 3, false, false}, 2, 2) == std::vector<int>{79, 0, 0, 0});
}

TEST_CASE("batches are mirrored, in place or not", "[data][normalize]") {
    const int width = GENERATE(1, 4, 5);
    const ctnn::Shape shape{3, 2, width};
    std::vector<float> images(static_cast<std::size_t>(2 * shape.size()));
    for (std::size_t i = 0; i < images.size(); ++i) { images[i] = static_cast<float>(i); }
    std::vector<float> mirrored(images.size());
    ctnn::mirror_images(images, shape, mirrored);
    for (int n = 0; n < 2; ++n) {
        for (int y = 0; y < 2; ++y) {
            for (int x = 0; x < width; ++x) {
                for (int c = 0; c < 3; ++c) {
                    const auto at = [&](int column) {
                        return static_cast<std::size_t>(((n * 2 + y) * width + column) * 3 + c);
                    };
                    REQUIRE(mirrored[at(x)] == images[at(width - 1 - x)]);
                }
            }
        }
    }
    std::vector<float> in_place = images;
    ctnn::mirror_images(in_place, shape, in_place);
    CHECK(in_place == mirrored);
    CHECK_THROWS_AS(ctnn::mirror_images(images, shape, std::span{mirrored}.first(3)), ctnn::ArgumentError);
}

TEST_CASE("batches are moved, and what comes in is mirrored at the border", "[data][normalize]") {
    const ctnn::Shape shape{2, 3, 4};
    std::vector<float> images(static_cast<std::size_t>(2 * shape.size()));
    for (std::size_t i = 0; i < images.size(); ++i) { images[i] = static_cast<float>(i); }
    std::vector<float> moved(images.size());
    const auto at = [&](int n, int y, int x, int c) {
        return static_cast<std::size_t>(((n * shape.height + y) * shape.width + x) * shape.channels + c);
    };
    // By hand: where the pixels of a row, and of a column, come from; 2³¹ pixels are whole periods of 4, and 2 of one
    // of 6.
    using Int = std::numeric_limits<int>;
    const auto [by, rows, columns] =
        GENERATE(table<int, std::array<int, 3>, std::array<int, 4>>({{0, {0, 1, 2}, {0, 1, 2, 3}},
                                                                     {1, {1, 0, 1}, {1, 0, 1, 2}},
                                                                     {-2, {2, 1, 0}, {2, 3, 2, 1}},
                                                                     {Int::min(), {0, 1, 2}, {2, 3, 2, 1}},
                                                                     {Int::max(), {1, 2, 1}, {1, 0, 1, 2}}}));
    ctnn::shift_images(images, shape, by, moved);
    for (int n = 0; n < 2; ++n) {
        for (int y = 0; y < 3; ++y) {
            for (int x = 0; x < 4; ++x) {
                for (int c = 0; c < 2; ++c) {
                    REQUIRE(moved[at(n, y, x, c)] ==
                            images[at(n, rows[static_cast<std::size_t>(y)], columns[static_cast<std::size_t>(x)], c)]);
                }
            }
        }
    }
    CHECK_THROWS_AS(ctnn::shift_images(images, shape, 1, std::span{moved}.first(3)), ctnn::ArgumentError);
}
