// Data: the synthetic set, splits, augmentation against a naive reference, and the batch loader with its thread.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/data/augment.hpp>
#include <ctnn/data/loader.hpp>
#include <ctnn/data/split.hpp>
#include <ctnn/data/synthetic.hpp>
#endif

namespace {

/// A set whose bytes name their place, with height ≠ width and a prime number of samples.
ctnn::Dataset small_set(std::size_t samples = 23, ctnn::Shape shape = {3, 5, 7}) {
    ctnn::Dataset set{.shape = shape,
                      .pixels = std::vector<std::uint8_t>(samples * static_cast<std::size_t>(shape.size())),
                      .labels = std::vector<std::uint16_t>(samples),
                      .class_names = {"a", "b", "c", "d"},
                      .normalization = {}};
    set.normalization.mean.assign(static_cast<std::size_t>(shape.channels), 0.5f);
    set.normalization.std.assign(static_cast<std::size_t>(shape.channels), 0.25f);
    for (std::size_t c = 0; c < set.normalization.mean.size(); ++c) {
        set.normalization.mean[c] += 0.1f * static_cast<float>(c);
        set.normalization.std[c] += 0.03f * static_cast<float>(c);
    }
    ctnn::Random random{7, ctnn::Stream::test};
    for (auto& pixel : set.pixels) { pixel = static_cast<std::uint8_t>(random.below(256)); }
    for (std::size_t i = 0; i < samples; ++i) { set.labels[i] = static_cast<std::uint16_t>(i * 3 % 4); }
    return set;
}

/// PyTorch's pipeline, step by step: pad the bytes with 0, crop, flip, divide by 255, normalise, channels last.
std::vector<float> reference(const ctnn::Dataset& set, std::size_t sample, int padding, ctnn::Placement placement) {
    const int height = set.shape.height, width = set.shape.width, channels = set.shape.channels;
    const auto bytes = set.image(sample);
    std::vector<float> out;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (int c = 0; c < channels; ++c) {
                std::vector<int> padded(static_cast<std::size_t>((height + 2 * padding) * (width + 2 * padding)), 0);
                const auto at = [&](int row, int column) -> int& {
                    return padded[static_cast<std::size_t>(row * (width + 2 * padding) + column)];
                };
                for (int i = 0; i < height; ++i) {
                    for (int j = 0; j < width; ++j) {
                        at(i + padding, j + padding) = bytes[static_cast<std::size_t>((c * height + i) * width + j)];
                    }
                }
                const int column = placement.mirror ? width - 1 - x : x;
                const int byte = at(y + placement.dy + padding, column + placement.dx + padding);
                const auto k = static_cast<std::size_t>(c);
                out.push_back((static_cast<float>(byte) / 255.0f - set.normalization.mean[k]) /
                              set.normalization.std[k]);
            }
        }
    }
    return out;
}

/// One epoch, copied.
struct Epoch {
    std::vector<int> sizes;
    std::vector<std::uint32_t> ids;
    std::vector<std::int32_t> labels;
    std::vector<float> images;
    bool operator==(const Epoch&) const = default;
};

void append(Epoch& epoch, const ctnn::MiniBatch& batch) {
    epoch.sizes.push_back(batch.size);
    epoch.ids.insert(epoch.ids.end(), batch.ids.begin(), batch.ids.end());
    epoch.labels.insert(epoch.labels.end(), batch.labels.begin(), batch.labels.end());
    epoch.images.insert(epoch.images.end(), batch.images.begin(), batch.images.end());
}

Epoch run_epoch(ctnn::BatchLoader& loader, int number, int first_batch = 0) {
    Epoch epoch;
    loader.start_epoch(number, first_batch);
    while (const ctnn::MiniBatch* batch = loader.next()) { append(epoch, *batch); }
    return epoch;
}

