// What a loss compares a network's output with, and what it returns.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>

namespace ctnn::inline CTNN_ISA {

/// Classes of a batch: one a sample or, where two images are mixed, two, of which the first has the share `mix`
/// (mixup; Zhang et al. 2018). Views of what somebody else owns.
struct Labels {
    std::span<const std::int32_t> first;
    std::span<const std::int32_t> second{};  ///< of the size of `first`, or empty
    double mix = 1.0;                        ///< in [0, 1]; used where there are second labels

    Labels() = default;
    template <class Classes>
        requires std::convertible_to<const Classes&, std::span<const std::int32_t>>
    Labels(const Classes& classes, std::span<const std::int32_t> others = {}, double share = 1.0)  // NOLINT: implicit
        : first{classes}, second{others}, mix{share} {}

    [[nodiscard]] std::size_t size() const { return first.size(); }
    [[nodiscard]] bool mixed() const { return !second.empty(); }
    /// Samples [begin, begin + count).
    [[nodiscard]] Labels part(std::size_t begin, std::size_t count) const {
        return {first.subspan(begin, count), mixed() ? second.subspan(begin, count) : second, mix};
    }
    /// The label with the larger share: the one to be recognised.
    [[nodiscard]] std::int32_t main(std::size_t sample) const {
        return mixed() && mix < 0.5 ? second[sample] : first[sample];
    }
};

namespace detail {

/// What is not a number is so without a sign, which processors set as they like.
inline double ratio(double part, double whole) {
    const double r = part / whole;
    return std::isnan(r) ? std::numeric_limits<double>::quiet_NaN() : r;
}

}  // namespace detail

/// Sums over samples: the losses, how many were classified correctly (ties: the lower class), how many there were.
struct LossSum {
    double loss_sum = 0.0;
    std::int64_t correct = 0;
    std::int64_t count = 0;
    double weight = 0.0;  ///< what loss_sum is divided by: count, or with class weights the sum of the labels' weights

    /// Per sample; NaN over none.
    [[nodiscard]] double mean() const { return detail::ratio(loss_sum, weight); }
    [[nodiscard]] double accuracy() const {
        return detail::ratio(static_cast<double>(correct), static_cast<double>(count));
    }

    LossSum& operator+=(const LossSum& other) {
        loss_sum += other.loss_sum;
        correct += other.correct;
        count += other.count;
        weight += other.weight;
        return *this;
    }
    bool operator==(const LossSum&) const = default;
};

/// Index of the largest number; among equals the first.
template <class T>
int argmax(std::span<const T> row) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < row.size(); ++i) {
        if (row[i] > row[best]) { best = i; }
    }
    return static_cast<int>(best);
}

namespace detail {

/// Number of rows of `classes` numbers. Throws ArgumentError where the size is no multiple.
inline std::size_t rows_of(std::size_t size, int classes) {
    if (classes < 1 || size % static_cast<std::size_t>(classes) != 0) {
        raise<ArgumentError>({size, " logits are no whole number of rows of ", classes, " classes"});
    }
    return size / static_cast<std::size_t>(classes);
}

/// Throws ArgumentError unless there is one label a row, each in [0, classes), and as many second ones where there
/// are any.
inline void check_labels(std::size_t rows, const Labels& labels, int classes) {
    const auto check = [&](std::span<const std::int32_t> list) {
        if (list.size() != rows) {
            raise(
                ArgumentError(std::to_string(list.size()) + " labels for " + std::to_string(rows) + " rows of logits"));
        }
        for (std::size_t i = 0; i < rows; ++i) {
            if (list[i] < 0 || list[i] >= classes) {
                raise<ArgumentError>({"label of sample ", i, " is ", list[i], ", expected 0 to ", classes - 1});
            }
        }
    };
    check(labels.first);
    if (!labels.mixed()) { return; }
    check(labels.second);
    if (!(labels.mix >= 0.0 && labels.mix <= 1.0)) {
        raise<ArgumentError>({"the share of mixed labels is ", labels.mix, ", expected 0 to 1"});
    }
}

/// Throws ArgumentError unless a gradient is empty or of its output's size.
inline void check_gradient(std::size_t gradient, std::size_t outputs) {
    if (gradient != 0 && gradient != outputs) {
        raise<ArgumentError>({"the gradient has ", gradient, " elements, the logits ", outputs});
    }
}

/// Below this many logits a row loop stays on the calling thread: starting the others would take longer.
inline constexpr std::size_t parallel_logits = 4096;
inline int threads_for(std::size_t logits, int threads) { return logits >= parallel_logits ? threads : 1; }

/// Σ of row(i) over `rows` rows: chunks depend on the number of rows alone, and their sums are added in order.
template <class Row>
LossSum sum_rows(std::size_t rows, int threads, Row&& row) {
    std::array<LossSum, 128> partial{};
    const std::size_t chunk = (rows + partial.size() - 1) / partial.size();
    const auto chunks = chunk == 0 ? 0 : static_cast<int>((rows + chunk - 1) / chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * chunk;
        LossSum sum;
        for (std::size_t i = begin; i < std::min(begin + chunk, rows); ++i) { sum += row(i); }
        partial[static_cast<std::size_t>(c)] = sum;
    });
    LossSum total;
    for (const LossSum& sum : partial) { total += sum; }
    return total;
}

}  // namespace detail

}  // namespace ctnn::inline CTNN_ISA
