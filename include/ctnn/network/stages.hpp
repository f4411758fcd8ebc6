// Stages: neighbouring layers that run as one. The constexpr pass that finds them in a network's description.
#pragma once

#include <array>
#include <cstddef>

#include <ctnn/core/layer.hpp>
#include <ctnn/kernels/elementwise.hpp>

namespace ctnn::inline CTNN_ISA {

/// Whether neighbouring layers share a stage (full), or every layer is a stage of its own (none, for comparison).
enum class Fusion : char { full, none };

/// What a stage begins with: a layer with weights, an average pool, a layer from outside the library, or nothing but
/// the tail.
enum class Head : char { none, convolution, linear, average, custom };

/// A stage: a head and a tail of batch norm, activation, local response norm, max pool and dropout, every part
/// optional and in this order. Flatten moves nothing and joins any stage.
struct StageSpec {
    Head head = Head::none;
    std::size_t begin = 0, end = 0;  ///< layers [begin, end)
    std::size_t head_layer = 0, norm_layer = 0, dropout_layer = 0;
    Shape in{}, map{}, out{};  ///< map: behind the head, before pooling
    Window window{};
    int groups = 1;
    bool bias = false;
    bool winograd = false;
    bool adaptive = false, count_include_pad = true;
    bool batch_norm = false;
    double eps = 0, momentum = 0;
    Activation activation = Activation::identity;
    bool response_norm = false;
    int size = 0;
    double alpha = 0, beta = 0, k = 0;
    bool pooled = false;
    Window pool{};
    bool dropout = false, channel_dropout = false;
    double p = 0;

    constexpr bool operator==(const StageSpec&) const = default;
};

namespace detail {

/// Place of a layer in a stage; a stage takes each place at most once and in rising order.
constexpr int stage_rank(LayerKind kind) {
    switch (kind) {
        case LayerKind::batch_norm2d: return 1;
        case LayerKind::relu:
        case LayerKind::sigmoid:
        case LayerKind::tanh: return 2;
        case LayerKind::local_response_norm: return 3;
        case LayerKind::max_pool2d: return 4;
        case LayerKind::dropout:
        case LayerKind::dropout2d: return 5;
        default: return 0;
    }
}

constexpr Head head_of(LayerKind kind) {
    switch (kind) {
        case LayerKind::conv2d: return Head::convolution;
        case LayerKind::linear: return Head::linear;
        case LayerKind::avg_pool2d: return Head::average;
        case LayerKind::custom: return Head::custom;
        default: return Head::none;
    }
}

/// Whether a layer may join a stage that ends at rank `rank`.
constexpr bool joins(const StageSpec& stage, int rank, LayerKind kind) {
    const int next = stage_rank(kind);
    if (next <= rank || next == 0 || stage.head == Head::average || stage.head == Head::custom) { return false; }
    // The epilogue's factors follow the padded channel blocks of the groups.
    if (kind == LayerKind::batch_norm2d && stage.groups > 1 && stage.map.channels / stage.groups % block_size != 0) {
        return false;
    }
    // Batch norm's one kept map cannot also serve a response norm behind it.
    if (kind == LayerKind::local_response_norm && stage.batch_norm) { return false; }
    // These derivatives need the undropped output.
    const bool saturates = stage.activation == Activation::sigmoid || stage.activation == Activation::tanh;
    return !(next == 5 && saturates);
}

constexpr void extend(StageSpec& stage, const LayerInfo& info, std::size_t layer) {
    switch (info.kind) {
        case LayerKind::conv2d:
        case LayerKind::linear:
        case LayerKind::avg_pool2d:
        case LayerKind::custom:
            stage.head = head_of(info.kind);
            stage.head_layer = layer;
            stage.window = info.window;
            stage.groups = info.groups;
            stage.bias = info.bias;
            stage.winograd = info.winograd;
            stage.adaptive = info.adaptive;
            stage.count_include_pad = info.count_include_pad;
            stage.map = info.out.shape;
            break;
        case LayerKind::batch_norm2d:
            stage.batch_norm = true;
            stage.norm_layer = layer;
            stage.eps = info.eps;
            stage.momentum = info.momentum;
            break;
        case LayerKind::relu: stage.activation = Activation::relu; break;
        case LayerKind::sigmoid: stage.activation = Activation::sigmoid; break;
        case LayerKind::tanh: stage.activation = Activation::tanh; break;
        case LayerKind::local_response_norm:
            stage.response_norm = true;
            stage.size = info.size;
            stage.alpha = info.alpha;
            stage.beta = info.beta;
            stage.k = info.k;
            break;
        case LayerKind::max_pool2d:
            stage.pooled = true;
            stage.pool = info.window;
            break;
        case LayerKind::dropout:
        case LayerKind::dropout2d:
            stage.dropout = true;
            stage.channel_dropout = info.kind == LayerKind::dropout2d;
            stage.dropout_layer = layer;
            stage.p = info.p;
            break;
        case LayerKind::flatten: break;
    }
    stage.out = info.out.shape;
    stage.end = layer + 1;
}

}  // namespace detail

/// The stages of a network under a fusion policy.
template <class Net, Fusion F>
struct Stages {
  private:
    struct List {
        std::array<StageSpec, Net::layer_count + 1> stages{};
        std::size_t count = 0;
    };
    static constexpr List list = [] {
        List l;
        int rank = -1;
        for (std::size_t i = 0; i < Net::layer_count; ++i) {
            const LayerInfo& info = Net::description.layers[i];
            if (info.kind == LayerKind::flatten) {
                if (l.count > 0) { detail::extend(l.stages[l.count - 1], info, i); }
                continue;
            }
            if (l.count == 0 || F == Fusion::none || !detail::joins(l.stages[l.count - 1], rank, info.kind)) {
                StageSpec& stage = l.stages[l.count++];
                stage.begin = i;
                stage.in = stage.map = info.in.shape;
            }
            detail::extend(l.stages[l.count - 1], info, i);
            rank = detail::stage_rank(info.kind);
        }
        return l;
    }();

  public:
    static constexpr std::size_t count = list.count;
    static constexpr const StageSpec& at(std::size_t i) { return list.stages[i]; }
};

}  // namespace ctnn::inline CTNN_ISA
