// The loader beyond one thread and one shape: workers, sources that decode, sizes, augmentations, mixup, settings.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/data/loader.hpp>
#include <ctnn/data/statistics.hpp>
#endif

namespace {

using Catch::Matchers::Contains;
using ctnn::BatchLoader;
using ctnn::LoaderOptions;
using ctnn::Shape;

/// Images of differing sizes, every third grey, "decoded" when they are wanted; images listed as broken throw.
class Pictures final : public ctnn::ImageSource {
  public:
    explicit Pictures(std::size_t count, std::set<std::size_t> broken = {})
        : count_{count}, broken_{std::move(broken)} {}

    [[nodiscard]] std::size_t size() const override { return count_; }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return static_cast<std::uint16_t>(i % 5); }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return names_; }
    [[nodiscard]] const ctnn::Normalization& normalization() const override { return normalization_; }
    ctnn::ImageView read(std::size_t i, ctnn::Image& scratch) const override {
        ++reads;
        if (broken_.contains(i)) { throw ctnn::FileError{"picture " + std::to_string(i) + ": broken"}; }
        const auto k = static_cast<int>(i);
        scratch.resize({k % 3 == 2 ? 1 : 3, 9 + k % 4, 8 + k % 7});
        ctnn::Random random{1, ctnn::Stream::test, 0, static_cast<std::uint32_t>(i)};
        for (std::uint8_t& byte : scratch.pixels) { byte = static_cast<std::uint8_t>(random.below(256)); }
        return scratch.view();
    }
    mutable std::atomic<int> reads = 0;

  private:
    std::size_t count_;
    std::set<std::size_t> broken_;
    std::vector<std::string> names_{"a", "b", "c", "d", "e"};
    ctnn::Normalization normalization_{{0.5f, 0.4f, 0.45f}, {0.25f, 0.2f, 0.22f}};
};

ctnn::Dataset small_set(std::size_t samples, Shape shape = {3, 6, 5}) {
    ctnn::Dataset set{.shape = shape,
                      .pixels = std::vector<std::uint8_t>(samples * static_cast<std::size_t>(shape.size())),
                      .labels = std::vector<std::uint16_t>(samples),
                      .class_names = {"a", "b"},
                      .normalization = {}};
    set.normalization.mean.assign(static_cast<std::size_t>(shape.channels), 0.5f);
    set.normalization.std.assign(static_cast<std::size_t>(shape.channels), 0.25f);
    ctnn::Random random{7, ctnn::Stream::test};
    for (auto& pixel : set.pixels) { pixel = static_cast<std::uint8_t>(random.below(256)); }
    for (std::size_t i = 0; i < samples; ++i) { set.labels[i] = static_cast<std::uint16_t>(i % 2); }
    return set;
}

/// One epoch, copied.
struct Epoch {
    std::vector<std::uint32_t> ids;
    std::vector<std::int32_t> labels, second_labels;
    std::vector<float> images, mixes;
    bool operator==(const Epoch&) const = default;
};

void append(Epoch& epoch, const ctnn::MiniBatch& batch) {
    epoch.ids.insert(epoch.ids.end(), batch.ids.begin(), batch.ids.end());
    epoch.labels.insert(epoch.labels.end(), batch.labels.begin(), batch.labels.end());
    epoch.second_labels.insert(epoch.second_labels.end(), batch.second_labels.begin(), batch.second_labels.end());
    epoch.images.insert(epoch.images.end(), batch.images.begin(), batch.images.end());
    epoch.mixes.push_back(batch.mix);
}

Epoch run_epoch(BatchLoader& loader, int number, int first_batch = 0) {
    Epoch epoch;
    loader.start_epoch(number, first_batch);
    while (const ctnn::MiniBatch* batch = loader.next()) { append(epoch, *batch); }
    return epoch;
}

/// Every augmentation at once, on images of all sizes.
LoaderOptions everything() {
    return {.batch_size = 4,
            .seed = 9,
            .augment = true,
            .crop_padding = 2,
            .reflect_border = true,
            .alternate_flips = true,
            .augmentation = {.jitter = {.brightness = 0.3, .contrast = 0.3, .saturation = 0.3, .hue = 0.1},
                             .lighting = 0.1,
                             .cutout = 3},
            .mixup = 0.4,
            .shape = {3, 8, 7},
            .shorter_side = 10};
}

/// The first sample of epoch 0 of `source` under options that are not shuffled.
template <class Source>
std::vector<float> first_sample(const Source& source, LoaderOptions options, int epoch = 0) {
    options.shuffle = false;
    options.batch_size = 1;
    BatchLoader loader{source, {0}, options};
    return run_epoch(loader, epoch).images;
}

}  // namespace

