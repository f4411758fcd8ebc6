// What `ctnn_bench steps` measures: training steps and inferences of whole networks.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// A training step (forward, loss, backward, update), inference of a batch, inference of one image, and that with the
/// weights of linear layers in half precision.
enum class Pass : char { train, infer, infer_one, infer_one_half };
inline constexpr Pass passes[] = {Pass::train, Pass::infer, Pass::infer_one, Pass::infer_one_half};
constexpr std::string_view name(Pass p) {
    return p == Pass::train       ? "train"
           : p == Pass::infer     ? "infer"
           : p == Pass::infer_one ? "infer_one"
                                  : "infer_one_half";
}

/// A part of a training step, and the shortest time it took.
struct StageTime {
    std::string name;
    double forward = 0.0, backward = 0.0;
};

/// A network with its model, optimizer, workspaces and a batch of random images.
class NetworkSteps {
  public:
    NetworkSteps() = default;
    NetworkSteps(const NetworkSteps&) = delete;
    NetworkSteps& operator=(const NetworkSteps&) = delete;
    virtual ~NetworkSteps() = default;

    virtual void run(Pass pass) = 0;
    /// What no implementation can leave out: live multiply-adds twice, without a
    /// gradient of the image.
    [[nodiscard]] virtual double flops(Pass pass) const = 0;
    /// What must move through memory besides: in training the update, which reads
    /// parameters, gradients and velocity and writes the first and the last.
    [[nodiscard]] virtual double memory_bytes(Pass pass) const = 0;
    /// Bytes of the workspace that a pass runs in.
    [[nodiscard]] virtual std::size_t plan_bytes(Pass pass) const = 0;
    /// Times of the stages so far, the loss and the update behind them.
    [[nodiscard]] virtual std::vector<StageTime> stages() const = 0;
};

struct NetworkCase {
    std::string_view name;
    int batch;  ///< unless the command line names another
    std::unique_ptr<NetworkSteps> (*make)(int batch, int threads);
};

/// Throws ArgumentError.
void run_steps(const Options& options);

}  // namespace ctnn::inline CTNN_ISA::bench
