// What both programs of example 06 know: the network, and the sensor, which stands in for a real one.
#pragma once

#include <ctnn/ctnn.hpp>

struct Net : ctnn::Sequential<ctnn::Input<1, 12, 12>, ctnn::Conv2d<8, ctnn::Kernel<3>>, ctnn::ReLU,
                              ctnn::MaxPool2d<ctnn::Kernel<2>>, ctnn::Flatten, ctnn::Linear<3>> {};

// 12×12 pixels with noise: a line that lies (kind 0) or stands (kind 1), or a cross of both (kind 2).
inline void read_sensor(int kind, ctnn::Random& random, float* picture) {
    const int row = static_cast<int>(random.below(12)), column = static_cast<int>(random.below(12));
    for (int y = 0; y < 12; ++y) {
        for (int x = 0; x < 12; ++x) {
            const bool line = (kind != 1 && y == row) || (kind != 0 && x == column);
            picture[12 * y + x] = (line ? 1.0f : 0.0f) + random.uniform(-0.7f, 0.7f);
        }
    }
}
