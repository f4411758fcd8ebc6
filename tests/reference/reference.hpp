// A naive interpreter of networks in double: loops over the description array, formulas from PyTorch's documentation,
// and nothing of the library's kernels. What it says is what the library must say.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/layer.hpp>
#include <ctnn/core/layout.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/network/run.hpp>
#endif

namespace reference {

using Values = std::vector<double>;

/// Values of parameter tensor `spec`, lying at `stored` as WeightDims documents, in the order of files: out, in, row,
/// column.
template <class T>
Values canonical(const ctnn::ParameterSpec& spec, const T* stored) {
    const ctnn::WeightDims& d = spec.dims;
    Values values;
    for (int out = 0; out < d.groups * d.out; ++out) {
        const int group = out / d.out, o = out % d.out;
        for (int i = 0; i < d.in; ++i) {
            for (int y = 0; y < d.kernel_y; ++y) {
                for (int x = 0; x < d.kernel_x; ++x) {
                    std::int64_t at = std::int64_t{group} * ((d.out + 15) / 16) + o / 16;
                    at = ((at * d.kernel_y + y) * d.kernel_x + x) * d.in + i;
                    values.push_back(static_cast<double>(stored[at * 16 + o % 16]));
                }
            }
        }
    }
    return values;
}

/// The parameter tensors of an arena in state_dict's order.
template <class Net, class T>
std::vector<Values> canonical(const ctnn::Parameters<Net, T>& parameters) {
    std::vector<Values> tensors;
    for (const ctnn::ParameterSlot& slot : ctnn::ParameterLayout<Net>::slots) {
        tensors.push_back(canonical(slot.spec, parameters.data() + slot.offset));
    }
    return tensors;
}

/// One batch norm's running statistics.
struct Statistics {
    Values mean, variance;
};

template <class Net, class T>
std::vector<Statistics> statistics(const ctnn::Buffers<Net, T>& buffers) {
    std::vector<Statistics> all;
    for (const ctnn::BufferSlot& slot : ctnn::ParameterLayout<Net>::buffers) {
        const T* mean = buffers.data() + slot.mean_offset;
        const T* variance = buffers.data() + slot.variance_offset;
        all.push_back({{mean, mean + slot.channels}, {variance, variance + slot.channels}});
    }
    return all;
}

/// A batch of maps. Memory is [sample][row][column][channel], as the library's is.
struct Batch {
    int samples = 0;
    ctnn::Shape shape{};
    Values values{};

    Batch(int n, ctnn::Shape s) : samples{n}, shape{s}, values(static_cast<std::size_t>(n * s.size())) {}
    [[nodiscard]] bool inside(int y, int x) const { return y >= 0 && y < shape.height && x >= 0 && x < shape.width; }
    [[nodiscard]] std::size_t index(int n, int c, int y, int x) const {
        return static_cast<std::size_t>(((std::int64_t{n} * shape.height + y) * shape.width + x) * shape.channels + c);
    }
    double& at(int n, int c, int y, int x) { return values[index(n, c, y, x)]; }
    [[nodiscard]] double at(int n, int c, int y, int x) const { return values[index(n, c, y, x)]; }

    /// Calls f(sample, channel, row, column) for every element.
    template <class F>
    void each(F&& f) const {
        for (int n = 0; n < samples; ++n) {
            for (int y = 0; y < shape.height; ++y) {
                for (int x = 0; x < shape.width; ++x) {
                    for (int c = 0; c < shape.channels; ++c) { f(n, c, y, x); }
                }
            }
        }
    }
};

class Interpreter {
  public:
    /// Any network: its parameters and statistics are copied.
    template <class Net, class T>
    explicit Interpreter(const ctnn::Model<Net, T>& model)
        : layers_(Net::description.layers.begin(), Net::description.layers.begin() + Net::layer_count),
          norms_{reference::statistics(model.buffers())} {
        const std::vector<Values> tensors = canonical(model.parameters());
        std::size_t next = 0;
        for (const ctnn::LayerInfo& info : layers_) {
            parameters_.emplace_back();
            for (int i = 0; i < info.parameter_tensors; ++i) { parameters_.back().push_back(tensors[next++]); }
        }
    }