TEST_CASE("batches do not depend on the number of workers", "[data][loader]") {
    const Pictures pictures{61};
    const bool resized_crop = GENERATE(false, true);
    LoaderOptions options = everything();
    options.augmentation.random_resized_crop = resized_crop;
    BatchLoader one{pictures, ctnn::all_indices(61), options};
    const std::array<Epoch, 3> expected{run_epoch(one, 0), run_epoch(one, 1), run_epoch(one, 1, 7)};
    CHECK(expected[0].ids.size() == 61);
    CHECK(expected[2].ids.size() == 61 - 28);
    CHECK(expected[0].images != expected[1].images);
    for (const int workers : {2, 3, 8, 20}) {  // more than there are batches, too
        options.workers = workers;
        BatchLoader many{pictures, ctnn::all_indices(61), options};
        CHECK(run_epoch(many, 0) == expected[0]);
        CHECK(run_epoch(many, 1) == expected[1]);
        CHECK(run_epoch(many, 1, 7) == expected[2]);
    }
}

TEST_CASE("epochs restarted at random moments stay what they are", "[data][loader]") {
    const Pictures pictures{50};
    LoaderOptions options = everything();
    options.batch_size = 3;
    options.shape = {3, 4, 4};
    BatchLoader fresh{pictures, ctnn::all_indices(50), options};
    std::vector<Epoch> whole;
    for (int epoch = 0; epoch < 4; ++epoch) { whole.push_back(run_epoch(fresh, epoch)); }
    for (const int workers : {1, 2, 5}) {
        options.workers = workers;
        BatchLoader loader{pictures, ctnn::all_indices(50), options};
        ctnn::Random random{static_cast<std::uint64_t>(workers), ctnn::Stream::test};
        for (int round = 0; round < 150; ++round) {
            loader.start_epoch(static_cast<int>(random.below(4)), static_cast<int>(random.below(18)));
            for (std::uint32_t taken = random.below(6); taken > 0; --taken) { loader.next(); }
            if (round % 10 == 0) {
                const int epoch = static_cast<int>(random.below(4));
                REQUIRE(run_epoch(loader, epoch) == whole[static_cast<std::size_t>(epoch)]);
            }
        }
    }
}

TEST_CASE("a loader with workers is destroyed cleanly at any moment", "[data][loader]") {
    const Pictures pictures{40};
    LoaderOptions options{.batch_size = 3, .shape = {3, 8, 8}};
    for (int round = 0; round < 60; ++round) {
        options.workers = 1 + round % 4;
        BatchLoader loader{pictures, ctnn::all_indices(40), options};
        if (round % 5 != 0) { loader.start_epoch(round); }
        for (int i = 0; i < round % 17; ++i) { CHECK((loader.next() != nullptr) == (round % 5 != 0 && i < 14)); }
    }
}

TEST_CASE("an error arrives in its place, and the next epoch begins anew", "[data][loader]") {
    const Pictures pictures{40, {17, 22, 39}};
    const int workers = GENERATE(1, 2, 6);
    BatchLoader loader{
        pictures, ctnn::all_indices(40), {.batch_size = 4, .shuffle = false, .shape = {3, 8, 8}, .workers = workers}};
    for (int epoch = 0; epoch < 20; ++epoch) {
        loader.start_epoch(epoch);
        for (std::uint32_t batch = 0; batch < 4; ++batch) {
            const ctnn::MiniBatch* const found = loader.next();
            REQUIRE(found != nullptr);
            REQUIRE(found->ids[0] == 4 * batch);
        }
        REQUIRE_THROWS_WITH(loader.next(), "picture 17: broken");
        REQUIRE_THROWS_AS(loader.next(), ctnn::FileError);
        loader.start_epoch(epoch, 6);  // behind it
        REQUIRE(loader.next() != nullptr);
    }
}

TEST_CASE("after an error nothing further is prepared", "[data][loader]") {
    const Pictures pictures{40, {2}};
    {
        BatchLoader loader{pictures, ctnn::all_indices(40), {.batch_size = 1, .shuffle = false, .shape = {3, 8, 8}}};
        loader.start_epoch(0);
        CHECK(loader.next() != nullptr);
        CHECK(loader.next() != nullptr);
        CHECK_THROWS_AS(loader.next(), ctnn::FileError);
        for (int i = 0; i < 1000; ++i) { std::this_thread::yield(); }  // there would be free slots now
        CHECK_THROWS_AS(loader.next(), ctnn::FileError);
    }
    CHECK(pictures.reads == 3);
}

