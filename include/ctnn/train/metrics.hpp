// What a classifier gets right: accuracy, top-5, recall of every class, confusion matrix, mean loss.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/train/loss.hpp>

namespace ctnn::inline CTNN_ISA {

/// Counts over a test set, batch by batch. Where logits tie, the lower class wins, in top-1 and top-5 alike. A sample
/// with a logit that is NaN is taken for no class: it counts as wrong, and the confusion matrix lacks it. A ratio over
/// no samples is NaN. Adding allocates nothing.
class Metrics {
  public:
    /// Throws ArgumentError on fewer than one class.
    explicit Metrics(int classes) : classes_{classes} {
        if (classes < 1) { raise<ArgumentError>({"metrics: ", classes, " classes, expected at least 1"}); }
        confusion_.resize(static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes));
        samples_of_.resize(static_cast<std::size_t>(classes));
    }

    /// Counts a batch of n × classes logits. Throws ArgumentError on a size that does not fit or a label outside
    /// [0, classes), and counts nothing then.
    template <class T>
    void add(std::span<const T> logits, std::span<const std::int32_t> labels) {
        detail::check_labels(detail::rows_of(logits.size(), classes_), labels, classes_);
        const auto width = static_cast<std::size_t>(classes_);
        for (std::size_t i = 0; i < labels.size(); ++i) {
            const auto row = logits.subspan(i * width, width);
            const auto truth = static_cast<std::size_t>(labels[i]);
            ++samples_of_[truth];
            if (std::any_of(row.begin(), row.end(), [](T x) { return std::isnan(x); })) {
                ++not_numbers_;
                continue;
            }
            std::size_t ahead = 0;  // classes that come before the true one
            for (std::size_t j = 0; j < width; ++j) { ahead += j < truth ? row[j] >= row[truth] : row[j] > row[truth]; }
            top5_ += ahead < 5;
            ++confusion_[truth * width + static_cast<std::size_t>(argmax(row))];
        }
        samples_ += static_cast<std::int64_t>(labels.size());
    }

    /// Counts the losses of a batch, as cross_entropy returns them; its `correct` is not used.
    void add_loss(const LossSum& loss) {
        loss_sum_ += loss.loss_sum;
        losses_ += loss.count;
    }

    /// Adds what another counted. Throws ArgumentError where the numbers of classes differ.
    void merge(const Metrics& other) {
        if (other.classes_ != classes_) {
            raise<ArgumentError>({"metrics: ", other.classes_, " classes cannot be merged into ", classes_});
        }
        for (std::size_t i = 0; i < confusion_.size(); ++i) { confusion_[i] += other.confusion_[i]; }
        for (std::size_t i = 0; i < samples_of_.size(); ++i) { samples_of_[i] += other.samples_of_[i]; }
        top5_ += other.top5_;
        not_numbers_ += other.not_numbers_;
        samples_ += other.samples_;
        loss_sum_ += other.loss_sum_;
        losses_ += other.losses_;
    }

    /// Becomes the sum over the ranks of a distributed::Communicator, on all of them.
    template <class Comm>
    void all_reduce(Comm& comm) {
        std::vector<double> numbers;  // counts below 2⁵³ are exact
        for_each([&](auto& value) { numbers.push_back(static_cast<double>(value)); });
        comm.all_reduce(std::span{numbers});
        std::size_t next = 0;
        for_each([&](auto& value) { value = static_cast<std::remove_reference_t<decltype(value)>>(numbers[next++]); });
    }

    void clear() { *this = Metrics{classes_}; }

    [[nodiscard]] int classes() const { return classes_; }
    [[nodiscard]] std::int64_t samples() const { return samples_; }
    /// Samples with a logit that is NaN.
    [[nodiscard]] std::int64_t not_numbers() const { return not_numbers_; }

    /// Samples of class `truth` that were taken for `predicted`. Throws ArgumentError on a class that is none.
    [[nodiscard]] std::int64_t confusion(int truth, int predicted) const {
        for (const int c : {truth, predicted}) {
            if (c < 0 || c >= classes_) {
                raise<ArgumentError>({"metrics: class ", c, ", expected 0 to ", classes_ - 1});
            }
        }
        return at(truth, predicted);
    }

    /// Share of samples whose largest logit is the true class's.
    [[nodiscard]] double accuracy() const {
        std::int64_t hits = 0;
        for (int c = 0; c < classes_; ++c) { hits += at(c, c); }
        return ratio(static_cast<double>(hits), samples_);
    }

    /// Share of samples whose true class is among the five largest logits.
    [[nodiscard]] double top5() const { return ratio(static_cast<double>(top5_), samples_); }

    /// Per class, the share of its samples that were recognised.
    [[nodiscard]] std::vector<double> recall() const {
        std::vector<double> result;
        result.reserve(static_cast<std::size_t>(classes_));
        for (int truth = 0; truth < classes_; ++truth) {
            result.push_back(
                ratio(static_cast<double>(at(truth, truth)), samples_of_[static_cast<std::size_t>(truth)]));
        }
        return result;
    }

    /// Mean over all samples of all batches given to add_loss, not over batches.
    [[nodiscard]] double mean_loss() const { return ratio(loss_sum_, losses_); }

  private:
    template <class F>
    void for_each(F&& f) {
        for (std::int64_t& count : confusion_) { f(count); }
        for (std::int64_t& count : samples_of_) { f(count); }
        f(top5_), f(samples_), f(not_numbers_), f(losses_), f(loss_sum_);
    }
    [[nodiscard]] std::int64_t at(int truth, int predicted) const {
        return confusion_[static_cast<std::size_t>(truth) * static_cast<std::size_t>(classes_) +
                          static_cast<std::size_t>(predicted)];
    }
    static double ratio(double part, std::int64_t whole) { return detail::ratio(part, static_cast<double>(whole)); }

    int classes_;
    std::vector<std::int64_t> confusion_;   // classes × classes, row = truth
    std::vector<std::int64_t> samples_of_;  // by their class
    std::int64_t top5_ = 0, samples_ = 0, not_numbers_ = 0, losses_ = 0;
    double loss_sum_ = 0.0;
};

}  // namespace ctnn::inline CTNN_ISA
