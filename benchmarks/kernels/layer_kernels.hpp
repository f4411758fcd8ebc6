// A layer's kernels at work as in a network: through a stage that holds nothing else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/network/stage.hpp>

#include "kernels/kernels.hpp"
#include "kernels/problem.hpp"
#include "kernels/reference.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// A stage that is nothing but the problem.
constexpr StageSpec stage_of(const Problem& problem) {
    StageSpec s;
    s.head = problem.linear() ? Head::linear : Head::convolution;
    s.window = problem.dims.window;
    s.in = problem.dims.in;
    s.map = s.out = problem.dims.out;
    s.groups = problem.dims.groups;
    s.winograd = problem.winograd;
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
          packed_(size(samples, WithInputGradient::packed_elements)),
          filters_(size(1, WithInputGradient::filter_elements)),
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
        io_.packed = packed_.data();
        io_.filters = filters_.data();
        io_.transposed = transposed_.data();
        io_.scratch = scratch_.data();
        io_.scratch_stride = WithInputGradient::scratch_elements;
    }

    void run(Direction direction) override {
        switch (direction) {
            case Direction::forward: Inference::forward(io_); break;
            case Direction::backward_data: Training::Passes::data_gradient(io_, io_.output_gradient); break;
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

    AlignedArray<float> x_, y_, dy_, dx_, weights_, dweights_, rows_, packed_, filters_, transposed_, scratch_;
    StageIO<float> io_;
};

/// The problem that a text says, compiled. Where the text is wrong there is nothing to compile: run_kernels reads it
/// again and says why.
template <Literal Text>
constexpr KernelCase problem_case(std::string_view name) {
    constexpr ParsedProblem parsed = parse_problem(Text.view());
    if constexpr (!parsed.error.empty()) {
        return {};
    } else {
        using Kernels = StageKernels<stage_of(parsed.problem)>;
        return {name, parsed.problem, [](int samples, int threads) -> std::unique_ptr<LayerKernels> {
                    return std::make_unique<Kernels>(samples, threads);
                }};
    }
}

/// A layer of a network.
template <Literal Text>
constexpr KernelCase layer_case(std::string_view name) {
    static_assert(parse_problem(Text.view()).error.empty());
    return problem_case<Text>(name);
}

/// The same for one image: forward alone.
template <Literal Text>
constexpr KernelCase inference_case(std::string_view name) {
    KernelCase layer = layer_case<Text>(name);
    layer.inference = true;
    return layer;
}

}  // namespace ctnn::inline CTNN_ISA::bench
