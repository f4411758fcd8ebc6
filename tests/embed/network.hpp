// The network whose weights become a header: padding inside tensors, running statistics, a flattened map.
#pragma once

#include <cstdint>

#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/network/model.hpp>

struct Tiny : ctnn::Sequential<ctnn::Input<3, 6, 5>, ctnn::Conv2d<20, ctnn::Kernel<3>>, ctnn::BatchNorm2d<>, ctnn::ReLU,
                               ctnn::Flatten, ctnn::Linear<4>> {};

/// The same numbers wherever it is called.
inline ctnn::Model<Tiny> tiny_model() {
    ctnn::Model<Tiny> model{ctnn::Seed{7}};
    ctnn::Random random{7, ctnn::Stream::test};
    for (float& x : model.buffers().span()) { x = random.uniform(0.5f, 2.0f); }
    model.parameters().data()[0] = -0.0f;
    model.parameters().data()[1] = 0x1p-149f;
    return model;
}
