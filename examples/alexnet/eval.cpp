// alexnet eval: a weight file on a test set.
#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/weights.hpp>

#include "commands.hpp"
#include "data.hpp"
#include "networks.hpp"

namespace alexnet {

void evaluate(const EvalRequest& request, Terminal& terminal) {
    const ctnn::ModelInfo info = ctnn::load_model_info(request.weights);
    if (request.model.empty() && info.model.empty()) {
        throw ctnn::ArgumentError(request.weights.string() + ": found no model's name in the file; say it by --model");
    }
    const NetworkEntry& entry = find_network(request.model.empty() ? info.model : request.model);
    ctnn::Dataset data = open_data(request.dataset, request.data_dir).test;
    if (!info.normalization.mean.empty()) { data.normalization = info.normalization; }
    terminal.line(fmt::format("{} of {} on the {} test images of {}", entry.type, request.weights.string(), data.size(),
                              data_title(request.dataset, request.data_dir)));
    print_metrics(entry.evaluate(request.weights, data, request.batch_size, request.threads), data.class_names,
                  terminal);
}

void print_metrics(const ctnn::Metrics& metrics, const std::vector<std::string>& class_names, Terminal& terminal) {
    terminal.line(fmt::format("loss {:.4f}", metrics.mean_loss()));
    terminal.line(fmt::format("top-5 {:.2f} %", 100 * metrics.top5()));
    const std::vector<double> recall = metrics.recall();
    for (std::size_t c = 0; c < class_names.size(); ++c) {
        terminal.line(fmt::format("recall {:<16} {:6.2f} %", class_names[c], 100 * recall[c]));
    }
    terminal.result(fmt::format("accuracy {:.2f} %", 100 * metrics.accuracy()), Colour::bold);
}

}  // namespace alexnet
