// A layer's kernels at work as in a network: through a stage that holds nothing else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/network/stage.hpp>

#include "kernels.hpp"
#include "reference.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// A stage that is only a convolution.
constexpr StageSpec convolution_stage(Shape in, int channels, Axis axis, int groups = 1) {
    StageSpec s;
    s.head = Head::convolution;
    s.window = {axis, axis};
    s.in = in;
    s.map = s.out = s.window.output(in, channels);
    s.groups = groups;
    return s;
}

/// A stage that is only a linear layer.
constexpr StageSpec linear_stage(int in, int out) {
    StageSpec s;
    s.head = Head::linear;
    s.in = {in, 1, 1};
    s.map = s.out = {out, 1, 1};
    return s;
}

template <StageSpec S>
class StageKernels final : public LayerKernels {
    using Inference = Stage<S, float, false, false>;
    using Training = Stage<S, float, true, false>;
    using WithInputGradient = Stage<S, float, true, true>;

  public:
    static constexpr ConvolutionDims dims = Inference::dims;

    StageKernels(int samples, int threads)
        : x_(size(samples, S.in.size())),
          y_(size(samples, S.map.size())),
          dy_(size(samples, S.map.size())),
          dx_(size(samples, S.in.size())),
          weights_(size(dims.groups, dims.group_weights())),
          dweights_(weights_.size()),
          rows_(size(samples, WithInputGradient::row_elements)),
          transposed_(size(1, WithInputGradient::transposed_elements)),
          scratch_(size(threads, WithInputGradient::scratch_elements)) {
        fill(x_, 1);
        fill(dy_, 2);
        fill(weights_, 3);
        io_.samples = samples;
        io_.threads = threads;
        io_.input = x_.data();
        io_.output = y_.data();
        io_.output_gradient = dy_.data();
        io_.input_gradient = dx_.data();
        io_.weight = weights_.data();
        io_.weight_gradient = dweights_.data();
        io_.rows = rows_.data();
        io_.transposed = transposed_.data();
        io_.scratch = scratch_.data();
        io_.scratch_stride = WithInputGradient::scratch_elements;
    }

    void run(Direction direction) override {
        switch (direction) {
            case Direction::forward: Inference::forward(io_); break;
            case Direction::backward_data: Training::data_gradient(io_, io_.output_gradient); break;
            case Direction::backward_weights: Training::backward(io_); break;
        }
    }

    [[nodiscard]] double error(Direction direction) const override {
        return Reference{
            dims, io_.samples, {x_.data(), weights_.data(), y_.data(), dy_.data(), dx_.data(), dweights_.data()}}
            .error(direction);
    }

  private:
    static std::size_t size(int count, std::ptrdiff_t each) {
        return static_cast<std::size_t>(count) * static_cast<std::size_t>(each);
    }
    static void fill(AlignedArray<float>& array, std::uint32_t item) {
        Random random{7, Stream::test, item};
        for (float& v : array) { v = random.uniform(-1.0f, 1.0f); }
    }

    AlignedArray<float> x_, y_, dy_, dx_, weights_, dweights_, rows_, transposed_, scratch_;
    StageIO<float> io_;
};

template <StageSpec S>
constexpr KernelCase kernel_case(std::string_view name, int samples) {
    return {name, StageKernels<S>::dims, samples, [](int n, int threads) -> std::unique_ptr<LayerKernels> {
                return std::make_unique<StageKernels<S>>(n, threads);
            }};
}

}  // namespace ctnn::inline CTNN_ISA::bench
