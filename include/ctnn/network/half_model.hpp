// Linear layers' weights in half precision: inference of few images waits for these to come from memory.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/half.hpp>
#include <ctnn/core/layout.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/network/run.hpp>

namespace ctnn::inline CTNN_ISA {

/// A copy in half precision of the weights of a model's linear layers, for inference of up to four images or so where
/// these weights are too many for the caches. It pays where the processor widens such numbers by itself (F16C, AVX-512,
/// 64-bit NEON); built for others it takes several times as long as `float`.
///
///     const HalfModel<Net> half{model.view()};
///     const auto logits = forward(half, image, 1, workspace);
///
/// Whatever else it needs it reads from the model, which must outlive it. Convolutions, which wait for arithmetic, keep
/// theirs. Sums and activations stay `float`: what is lost is the rounding of each weight w, at most 2⁻¹¹·|w| or, where
/// that is less, 2⁻²⁵. Weights from 65520 on, which no sound network has, become infinite. Const; any number of threads
/// may use one at the same time.
template <Network Net>
class HalfModel {
    static constexpr const LayerInfo& info(std::size_t layer) { return Net::description.layers[layer]; }
    static constexpr std::int64_t stored(std::size_t layer) { return info(layer).parameters[0].dims.stored(); }
    /// Where a layer's weights begin: on a cache line, in the arena's order.
    static constexpr std::size_t offset(std::size_t layer) {
        std::size_t at = 0;
        for (std::size_t i = 0; i < layer; ++i) {
            if (info(i).kind == LayerKind::linear) {
                at += round_up(static_cast<std::size_t>(stored(i)), block_alignment / sizeof(Half));
            }
        }
        return at;
    }

  public:
    static constexpr std::size_t bytes = offset(Net::layer_count) * sizeof(Half);

    /// Rounds the weights as they are now, on `threads` threads. Throws std::bad_alloc.
    explicit HalfModel(ModelView<Net> model, int threads = default_threads())
        : model_{model}, weights_(bytes / sizeof(Half)) {
        for (std::size_t layer = 0; layer < Net::layer_count; ++layer) {
            if (info(layer).kind != LayerKind::linear) { continue; }
            const float* const from = model.parameters + ParameterLayout<Net>::offset(layer, 0);
            Half* const to = weights_.data() + offset(layer);
            const std::int64_t count = stored(layer), run = 1 << 14;
            parallel_for(static_cast<int>((count + run - 1) / run), threads, [&](int item, int) {
                const std::int64_t begin = item * run;
                std::transform(from + begin, from + std::min(begin + run, count), to + begin, to_half);
            });
        }
    }

    [[nodiscard]] ModelView<Net> model() const { return model_; }
    /// The weights of a linear layer, as WeightDims says.
    [[nodiscard]] const Half* weight(std::size_t layer) const { return weights_.data() + offset(layer); }

  private:
    ModelView<Net> model_;
    AlignedArray<Half> weights_;
};

/// Inference as that of a ModelView, in the same workspace, but with these weights in linear layers.
template <class PlanType, class Observer = NoObserver>
    requires(!PlanType::training && std::same_as<typename PlanType::value_type, float>)
std::span<const float> forward(const HalfModel<typename PlanType::Net>& half, const float* input, int samples,
                               Workspace<PlanType>& workspace, Observer&& observer = {}) {
    detail::check_samples(workspace, samples);
    [&]<std::size_t... S>(std::index_sequence<S...>) {
        (
            [&] {
                constexpr StageSpec spec = PlanType::StageList::at(S);
                const auto io = detail::stage_io<PlanType, S>(workspace, half.model(), input, samples);
                if constexpr (spec.head == Head::linear) {
                    PlanType::template Runner<S>::forward(io, half.weight(spec.head_layer));
                } else {
                    PlanType::template Runner<S>::forward(io);
                }
                observer(PlanType::forward_time(S));
            }(),
            ...);
    }(std::make_index_sequence<PlanType::stage_count>{});
    return workspace.output(samples);
}

}  // namespace ctnn::inline CTNN_ISA
