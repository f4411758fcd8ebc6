// Batches prepared by threads beside the training step: shuffled, augmented, normalised, channels last.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/data/loader_options.hpp>
#include <ctnn/data/mixup.hpp>
#include <ctnn/data/normalize.hpp>
#include <ctnn/data/sample.hpp>
#include <ctnn/data/source.hpp>
#include <ctnn/data/split.hpp>

namespace ctnn::inline CTNN_ISA {

/// `size` samples, ready to be fed to a network; of ranks, a share of a batch, which may be empty.
struct MiniBatch {
    std::span<const float> images;         ///< size × (height, width, channels), normalised
    std::span<const std::int32_t> labels;  ///< size
    std::span<const std::uint32_t> ids;    ///< size; each sample's index in the data set, which keys dropout
    int size = 0;
    std::span<const std::int32_t> second_labels{};  ///< of the samples mixed in, size; empty without mixup
    float mix = 1;                                  ///< the share λ of `labels`; second_labels have 1 − λ
};

/// Iterates over the samples of a data set or another source that `indices` names, in batches:
///
///     BatchLoader loader{data, all_indices(data.size()), {.batch_size = 128, .augment = true}};
///     loader.start_epoch(epoch);
///     while (const MiniBatch* batch = loader.next()) { … }
///
/// Threads prepare the batches behind the one in use. What a batch holds depends on the options, the epoch and its
/// number alone, never on timing or the number of threads. The source must outlive the loader and stay as it is. To be
/// used from one thread.
class BatchLoader {
  public:
    /// Throws ArgumentError for a data set that contradicts itself, and for arguments out of range; Error where the
    /// system gives no thread.
    BatchLoader(const Dataset& data, std::vector<std::uint32_t> indices, LoaderOptions options)
        : BatchLoader{std::make_shared<DatasetSource>(data), std::move(indices), options} {
        start_workers();
    }
    /// The same for images from elsewhere. Where they differ in shape, the options must say which one batches have.
    BatchLoader(const ImageSource& source, std::vector<std::uint32_t> indices, LoaderOptions options)
        : BatchLoader{SourcePointer{SourcePointer{}, &source}, std::move(indices), options} {
        start_workers();
    }
    /// A source that would be gone.
    BatchLoader(const Dataset&& data, std::vector<std::uint32_t> indices, LoaderOptions options) = delete;
    BatchLoader(const ImageSource&& source, std::vector<std::uint32_t> indices, LoaderOptions options) = delete;
    BatchLoader(const BatchLoader&) = delete;
    BatchLoader& operator=(const BatchLoader&) = delete;
    ~BatchLoader() {
        {
            const std::lock_guard lock{mutex_};
            stop_ = true;
            abandoned_ = true;
        }
        wake_workers_.notify_all();
        for (std::thread& thread : threads_) { thread.join(); }
    }

    /// Begins epoch `epoch` ≥ 0 at batch `first_batch` in [0, batches()], as a resumed run does; whatever was left of
    /// another epoch is dropped, and the batch last returned is no longer valid. Waits for samples that are being
    /// prepared for that.
    void start_epoch(int epoch, int first_batch = 0) {
        if (epoch < 0) { fail("epoch", epoch, "at least 0"); }
        if (first_batch < 0 || first_batch > batches_) {
            fail("first_batch", first_batch, "0 to " + std::to_string(batches_));
        }
        {
            std::unique_lock lock{mutex_};
            running_ = false;
            abandoned_ = true;
            wake_user_.wait(lock, [this] { return busy_ == 0; });
            abandoned_ = false;
            std::copy(indices_.begin(), indices_.end(), order_.begin());
            if (options_.shuffle) { shuffle_indices(order_, options_.seed, epoch); }
            for (Slot& slot : slots_) {
                slot.ready = false;
                slot.error = nullptr;
            }
            epoch_ = epoch;
            claimed_ = returned_ = first_batch;
            holding_ = failed_ = false;
            running_ = true;
        }
        wake_workers_.notify_all();
    }

    /// The next batch, valid until the next call of next() or start_epoch(); null at the end of the epoch and before
    /// the first one. Waits where the threads are behind. Never allocates. Where preparing this batch failed, throws
    /// what it threw, and again until an epoch is started.
    const MiniBatch* next() {
        std::unique_lock lock{mutex_};
        holding_ = false;
        wake_workers_.notify_one();
        if (!running_ || returned_ == batches_) { return nullptr; }
        Slot& slot = slot_of(returned_);
        wake_user_.wait(lock, [&] { return slot.ready; });
        if (slot.error != nullptr) { std::rethrow_exception(slot.error); }
        slot.ready = false;
        holding_ = true;
        ++returned_;
        return &slot.batch;
    }

