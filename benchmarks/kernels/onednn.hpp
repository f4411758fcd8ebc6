// oneDNN on the same problem: its own formats, so that only its kernels are timed and no reordering.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.hpp>

#include <ctnn/core/random.hpp>

#include "kernels/peers.hpp"
#include "measure.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// One direction of one layer. Throws dnnl::error where oneDNN has no kernel for it.
class OneDnn final : public Peer {
  public:
    static constexpr std::string_view library = "oneDNN";
    static std::string version() {
        const dnnl_version_t& v = *dnnl_version();
        return fmt::format("{}.{}.{}", v.major, v.minor, v.patch);
    }

    OneDnn(const Problem& problem, Direction direction, int threads) : threads_{threads} {
#if defined(_OPENMP)
        omp_set_num_threads(threads);  // oneDNN chooses its kernels for them
#endif
        const ConvolutionDims& d = problem.dims;
        Descriptors m;
        if (problem.linear()) {
            m = {any({problem.samples, d.in.channels}), any({d.out.channels, d.in.channels}),
                 any({problem.samples, d.out.channels})};
            make_linear(m, direction);
        } else {
            const Window& w = d.window;
            const dnnl::memory::dims in{problem.samples, d.in.channels, d.in.height, d.in.width};
            const dnnl::memory::dims out{problem.samples, d.out.channels, d.out.height, d.out.width};
            const dnnl::memory::dims weights =
                d.groups > 1 ? dnnl::memory::dims{d.groups, d.group_out(), d.group_in(), w.y.extent, w.x.extent}
                             : dnnl::memory::dims{d.out.channels, d.in.channels, w.y.extent, w.x.extent};
            const auto behind = [](Axis a, int size) {
                return (a.output(size) - 1) * a.stride + a.extent - size - a.padding;
            };
            m = {any(in), any(weights), any(out)};
            make_convolution(m, direction, {w.y.stride, w.x.stride}, {w.y.padding, w.x.padding},
                             {behind(w.y, d.in.height), behind(w.x, d.in.width)});
        }
    }

    [[nodiscard]] std::string_view name() const override { return library; }
    double time() override {
#if defined(_OPENMP)
        omp_set_num_threads(threads_);
#endif
        return seconds_of([&] {
            primitive_.execute(stream_, arguments_);
            stream_.wait();
        });
    }

  private:
    struct Descriptors {
        dnnl::memory::desc x, weights, y;
    };
    static dnnl::memory::desc any(const dnnl::memory::dims& dims) {
        return {dims, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any};
    }

    /// oneDNN 3 made descriptors of operations part of primitive descriptors.
    template <class Operation, class... Args>
    auto describe(Args&&... args) {
#if DNNL_VERSION_MAJOR >= 3
        return typename Operation::primitive_desc(engine_, std::forward<Args>(args)...);
#else
        return typename Operation::primitive_desc(typename Operation::desc(std::forward<Args>(args)...), engine_);
#endif
    }
    template <class Operation, class Forward, class... Args>
    auto describe_backward(const Forward& forward, Args&&... args) {
#if DNNL_VERSION_MAJOR >= 3
        return typename Operation::primitive_desc(engine_, std::forward<Args>(args)..., forward);
#else
        return
            typename Operation::primitive_desc(typename Operation::desc(std::forward<Args>(args)...), engine_, forward);
#endif
    }

    void make_convolution(const Descriptors& m, Direction direction, const dnnl::memory::dims& stride,
                          const dnnl::memory::dims& before, const dnnl::memory::dims& behind) {
        const auto direct = dnnl::algorithm::convolution_direct;
        const auto forward = describe<dnnl::convolution_forward>(dnnl::prop_kind::forward_training, direct, m.x,
                                                                 m.weights, m.y, stride, before, behind);
        if (direction == Direction::forward) {
            use_forward<dnnl::convolution_forward>(forward);
        } else if (direction == Direction::backward_data) {
            use_backward_data<dnnl::convolution_backward_data>(describe_backward<dnnl::convolution_backward_data>(
                forward, direct, m.x, m.weights, m.y, stride, before, behind));
        } else {
            use_backward_weights<dnnl::convolution_backward_weights>(
                describe_backward<dnnl::convolution_backward_weights>(forward, direct, m.x, m.weights, m.y, stride,
                                                                      before, behind));
        }
    }

    void make_linear(const Descriptors& m, Direction direction) {
        const auto forward =
            describe<dnnl::inner_product_forward>(dnnl::prop_kind::forward_training, m.x, m.weights, m.y);
        if (direction == Direction::forward) {
            use_forward<dnnl::inner_product_forward>(forward);
        } else if (direction == Direction::backward_data) {
            use_backward_data<dnnl::inner_product_backward_data>(
                describe_backward<dnnl::inner_product_backward_data>(forward, m.x, m.weights, m.y));
        } else {
            use_backward_weights<dnnl::inner_product_backward_weights>(
                describe_backward<dnnl::inner_product_backward_weights>(forward, m.x, m.weights, m.y));
        }
    }

    template <class Operation, class Description>
    void use_forward(const Description& d) {
        use<Operation>(
            d, {{DNNL_ARG_SRC, d.src_desc()}, {DNNL_ARG_WEIGHTS, d.weights_desc()}, {DNNL_ARG_DST, d.dst_desc()}});
    }
    template <class Operation, class Description>
    void use_backward_data(const Description& d) {
        use<Operation>(d, {{DNNL_ARG_DIFF_SRC, d.diff_src_desc()},
                           {DNNL_ARG_WEIGHTS, d.weights_desc()},
                           {DNNL_ARG_DIFF_DST, d.diff_dst_desc()}});
    }
    template <class Operation, class Description>
    void use_backward_weights(const Description& d) {
        use<Operation>(d, {{DNNL_ARG_SRC, d.src_desc()},
                           {DNNL_ARG_DIFF_WEIGHTS, d.diff_weights_desc()},
                           {DNNL_ARG_DIFF_DST, d.diff_dst_desc()}});
    }

    /// Makes the primitive and an array of random numbers for every argument, whatever its format.
    template <class Operation, class Description>
    void use(const Description& description, const std::vector<std::pair<int, dnnl::memory::desc>>& arguments) {
        primitive_ = Operation(description);
        Random random{9, Stream::test};
        for (const auto& [argument, form] : arguments) {
            const dnnl::memory memory(form, engine_);
            const std::span values{static_cast<float*>(memory.get_data_handle()), form.get_size() / sizeof(float)};
            for (float& v : values) { v = random.uniform(-1.0f, 1.0f); }
            arguments_.emplace(argument, memory);
        }
    }

    int threads_;
    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    dnnl::primitive primitive_;
    std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace ctnn::inline CTNN_ISA::bench
