// Cross-entropy on class labels, loss and gradient in one pass over each row of logits; softmax and log-softmax.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>

namespace ctnn::inline CTNN_ISA {

/// Softmax cross-entropy. With smoothing ε the target is (1 − ε)·one-hot + ε / classes (Szegedy et al. 2016,
/// section 7), as in PyTorch's CrossEntropyLoss(label_smoothing=ε).
struct CrossEntropy {
    double label_smoothing = 0.0;  ///< in [0, 1]

    /// Throws ArgumentError.
    void validate() const {
        if (!(label_smoothing >= 0.0 && label_smoothing <= 1.0)) {
            throw ArgumentError("label_smoothing is " + std::to_string(label_smoothing) + ", expected 0 to 1");
        }
    }
};

/// Sums over samples: the losses, how many were classified correctly (ties: the lower class), how many there were.
struct LossSum {
    double loss_sum = 0.0;
    std::int64_t correct = 0;
    std::int64_t count = 0;

    /// Per sample; NaN over none.
    [[nodiscard]] double mean() const { return loss_sum / static_cast<double>(count); }
    [[nodiscard]] double accuracy() const { return static_cast<double>(correct) / static_cast<double>(count); }

    LossSum& operator+=(const LossSum& other) {
        loss_sum += other.loss_sum;
        correct += other.correct;
        count += other.count;
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
        throw ArgumentError(std::to_string(size) + " logits are no whole number of rows of " + std::to_string(classes) +
                            " classes");
    }
    return size / static_cast<std::size_t>(classes);
}

/// Throws ArgumentError unless there is one label a row, each in [0, classes).
inline void check_labels(std::size_t rows, std::span<const std::int32_t> labels, int classes) {
    if (labels.size() != rows) {
        throw ArgumentError(std::to_string(labels.size()) + " labels for " + std::to_string(rows) + " rows of logits");
    }
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0 || labels[i] >= classes) {
            throw ArgumentError("label of sample " + std::to_string(i) + " is " + std::to_string(labels[i]) +
                                ", expected 0 to " + std::to_string(classes - 1));
        }
    }
}

/// One row: loss, hit, and, unless `d` is empty, (softmax − target)·scale. The row's maximum is subtracted first, so
/// exp never overflows and the sum is at least 1; sums are double. `d` may be `x`: an element is read before it is
/// written.
template <class T>
LossSum cross_entropy_row(std::span<const T> x, std::size_t label, double smoothing, double scale, std::span<T> d) {
    const int best = argmax(x);
    const T top = x[static_cast<std::size_t>(best)];
    const double below_top = static_cast<double>(x[label] - top);
    double sum = 0.0, below_sum = 0.0, label_exp = 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) {
        const T below = x[j] - top;
        const T e = std::exp(below);
        sum += static_cast<double>(e);
        below_sum += static_cast<double>(below);
        if (j == label) { label_exp = static_cast<double>(e); }
        if (!d.empty()) { d[j] = e; }
    }
    const double off = smoothing / static_cast<double>(x.size());
    if (!d.empty()) {
        const double inverse = 1.0 / sum;
        for (T& v : d) { v = static_cast<T>((static_cast<double>(v) * inverse - off) * scale); }
        d[label] = static_cast<T>((label_exp * inverse - off - (1.0 - smoothing)) * scale);
    }
    double loss = std::log(sum) - (1.0 - smoothing) * below_top;
    if (smoothing > 0.0) { loss -= off * below_sum; }  // unless: 0 · −∞ would make a masked logit NaN
    return {loss, best == static_cast<int>(label) ? 1 : 0, 1};
}

/// Below this many logits a row loop stays on the calling thread: starting the others would take longer.
inline constexpr std::size_t parallel_logits = 4096;
inline int threads_for(std::size_t logits, int threads) { return logits >= parallel_logits ? threads : 1; }

}  // namespace detail