    /// Batches in an epoch.
    [[nodiscard]] int batches() const { return batches_; }
    /// Samples in an epoch, those that drop_last leaves out not counted.
    [[nodiscard]] std::size_t samples() const {
        return std::min(indices_.size(), static_cast<std::size_t>(batches_) * batch_capacity());
    }
    /// Of the batches' samples.
    [[nodiscard]] Shape shape() const { return shape_; }
    /// Throws ArgumentError unless batches have the shape of a network's input.
    void require_shape(Shape input) const {
        if (shape_ == input) { return; }
        const auto text = [](Shape s) {
            return std::to_string(s.channels) + "x" + std::to_string(s.height) + "x" + std::to_string(s.width);
        };
        raise<ArgumentError>(
            {"batch loader: batches are ", text(shape_), ", expected the ", text(input), " of the network's input"});
    }
    /// Throws ArgumentError unless all labels are of that many classes.
    void require_classes(int classes) const {
        for (const std::uint32_t i : indices_) {
            if (const int label = source_->label(i); label >= classes) {
                fail("label of sample " + std::to_string(i), static_cast<std::size_t>(label),
                     "0 to " + std::to_string(classes - 1));
            }
        }
    }
    /// Throws ArgumentError unless batches are the share of that rank.
    void require_rank(int rank, int ranks) const {
        if (options_.rank == rank && options_.ranks == ranks) { return; }
        raise<ArgumentError>({"batch loader: batches are those of rank ", options_.rank, " of ", options_.ranks,
                              ", expected rank ", rank, " of ", ranks});
    }
    [[nodiscard]] const LoaderOptions& options() const { return options_; }

  private:
    using SourcePointer = std::shared_ptr<const ImageSource>;  // one that owns, or one that does not

    struct Slot {
        AlignedArray<float> images;
        std::vector<std::int32_t> labels, second_labels;
        MiniBatch batch;
        bool ready = false;        // prepared and not yet with the user
        std::exception_ptr error;  // what preparing it threw instead
    };

    /// What a thread has for itself.
    struct Worker {
        SamplePipeline prepare;
        std::optional<Mixup> mix;
    };

    BatchLoader(SourcePointer source, std::vector<std::uint32_t> indices, LoaderOptions options)
        : source_{std::move(source)},
          indices_{std::move(indices)},
          options_{options},
          shape_{batch_shape(*source_, options)},
          table_{source_->normalization(), shape_.channels} {
        check();
        const std::size_t n = indices_.size(), b = batch_capacity();
        const auto workers = static_cast<std::size_t>(options_.workers);
        batches_ = static_cast<int>(options_.drop_last ? n / b : (n + b - 1) / b);
        order_ = indices_;
        slots_ = std::vector<Slot>(workers + 2);  // one with the user, one ready, one being filled by each
        for (Slot& slot : slots_) {
            // Any two samples of a batch may be mixed: then all of it is prepared.
            const std::size_t prepared = options_.mixup > 0 ? b : largest_shard(b, options_.ranks);
            slot.images = AlignedArray<float>{prepared * sample_size()};
            slot.labels.resize(prepared);
            if (options_.mixup > 0) { slot.second_labels.resize(b); }
        }
        workers_.reserve(workers);
        for (std::size_t i = 0; i < workers; ++i) {
            workers_.push_back({SamplePipeline{*source_, options_, shape_, table_}, std::nullopt});
            if (options_.mixup > 0) { workers_.back().mix.emplace(options_.mixup, options_.batch_size, sample_size()); }
        }
    }

    /// In the body of the public constructors, where the destructor already joins the threads that were started.
    void start_workers() {
        threads_.reserve(workers_.size());
#if defined(__cpp_exceptions)
        try {
#endif
            for (Worker& worker : workers_) {
                threads_.emplace_back([this, &worker] { work(worker); });
            }
#if defined(__cpp_exceptions)
        } catch (const std::system_error& error) {
            raise<Error>({"batch loader: cannot start thread ", threads_.size() + 1, " of ", workers_.size(), ": ",
                          error.what(), "; expected memory and processes for it (ulimit -v, -u)"});
        }
#endif
    }

    template <class Value>
    [[noreturn]] static void fail(const std::string& what, Value value, const std::string& expected) {
        raise<ArgumentError>({"batch loader: ", what, " is ", value, ", expected ", expected});
    }

    /// Of valid options.
    static Shape batch_shape(const ImageSource& source, const LoaderOptions& options) {
        options.validate();
        const Shape shape = options.shape == Shape{} ? source.shape() : options.shape;
        if (shape == Shape{}) {
            raise<ArgumentError>(
                {"batch loader: the images differ in shape, expected options with the batches' shape"});
        }
        return shape;
    }