TEST_CASE("images are read as often as they are wanted, and never twice", "[data][loader]") {
    class Counting final : public ctnn::ImageSource {
      public:
        [[nodiscard]] std::size_t size() const override { return 30; }
        [[nodiscard]] Shape shape() const override { return {1, 2, 2}; }
        [[nodiscard]] std::uint16_t label(std::size_t /*i*/) const override { return 0; }
        [[nodiscard]] const std::vector<std::string>& class_names() const override { return names_; }
        [[nodiscard]] const ctnn::Normalization& normalization() const override { return normalization_; }
        ctnn::ImageView read(std::size_t i, ctnn::Image& scratch) const override {
            const std::lock_guard lock{mutex};
            ++reads[i];
            scratch.resize(shape());
            std::fill(scratch.pixels.begin(), scratch.pixels.end(), static_cast<std::uint8_t>(i));
            return scratch.view();
        }
        mutable std::mutex mutex;
        mutable std::map<std::size_t, int> reads;

      private:
        std::vector<std::string> names_{"a"};
        ctnn::Normalization normalization_{{0}, {1}};
    };
    const Counting source;
    BatchLoader loader{source, ctnn::all_indices(30), {.batch_size = 4, .workers = 3}};
    CHECK(loader.shape() == Shape{1, 2, 2});
    const Epoch epoch = run_epoch(loader, 0);
    CHECK(source.reads.size() == 30);
    for (const auto& [i, n] : source.reads) { CHECK(n == 1); }
    for (std::size_t i = 0; i < 30; ++i) { CHECK(epoch.images[4 * i] == static_cast<float>(epoch.ids[i]) / 255.0f); }
}

TEST_CASE("images of another size are resized, or their middle is taken", "[data][loader]") {
    const auto set = small_set(3);
    const ctnn::ByteTable table{set.normalization, 3};
    const auto normalized = [&](const ctnn::ImageView& image) {
        std::vector<float> out(static_cast<std::size_t>(image.shape.size()));
        ctnn::place_image(image, table, {}, image.shape.height, image.shape.width, out.data());
        return out;
    };
    const ctnn::ImageView image{set.image(0), set.shape};
    CHECK(first_sample(set, {}) == normalized(image));
    CHECK(first_sample(set, {.shape = {3, 9, 4}}) == normalized(ctnn::resize_bilinear(image, 9, 4).view()));
    const auto larger = ctnn::resize_shorter_side(image, 11);
    CHECK(larger.shape == Shape{3, 13, 11});
    CHECK(first_sample(set, {.shape = {3, 10, 8}, .shorter_side = 11}) ==
          normalized(ctnn::centre_crop(larger.view(), 10, 8)));

    // With `augment` the crop lies anywhere in the larger image: 4 rows and 4 columns without padding.
    std::set<std::vector<float>> crops, expected;
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 4; ++x) { expected.insert(normalized(larger.view().crop(y, x, 10, 8))); }
    }
    for (int epoch = 0; epoch < 200; ++epoch) {
        crops.insert(first_sample(
            set, {.augment = true, .crop_padding = 0, .flip = false, .shape = {3, 10, 8}, .shorter_side = 11}, epoch));
    }
    CHECK(crops == expected);  // each of 16 fails to show in 200 epochs by chance 4e-5

    // Grey images fill three equal channels.
    const auto grey = small_set(3, {1, 6, 5});
    auto three = grey;
    three.normalization = set.normalization;
    const auto rgb = first_sample(three, {.shape = {3, 6, 5}});
    const auto plain = first_sample(grey, {});
    for (std::size_t i = 0; i < rgb.size(); ++i) { REQUIRE(rgb[i] == plain[i / 3]); }
}

