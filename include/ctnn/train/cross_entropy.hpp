// Softmax cross-entropy on class labels: loss and gradient in one pass over each row of logits.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/train/targets.hpp>

namespace ctnn::inline CTNN_ISA {

/// torch.nn.CrossEntropyLoss(weight=class_weights, label_smoothing=label_smoothing), reduction mean. With smoothing ε
/// the target t is (1 − ε)·one-hot + ε / classes (Szegedy et al. 2016, section 7), with mixed labels (1 −
/// ε)·(mix·one-hot + (1 − mix)·second one-hot) + ε / classes; a sample's loss is −Σ_c weight[c]·t[c]·log softmax[c],
/// and the mean divides by the sum of the labels' weights, mixed as they are: PyTorch, given such targets, divides by
/// the number of samples. Where the sum is 0 the gradient is 0; PyTorch's is NaN.
struct CrossEntropy {
    static constexpr std::string_view name = "cross-entropy";

    double label_smoothing = 0.0;         ///< in [0, 1]
    std::vector<double> class_weights{};  ///< one a class, or none: all 1

    /// Throws ArgumentError.
    void validate() const {
        if (!(label_smoothing >= 0.0 && label_smoothing <= 1.0)) {
            raise<ArgumentError>({"label_smoothing is ", label_smoothing, ", expected 0 to 1"});
        }
        for (const double w : class_weights) {
            if (!(std::isfinite(w) && w >= 0.0)) {
                raise(
                    ArgumentError("a class weight is " + std::to_string(w) + ", expected finite numbers, at least 0"));
            }
        }
    }
    /// Throws ArgumentError where there are class weights, but not one a class.
    void check_classes(int classes) const {
        if (!class_weights.empty() && class_weights.size() != static_cast<std::size_t>(classes)) {
            raise<ArgumentError>(
                {class_weights.size(), " class weights, expected one for each of ", classes, " classes"});
        }
    }
    [[nodiscard]] double weight(std::int32_t label) const {
        return class_weights.empty() ? 1.0 : class_weights[static_cast<std::size_t>(label)];
    }
    /// What sample `i` adds to the mean's divisor.
    [[nodiscard]] double weight(const Labels& labels, std::size_t i) const {
        return labels.mixed() ? labels.mix * weight(labels.first[i]) + (1.0 - labels.mix) * weight(labels.second[i])
                              : weight(labels.first[i]);
    }
    /// What a batch's mean divides by.
    [[nodiscard]] double divisor(const Labels& labels) const {
        if (class_weights.empty()) { return static_cast<double>(labels.size()); }
        double sum = 0.0;
        for (std::size_t i = 0; i < labels.size(); ++i) { sum += weight(labels, i); }
        return sum;
    }
};

namespace detail {

/// Sample `i`: loss, hit, and, unless `d` is empty, the gradient times `scale`. The row's maximum is subtracted first,
/// so exp never overflows and the sum is at least 1; sums are double, and so are the differences in the loss, which in
/// float may overflow. `d` may be `x`: an element is read before it is written. `weight_sum` is that of all classes.
template <class T>
LossSum cross_entropy_row(const CrossEntropy& settings, std::span<const T> x, const Labels& labels, std::size_t i,
                          double weight_sum, double scale, std::span<T> d) {
    const double smoothing = settings.label_smoothing, off = smoothing / static_cast<double>(x.size());
    const auto first = labels.first[i], second = labels.mixed() ? labels.second[i] : first;
    const double mix = labels.mixed() ? labels.mix : 1.0;
    // The targets' parts that are not smoothing, times their classes' weights.
    const double first_target = (1.0 - smoothing) * mix * settings.weight(first);
    const double second_target = (1.0 - smoothing) * (1.0 - mix) * settings.weight(second);
    const double targets = first_target + second_target + off * weight_sum;  // Σ weight·t

    const int best = argmax(x);
    const T top = x[static_cast<std::size_t>(best)];
    const auto below_top = [&](std::size_t j) { return static_cast<double>(x[j]) - static_cast<double>(top); };
    const double first_below = below_top(static_cast<std::size_t>(first));
    const double second_below = below_top(static_cast<std::size_t>(second));
    double sum = 0.0, below_sum = 0.0;
    for (std::size_t j = 0; j < x.size(); ++j) {
        const T below = x[j] - top;
        const T e = std::exp(below);
        sum += static_cast<double>(e);
        // Only what has a share: 0 · −∞ would make a masked logit NaN.
        if (const double w = settings.weight(static_cast<std::int32_t>(j)); w > 0.0) { below_sum += w * below_top(j); }
        if (!d.empty()) { d[j] = e; }
    }
    if (!d.empty()) {
        const double share = targets / sum;
        for (std::size_t j = 0; j < x.size(); ++j) {
            const auto c = static_cast<std::int32_t>(j);
            const double target =
                off * settings.weight(c) + (c == first ? first_target : 0.0) + (c == second ? second_target : 0.0);
            d[j] = static_cast<T>((static_cast<double>(d[j]) * share - target) * scale);
        }
    }
    double loss = targets * std::log(sum);
    if (first_target > 0.0) { loss -= first_target * first_below; }
    if (second_target > 0.0) { loss -= second_target * second_below; }
    if (off > 0.0) { loss -= off * below_sum; }
    return {loss, best == labels.main(i) ? 1 : 0, 1, settings.weight(labels, i)};
}

}  // namespace detail

/// Loss and gradient of a batch. `logits` are n × classes, row-major; `labels` n classes. `dlogits`, of the size of
/// `logits`, is overwritten with the gradient of Σ loss / divisor; it may be `logits` itself, or empty where only the
/// loss is wanted. A divisor of 0 stands for the batch's own, so that the loss is PyTorch's mean; a part of a larger
/// batch takes the whole batch's. Bit-identical for any number of threads; allocates nothing. Throws ArgumentError on a
/// size that does not fit, a label outside [0, classes) or a bad setting, before it writes.
template <class T>
LossSum cross_entropy(const CrossEntropy& settings, std::span<const T> logits, const Labels& labels, int classes,
                      std::span<T> dlogits, int threads = default_threads(), double divisor = 0.0) {
    settings.validate();
    settings.check_classes(classes);
    const std::size_t rows = detail::rows_of(logits.size(), classes);
    detail::check_labels(rows, labels, classes);
    detail::check_gradient(dlogits.size(), logits.size());

    const auto width = static_cast<std::size_t>(classes);
    double weight_sum = settings.class_weights.empty() ? static_cast<double>(classes) : 0.0;
    for (const double w : settings.class_weights) { weight_sum += w; }
    const double whole = divisor > 0.0 ? divisor : settings.divisor(labels);
    const double scale = whole > 0.0 ? 1.0 / whole : 0.0;
    return detail::sum_rows(rows, detail::threads_for(logits.size(), threads), [&](std::size_t i) {
        const auto d = dlogits.empty() ? dlogits : dlogits.subspan(i * width, width);
        return detail::cross_entropy_row(settings, logits.subspan(i * width, width), labels, i, weight_sum, scale, d);
    });
}

}  // namespace ctnn::inline CTNN_ISA