    [[nodiscard]] const std::vector<Statistics>& statistics() const { return norms_; }

    /// The output of a pass over `n` samples; every layer's output stays for backward.
    template <class T>
    const Values& forward(const T* input, int n, bool training, const ctnn::RandomKey& key = {}) {
        outputs_.assign(1, Batch{n, layers_.front().in.shape});
        outputs_[0].values.assign(input, input + outputs_[0].values.size());
        key_ = key;
        std::size_t norm = 0;
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            Batch out{n, layers_[i].out.shape};
            forward(i, outputs_.back(), out, training, norm);
            outputs_.push_back(std::move(out));
        }
        return outputs_.back().values;
    }

    /// Gradients of a training pass, per layer and tensor in the order of files, and with respect to the input.
    struct Gradients {
        std::vector<std::vector<Values>> parameters;
        Values input;
    };

    Gradients backward(const Values& output_gradient) const {
        Gradients result;
        result.parameters.resize(layers_.size());
        Batch dy{outputs_.back().samples, outputs_.back().shape};
        dy.values = output_gradient;
        for (std::size_t i = layers_.size(); i-- > 0;) {
            for (const Values& tensor : parameters_[i]) { result.parameters[i].emplace_back(tensor.size()); }
            Batch dx{dy.samples, layers_[i].in.shape};
            backward(i, outputs_[i], outputs_[i + 1], dy, dx, result.parameters[i]);
            dy = std::move(dx);
        }
        result.input = dy.values;
        return result;
    }

  private:
    using Kind = ctnn::LayerKind;

    /// Calls f(input row, input column, tap row, tap column) for the window's taps that are no padding.
    template <class F>
    static void taps(const ctnn::Window& w, const Batch& in, int y, int x, F&& f) {
        for (int u = 0; u < w.y.extent; ++u) {
            for (int v = 0; v < w.x.extent; ++v) {
                const int row = y * w.y.stride - w.y.padding + u, column = x * w.x.stride - w.x.padding + v;
                if (in.inside(row, column)) { f(row, column, u, v); }
            }
        }
    }

    /// Calls f(n, out channel, row, column, n, in channel, in row, in column, place of the weight).
    template <class F>
    static void products(const ctnn::LayerInfo& info, const Batch& in, const Batch& out, F&& f) {
        const int per_group = in.shape.channels / info.groups, out_per_group = out.shape.channels / info.groups;
        const ctnn::Window& w = info.window;
        out.each([&](int n, int o, int y, int x) {
            const int group = o / out_per_group;
            taps(w, in, y, x, [&](int row, int column, int u, int v) {
                for (int c = 0; c < per_group; ++c) {
                    const std::int64_t weight = ((std::int64_t{o} * per_group + c) * w.y.extent + u) * w.x.extent + v;
                    f(out.index(n, o, y, x), in.index(n, group * per_group + c, row, column),
                      static_cast<std::size_t>(weight));
                }
            });
        });
    }

    /// Place in memory of feature k, which files count by channel, row, column of the map before Flatten.
    static std::size_t feature(const ctnn::Signal& in, int k) {
        const ctnn::Shape s = in.source;
        const int c = k / (s.height * s.width), y = k / s.width % s.height, x = k % s.width;
        return static_cast<std::size_t>((y * s.width + x) * s.channels + c);
    }

    struct Range {
        int begin, end;
    };
    static Range adaptive(int i, int out, int in) {
        return {static_cast<int>(std::floor(static_cast<double>(i) * in / out)),
                static_cast<int>(std::ceil(static_cast<double>(i + 1) * in / out))};
    }

