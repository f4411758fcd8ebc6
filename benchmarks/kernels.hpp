// What `ctnn_bench kernels` measures: single layers, each in three directions.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include <ctnn/kernels/convolution.hpp>

#include "options.hpp"

namespace ctnn::inline CTNN_ISA::bench {

enum class Direction : char { forward, backward_data, backward_weights };
inline constexpr Direction directions[] = {Direction::forward, Direction::backward_data, Direction::backward_weights};
constexpr std::string_view name(Direction d) {
    return d == Direction::forward ? "forward" : d == Direction::backward_data ? "backward data" : "backward weights";
}

/// One layer on one batch, with arrays of its own.
class LayerKernels {
  public:
    LayerKernels() = default;
    LayerKernels(const LayerKernels&) = delete;
    LayerKernels& operator=(const LayerKernels&) = delete;
    virtual ~LayerKernels() = default;

    /// Computes one direction on the batch, as a stage of a network does.
    virtual void run(Direction direction) = 0;
    /// The largest error of what the last run(direction) left, over some entries, as a share of the largest of them.
    [[nodiscard]] virtual double error(Direction direction) const = 0;
};

/// A layer to measure. A linear layer is a convolution of a 1×1 map.
struct KernelCase {
    std::string_view name;
    ConvolutionDims dims;
    int samples;
    std::unique_ptr<LayerKernels> (*make)(int samples, int threads);

    /// Multiply-adds of each direction twice, taps that meet padding not counted.
    [[nodiscard]] double flops() const {
        return 2.0 * samples * static_cast<double>(dims.window.live_taps(dims.in)) * dims.out.channels *
               dims.group_in();
    }
    [[nodiscard]] bool linear() const { return dims.in.flat() && dims.window == Window{}; }
    /// What every direction must read or write at least once.
    [[nodiscard]] double bytes() const {
        return sizeof(float) * (static_cast<double>(samples) * static_cast<double>(dims.in.size() + dims.out.size()) +
                                static_cast<double>(dims.groups) * static_cast<double>(dims.group_weights()));
    }
};

/// Each network's layers are a translation unit of their own: their kernels take long to compile.
std::span<const KernelCase> small_alexnet_layers();
std::span<const KernelCase> alexnet_convolutions();
std::span<const KernelCase> alexnet_linear_layers();

void run_kernels(const Options& options);

}  // namespace ctnn::inline CTNN_ISA::bench
