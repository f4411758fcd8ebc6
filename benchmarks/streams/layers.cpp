// Layers without weights: each a stage that holds nothing else.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ctnn/core/random.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>

#include "streams/streams.hpp"

namespace ctnn::inline CTNN_ISA::bench {

namespace {

struct Pool2 : Sequential<Input<32, 32, 32>, MaxPool2d<Kernel<2>, Stride<2>>> {};
struct Pool3 : Sequential<Input<96, 55, 55>, MaxPool2d<Kernel<3>, Stride<2>>> {};
struct AveragePool : Sequential<Input<96, 55, 55>, AvgPool2d<Kernel<3>, Stride<2>>> {};
struct Norm : Sequential<Input<64, 16, 16>, BatchNorm2d<>, ReLU> {};
struct NormPool : Sequential<Input<32, 32, 32>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>, Stride<2>>> {};
struct ResponseNorm : Sequential<Input<96, 55, 55>, LocalResponseNorm<5>> {};
struct Drop : Sequential<Input<4096, 1, 1>, Flatten, ReLU, Dropout<0.5>> {};

/// A network with the arrays of a step.
template <Network Net>
struct Step {
    using Plan = Training<Net, float, Fusion::full, InputGradient::yes>;
    Model<Net> model{Seed{1}};
    Parameters<Net> gradients;
    Workspace<Plan> workspace;
    std::vector<float> input, output_gradient;
    int samples;

    Step(int batch, int threads)
        : workspace{batch, threads},
          input(static_cast<std::size_t>(batch * Net::input_shape.size())),
          output_gradient(static_cast<std::size_t>(batch * Net::output_shape.size())),
          samples{batch} {
        Random random{7, ctnn::Stream::test};
        for (float& v : input) { v = random.uniform(-1.0f, 1.0f); }
        for (float& v : output_gradient) { v = random.uniform(-1.0f, 1.0f); }
        forward();
    }
    void forward() { ctnn::forward(model, input.data(), samples, workspace, {}); }
    void renew() { std::ranges::copy(output_gradient, workspace.output_gradient(samples).begin()); }
    void backward() { ctnn::backward(model, input.data(), samples, workspace, gradients); }
};

/// Backward also reads what forward met where `norms`.
template <Network Net>
void add(std::vector<Stream>& streams, const std::string& name, int batch, bool norms, int threads) {
    const auto step = std::make_shared<Step<Net>>(batch, threads);
    const double in = 4.0 * static_cast<double>(step->input.size());
    const double out = 4.0 * static_cast<double>(step->output_gradient.size());
    streams.push_back({name, "forward", in + out, [] {}, [step] { step->forward(); }});
    streams.push_back(
        {name, "backward", (norms ? 2 : 1) * in + out, [step] { step->renew(); }, [step] { step->backward(); }});
}

}  // namespace

std::vector<Stream> layer_streams(int threads) {
    std::vector<Stream> streams;
    add<Pool2>(streams, "max pool 2/2, 32x32x32", 128, false, threads);
    add<Pool3>(streams, "max pool 3/2, 96x55x55", 16, false, threads);
    add<AveragePool>(streams, "average pool 3/2, 96x55x55", 16, false, threads);
    add<Norm>(streams, "batch norm, ReLU, 64x16x16", 128, true, threads);
    add<NormPool>(streams, "batch norm, ReLU, pool, 32x32x32", 128, true, threads);
    add<ResponseNorm>(streams, "response norm, 96x55x55", 16, true, threads);
    add<Drop>(streams, "ReLU, dropout, 4096", 128, false, threads);
    return streams;
}

}  // namespace ctnn::inline CTNN_ISA::bench
