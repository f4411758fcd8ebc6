// Softmax and log-softmax of rows of logits.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>
#include <string>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/train/targets.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// Softmax or its logarithm of every row; see there.
template <bool Log, class T>
void softmax_rows(std::span<const T> logits, int classes, std::span<T> out, int threads) {
    const auto rows = static_cast<int>(rows_of(logits.size(), classes));
    if (out.size() != logits.size()) {
        raise<ArgumentError>({"softmax: the output has ", out.size(), " elements, the logits ", logits.size()});
    }
    const auto width = static_cast<std::size_t>(classes);
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

/// Probabilities of every row of n × classes logits; overflow-safe. A row with NaN or +∞, or of −∞ alone, becomes NaN,
/// as in PyTorch. `out` has their size and may be `logits`.
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
