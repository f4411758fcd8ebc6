// alexnet eval: a weight file on a test set.
#include <algorithm>
#include <string>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/json.hpp>
#include <ctnn/io/weights.hpp>

#include "commands.hpp"
#include "data.hpp"
#include "networks.hpp"

namespace alexnet {

namespace {

const NetworkEntry& network_of(const EvalRequest& request, const ctnn::ModelInfo& info) {
    const std::string& name = request.model.empty() ? info.model : request.model;
    if (name.empty()) {
        throw ctnn::ArgumentError(request.weights.string() + ": found no model's name in the file; say it by --model");
    }
    try {
        return find_network(name);
    } catch (const ctnn::ArgumentError& error) {
        throw ctnn::ArgumentError(request.weights.string() + ": " + error.what());
    }
}

/// A file from elsewhere may name no classes. One that does was not trained on images of other ones.
void require_same_classes(const EvalRequest& request, const ctnn::ModelInfo& info, const ctnn::Dataset& data) {
    if (info.class_names.empty()) { return; }
    const auto [found, expected] = std::ranges::mismatch(info.class_names, data.class_names);
    if (found == info.class_names.end() && expected == data.class_names.end()) { return; }
    const auto shown = [](const auto& names, auto at) { return at == names.end() ? "none" : ctnn::detail::shown(*at); };
    throw ctnn::ArgumentError(
        fmt::format("{}: class {}: found {}, expected {} as in {}; name the file's images by --dataset or --data-dir",
                    request.weights.string(), found - info.class_names.begin(), shown(info.class_names, found),
                    shown(data.class_names, expected), data_title(request.dataset, request.data_dir)));
}

}  // namespace

void evaluate(const EvalRequest& request, Terminal& terminal) {
    const ctnn::ModelInfo info = ctnn::load_model_info(request.weights);
    const NetworkEntry& entry = network_of(request, info);
    ctnn::Dataset data = open_data(request.dataset, request.data_dir).test;
    require_same_classes(request, info, data);
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
