// Running a network: forward in inference and training, and backward, stage by stage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include <ctnn/network/model.hpp>
#include <ctnn/network/workspace.hpp>

namespace ctnn::inline CTNN_ISA {

/// Called with every time of a plan once its stage has run; does nothing. Tests put theirs in its place.
struct NoObserver {
    void operator()(int) const {}
};

namespace detail {

/// Where the tensors of a stage's head lie in the arena; −1 where it has none.
struct HeadOffsets {
    std::int64_t weight = -1, bias = -1;
};
template <class Layout>
constexpr HeadOffsets head_offsets(const StageSpec& stage) {
    if (stage.head == Head::none) { return {}; }
    return {Layout::offset(stage.head_layer, 0), Layout::offset(stage.head_layer, 1)};
}

template <class PlanType, std::size_t S>
StageIO<typename PlanType::value_type> stage_io(Workspace<PlanType>& workspace,
                                                ModelView<typename PlanType::Net, typename PlanType::value_type> model,
                                                const typename PlanType::value_type* input, int samples) {
    using T = typename PlanType::value_type;
    using Layout = ParameterLayout<typename PlanType::Net>;
    constexpr StageSpec spec = PlanType::StageList::at(S);
    StageIO<T> io;
    io.samples = samples;
    io.threads = workspace.threads();
    if constexpr (S == 0) {
        io.input = input;
        io.input_gradient = workspace.at(PlanType::input_gradient_index);
    } else {
        io.input = workspace.at(S - 1, Slot::output);
        io.input_gradient = workspace.at(S - 1, Slot::gradient);
    }
    io.output = workspace.at(S, Slot::output);
    io.output_gradient = workspace.at(S, Slot::gradient);
    io.map = workspace.at(S, Slot::map);
    io.places = workspace.template at<std::uint8_t>(S, Slot::places);
    io.mask = workspace.template at<std::uint8_t>(S, Slot::mask);
    io.rows = workspace.at(S, Slot::rows);
    io.packed = workspace.at(S, Slot::packed);
    io.saved = workspace.at(S, Slot::saved);
    io.filters = workspace.at(S, Slot::filters);
    io.transposed = workspace.at(S, Slot::transposed);
    io.scratch = workspace.scratch();
    io.scratch_stride = PlanType::thread_bytes / sizeof(T);
    io.norm_sum = workspace.norm_sum();
    constexpr HeadOffsets head = head_offsets<Layout>(spec);
    if constexpr (head.weight >= 0) { io.weight = model.parameters + head.weight; }
    if constexpr (head.bias >= 0) { io.bias = model.parameters + head.bias; }
    if constexpr (spec.batch_norm) {
        io.norm_weight = model.parameters + Layout::offset(spec.norm_layer, 0);
        io.norm_bias = model.parameters + Layout::offset(spec.norm_layer, 1);
        io.running_mean = model.buffers + Layout::buffer(spec.norm_layer)->mean_offset;
        io.running_variance = model.buffers + Layout::buffer(spec.norm_layer)->variance_offset;
    }
    return io;
}

template <class PlanType>
void check_samples(const Workspace<PlanType>& workspace, int samples) {
    if (samples < 1 || samples > workspace.batch()) {
        raise<ArgumentError>(
            {"a batch of ", samples, " samples; expected 1 to ", workspace.batch(), ", the workspace's batch size"});
    }
}

/// A batch norm whose map is a single pixel, which has no variance in one sample; layer_count where there is none.
template <Network Net>
constexpr std::size_t norm_of_one_pixel() {
    for (std::size_t i = 0; i < Net::layer_count; ++i) {
        const LayerInfo& layer = Net::description.layers[i];
        const Shape shape = layer.in.shape;
        if (layer.kind == LayerKind::batch_norm2d && shape.height * shape.width == 1) { return i; }
    }
    return Net::layer_count;
}

/// PyTorch's "Expected more than 1 value per channel when training": a value less its own mean is 0, whatever the
/// layers before it do.
template <Network Net>
void check_norms(int samples) {
    constexpr std::size_t layer = norm_of_one_pixel<Net>();
    if constexpr (layer < Net::layer_count) {
        if (samples == 1) {
            raise<ArgumentError>({"layer ", layer,
                                  ", BatchNorm2d: a training pass of 1 sample has 1 value in each channel, expected at "
                                  "least 2; change the batch size, or drop the last batch"});
        }
    }
}

}  // namespace detail

/// Inference: the network's output for `samples` samples at `input`, [sample][row][column][channel]. Batch norm takes
/// its running statistics, dropout does nothing. The result stays valid until the workspace is used again.
/// Throws ArgumentError when samples exceed the workspace's batch. Allocates nothing.
template <class PlanType, class Observer = NoObserver>
    requires(!PlanType::training)
std::span<const typename PlanType::value_type> forward(
    ModelView<typename PlanType::Net, typename PlanType::value_type> model, const typename PlanType::value_type* input,
    int samples, Workspace<PlanType>& workspace, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
    [&]<std::size_t... S>(std::index_sequence<S...>) {
        ((PlanType::template Runner<S>::forward(detail::stage_io<PlanType, S>(workspace, model, input, samples)),
          observer(PlanType::forward_time(S))),
         ...);
    }(std::make_index_sequence<PlanType::stage_count>{});
    return workspace.output(samples);
}

/// Training forward: batch norm takes the batch's statistics and moves the model's, dropout draws by `key`. Keeps in
/// the workspace what backward needs; `input` must stay as it is until then. Throws ArgumentError when samples exceed
/// the workspace's batch, and for a single sample where a batch norm's map has a single pixel, unless other processes
/// have more.
template <class PlanType, class Observer = NoObserver>
    requires PlanType::training
std::span<const typename PlanType::value_type> forward(
    Model<typename PlanType::Net, typename PlanType::value_type>& model, const typename PlanType::value_type* input,
    int samples, Workspace<PlanType>& workspace, const RandomKey& key, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
    if (!workspace.norm_sum()) { detail::check_norms<typename PlanType::Net>(samples); }
    using Layout = ParameterLayout<typename PlanType::Net>;
    [&]<std::size_t... S>(std::index_sequence<S...>) {
        (
            [&] {
                constexpr StageSpec spec = PlanType::StageList::at(S);
                auto io = detail::stage_io<PlanType, S>(workspace, model.view(), input, samples);
                io.random = key;
                if constexpr (spec.batch_norm) {
                    io.next_running_mean = model.buffers().data() + Layout::buffer(spec.norm_layer)->mean_offset;
                    io.next_running_variance =
                        model.buffers().data() + Layout::buffer(spec.norm_layer)->variance_offset;
                }
                PlanType::template Runner<S>::forward(io);
                observer(PlanType::forward_time(S));
            }(),
            ...);
    }(std::make_index_sequence<PlanType::stage_count>{});
    ++model.buffers().batches_tracked;
    return workspace.output(samples);
}

/// Backward of the last training forward, with the same `input` and `samples`. The caller has written
/// workspace.output_gradient(samples), which is used up. Overwrites `gradients`; the input's gradient too where the
/// plan has one.
template <class PlanType, class Observer = NoObserver>
    requires PlanType::training
void backward(const Model<typename PlanType::Net, typename PlanType::value_type>& model,
              const typename PlanType::value_type* input, int samples, Workspace<PlanType>& workspace,
              Parameters<typename PlanType::Net, typename PlanType::value_type>& gradients, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
    using Layout = ParameterLayout<typename PlanType::Net>;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (
            [&] {
                constexpr std::size_t s = PlanType::stage_count - 1 - I;
                constexpr StageSpec spec = PlanType::StageList::at(s);
                auto io = detail::stage_io<PlanType, s>(workspace, model.view(), input, samples);
                constexpr detail::HeadOffsets head = detail::head_offsets<Layout>(spec);
                if constexpr (head.weight >= 0) { io.weight_gradient = gradients.data() + head.weight; }
                if constexpr (head.bias >= 0) { io.bias_gradient = gradients.data() + head.bias; }
                if constexpr (spec.batch_norm) {
                    io.norm_weight_gradient = gradients.data() + Layout::offset(spec.norm_layer, 0);
                    io.norm_bias_gradient = gradients.data() + Layout::offset(spec.norm_layer, 1);
                }
                PlanType::template Runner<s>::backward(io);
                observer(PlanType::backward_time(s));
            }(),
            ...);
    }(std::make_index_sequence<PlanType::stage_count>{});
}

}  // namespace ctnn::inline CTNN_ISA