    /// Calls f(input row, input column) for the inputs of an average; returns the divisor.
    template <class F>
    static double average(const ctnn::LayerInfo& info, const Batch& in, int y, int x, F&& f) {
        if (info.adaptive) {
            const Range rows = adaptive(y, info.out.shape.height, in.shape.height);
            const Range columns = adaptive(x, info.out.shape.width, in.shape.width);
            for (int row = rows.begin; row < rows.end; ++row) {
                for (int column = columns.begin; column < columns.end; ++column) { f(row, column); }
            }
            return (rows.end - rows.begin) * (columns.end - columns.begin);
        }
        int live = 0;
        taps(info.window, in, y, x, [&](int row, int column, int, int) {
            f(row, column);
            ++live;
        });
        if (!info.count_include_pad) { return live; }
        // PyTorch counts padding, but not what a window reaches beyond the padding.
        const auto extent = [](const ctnn::Axis& a, int position, int size) {
            const int first = position * a.stride - a.padding;
            return std::min(first + a.extent, size + a.padding) - first;
        };
        return extent(info.window.y, y, in.shape.height) * extent(info.window.x, x, in.shape.width);
    }

    /// The element that a max pool chose: the first of equals; a NaN beats all.
    static std::size_t largest(const ctnn::LayerInfo& info, const Batch& in, int n, int c, int y, int x) {
        std::size_t best = std::numeric_limits<std::size_t>::max();
        taps(info.window, in, y, x, [&](int row, int column, int, int) {
            const std::size_t i = in.index(n, c, row, column);
            const bool first = best == std::numeric_limits<std::size_t>::max();
            if (first || in.values[i] > in.values[best] || std::isnan(in.values[i])) { best = i; }
        });
        return best;
    }

    /// 1 / (1 − p) where dropout keeps the element, else 0.
    [[nodiscard]] double mask(std::size_t layer, int n, std::int64_t element) const {
        const double p = layers_[layer].p;
        const std::uint32_t word = key_.stream(n, layer).at(static_cast<std::uint32_t>(element));
        return static_cast<double>(word) >= std::floor(p * 4294967296.0) ? 1.0 / (1.0 - p) : 0.0;
    }
    [[nodiscard]] double mask(std::size_t layer, const Batch& in, int n, int c, int y, int x) const {
        const bool channels = layers_[layer].kind == Kind::dropout2d;
        return mask(layer, n, channels ? c : (std::int64_t{y} * in.shape.width + x) * in.shape.channels + c);
    }

    static double response_base(const ctnn::LayerInfo& info, const Batch& in, int n, int c, int y, int x) {
        double sum = 0;
        for (int j = c - info.size / 2; j <= c + (info.size - 1) / 2; ++j) {
            if (j >= 0 && j < in.shape.channels) { sum += in.at(n, j, y, x) * in.at(n, j, y, x); }
        }
        return info.k + info.alpha / info.size * sum;
    }

    struct Moments {
        Values mean, variance;
        double count;
    };
    static Moments moments(const Batch& in) {
        const auto channels = static_cast<std::size_t>(in.shape.channels);
        Moments m{Values(channels), Values(channels), static_cast<double>(in.samples) * in.shape.pixels()};
        in.each(
            [&](int n, int c, int y, int x) { m.mean[static_cast<std::size_t>(c)] += in.at(n, c, y, x) / m.count; });
        in.each([&](int n, int c, int y, int x) {
            const double d = in.at(n, c, y, x) - m.mean[static_cast<std::size_t>(c)];
            m.variance[static_cast<std::size_t>(c)] += d * d / m.count;
        });
        return m;
    }

