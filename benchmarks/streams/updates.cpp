// Updates of AlexNet32's 21.6 million parameters.
#include <memory>
#include <string>
#include <vector>

#include <ctnn/core/random.hpp>
#include <ctnn/models/alexnet32.hpp>
#include <ctnn/train/optimizer_state.hpp>

#include "streams/streams.hpp"

namespace ctnn::inline CTNN_ISA::bench {

namespace {

using Net = AlexNet32;

struct Update {
    Model<Net> model{Seed{1}};
    Parameters<Net> gradients;
    OptimizerState<Net> optimizer;
    StepNumbers<Net> numbers{1e-6};

    explicit Update(const Optimizer& settings) : optimizer{settings} {
        Random random{7, ctnn::Stream::test};
        for (float& v : gradients.span()) { v = random.uniform(-1e-3f, 1e-3f); }
        numbers.squares = tensor_squares(gradients);
    }
};

/// `arrays`: how often an update reads or writes an array of the parameters' size.
void add(std::vector<Stream>& streams, const std::string& name, const Optimizer& optimizer, int arrays, int threads) {
    const auto update = std::make_shared<Update>(optimizer);
    streams.push_back({name, "step", 4.0 * arrays * static_cast<double>(Parameters<Net>::size), [] {},
                       [update, threads] {
                           update->optimizer.step(update->numbers, update->model.parameters(), update->gradients,
                                                  threads);
                       }});
}

}  // namespace

std::vector<Stream> update_streams(int threads) {
    std::vector<Stream> streams;
    add(streams, "SGD, momentum, 21.6 M parameters", Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4}, 5,
        threads);
    add(streams, "AdamW, 21.6 M parameters", AdamW{}, 7, threads);
    add(streams, "LARS, 21.6 M parameters", Lars{}, 6, threads);
    return streams;
}

}  // namespace ctnn::inline CTNN_ISA::bench
