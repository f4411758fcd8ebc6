// Single entries of a convolution's results in double precision, straight from the definition.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include <ctnn/core/layer.hpp>
#include <ctnn/core/random.hpp>

#include "kernels/kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// A convolution's arrays: activations channels-last, weights and their gradient as in the arena.
struct ConvolutionArrays {
    const float *x, *weights, *y, *dy, *dx, *dweights;
};

class Reference {
  public:
    Reference(const ConvolutionDims& dims, int samples, const ConvolutionArrays& arrays)
        : d_{dims},
          samples_{samples},
          a_{arrays},
          stored_{d_.groups, d_.group_out(), d_.window.y.extent, d_.window.x.extent, d_.group_in()} {}

    /// The largest difference of some entries from their exact values, as a share of the largest exact value.
    [[nodiscard]] double error(Direction direction) const {
        constexpr int entries = 48;
        Random random{1, Stream::test};
        double difference = 0.0, largest = 0.0;
        for (int i = 0; i < entries; ++i) {
            // The first and last entries are corners, where padding is met.
            const auto any = [&](int size) {
                return i == 0   ? 0
                       : i == 1 ? size - 1
                                : static_cast<int>(random.below(static_cast<std::uint32_t>(size)));
            };
            // Inner taps are live ones: of a 3×3 kernel on a 1×1 map chance would find one in nine.
            const auto tap = [&](Axis axis, int size) {
                const int o = any(axis.output(size)), begin = axis.live_begin(o), end = axis.live_end(o, size);
                return i < 2 || begin == end ? any(axis.extent) : begin + any(end - begin);
            };
            double exact = 0.0, found = 0.0;
            if (direction == Direction::forward) {
                const int n = any(samples_), r = any(d_.out.height), c = any(d_.out.width), o = any(d_.out.channels);
                exact = output(n, r, c, o);
                found = static_cast<double>(at(a_.y, d_.out, n, r, c, o));
            } else if (direction == Direction::backward_data) {
                const int n = any(samples_), r = any(d_.in.height), c = any(d_.in.width), k = any(d_.in.channels);
                exact = data_gradient(n, r, c, k);
                found = static_cast<double>(at(a_.dx, d_.in, n, r, c, k));
            } else {
                const int o = any(d_.out.channels), k = any(d_.group_in());
                const int ky = tap(d_.window.y, d_.in.height), kx = tap(d_.window.x, d_.in.width);
                exact = weight_gradient(o, k, ky, kx);
                found = static_cast<double>(a_.dweights[weight(o, k, ky, kx)]);
            }
            difference = std::max(difference, std::isfinite(found) ? std::abs(found - exact) : INFINITY);
            largest = std::max(largest, std::abs(exact));
        }
        return difference / largest;
    }

  private:
    static float at(const float* map, const Shape& s, int n, int row, int column, int channel) {
        return map[((std::ptrdiff_t{n} * s.height + row) * s.width + column) * s.channels + channel];
    }
    [[nodiscard]] std::ptrdiff_t weight(int o, int k, int ky, int kx) const {
        return stored_.stored_offset(o / d_.group_out(), o % d_.group_out(), k, ky, kx);
    }
    [[nodiscard]] bool inside(int row, int column) const {
        return row >= 0 && row < d_.in.height && column >= 0 && column < d_.in.width;
    }

    [[nodiscard]] double output(int n, int row, int column, int o) const {
        const int first = o / d_.group_out() * d_.group_in();
        double total = 0.0;
        for (int ky = 0; ky < d_.window.y.extent; ++ky) {
            for (int kx = 0; kx < d_.window.x.extent; ++kx) {
                const int r = d_.window.y.first(row) + ky, c = d_.window.x.first(column) + kx;
                if (!inside(r, c)) { continue; }
                for (int k = 0; k < d_.group_in(); ++k) {
                    total += static_cast<double>(at(a_.x, d_.in, n, r, c, first + k)) *
                             static_cast<double>(a_.weights[weight(o, k, ky, kx)]);
                }
            }
        }
        return total;
    }

    [[nodiscard]] double data_gradient(int n, int r, int c, int channel) const {
        const int group = channel / d_.group_in(), k = channel % d_.group_in();
        double total = 0.0;
        for (int row = 0; row < d_.out.height; ++row) {
            const int ky = r - d_.window.y.first(row);
            if (ky < 0 || ky >= d_.window.y.extent) { continue; }
            for (int column = 0; column < d_.out.width; ++column) {
                const int kx = c - d_.window.x.first(column);
                if (kx < 0 || kx >= d_.window.x.extent) { continue; }
                for (int o = group * d_.group_out(); o < (group + 1) * d_.group_out(); ++o) {
                    total += static_cast<double>(at(a_.dy, d_.out, n, row, column, o)) *
                             static_cast<double>(a_.weights[weight(o, k, ky, kx)]);
                }
            }
        }
        return total;
    }

    [[nodiscard]] double weight_gradient(int o, int k, int ky, int kx) const {
        const int channel = o / d_.group_out() * d_.group_in() + k;
        double total = 0.0;
        for (int n = 0; n < samples_; ++n) {
            for (int row = 0; row < d_.out.height; ++row) {
                for (int column = 0; column < d_.out.width; ++column) {
                    const int r = d_.window.y.first(row) + ky, c = d_.window.x.first(column) + kx;
                    if (!inside(r, c)) { continue; }
                    total += static_cast<double>(at(a_.x, d_.in, n, r, c, channel)) *
                             static_cast<double>(at(a_.dy, d_.out, n, row, column, o));
                }
            }
        }
        return total;
    }

    ConvolutionDims d_;
    int samples_;
    ConvolutionArrays a_;
    WeightDims stored_;
};

}  // namespace ctnn::inline CTNN_ISA::bench