    void forward(std::size_t layer, const Batch& in, Batch& out, bool training, std::size_t& norm) {
        const ctnn::LayerInfo& info = layers_[layer];
        const std::vector<Values>& parameters = parameters_[layer];
        switch (info.kind) {
            case Kind::conv2d:
                products(info, in, out, [&](std::size_t o, std::size_t i, std::size_t w) {
                    out.values[o] += in.values[i] * parameters[0][w];
                });
                if (info.bias) {
                    out.each([&](int n, int c, int y, int x) {
                        out.at(n, c, y, x) += parameters[1][static_cast<std::size_t>(c)];
                    });
                }
                break;
            case Kind::linear: {
                const auto inputs = static_cast<int>(info.in.shape.size());
                for (int n = 0; n < in.samples; ++n) {
                    for (int o = 0; o < out.shape.channels; ++o) {
                        double sum = info.bias ? parameters[1][static_cast<std::size_t>(o)] : 0.0;
                        for (int k = 0; k < inputs; ++k) {
                            sum += parameters[0][static_cast<std::size_t>(o) * static_cast<std::size_t>(inputs) +
                                                 static_cast<std::size_t>(k)] *
                                   in.values[static_cast<std::size_t>(n) * static_cast<std::size_t>(inputs) +
                                             feature(info.in, k)];
                        }
                        out.at(n, o, 0, 0) = sum;
                    }
                }
                break;
            }
            case Kind::batch_norm2d: {
                Moments m = moments(in);
                Statistics& running = norms_[norm++];
                if (training) {
                    for (std::size_t c = 0; c < m.mean.size(); ++c) {
                        const double unbiased = m.count > 1 ? m.variance[c] * m.count / (m.count - 1) : 0.0;
                        running.mean[c] = (1 - info.momentum) * running.mean[c] + info.momentum * m.mean[c];
                        running.variance[c] = (1 - info.momentum) * running.variance[c] + info.momentum * unbiased;
                    }
                } else {
                    m.mean = running.mean;
                    m.variance = running.variance;
                }
                out.each([&](int n, int channel, int y, int x) {
                    const auto c = static_cast<std::size_t>(channel);
                    out.at(n, channel, y, x) =
                        (in.at(n, channel, y, x) - m.mean[c]) / std::sqrt(m.variance[c] + info.eps) * parameters[0][c] +
                        parameters[1][c];
                });
                break;
            }
            case Kind::local_response_norm:
                out.each([&](int n, int c, int y, int x) {
                    out.at(n, c, y, x) = in.at(n, c, y, x) / std::pow(response_base(info, in, n, c, y, x), info.beta);
                });
                break;
            case Kind::relu:
                for (std::size_t i = 0; i < in.values.size(); ++i) {
                    out.values[i] = in.values[i] <= 0 ? 0.0 : in.values[i];
                }
                break;
            case Kind::sigmoid:
                for (std::size_t i = 0; i < in.values.size(); ++i) {
                    out.values[i] = 1 / (1 + std::exp(-in.values[i]));
                }
                break;
            case Kind::tanh:
                for (std::size_t i = 0; i < in.values.size(); ++i) { out.values[i] = std::tanh(in.values[i]); }
                break;
            case Kind::max_pool2d:
                out.each(
                    [&](int n, int c, int y, int x) { out.at(n, c, y, x) = in.values[largest(info, in, n, c, y, x)]; });
                break;
            case Kind::avg_pool2d:
                out.each([&](int n, int c, int y, int x) {
                    double sum = 0;
                    const double divisor =
                        average(info, in, y, x, [&](int row, int column) { sum += in.at(n, c, row, column); });
                    out.at(n, c, y, x) = sum / divisor;
                });
                break;
            case Kind::dropout:
            case Kind::dropout2d:
                in.each([&](int n, int c, int y, int x) {
                    out.at(n, c, y, x) = in.at(n, c, y, x) * (training ? mask(layer, in, n, c, y, x) : 1.0);
                });
                break;
            case Kind::flatten: out.values = in.values; break;
            case Kind::custom: throw std::logic_error("the reference does not know custom layers");
        }
    }

