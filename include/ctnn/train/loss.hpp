// The losses that a trainer takes, as values, and the penalty whose gradient weight decay is.
#pragma once

#include <span>
#include <variant>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/kernels/squares.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/train/cross_entropy.hpp>
#include <ctnn/train/mse.hpp>
#include <ctnn/train/softmax.hpp>
#include <ctnn/train/targets.hpp>

namespace ctnn::inline CTNN_ISA {

using Loss = std::variant<CrossEntropy, Mse>;

namespace detail {

/// The losses need one number per class.
template <class Net>
struct LossError {
    static constexpr Sentence sentence = [] {
        Sentence text;
        constexpr Shape out = Net::output_shape;
        if (Net::description.error.empty() && !out.flat()) {  // a wrong network has said so already
            write_size(text << "CrossEntropy: the network ends in a " << out.channels << "x", out.height, out.width)
                << " map, not in one number per class; end it with Flatten and Linear<classes>";
        }
        return text;
    }();
    static constexpr std::string_view error() { return sentence.view(); }
};

}  // namespace detail

/// Loss and gradient of a batch by whichever loss it is; see cross_entropy.
template <class T>
LossSum loss_and_gradient(const Loss& loss, std::span<const T> outputs, const Labels& labels, int classes,
                          std::span<T> d, int threads = default_threads(), double divisor = 0.0) {
    if (const auto* settings = std::get_if<CrossEntropy>(&loss)) {
        return cross_entropy<T>(*settings, outputs, labels, classes, d, threads, divisor);
    }
    return mse<T>(outputs, labels, classes, d, threads, divisor);
}

/// L2 regularisation, ½·λ·Σw² over the weights, and over biases and norms too where asked: what a decay of λ adds to
/// the loss that is minimised. In double, bit-identical for any number of threads.
template <Network Net, class T>
double l2_loss(const Model<Net, T>& model, double lambda, bool biases_and_norms = false,
               int threads = default_threads()) {
    const auto all = model.parameters().span();
    return 0.5 * lambda * sum_of_squares<T>(biases_and_norms ? all : all.first(Parameters<Net, T>::decayed), threads);
}

}  // namespace ctnn::inline CTNN_ISA
