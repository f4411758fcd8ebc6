// Mean squared error, to the labels' one-hot vectors or to given targets: loss and gradient.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/train/targets.hpp>

namespace ctnn::inline CTNN_ISA {

/// torch.nn.MSELoss, reduction mean: over samples and outputs. Has no settings.
struct Mse {
    static constexpr std::string_view name = "mse";

    void validate() const {}
    void check_classes(int) const {}
    [[nodiscard]] double divisor(const Labels& labels) const { return static_cast<double>(labels.size()); }
};

namespace detail {

/// A row: mean of (x − target(j))², and its gradient times `scale`. `d` may be `x`.
template <class T, class Target>
double mse_row(std::span<const T> x, double scale, std::span<T> d, Target&& target) {
    const double share = 1.0 / static_cast<double>(x.size());
    double sum = 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) {
        const double difference = static_cast<double>(x[j]) - target(j);
        sum += difference * difference;
        if (!d.empty()) { d[j] = static_cast<T>(2.0 * share * scale * difference); }
    }
    return sum * share;
}

/// All rows; target(i, j) is that of output j of sample i, hit(i, row) whether it counts as recognised.
template <class T, class Target, class Hit>
LossSum mse_rows(std::span<const T> outputs, std::size_t rows, std::span<T> d, int threads, double divisor,
                 Target&& target, Hit&& hit) {
    check_gradient(d.size(), outputs.size());
    const std::size_t width = rows == 0 ? 0 : outputs.size() / rows;
    const double scale = 1.0 / (divisor > 0.0 ? divisor : static_cast<double>(rows));
    return sum_rows(rows, threads_for(outputs.size(), threads), [&](std::size_t i) {
        const auto row = outputs.subspan(i * width, width);
        const std::int64_t correct = hit(i, row) ? 1 : 0;  // before `d`, which may be the row, is written
        const double loss = mse_row<T>(row, scale, d.empty() ? d : d.subspan(i * width, width),
                                       [&](std::size_t j) { return target(i, j); });
        return LossSum{loss, correct, 1, 1.0};
    });
}

}  // namespace detail

/// Of n × classes outputs to the labels' one-hot vectors, mixed where labels are. Arguments, result and errors are
/// cross_entropy's.
template <class T>
LossSum mse(std::span<const T> outputs, const Labels& labels, int classes, std::span<T> d,
            int threads = default_threads(), double divisor = 0.0) {
    const std::size_t rows = detail::rows_of(outputs.size(), classes);
    detail::check_labels(rows, labels, classes);
    const double mix = labels.mixed() ? labels.mix : 1.0;
    return detail::mse_rows<T>(
        outputs, rows, d, threads, divisor,
        [&](std::size_t i, std::size_t j) {
            const auto c = static_cast<std::int32_t>(j);
            return (c == labels.first[i] ? mix : 0.0) + (labels.mixed() && c == labels.second[i] ? 1.0 - mix : 0.0);
        },
        [&](std::size_t i, std::span<const T> row) { return argmax(row) == labels.main(i); });
}

/// Of `samples` rows of outputs to targets of the same size; no row counts as correct. Throws ArgumentError on a size
/// that does not fit.
template <class T>
LossSum mse_to(std::span<const T> outputs, std::span<const T> targets, int samples, std::span<T> d,
               int threads = default_threads(), double divisor = 0.0) {
    if (targets.size() != outputs.size() || samples < 1 || outputs.size() % static_cast<std::size_t>(samples) != 0) {
        raise<ArgumentError>(
            {"MSE: ", targets.size(), " targets for ", outputs.size(), " outputs of ", samples, " samples"});
    }
    const auto rows = static_cast<std::size_t>(samples);
    const std::size_t width = outputs.size() / rows;
    return detail::mse_rows<T>(
        outputs, rows, d, threads, divisor,
        [&](std::size_t i, std::size_t j) { return static_cast<double>(targets[i * width + j]); },
        [](std::size_t, std::span<const T>) { return false; });
}

}  // namespace ctnn::inline CTNN_ISA