    void backward(std::size_t layer, const Batch& in, const Batch& out, const Batch& dy, Batch& dx,
                  std::vector<Values>& gradients) const {
        const ctnn::LayerInfo& info = layers_[layer];
        const std::vector<Values>& parameters = parameters_[layer];
        switch (info.kind) {
            case Kind::conv2d:
                products(info, in, out, [&](std::size_t o, std::size_t i, std::size_t w) {
                    gradients[0][w] += dy.values[o] * in.values[i];
                    dx.values[i] += dy.values[o] * parameters[0][w];
                });
                if (info.bias) {
                    dy.each([&](int n, int c, int y, int x) {
                        gradients[1][static_cast<std::size_t>(c)] += dy.at(n, c, y, x);
                    });
                }
                break;
            case Kind::linear: {
                const auto inputs = static_cast<std::size_t>(info.in.shape.size());
                for (int n = 0; n < in.samples; ++n) {
                    for (int o = 0; o < out.shape.channels; ++o) {
                        const double g = dy.at(n, o, 0, 0);
                        if (info.bias) { gradients[1][static_cast<std::size_t>(o)] += g; }
                        for (std::size_t k = 0; k < inputs; ++k) {
                            const std::size_t w = static_cast<std::size_t>(o) * inputs + k;
                            const std::size_t i =
                                static_cast<std::size_t>(n) * inputs + feature(info.in, static_cast<int>(k));
                            gradients[0][w] += g * in.values[i];
                            dx.values[i] += g * parameters[0][w];
                        }
                    }
                }
                break;
            }
            case Kind::batch_norm2d: {
                // Through mean and variance too: Ioffe and Szegedy 2015, section 3, as one formula per element.
                const Moments m = moments(in);
                Values& dweight = gradients[0];
                Values& dbias = gradients[1];
                const auto normal = [&](int n, int channel, int y, int x) {
                    const auto c = static_cast<std::size_t>(channel);
                    return (in.at(n, channel, y, x) - m.mean[c]) / std::sqrt(m.variance[c] + info.eps);
                };
                dy.each([&](int n, int c, int y, int x) {
                    dweight[static_cast<std::size_t>(c)] += dy.at(n, c, y, x) * normal(n, c, y, x);
                    dbias[static_cast<std::size_t>(c)] += dy.at(n, c, y, x);
                });
                dx.each([&](int n, int channel, int y, int x) {
                    const auto c = static_cast<std::size_t>(channel);
                    dx.at(n, channel, y, x) = parameters[0][c] / std::sqrt(m.variance[c] + info.eps) *
                                              (dy.at(n, channel, y, x) - dbias[c] / m.count -
                                               normal(n, channel, y, x) * dweight[c] / m.count);
                });
                break;
            }
            case Kind::local_response_norm:
                // Output c moves with x[c] itself and with every x[j] in its window.
                dy.each([&](int n, int c, int y, int x) {
                    const double base = response_base(info, in, n, c, y, x), g = dy.at(n, c, y, x);
                    dx.at(n, c, y, x) += g * std::pow(base, -info.beta);
                    for (int j = c - info.size / 2; j <= c + (info.size - 1) / 2; ++j) {
                        if (j < 0 || j >= in.shape.channels) { continue; }
                        dx.at(n, j, y, x) -= g * in.at(n, c, y, x) * info.beta * std::pow(base, -info.beta - 1) *
                                             info.alpha / info.size * 2 * in.at(n, j, y, x);
                    }
                });
                break;
            case Kind::relu:
                for (std::size_t i = 0; i < in.values.size(); ++i) {
                    dx.values[i] = in.values[i] > 0 ? dy.values[i] : 0.0;
                }
                break;
            case Kind::sigmoid:
                for (std::size_t i = 0; i < in.values.size(); ++i) {
                    dx.values[i] = dy.values[i] * out.values[i] * (1 - out.values[i]);
                }
                break;
            case Kind::tanh:
                for (std::size_t i = 0; i < in.values.size(); ++i) {
                    dx.values[i] = dy.values[i] * (1 - out.values[i] * out.values[i]);
                }
                break;
            case Kind::max_pool2d:
                dy.each(
                    [&](int n, int c, int y, int x) { dx.values[largest(info, in, n, c, y, x)] += dy.at(n, c, y, x); });
                break;
            case Kind::avg_pool2d:
                dy.each([&](int n, int c, int y, int x) {
                    const double divisor = average(info, in, y, x, [](int, int) {});
                    average(info, in, y, x,
                            [&](int row, int column) { dx.at(n, c, row, column) += dy.at(n, c, y, x) / divisor; });
                });
                break;
            case Kind::dropout:
            case Kind::dropout2d:
                dy.each([&](int n, int c, int y, int x) {
                    dx.at(n, c, y, x) = dy.at(n, c, y, x) * mask(layer, in, n, c, y, x);
                });
                break;
            case Kind::flatten: dx.values = dy.values; break;
            case Kind::custom: throw std::logic_error("the reference does not know custom layers");
        }
    }

    std::vector<ctnn::LayerInfo> layers_;
    std::vector<std::vector<Values>> parameters_;  ///< per layer, in the order of files
    std::vector<Statistics> norms_;
    std::vector<Batch> outputs_;  ///< the input, then every layer's output
    ctnn::RandomKey key_{};
};

}  // namespace reference
