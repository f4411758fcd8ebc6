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

/// A file from elsewhere may name no classes. One that does was not trained on images of other ones.
void require_same_classes(const EvalRequest& request, const ctnn::ModelInfo& info, const ctnn::ImageSource& data) {
    if (info.class_names.empty()) { return; }
    const auto [found, expected] = std::ranges::mismatch(info.class_names, data.class_names());
    if (found == info.class_names.end() && expected == data.class_names().end()) { return; }
    const auto shown = [](const auto& names, auto at) { return at == names.end() ? "none" : ctnn::detail::shown(*at); };
    throw ctnn::ArgumentError(
        fmt::format("{}: class {}: found {}, expected {} as in {}; name the file's images by --dataset or --data-dir",
                    request.weights.string(), found - info.class_names.begin(), shown(info.class_names, found),
                    shown(data.class_names(), expected), data_title(request.dataset, request.data_dir)));
}

/// The images as the network was trained on them, where its file says how.
class Renormalized final : public ctnn::ImageSource {
  public:
    Renormalized(const ctnn::ImageSource& images, const ctnn::Normalization& normalization)
        : images_{images}, normalization_{normalization.mean.empty() ? images.normalization() : normalization} {}

    [[nodiscard]] std::size_t size() const override { return images_.size(); }
    [[nodiscard]] ctnn::Shape shape() const override { return images_.shape(); }
    [[nodiscard]] std::uint16_t label(std::size_t i) const override { return images_.label(i); }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return images_.class_names(); }
    [[nodiscard]] const ctnn::Normalization& normalization() const override { return normalization_; }
    ctnn::ImageView read(std::size_t i, ctnn::Image& scratch) const override { return images_.read(i, scratch); }

  private:
    const ctnn::ImageSource& images_;
    const ctnn::Normalization& normalization_;
};

}  // namespace

void evaluate(const EvalRequest& request, Terminal& terminal) {
    const ctnn::ModelInfo info = ctnn::load_model_info(request.weights);
    const NetworkEntry& entry = find_network(request.model, request.weights, info);
    const Sources data = open_sources(request.dataset, request.data_dir, entry.input.channels);
    const ctnn::ImageSource& images = *data.test;
    require_same_classes(request, info, images);
    const Renormalized renormalized{images, info.normalization};
    terminal.line(fmt::format("{} of {} on the {} test images of {}{}", entry.type, request.weights.string(),
                              images.size(), data_title(request.dataset, request.data_dir),
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