TEST_CASE("augmentations reach the batch", "[data][loader]") {
    const auto set = small_set(1);
    const auto plain = first_sample(set, {});
    // Cutout: the square that random_cutout names is 0, all else as it was.
    const ctnn::Box box = ctnn::random_cutout(3, 0, 4, 0, 6, 5);
    const auto cut = first_sample(set, {.augmentation = {.cutout = 3}}, 4);
    for (int y = 0; y < 6; ++y) {
        for (int x = 0; x < 5; ++x) {
            const bool inside = y >= box.y && y < box.y + box.height && x >= box.x && x < box.x + box.width;
            const auto i = static_cast<std::size_t>((y * 5 + x) * 3);
            REQUIRE(cut[i] == (inside ? 0.0f : plain[i]));
        }
    }
    // Lighting: one offset for every pixel, another for another epoch.
    const auto lit = first_sample(set, {.augmentation = {.lighting = 0.1}}, 4);
    const auto later = first_sample(set, {.augmentation = {.lighting = 0.1}}, 5);
    for (std::size_t i = 3; i < lit.size(); ++i) {
        REQUIRE(lit[i] - plain[i] == Approx(lit[i % 3] - plain[i % 3]).margin(1e-5));  // sums of size 2 in float
    }
    CHECK(std::abs(lit[0] - plain[0]) > 1e-4f);
    CHECK(lit != later);
    // Colours: the bytes that jitter_colours makes.
    const ctnn::ColourJitter jitter{.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.2};
    auto changed = set;
    ctnn::Image image;
    image.assign({set.image(0), set.shape});
    ctnn::jitter_colours(image, jitter, ctnn::detail::augment_random(ctnn::detail::Draw::colours, 0, 4, 0));
    changed.pixels = image.pixels;
    CHECK(changed.pixels != set.pixels);
    CHECK(first_sample(set, {.augmentation = {.jitter = jitter}}, 4) == first_sample(changed, {}));
    // A random resized crop: the box resized, and mirrored or not.
    const ctnn::Augmentation resized{.random_resized_crop = true, .scale_min = 0.3};
    const ctnn::Box part = ctnn::random_resized_box(resized, 0, 4, 0, 6, 5);
    changed.pixels = ctnn::resize_bilinear(
                         ctnn::ImageView{set.image(0), set.shape}.crop(part.y, part.x, part.height, part.width), 6, 5)
                         .pixels;
    CHECK(first_sample(set, {.augmentation = resized}, 4) == first_sample(changed, {}));
    auto flipped = first_sample(changed, {});
    if (ctnn::alternating_flip(0, 4, 0)) { ctnn::mirror_images(flipped, set.shape, flipped); }
    const LoaderOptions flips{.augment = true, .alternate_flips = true, .augmentation = resized};
    CHECK(first_sample(set, flips, 4) == flipped);
    auto other_side = flipped;
    ctnn::mirror_images(flipped, set.shape, other_side);
    const LoaderOptions plain_flips{.augment = true, .crop_padding = 0, .alternate_flips = true};
    const auto even = first_sample(set, plain_flips, 6), odd = first_sample(set, plain_flips, 7);
    ctnn::mirror_images(even, set.shape, other_side);
    CHECK(odd == other_side);
}

TEST_CASE("mixup mixes a batch and says with what", "[data][loader]") {
    const Pictures pictures{22};
    LoaderOptions options{.batch_size = 8, .seed = 3, .shape = {3, 6, 6}, .workers = 2};
    BatchLoader plain{pictures, ctnn::all_indices(22), options};
    options.mixup = 0.8;
    BatchLoader mixed{pictures, ctnn::all_indices(22), options};
    plain.start_epoch(1);
    mixed.start_epoch(1);
    constexpr std::size_t size = 3 * 6 * 6;
    std::set<float> mixes;
    while (const ctnn::MiniBatch* batch = mixed.next()) {
        const ctnn::MiniBatch* const before = plain.next();
        REQUIRE(before != nullptr);
        CHECK(before->second_labels.empty());
        CHECK(before->mix == 1.0f);
        CHECK(std::ranges::equal(before->ids, batch->ids));
        CHECK(std::ranges::equal(before->labels, batch->labels));
        REQUIRE(batch->second_labels.size() == batch->labels.size());
        mixes.insert(batch->mix);
        std::vector<bool> used(batch->ids.size());
        for (std::size_t i = 0; i < batch->ids.size(); ++i) {
            // The partner is the one sample whose pixels explain the mixture. Rounding of values of size 2.
            int partners = 0;
            for (std::size_t j = 0; j < batch->ids.size(); ++j) {
                bool explains = batch->labels[j] == batch->second_labels[i];
                for (std::size_t k = 0; explains && k < size; ++k) {
                    const float expected =
                        batch->mix * before->images[i * size + k] + (1 - batch->mix) * before->images[j * size + k];
                    explains = std::abs(batch->images[i * size + k] - expected) < 1e-5f;
                }
                if (explains) {
                    ++partners;
                    CHECK_FALSE(used[j]);
                    used[j] = true;
                }
            }
            CHECK(partners == 1);
        }
    }
    CHECK(mixes.size() == 3);
}

// A data set that would be gone before the first batch.
static_assert(
    std::is_constructible_v<ctnn::BatchLoader, const ctnn::Dataset&, std::vector<std::uint32_t>, ctnn::LoaderOptions>);
static_assert(
    !std::is_constructible_v<ctnn::BatchLoader, ctnn::Dataset, std::vector<std::uint32_t>, ctnn::LoaderOptions>);
