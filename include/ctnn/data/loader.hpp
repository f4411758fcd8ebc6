// Batches prepared by a thread beside the training step: shuffled, augmented, normalised, channels last.
#pragma once

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/data/augment.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/data/split.hpp>

namespace ctnn::inline CTNN_ISA {

/// `size` samples, ready to be fed to a network.
struct MiniBatch {
    std::span<const float> images;         ///< size × (height, width, channels), normalised
    std::span<const std::int32_t> labels;  ///< size
    std::span<const std::uint32_t> ids;    ///< size; each sample's index in the data set, which keys dropout
    int size = 0;
};

struct LoaderOptions {
    int batch_size = 128;
    std::uint64_t seed = 0;
    bool shuffle = true;     ///< a new order every epoch, from (seed, epoch)
    bool augment = false;    ///< random crop and flip, from (seed, epoch, sample)
    int crop_padding = 4;    ///< used where `augment` is set
    bool flip = true;        ///< used where `augment` is set
    bool drop_last = false;  ///< leave out the last batch where it is not full
};

/// Iterates over the samples of a data set that `indices` names, in batches:
///
///     BatchLoader loader{data, all_indices(data.size()), {.batch_size = 128, .augment = true}};
///     loader.start_epoch(epoch);
///     while (const MiniBatch* batch = loader.next()) { … }
///
/// One thread prepares the batches behind the one in use. What a batch holds depends on the options, the epoch and its
/// number alone, never on timing. The data set must outlive the loader and stay as it is. To be used from one thread.
class BatchLoader {
  public:
    /// Throws ArgumentError for a data set that contradicts itself, and for arguments out of range.
    BatchLoader(const Dataset& data, std::vector<std::uint32_t> indices, LoaderOptions options)
        : data_{data},
          indices_{std::move(indices)},
          options_{options},
          table_{data.normalization, data.shape.channels} {
        check();
        const std::size_t n = indices_.size(), b = batch_capacity();
        batches_ = static_cast<int>(options_.drop_last ? n / b : (n + b - 1) / b);
        order_ = indices_;
        for (Slot& slot : slots_) {
            slot.images = AlignedArray<float>{b * sample_size()};
            slot.labels.resize(b);
        }
        worker_ = std::thread{[this] { work(); }};
    }
    BatchLoader(const BatchLoader&) = delete;
    BatchLoader& operator=(const BatchLoader&) = delete;
    ~BatchLoader() {
        {
            const std::lock_guard lock{mutex_};
            stop_ = true;
        }
        wake_worker_.notify_one();
        worker_.join();
    }

    /// Begins epoch `epoch` ≥ 0 at batch `first_batch` in [0, batches()], as a resumed run does; whatever was left of
    /// another epoch is dropped, and the batch last returned is no longer valid.
    void start_epoch(int epoch, int first_batch = 0) {
        if (epoch < 0) { fail("epoch", epoch, "at least 0"); }
        if (first_batch < 0 || first_batch > batches_) {
            fail("first_batch", first_batch, "0 to " + std::to_string(batches_));
        }
        {
            const std::lock_guard lock{mutex_};
            ++generation_;
            epoch_ = epoch;
            prepared_ = returned_ = first_batch;
            holding_ = false;
            ordered_ = false;
            running_ = true;
            error_ = nullptr;
        }
        wake_worker_.notify_one();
    }

    /// The next batch, valid until the next call of next() or start_epoch(); null at the end of the epoch and before
    /// the first one. Waits where the thread is behind. Never allocates. Rethrows what stopped the thread.
    const MiniBatch* next() {
        std::unique_lock lock{mutex_};
        holding_ = false;
        wake_worker_.notify_one();
        if (!running_ || returned_ == batches_) { return nullptr; }
        wake_user_.wait(lock, [this] { return prepared_ > returned_ || error_ != nullptr; });
        if (prepared_ == returned_) { std::rethrow_exception(error_); }
        holding_ = true;
        return &slot_of(returned_++).batch;
    }

    /// Batches in an epoch.
    [[nodiscard]] int batches() const { return batches_; }
    /// Samples in an epoch, those that drop_last leaves out not counted.
    [[nodiscard]] std::size_t samples() const {
        return std::min(indices_.size(), static_cast<std::size_t>(batches_) * batch_capacity());
    }
    [[nodiscard]] const LoaderOptions& options() const { return options_; }

  private:
    struct Slot {
        AlignedArray<float> images;
        std::vector<std::int32_t> labels;
        MiniBatch batch;
    };

    template <class Value>
    [[noreturn]] static void fail(const std::string& what, Value value, const std::string& expected) {
        throw ArgumentError{"batch loader: " + what + " is " + std::to_string(value) + ", expected " + expected};
    }