/// Loss and gradient of a batch. `logits` are n × classes, row-major; `labels` n classes. `dlogits`, of the size of
/// `logits`, is overwritten with the gradient of the MEAN loss over the n samples; it may be `logits` itself, or
/// empty where only the loss is wanted. Bit-identical for any number of threads; allocates nothing. Throws
/// ArgumentError on a size that does not fit, a label outside [0, classes) or a bad smoothing, before it writes.
template <class T>
LossSum cross_entropy(const CrossEntropy& settings, std::span<const T> logits, std::span<const std::int32_t> labels,
                      int classes, std::span<T> dlogits, int threads = default_threads()) {
    settings.validate();
    const std::size_t rows = detail::rows_of(logits.size(), classes);
    detail::check_labels(rows, labels, classes);
    if (!dlogits.empty() && dlogits.size() != logits.size()) {
        throw ArgumentError("the gradient has " + std::to_string(dlogits.size()) + " elements, the logits " +
                            std::to_string(logits.size()));
    }
    if (rows == 0) { return {}; }

    // Chunks depend on the number of rows alone; their sums are added in order.
    std::array<LossSum, 128> partial{};
    const std::size_t width = static_cast<std::size_t>(classes);
    const std::size_t chunk = (rows + partial.size() - 1) / partial.size();
    const double scale = 1.0 / static_cast<double>(rows);
    const auto chunks = static_cast<int>((rows + chunk - 1) / chunk);
    parallel_for(chunks, detail::threads_for(logits.size(), threads), [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * chunk;
        LossSum sum;
        for (std::size_t i = begin; i < std::min(begin + chunk, rows); ++i) {
            const auto d = dlogits.empty() ? dlogits : dlogits.subspan(i * width, width);
            sum += detail::cross_entropy_row(logits.subspan(i * width, width), static_cast<std::size_t>(labels[i]),
                                             settings.label_smoothing, scale, d);
        }
        partial[static_cast<std::size_t>(c)] = sum;
    });
    LossSum total;
    for (const LossSum& sum : partial) { total += sum; }
    return total;
}

namespace detail {

/// Softmax or its logarithm of every row; see there.
template <bool Log, class T>
void softmax_rows(std::span<const T> logits, int classes, std::span<T> out, int threads) {
    const auto rows = static_cast<int>(rows_of(logits.size(), classes));
    if (out.size() != logits.size()) {
        throw ArgumentError("softmax: the output has " + std::to_string(out.size()) + " elements, the logits " +
                            std::to_string(logits.size()));
    }
    const std::size_t width = static_cast<std::size_t>(classes);
    parallel_for(rows, threads_for(logits.size(), threads), [&](int i, int) {
        const auto x = logits.subspan(static_cast<std::size_t>(i) * width, width);
        const auto y = out.subspan(static_cast<std::size_t>(i) * width, width);
        const T top = x[static_cast<std::size_t>(argmax(x))];
        double sum = 0.0;
        for (std::size_t j = 0; j < width; ++j) {
            const T below = x[j] - top;
            const T e = std::exp(below);
            sum += static_cast<double>(e);
            y[j] = Log ? below : e;
        }
        const double by = Log ? std::log(sum) : 1.0 / sum;
        for (T& v : y) { v = static_cast<T>(Log ? static_cast<double>(v) - by : static_cast<double>(v) * by); }
    });
}

}  // namespace detail

/// Probabilities of every row of n × classes logits; overflow-safe. `out` has their size and may be `logits`.
/// Throws ArgumentError on a size that does not fit.
template <class T>
void softmax(std::span<const T> logits, int classes, std::span<T> out, int threads = default_threads()) {
    detail::softmax_rows<false>(logits, classes, out, threads);
}

/// Logarithms of the probabilities, as `softmax`, exact where these would underflow.
template <class T>
void log_softmax(std::span<const T> logits, int classes, std::span<T> out, int threads = default_threads()) {
    detail::softmax_rows<true>(logits, classes, out, threads);
}

}  // namespace ctnn::inline CTNN_ISA