static_assert(!std::is_constructible_v<ctnn::DatasetSource, ctnn::Dataset>);

TEST_CASE("a loader refuses options out of range, and images that do not fit", "[data][loader]") {
    const auto set = small_set(4);
    const auto refused = [&](LoaderOptions options, const std::string& piece) {
        CHECK_THROWS_WITH((BatchLoader{set, ctnn::all_indices(4), options}), Contains(piece));
    };
    refused({.workers = 0}, "workers is 0, expected 1 to 256");
    refused({.workers = 257}, "workers is 257");
    refused({.mixup = -0.1}, "mixup is -0.1");
    refused({.shape = {3, 0, 5}}, "smallest extent of the shape is 0");
    refused({.shape = {3, 8, 9}, .shorter_side = 8}, "shorter_side is 8, expected 0, or at least the 9 pixels");
    refused({.shorter_side = 5}, "shorter_side is 5, expected 0, or at least the 6 pixels");
    refused({.shorter_side = -1}, "shorter_side is -1");
    refused({.augmentation = {.cutout = -2}}, "cutout is -2");
    const auto two = small_set(4, {2, 6, 5});
    CHECK_THROWS_WITH((BatchLoader{two, ctnn::all_indices(4), {.augmentation = {.lighting = 0.1}}}),
                      Contains("channels for lighting is 2"));
    CHECK_THROWS_WITH((BatchLoader{two, ctnn::all_indices(4), {.augmentation = {.jitter = {.hue = 0.1}}}}),
                      Contains("channels for changes of colour is 2"));

    const Pictures pictures{4};
    CHECK_THROWS_WITH((BatchLoader{pictures, ctnn::all_indices(4), {}}), Contains("differ in shape"));
    auto normalized = two;
    normalized.normalization = set.normalization;
    BatchLoader loader{normalized, ctnn::all_indices(4), {.shuffle = false, .shape = {3, 6, 5}}};
    loader.start_epoch(0);
    CHECK_THROWS_WITH(loader.next(), Contains("sample 0 has 2 channels, expected 3"));
}

TEST_CASE("the list of a loader's settings is complete", "[data][loader]") {
    // Options rebuilt from the list give the same batches, and every entry matters to it.
    LoaderOptions options = everything();
    std::map<std::string, double> values;
    const auto& constant = options;
    ctnn::for_each_setting(
        constant, [&](const char* key, auto value) { CHECK(values.emplace(key, static_cast<double>(value)).second); });
    LoaderOptions rebuilt;
    ctnn::for_each_setting(rebuilt, [&](const char* key, auto& value) {
        value = static_cast<std::remove_reference_t<decltype(value)>>(values.at(key));
    });
    const Pictures pictures{20};
    BatchLoader a{pictures, ctnn::all_indices(20), options}, b{pictures, ctnn::all_indices(20), rebuilt};
    CHECK(run_epoch(a, 3) == run_epoch(b, 3));
    CHECK(values.at("loader_batch_size") == 4);
    CHECK(values.at("input_width") == 7);
    CHECK_FALSE(values.contains("workers"));
}

TEST_CASE("a set's normalisation is estimated over its pixels", "[data][statistics]") {
    ctnn::Dataset set{.shape = {2, 1, 2},
                      .pixels = {0, 255, 10, 10, 255, 0, 10, 30},
                      .labels = {0, 0},
                      .class_names = {"a"},
                      .normalization = {}};
    const auto found = ctnn::estimate_normalization(set);
    CHECK(found.mean[0] == Approx(0.5));
    CHECK(found.std[0] == Approx(0.5));
    CHECK(found.mean[1] == Approx(15 / 255.0));
    CHECK(found.std[1] == Approx(std::sqrt(75.0) / 255));  // squares 25, 25, 25, 225

    const Pictures pictures{60};  // uniform bytes: mean 0.5, standard deviation 0.29; about 7500 pixels
    const auto all = ctnn::estimate_normalization(pictures, 3);
    const auto some = ctnn::estimate_normalization(pictures, 3, 20);
    for (std::size_t c = 0; c < 3; ++c) {
        CHECK(all.mean[c] == Approx(0.5).margin(0.02));
        CHECK(all.std[c] == Approx(0.29).margin(0.01));
        CHECK(some.mean[c] == Approx(0.5).margin(0.035));
    }
    CHECK(all != some);
    CHECK_THROWS_WITH(ctnn::estimate_normalization(pictures, 3, 0), Contains("0 images"));
    CHECK_THROWS_AS(ctnn::estimate_normalization(pictures, 2), ctnn::ArgumentError);
}
