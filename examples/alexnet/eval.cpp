// alexnet eval: a weight file on a test set.
#include <string>

#include <fmt/format.h>

#include <ctnn/io/weights.hpp>

#include "commands.hpp"
#include "data.hpp"
#include "evaluation.hpp"
#include "interrupt.hpp"
#include "networks.hpp"

namespace alexnet {

void evaluate(const EvalRequest& request, Terminal& terminal) {
    const ctnn::ModelInfo info = watched_model_info(request.weights);
    const NetworkEntry& entry = find_network(request.model, request.weights, info);
    const Sources data =
        open_sources(request.dataset, request.data_dir, {entry.input, request.shorter_side}, request.limit_test);
    const ctnn::ImageSource& images = *data.test;
    const std::string title = data_title(request.dataset, request.data_dir);
    require_same_classes(request.weights, info, images, title);
    require_outputs(entry, images, title);
    const Renormalized renormalized{images, info.normalization};
    require_normalization(renormalized.normalization(), entry.input.channels,
                          info.normalization.mean.empty() ? title : request.weights.string());
    terminal.line(fmt::format("{} of {} on the {} test images of {}{}", entry.type, request.weights.string(),
                              images.size(), title,
                              request.half ? ", weights of linear layers in half precision" : ""));
    ctnn::BatchLoader loader{renormalized,
                             ctnn::all_indices(images.size()),
                             {.batch_size = request.batch_size,
                              .shuffle = false,
                              .shape = entry.input,
                              .shorter_side = request.shorter_side,
                              .workers = request.workers}};
    print_metrics(entry.evaluate(request.weights, loader, request.threads, request.views, request.half),
                  images.class_names(), terminal);
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