/// The message of the ArgumentError that `action` throws, or "" where it throws none.
template <class Action>
std::string argument_error(Action action) {
    try {
        action();
    } catch (const ctnn::ArgumentError& error) { return error.what(); }
    return "";
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("the synthetic set depends on seed, split and index alone", "[data][synthetic]") {
    const auto set = ctnn::make_synthetic(30, 20, 5);
    CHECK(set.train.size() == 30);
    CHECK(set.test.size() == 20);
    CHECK(set.train.shape == ctnn::Shape{3, 32, 32});
    CHECK(set.train.pixels.size() == 30 * 3 * 32 * 32);
    CHECK(set.train.classes() == 10);
    CHECK(set.train.class_names == set.test.class_names);

    const auto longer = ctnn::make_synthetic(40, 50, 5);
    CHECK(std::equal(set.train.pixels.begin(), set.train.pixels.end(), longer.train.pixels.begin()));
    CHECK(std::equal(set.test.pixels.begin(), set.test.pixels.end(), longer.test.pixels.begin()));

    CHECK(ctnn::make_synthetic(30, 20, 6).train.pixels != set.train.pixels);
    CHECK_FALSE(std::equal(set.test.pixels.begin(), set.test.pixels.end(), set.train.pixels.begin()));
    // Samples of one class differ: 0 and 10 are both striped discs.
    CHECK_FALSE(std::ranges::equal(set.train.image(0), set.train.image(10)));
}

TEST_CASE("the bytes of the synthetic set are the same on every machine", "[data][synthetic]") {
    const auto set = ctnn::make_synthetic(100, 0, 1);
    std::uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
    for (const std::uint8_t byte : set.train.pixels) { hash = (hash ^ byte) * 0x100000001B3u; }
    CHECK(hash == 0xC299C1074934A700u);
}

TEST_CASE("a synthetic source draws what is read of the synthetic set", "[data][synthetic]") {
    using Split = ctnn::SyntheticSource::Split;
    const auto set = ctnn::make_synthetic(70, 37, 5);
    const ctnn::SyntheticSource train{70, 5, Split::train}, test{37, 5, Split::test};
    const auto same = [](const ctnn::SyntheticSource& source, const ctnn::Dataset& data) {
        CHECK(source.size() == data.size());
        CHECK(source.shape() == data.shape);
        CHECK(source.class_names() == data.class_names);
        CHECK(source.normalization().mean == data.normalization.mean);
        CHECK(source.normalization().std == data.normalization.std);
        // By threads that want the same images at once, the last ones first.
        std::vector<int> right(3);
        std::vector<std::thread> threads;
        for (int& count : right) {
            threads.emplace_back([&] {
                ctnn::Image scratch;
                for (std::size_t i = data.size(); i-- > 0;) {
                    count += source.label(i) == data.labels[i] &&
                             std::ranges::equal(data.image(i),
                                                std::span{source.read(i, scratch).data, data.image(i).size()});
                }
            });
        }
        for (std::thread& thread : threads) { thread.join(); }
        CHECK(right == std::vector<int>(3, static_cast<int>(data.size())));
    };
    same(train, set.train);
    same(test, set.test);
}

TEST_CASE("the synthetic set is balanced, and its normalisation fits it", "[data][synthetic]") {
    const auto set = ctnn::make_synthetic(1000, 0, 2).train;
    std::array<int, 10> count{};
    for (const auto label : set.labels) { ++count.at(label); }
    CHECK(std::ranges::all_of(count, [](int n) { return n == 100; }));

    for (std::size_t c = 0; c < 3; ++c) {
        double sum = 0, squares = 0;
        for (std::size_t i = 0; i < set.size(); ++i) {
            for (const auto byte : set.image(i).subspan(c * 1024, 1024)) {
                const double value = (byte / 255.0 - static_cast<double>(set.normalization.mean[c])) /
                                     static_cast<double>(set.normalization.std[c]);
                sum += value;
                squares += value * value;
            }
        }
        // The constants are rounded to two digits, and the colours of 1000 images scatter the mean by about 0.02.
        const double n = 1000.0 * 1024.0, mean = sum / n;
        CHECK(std::abs(mean) < 0.1);
        CHECK(std::sqrt(squares / n - mean * mean) == Approx(1.0).margin(0.1));
    }
}

TEST_CASE("splits by index", "[data][split]") {
    CHECK(ctnn::all_indices(3) == std::vector<std::uint32_t>{0, 1, 2});
    CHECK(ctnn::all_indices(0).empty());
    const auto [training, validation] = ctnn::split_by_index(5, 2);
    CHECK(training == std::vector<std::uint32_t>{0, 1, 2});
    CHECK(validation == std::vector<std::uint32_t>{3, 4});
    CHECK(ctnn::split_by_index(5, 0).second.empty());
    CHECK(ctnn::split_by_index(5, 5).first.empty());
    CHECK_THAT(argument_error([] { (void)ctnn::split_by_index(5, 6); }), Contains("validation is 6"));
}

TEST_CASE("shuffling permutes uniformly and depends on seed and epoch", "[data][split]") {
    const auto shuffled = [](std::uint64_t seed, int epoch) {
        auto indices = ctnn::all_indices(100);
        ctnn::shuffle_indices(indices, seed, epoch);
        return indices;
    };
    auto order = shuffled(1, 0);
    CHECK(order == shuffled(1, 0));
    CHECK(order != shuffled(1, 1));
    CHECK(order != shuffled(2, 0));
    CHECK(order != ctnn::all_indices(100));
    std::ranges::sort(order);
    CHECK(order == ctnn::all_indices(100));

    // 6000 shuffles of three: each of the six orders 1000 times, standard deviation 29; 150 is five of them.
    std::map<std::vector<std::uint32_t>, int> count;
    for (int epoch = 0; epoch < 6000; ++epoch) {
        auto three = ctnn::all_indices(3);
        ctnn::shuffle_indices(three, 9, epoch);
        ++count[three];
    }
    REQUIRE(count.size() == 6);
    for (const auto& [permutation, n] : count) { CHECK(std::abs(n - 1000) < 150); }
}

TEST_CASE("placing an image equals PyTorch's pipeline", "[data][augment]") {
    const int channels = GENERATE(1, 3, 4);
    const int padding = GENERATE(0, 2, 9);  // 9 is more than the image's 5 by 7
    const auto set = small_set(2, {channels, 5, 7});
    const ctnn::ByteTable table{set.normalization, channels};
    const auto size = static_cast<std::size_t>(set.shape.size());
    for (int dy = -padding; dy <= padding; ++dy) {
        for (int dx = -padding; dx <= padding; ++dx) {
            for (const bool mirror : {false, true}) {
                std::vector<float> out(size + 1, std::numeric_limits<float>::quiet_NaN());
                const ctnn::Placement placement{dy, dx, mirror};
                ctnn::place_image(set.image(1), set.shape, table, placement, out.data());
                REQUIRE(std::isnan(out.back()));  // not a float too many
                out.pop_back();
                // The same float operations on the same bytes: equal to the bit.
                REQUIRE(out == reference(set, 1, padding, placement));
            }
        }
    }
}

TEST_CASE("placements are reproducible and uniform", "[data][augment]") {
    constexpr int samples = 8100;
    std::map<std::pair<int, int>, int> offsets;
    int mirrored = 0;
    for (std::uint32_t i = 0; i < samples; ++i) {
        const auto p = ctnn::random_placement(3, 1, i, 4, true);
        ++offsets[{p.dy, p.dx}];
        mirrored += p.mirror ? 1 : 0;
        REQUIRE(p == ctnn::random_placement(3, 1, i, 4, true));
        const auto unflipped = ctnn::random_placement(3, 1, i, 4, false);  // keeps its crop
        REQUIRE(unflipped == ctnn::Placement{p.dy, p.dx, false});
    }
    // Each of 81 offsets 100 times, standard deviation 10; half of all mirrored, standard deviation 45; five of them.
    CHECK(offsets.size() == 81);
    for (const auto& [offset, n] : offsets) {
        CHECK(std::max(std::abs(offset.first), std::abs(offset.second)) <= 4);
        CHECK(std::abs(n - 100) < 50);
    }
    CHECK(std::abs(mirrored - samples / 2) < 225);

    int differ = 0;
    for (std::uint32_t i = 0; i < 100; ++i) {
        const auto p = ctnn::random_placement(3, 1, i, 4, true);
        differ += p != ctnn::random_placement(3, 2, i, 4, true) && p != ctnn::random_placement(4, 1, i, 4, true);
    }
    CHECK(differ > 90);  // 162 placements, so about 1 in 81 agrees by chance
}

TEST_CASE("a byte table needs a mean and a positive std per channel", "[data][augment]") {
    const ctnn::ByteTable table{{{0.5f, 0.25f}, {0.5f, 2.0f}}, 2};
    CHECK(table.channel(0)[0] == -1.0f);
    CHECK(table.channel(0)[255] == 1.0f);
    CHECK(table.channel(1)[255] == 0.375f);
    CHECK_THAT(argument_error([] { ctnn::ByteTable{{{0.5f}, {0.5f}}, 3}; }), Contains("expected 3 of each"));
    CHECK_THAT(argument_error([] { ctnn::ByteTable{{{0.5f}, {0.0f}}, 1}; }), Contains("std of channel 0"));
    constexpr float infinity = std::numeric_limits<float>::infinity();
    CHECK(argument_error([] { ctnn::ByteTable{{{0.5f}, {infinity}}, 1}; }) ==
          "normalization: mean and std of channel 0 are 0.5 and inf, expected finite ones");
    CHECK_THAT(argument_error([] { ctnn::ByteTable{{{-infinity}, {1.0f}}, 1}; }), Contains("are -inf and 1"));

    const ctnn::ByteTable grey{{{0.5f}, {0.25f}}, 1};
    const std::vector<std::uint8_t> pixels(3 * 2 * 2);
    std::vector<float> out(pixels.size());
    CHECK_THROWS_WITH(ctnn::place_image(pixels, {3, 2, 2}, grey, {}, out.data()),
                      Catch::Contains("normalization: of 1 channels, expected the image's 3"));
}

TEST_CASE("an epoch holds every sample once, in the order of seed and epoch", "[data][loader]") {
    const auto set = small_set();
    auto indices = ctnn::split_by_index(set.size(), 4).first;
    ctnn::BatchLoader loader{set, indices, {.batch_size = 8, .seed = 11, .augment = true, .crop_padding = 2}};
    CHECK(loader.batches() == 3);
    CHECK(loader.samples() == 19);
    CHECK(loader.next() == nullptr);  // no epoch yet

    for (const int number : {0, 1, 5}) {
        const Epoch epoch = run_epoch(loader, number);
        CHECK(loader.next() == nullptr);
        CHECK(epoch.sizes == std::vector<int>{8, 8, 3});
        auto order = indices;
        ctnn::shuffle_indices(order, 11, number);
        REQUIRE(epoch.ids == order);
        std::vector<float> images;
        for (std::size_t i = 0; i < order.size(); ++i) {
            CHECK(epoch.labels[i] == set.labels[order[i]]);
            const auto image = reference(set, order[i], 2, ctnn::random_placement(11, number, order[i], 2, true));
            images.insert(images.end(), image.begin(), image.end());
        }
        CHECK(epoch.images == images);
    }
}

TEST_CASE("runs repeat to the bit, and epochs differ", "[data][loader]") {
    const auto set = small_set(101);
    const ctnn::LoaderOptions options{.batch_size = 4, .seed = 3, .augment = true};
    ctnn::BatchLoader a{set, ctnn::all_indices(101), options}, b{set, ctnn::all_indices(101), options};
    const Epoch first = run_epoch(a, 0), second = run_epoch(a, 1);
    CHECK(first != second);
    CHECK(run_epoch(b, 1) == second);  // whatever ran before
    CHECK(run_epoch(b, 0) == first);

    auto other = options;
    other.seed = 4;
    ctnn::BatchLoader c{set, ctnn::all_indices(101), other};
    CHECK(run_epoch(c, 0).ids != first.ids);
}

TEST_CASE("without shuffling and augmentation samples come as they lie", "[data][loader]") {
    const auto set = small_set(6);
    ctnn::BatchLoader loader{set, {5, 0, 3}, {.batch_size = 2, .shuffle = false}};
    const Epoch epoch = run_epoch(loader, 4);
    CHECK(epoch.ids == std::vector<std::uint32_t>{5, 0, 3});
    const auto image = reference(set, 5, 0, {});
    CHECK(std::equal(image.begin(), image.end(), epoch.images.begin()));
}

TEST_CASE("the last batch is partial, or dropped", "[data][loader]") {
    const auto set = small_set(10);
    const auto sizes = [&](int batch_size, bool drop_last) {
        ctnn::BatchLoader loader{set, ctnn::all_indices(10), {.batch_size = batch_size, .drop_last = drop_last}};
        const auto found = run_epoch(loader, 0).sizes;
        CHECK(static_cast<int>(found.size()) == loader.batches());
        CHECK(static_cast<std::size_t>(std::accumulate(found.begin(), found.end(), 0)) == loader.samples());
        return found;
    };
    CHECK(sizes(4, false) == std::vector<int>{4, 4, 2});
    CHECK(sizes(4, true) == std::vector<int>{4, 4});
    CHECK(sizes(5, true) == std::vector<int>{5, 5});
    CHECK(sizes(10, true) == std::vector<int>{10});
    CHECK(sizes(64, false) == std::vector<int>{10});
    CHECK(sizes(1, false) == std::vector<int>(10, 1));
}

TEST_CASE("an epoch resumed in its middle equals the rest of a whole one", "[data][loader]") {
    const auto set = small_set();
    const ctnn::LoaderOptions options{.batch_size = 5, .seed = 8, .augment = true};
    ctnn::BatchLoader whole{set, ctnn::all_indices(23), options}, resumed{set, ctnn::all_indices(23), options};
    for (int first = 0; first <= whole.batches(); ++first) {
        Epoch rest;
        whole.start_epoch(2);
        for (int i = 0; const ctnn::MiniBatch* batch = whole.next(); ++i) {
            if (i >= first) { append(rest, *batch); }
        }
        CHECK(run_epoch(resumed, 2, first) == rest);
    }
    CHECK_THAT(argument_error([&] { whole.start_epoch(0, 6); }), Contains("first_batch is 6, expected 0 to 5"));
    CHECK_THAT(argument_error([&] { whole.start_epoch(0, -1); }), Contains("first_batch is -1"));
    CHECK_THAT(argument_error([&] { whole.start_epoch(-1); }), Contains("epoch is -1"));
}

TEST_CASE("an epoch may be abandoned at any batch", "[data][loader]") {
    const auto set = small_set(40);
    const ctnn::LoaderOptions options{.batch_size = 3, .seed = 1, .augment = true};
    ctnn::BatchLoader loader{set, ctnn::all_indices(40), options}, fresh{set, ctnn::all_indices(40), options};
    for (int taken = 0; taken < 8; ++taken) {
        loader.start_epoch(taken);
        for (int i = 0; i < taken; ++i) { REQUIRE(loader.next() != nullptr); }
        loader.start_epoch(taken + 50);  // abandoned again at once
        REQUIRE(run_epoch(loader, taken + 100) == run_epoch(fresh, taken + 100));
    }
}

TEST_CASE("a batch stays as it is while the thread runs ahead", "[data][loader]") {
    const auto set = small_set(200);
    ctnn::BatchLoader loader{set, ctnn::all_indices(200), {.batch_size = 2, .shuffle = false}};
    loader.start_epoch(0);
    while (const ctnn::MiniBatch* batch = loader.next()) {
        const std::vector<float> before{batch->images.begin(), batch->images.end()};
        std::this_thread::yield();
        REQUIRE(std::ranges::equal(before, batch->images));
        REQUIRE(std::equal(before.end() - 105, before.end(), reference(set, batch->ids[1], 0, {}).begin()));
    }
}

TEST_CASE("a loader is destroyed cleanly at any moment", "[data][loader]") {
    const auto set = small_set(40);
    const int taken = GENERATE(-1, 0, 1, 2, 13, 14);
    ctnn::BatchLoader loader{set, ctnn::all_indices(40), {.batch_size = 3}};
    if (taken >= 0) { loader.start_epoch(0); }
    for (int i = 0; i < taken; ++i) { CHECK((loader.next() != nullptr) == (i < 14)); }
}

TEST_CASE("an error in the thread is rethrown by next", "[data][loader]") {
    auto set = small_set(20);
    ctnn::BatchLoader loader{set, ctnn::all_indices(20), {.batch_size = 4}};
    const auto pixels = std::exchange(set.pixels, {});
    loader.start_epoch(0);
    CHECK_THAT(argument_error([&] { (void)loader.next(); }), Contains("number of pixel bytes is 0"));
    CHECK_THROWS_AS(loader.next(), ctnn::ArgumentError);
    set.pixels = pixels;  // the thread is idle now
    CHECK(run_epoch(loader, 1).ids.size() == 20);
}

TEST_CASE("a loader refuses what cannot be", "[data][loader]") {
    auto set = small_set(20);
    const auto refusal = [&](std::vector<std::uint32_t> indices, ctnn::LoaderOptions options) {
        return argument_error([&] { ctnn::BatchLoader{set, std::move(indices), options}; });
    };
    CHECK(refusal({0, 19}, {}).empty());
    CHECK_THAT(refusal({0}, {.batch_size = 0}), Contains("batch_size is 0, expected at least 1"));
    CHECK_THAT(refusal({0}, {.crop_padding = -1}), Contains("crop_padding is -1"));
    CHECK_THAT(refusal({}, {}), Contains("number of indices is 0"));
    CHECK_THAT(refusal({3, 20}, {}), Contains("index is 20, expected less than the 20 samples"));
    CHECK_THAT(refusal({1, 2, 3}, {.batch_size = 4, .drop_last = true}), Contains("at most the 3 samples"));
    set.labels[7] = 4;
    CHECK(refusal({6, 8}, {}).empty());
    CHECK_THAT(refusal({6, 7}, {}), Contains("label of sample 7 is 4, expected less than the 4 classes"));
    set.labels[7] = 3;
    set.pixels.pop_back();
    CHECK_THAT(refusal({0}, {}), Contains("number of pixel bytes is 2099, expected 20 samples of 105"));
    set.pixels.push_back(0);
    set.shape.height = 0;
    CHECK_THAT(refusal({0}, {}), Contains("smallest extent of the images is 0"));
    set.shape.height = 5;
    set.normalization.std.pop_back();
    CHECK_THAT(refusal({0}, {}), Contains("expected 3 of each"));
}
