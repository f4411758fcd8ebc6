// What decides the batches of a loader, as one value that files can hold.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

#include <ctnn/core/error.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/data/augment.hpp>

namespace ctnn::inline CTNN_ISA {

/// What a loader does with samples, and how it cuts them into batches.
struct LoaderOptions {
    int batch_size = 128;
    std::uint64_t seed = 0;
    bool shuffle = true;           ///< a new order every epoch, from (seed, epoch)
    bool augment = false;          ///< random crop and flip, from (seed, epoch, sample)
    int crop_padding = 4;          ///< used where `augment` is set
    bool flip = true;              ///< used where `augment` is set
    bool drop_last = false;        ///< leave out the last batch where it is not full
    bool reflect_border = false;   ///< the crop's padding is the image reflected instead of byte 0
    bool alternate_flips = false;  ///< flips alternate from epoch to epoch instead of being random in each
    Augmentation augmentation{};   ///< what else is left to chance; needs no `augment`
    double mixup = 0.0;            ///< α of mixup's Beta(α, α); 0 is off

    /// Of the batches' samples; {} is that of the images. Images of other sizes are resized, grey ones become RGB.
    Shape shape{};
    /// How they are resized: 0 is to `shape` exactly, the aspect not kept. Any other number is the shorter side to
    /// which they are brought with their aspect kept; then the middle is taken, or with `augment` a crop anywhere.
    int shorter_side = 0;
    /// Threads that prepare batches. They decide no numbers.
    int workers = 1;
    /// Which share of every batch is prepared where processes train together: the others are other ranks'. The batches
    /// themselves are the same for any number of ranks.
    int rank = 0, ranks = 1;

    /// Throws ArgumentError for a value out of range.
    void validate() const {
        const auto expect = [](bool good, const char* what, auto value, const std::string& expected) {
            if (!good) { raise<ArgumentError>({"batch loader: ", what, " is ", value, ", expected ", expected}); }
        };
        expect(batch_size >= 1, "batch_size", batch_size, "at least 1");
        expect(crop_padding >= 0 && crop_padding <= 1 << 20, "crop_padding", crop_padding,
               "at least 0 and at most 2^20");
        expect(mixup >= 0 && mixup <= 1e3, "mixup", mixup, "0 to 1000");
        if (shape != Shape{}) {
            const int least = std::min({shape.channels, shape.height, shape.width});
            expect(least >= 1, "smallest extent of the shape", least, "at least 1");
        }
        expect(shorter_side >= 0, "shorter_side", shorter_side, "at least 0");
        expect(workers >= 1 && workers <= 256, "workers", workers, "1 to 256");
        expect(ranks >= 1, "ranks", ranks, "at least 1");
        expect(rank >= 0 && rank < ranks, "rank", rank, "0 to " + std::to_string(ranks - 1));
        augmentation.validate();
    }
};

/// Calls f(key, value) for every option that decides what batches hold, values being numbers and bools: one list for
/// whoever writes, reads or compares them. The numbers of workers and ranks are none. batch_size and seed have keys
/// that differ from the trainer's, beside which they are written.
template <class Options, class F>
    requires std::same_as<std::remove_const_t<Options>, LoaderOptions>
void for_each_setting(Options& o, F&& f) {
    f("loader_batch_size", o.batch_size);
    f("loader_seed", o.seed);
    f("shuffle", o.shuffle);
    f("augment", o.augment);
    f("crop_padding", o.crop_padding);
    f("flip", o.flip);
    f("drop_last", o.drop_last);
    f("reflect_border", o.reflect_border);
    f("alternate_flips", o.alternate_flips);
    f("random_resized_crop", o.augmentation.random_resized_crop);
    f("scale_min", o.augmentation.scale_min);
    f("scale_max", o.augmentation.scale_max);
    f("ratio_min", o.augmentation.ratio_min);
    f("ratio_max", o.augmentation.ratio_max);
    f("brightness", o.augmentation.jitter.brightness);
    f("contrast", o.augmentation.jitter.contrast);
    f("saturation", o.augmentation.jitter.saturation);
    f("hue", o.augmentation.jitter.hue);
    f("lighting", o.augmentation.lighting);
    f("cutout", o.augmentation.cutout);
    f("mixup", o.mixup);
    f("input_channels", o.shape.channels);
    f("input_height", o.shape.height);
    f("input_width", o.shape.width);
    f("shorter_side", o.shorter_side);
}

}  // namespace ctnn::inline CTNN_ISA