    void check() const {
        const int longer = std::max(shape_.height, shape_.width);
        if (options_.shorter_side != 0 && options_.shorter_side < longer) {
            fail("shorter_side", options_.shorter_side,
                 "0, or at least the " + std::to_string(longer) + " pixels that are taken from it");
        }
        if (options_.augmentation.lighting > 0 && shape_.channels != 3) {
            fail("channels for lighting", shape_.channels, "3");
        }
        if (options_.augmentation.jitter.on() && shape_.channels != 3 && shape_.channels != 1) {
            fail("channels for changes of colour", shape_.channels, "3 or 1");
        }
        if (indices_.empty()) { fail("number of indices", 0, "at least 1"); }
        const std::size_t classes = source_->class_names().size();
        for (const std::uint32_t i : indices_) {
            if (i >= source_->size()) {
                fail("index", i, "less than the " + std::to_string(source_->size()) + " samples");
            }
            if (source_->label(i) >= classes) {
                fail("label of sample " + std::to_string(i), source_->label(i),
                     "less than the " + std::to_string(classes) + " classes");
            }
        }
        if (options_.drop_last && indices_.size() < batch_capacity()) {
            fail("batch_size", options_.batch_size,
                 "at most the " + std::to_string(indices_.size()) + " samples, as drop_last would leave no batch");
        }
    }

    [[nodiscard]] std::size_t batch_capacity() const { return static_cast<std::size_t>(options_.batch_size); }
    [[nodiscard]] std::size_t sample_size() const { return static_cast<std::size_t>(shape_.size()); }
    [[nodiscard]] Slot& slot_of(int batch) { return slots_[static_cast<std::size_t>(batch) % slots_.size()]; }

    /// A thread: takes batches in their order and fills their slots, without holding the mutex meanwhile. After an
    /// error nothing further is taken, so that all batches before the one that failed are still prepared, and then all
    /// is still.
    void work(Worker& worker) {
        std::unique_lock lock{mutex_};
        for (;;) {
            wake_workers_.wait(lock, [this] { return stop_ || has_work(); });
            if (stop_) { return; }
            const int batch = claimed_++;
            ++busy_;
            Slot& slot = slot_of(batch);
            std::exception_ptr error;
            lock.unlock();
#if defined(__cpp_exceptions)
            try {
                fill(slot, worker, batch);
            } catch (...) { error = std::current_exception(); }
#else
            fill(slot, worker, batch);
#endif
            lock.lock();
            --busy_;
            failed_ = failed_ || error != nullptr;
            slot.error = std::move(error);
            slot.ready = true;  // start_epoch() takes that back where the batch was abandoned
            wake_user_.notify_one();
        }
    }

    /// Slots are in use from the batch that the user holds to the last one taken.
    [[nodiscard]] bool has_work() const {
        const int in_use = claimed_ - returned_ + (holding_ ? 1 : 0);
        return running_ && !failed_ && claimed_ < batches_ && in_use < static_cast<int>(slots_.size());
    }

    void fill(Slot& slot, Worker& worker, int batch) const {
        const std::size_t begin = static_cast<std::size_t>(batch) * batch_capacity();
        const std::size_t n = std::min(batch_capacity(), order_.size() - begin);
        const Shard own = shard_of(n, options_.rank, options_.ranks), prepared = worker.mix ? Shard{0, n} : own;
        const std::span<const std::uint32_t> ids = std::span{order_}.subspan(begin + prepared.begin, prepared.size());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (abandoned_) { return; }
            worker.prepare(ids[i], epoch_, slot.images.data() + i * sample_size());
            slot.labels[i] = source_->label(ids[i]);
        }
        const std::span<float> images = slot.images.span().first(ids.size() * sample_size());
        const std::span<std::int32_t> labels = std::span{slot.labels}.first(ids.size());
        slot.batch = {images, labels, ids, static_cast<int>(ids.size())};
        if (worker.mix) {
            const std::span<std::int32_t> second = std::span{slot.second_labels}.first(n);
            const float mix = (*worker.mix)(options_.seed, epoch_, batch, images, labels, second);
            slot.batch = {images.subspan(own.begin * sample_size(), own.size() * sample_size()),
                          labels.subspan(own.begin, own.size()),
                          ids.subspan(own.begin, own.size()),
                          static_cast<int>(own.size()),
                          second.subspan(own.begin, own.size()),
                          mix};
        }
    }

    const SourcePointer source_;
    const std::vector<std::uint32_t> indices_;
    const LoaderOptions options_;
    const Shape shape_;
    const ByteTable table_;
    int batches_ = 0;

    // Of the current epoch: written by start_epoch() while no thread is busy, read by those that are.
    std::vector<std::uint32_t> order_;
    int epoch_ = 0;
    std::atomic<bool> abandoned_ = false;  // what is being prepared is not wanted any more

    std::mutex mutex_;  // guards everything below, but for what a slot holds while a thread fills it or the user has it
    std::condition_variable wake_workers_, wake_user_;
    std::vector<Slot> slots_;
    int claimed_ = 0, returned_ = 0;  // batches of this epoch
    int busy_ = 0;                    // threads that are filling a slot
    bool holding_ = false, running_ = false, failed_ = false, stop_ = false;

    std::vector<Worker> workers_;
    std::vector<std::thread> threads_;
};

}  // namespace ctnn::inline CTNN_ISA
