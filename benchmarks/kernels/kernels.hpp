// What `ctnn_bench kernels` measures: single layers, each in three directions.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include <ctnn/kernels/convolution.hpp>

#include "options.hpp"

namespace ctnn::inline CTNN_ISA::bench {

enum class Direction : char { forward, backward_data, backward_weights };
inline constexpr Direction directions[] = {Direction::forward, Direction::backward_data, Direction::backward_weights};
constexpr std::string_view name(Direction d) {
    return d == Direction::forward ? "forward" : d == Direction::backward_data ? "backward data" : "backward weights";
}
/// As the command line has it.
constexpr std::string_view short_name(Direction d) {
    return d == Direction::forward ? "fwd" : d == Direction::backward_data ? "bwd_d" : "bwd_w";
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
    /// The largest error of what the last run(direction) left, over some entries,
    /// as a share of the largest of them.
    [[nodiscard]] virtual double error(Direction direction) const = 0;
};

/// A layer on a batch. A linear layer is a convolution of a 1×1 map.
struct Problem {
    ConvolutionDims dims;
    int samples;
    bool winograd = false;  ///< by minimal filtering, which saves most of the multiplications that are counted here
    constexpr bool operator==(const Problem&) const = default;

    [[nodiscard]] constexpr bool linear() const { return dims.in.flat() && dims.window == Window{}; }
    /// Multiply-adds of each direction twice, taps that meet padding not counted.
    [[nodiscard]] double flops() const {
        return 2.0 * samples * static_cast<double>(dims.window.live_taps(dims.in)) * dims.out.channels *
               dims.group_in();
    }
    /// What every direction must read or write at least once; weights that only meet padding need not be.
    [[nodiscard]] double bytes() const {
        const double taps =
            live_positions(dims.window.y, dims.in.height) * live_positions(dims.window.x, dims.in.width);
        return sizeof(float) * (static_cast<double>(samples) * static_cast<double>(dims.in.size() + dims.out.size()) +
                                taps * dims.out.channels * dims.group_in());
    }

  private:
    static int live_positions(Axis axis, int size) {
        int live = 0;
        for (int tap = 0; tap < axis.extent; ++tap) {
            for (int o = 0; o < axis.output(size); ++o) {
                if (tap >= axis.live_begin(o) && tap < axis.live_end(o, size)) {
                    ++live;
                    break;
                }
            }
        }
        return live;
    }
};

/// A problem that a program was compiled for.
struct KernelCase {
    std::string_view name;
    Problem problem;
    std::unique_ptr<LayerKernels> (*make)(int samples, int threads);
    bool inference = false;  ///< backward is of no interest
};

/// Throws ArgumentError.
void run_kernels(const Options& options);

}  // namespace ctnn::inline CTNN_ISA::bench
