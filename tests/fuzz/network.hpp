// A network whose files are small, with a tensor of every kind.
#pragma once

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/network/sequential.hpp>

namespace fuzz {

struct Net : ctnn::Sequential<ctnn::Input<1, 3, 3>, ctnn::Conv2d<2, ctnn::Kernel<2>>, ctnn::BatchNorm2d<>, ctnn::ReLU,
                              ctnn::Flatten, ctnn::Linear<2>> {};

/// Whether two models have the same bits: NaN is a number like others here.
inline bool same(const ctnn::Model<Net>& a, const ctnn::Model<Net>& b) {
    const auto equal = [](const auto& x, const auto& y) {
        return std::ranges::equal(std::as_bytes(x.span()), std::as_bytes(y.span()));
    };
    return equal(a.parameters(), b.parameters()) && equal(a.buffers(), b.buffers()) &&
           a.buffers().batches_tracked == b.buffers().batches_tracked;
}

}  // namespace fuzz