    void check() const {
        if (options_.batch_size < 1) { fail("batch_size", options_.batch_size, "at least 1"); }
        if (options_.crop_padding < 0) { fail("crop_padding", options_.crop_padding, "at least 0"); }
        if (std::min({data_.shape.channels, data_.shape.height, data_.shape.width}) < 1) {
            fail("smallest extent of the images",
                 std::min({data_.shape.channels, data_.shape.height, data_.shape.width}), "at least 1");
        }
        if (data_.pixels.size() != data_.size() * sample_size()) {
            fail("number of pixel bytes", data_.pixels.size(),
                 std::to_string(data_.size()) + " samples of " + std::to_string(sample_size()));
        }
        if (indices_.empty()) { fail("number of indices", 0, "at least 1"); }
        for (const std::uint32_t i : indices_) {
            if (i >= data_.size()) { fail("index", i, "less than the " + std::to_string(data_.size()) + " samples"); }
            if (data_.labels[i] >= data_.class_names.size()) {
                fail("label of sample " + std::to_string(i), data_.labels[i],
                     "less than the " + std::to_string(data_.classes()) + " classes");
            }
        }
        if (options_.drop_last && indices_.size() < batch_capacity()) {
            fail("batch_size", options_.batch_size,
                 "at most the " + std::to_string(indices_.size()) + " samples, as drop_last would leave no batch");
        }
    }

    [[nodiscard]] std::size_t batch_capacity() const { return static_cast<std::size_t>(options_.batch_size); }
    [[nodiscard]] std::size_t sample_size() const { return static_cast<std::size_t>(data_.shape.size()); }
    [[nodiscard]] Slot& slot_of(int batch) { return slots_[static_cast<std::size_t>(batch) % slots_.size()]; }

    /// The thread: fills free slots in order. While it fills one it does not hold the mutex, and an epoch that was
    /// started meanwhile makes the result void.
    void work() {
        std::unique_lock lock{mutex_};
        for (;;) {
            wake_worker_.wait(lock, [this] { return stop_ || has_work(); });
            if (stop_) { return; }
            const std::uint64_t generation = generation_;
            const int epoch = epoch_, batch = prepared_;
            const bool reorder = !std::exchange(ordered_, true);
            std::exception_ptr error;
            lock.unlock();
            try {
                if (reorder) { set_order(epoch); }
                fill(slot_of(batch), epoch, batch);
            } catch (...) { error = std::current_exception(); }
            lock.lock();
            if (generation != generation_) { continue; }
            if (error != nullptr) {
                error_ = error;
            } else {
                ++prepared_;
            }
            wake_user_.notify_one();
        }
    }

    /// A slot is free when neither a batch waiting in it nor the one the user holds is there.
    [[nodiscard]] bool has_work() const {
        const int in_use = prepared_ - returned_ + (holding_ ? 1 : 0);
        return running_ && error_ == nullptr && prepared_ < batches_ && in_use < static_cast<int>(slots_.size());
    }

    void set_order(int epoch) {
        std::copy(indices_.begin(), indices_.end(), order_.begin());
        if (options_.shuffle) { shuffle_indices(order_, options_.seed, epoch); }
    }

    void fill(Slot& slot, int epoch, int batch) const {
        if (data_.pixels.size() != data_.size() * sample_size()) {
            fail("number of pixel bytes", data_.pixels.size(), "a data set that stays as it was");
        }
        const std::size_t begin = static_cast<std::size_t>(batch) * batch_capacity();
        const std::size_t n = std::min(batch_capacity(), order_.size() - begin);
        const std::span<const std::uint32_t> ids = std::span{order_}.subspan(begin, n);
        for (std::size_t i = 0; i < n; ++i) {
            const Placement placement =
                options_.augment ? random_placement(options_.seed, epoch, ids[i], options_.crop_padding, options_.flip)
                                 : Placement{};
            place_image(data_.image(ids[i]), data_.shape, table_, placement, slot.images.data() + i * sample_size());
            slot.labels[i] = data_.labels[ids[i]];
        }
        slot.batch = {slot.images.span().first(n * sample_size()), std::span{slot.labels}.first(n), ids,
                      static_cast<int>(n)};
    }

    const Dataset& data_;
    const std::vector<std::uint32_t> indices_;
    const LoaderOptions options_;
    const ByteTable table_;
    int batches_ = 0;

    std::vector<std::uint32_t> order_;  // of this epoch; the thread's
    std::array<Slot, 3> slots_;         // one with the user, one ready, one being filled

    std::mutex mutex_;  // guards everything below
    std::condition_variable wake_worker_, wake_user_;
    std::uint64_t generation_ = 0;
    int epoch_ = 0;
    int prepared_ = 0, returned_ = 0;  // batches of this epoch
    bool holding_ = false, ordered_ = false, running_ = false, stop_ = false;
    std::exception_ptr error_;

    std::thread worker_;
};

}  // namespace ctnn::inline CTNN_ISA
