#include "predict.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/io/cifar.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/softmax.hpp>

#include "evaluation.hpp"
#include "image_folder.hpp"
#include "images.hpp"
#include "interrupt.hpp"
#include "networks.hpp"
#include "options.hpp"
#include "other_file.hpp"
#include "predictions.hpp"
#include "validators.hpp"

namespace alexnet {

namespace {

namespace fs = std::filesystem;

constexpr const char* predict_examples = R"(Examples:
  alexnet predict --weights runs/small-cifar10/best.safetensors --image cat.jpg dog.png
  alexnet predict --weights best.safetensors --image-dir photos --top-k 3
  alexnet predict --weights best.safetensors --image-dir photos --show-all-probs --csv probabilities.csv
  alexnet predict --weights best.safetensors --image-dir photos --json - --quiet > predictions.json
  alexnet predict --weights imagenet.safetensors --model onetower --class-names imagenet.txt --shorter-side 256 \
                  --image cat.jpg

Images are PNG, JPEG, PPM or PGM files of any size, resized as eval does and normalised as the weights' file says, or by
ImageNet's statistics where it says nothing. Classes without a name are numbered from 0. An image that cannot be read is
reported and skipped; the exit status is then 1.)";

struct PredictRequest {
    fs::path weights, image_dir, json, csv, class_names;
    std::vector<fs::path> images;
    std::string model;
    int top_k = 1, batch_size = 32, shorter_side = 0;
    int threads = ctnn::default_threads(), workers = std::min(threads, 256);
    bool show_all = false;
    ctnn::EvaluateOptions views{};
};

/// Image files, any of which may be unreadable: a loader sees a black pixel then, and why is kept here.
class ImageFiles final : public ctnn::ImageSource {
  public:
    ImageFiles(std::vector<fs::path> paths, std::vector<std::string> class_names, ctnn::Normalization normalization,
               const ImageFit& fit)
        : paths_{std::move(paths)},
          class_names_{std::move(class_names)},
          normalization_{std::move(normalization)},
          fit_{fit},
          reasons_(paths_.size()) {}

    [[nodiscard]] std::size_t size() const override { return paths_.size(); }
    [[nodiscard]] std::uint16_t label(std::size_t /*i*/) const override { return 0; }
    [[nodiscard]] const std::vector<std::string>& class_names() const override { return class_names_; }
    [[nodiscard]] const ctnn::Normalization& normalization() const override { return normalization_; }
    ctnn::ImageView read(std::size_t i, ctnn::Image& scratch) const override {
        try {
            read_image(paths_[i], scratch);
            require_resizable(scratch.shape, fit_, paths_[i].string());
            return scratch.view();
        } catch (const ctnn::FileError& error) { reasons_[i] = error.what(); } catch (const ctnn::Error& error) {
            reasons_[i] = fmt::format("{}: {}", paths_[i].string(), error.what());
        }
        scratch.resize({3, 1, 1});
        std::ranges::fill(scratch.pixels, std::uint8_t{0});
        return scratch.view();
    }

    [[nodiscard]] const std::vector<fs::path>& paths() const { return paths_; }
    /// Why an image that was read could not be, or nothing.
    [[nodiscard]] const std::string& reason(std::size_t i) const { return reasons_[i]; }

  private:
    std::vector<fs::path> paths_;
    std::vector<std::string> class_names_;
    ctnn::Normalization normalization_;
    ImageFit fit_;
    mutable std::vector<std::string> reasons_;  // each written by the one thread that reads its image
};

/// A name for every output: a file's, else those that the weights bring. Outputs beyond these, which no image trained,
/// are numbered.
std::vector<std::string> names_of_classes(const PredictRequest& request, const NetworkEntry& entry,
                                          ctnn::ModelInfo& info) {
    const auto outputs = static_cast<std::size_t>(entry.classes);
    std::vector<std::string> names = std::move(info.class_names);
    if (names.size() > outputs) {
        throw ctnn::FileError(fmt::format("{}: found {} class names, expected at most the {} outputs of {}",
                                          request.weights.string(), names.size(), outputs, entry.type));
    }
    if (!request.class_names.empty()) {
        const std::size_t expected = names.empty() ? outputs : names.size();
        names = ctnn::detail::read_names(request.class_names);
        if (names.size() != expected) {
            throw ctnn::FileError(fmt::format("{}: found {} class names, expected {}, one a line",
                                              request.class_names.string(), names.size(), expected));
        }
    }
    while (names.size() < outputs) { names.push_back(std::to_string(names.size())); }
    return names;
}

ImageFiles open_images(const PredictRequest& request, const NetworkEntry& entry, ctnn::ModelInfo info) {
    if (!info.normalization.mean.empty()) {
        require_normalization(info.normalization, entry.input.channels, request.weights.string());
    }
    return {request.image_dir.empty() ? request.images : list_images(request.image_dir),
            names_of_classes(request, entry, info),
            info.normalization.mean.empty() ? ctnn::imagenet_normalization() : std::move(info.normalization),
            {entry.input, request.shorter_side}};
}

using Writers = std::vector<std::unique_ptr<PredictionWriter>>;

Writers open_writers(const PredictRequest& request, const NetworkEntry& entry, const ImageFiles& images,
                     Terminal& terminal) {
    Writers writers;
    if (request.json != "-" && request.csv != "-") {
        std::size_t file_width = 0, class_width = 0;
        for (const fs::path& path : images.paths()) { file_width = std::max(file_width, path.string().size()); }
        for (const std::string& name : images.class_names()) { class_width = std::max(class_width, name.size()); }
        constexpr std::size_t widest = 60;  // what is longer moves its own row alone
        writers.push_back(table_writer(terminal, std::min(file_width, widest), std::min(class_width, widest)));
    }
    if (!request.json.empty()) {
        writers.push_back(json_writer(request.json, terminal, entry.type, request.weights.string()));
    }
    if (!request.csv.empty()) { writers.push_back(csv_writer(request.csv, terminal)); }
    return writers;
}

/// Probabilities and their order, batch by batch, in memory that is used again.
class Ranking {
  public:
    Ranking(const std::vector<std::string>& class_names, std::size_t most)
        : class_names_{class_names}, order_(class_names.size()), guesses_(most) {}

    /// Takes a batch.
    void set(std::span<const float> logits, int threads) {
        logits_ = logits;
        probabilities_.assign(logits.begin(), logits.end());
        ctnn::softmax<double>(probabilities_, static_cast<int>(order_.size()), probabilities_, threads);
    }
    /// The likeliest classes of the batch's image `i`, of equal ones the lower first.
    std::span<const Guess> operator()(std::size_t i) {
        const std::size_t first = i * order_.size();
        const auto row = logits_.subspan(first, order_.size());
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        std::ranges::partial_sort(
            order_, order_.begin() + static_cast<std::ptrdiff_t>(guesses_.size()),
            [&](std::size_t a, std::size_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
        for (std::size_t k = 0; k < guesses_.size(); ++k) {
            guesses_[k] = {order_[k], class_names_[order_[k]], probabilities_[first + order_[k]]};
        }
        return guesses_;
    }

  private:
    const std::vector<std::string>& class_names_;
    std::vector<std::size_t> order_;
    std::vector<Guess> guesses_;
    std::span<const float> logits_;
    std::vector<double> probabilities_;
};

int predict(const PredictRequest& request, Terminal& terminal) {
    if (request.json == "-" && request.csv == "-") {
        throw ctnn::ArgumentError("--json and --csv: found standard output for both, expected a file for one of them");
    }
    require_other_file("--csv", request.csv, "--json", request.json);
    const std::array outputs{std::pair{"--json", fs::path{request.json}}, std::pair{"--csv", fs::path{request.csv}}};
    for (const auto& [option, path] : outputs) {
        require_other_file(option, path, "--weights", request.weights);
        require_other_file(option, path, "--class-names", request.class_names);
    }
    ctnn::ModelInfo info = watched_model_info(request.weights);
    const NetworkEntry& entry = find_network(request.model, request.weights, info);
    if (request.top_k > entry.classes) {
        throw ctnn::ArgumentError(
            fmt::format("--top-k is {}, expected 1 to the {} classes of {}", request.top_k, entry.classes, entry.type));
    }
    const ImageFiles images = open_images(request, entry, std::move(info));
    for (const auto& [option, path] : outputs) {
        if (std::error_code ignored; !fs::exists(path, ignored)) { continue; }
        for (const fs::path& image : images.paths()) { require_other_file(option, path, "an image", image); }
    }
    const auto size = static_cast<std::int64_t>(images.size());
    const auto batch_size = static_cast<int>(std::min<std::int64_t>(request.batch_size, size));
    const std::int64_t batches = (size + batch_size - 1) / batch_size;
    ctnn::BatchLoader loader{images,
                             ctnn::all_indices(images.size()),
                             {.batch_size = batch_size,
                              .shuffle = false,
                              .shape = entry.input,
                              .shorter_side = request.shorter_side,
                              .workers = static_cast<int>(std::min<std::int64_t>(request.workers, batches))}};

    catch_interrupts();
    const Writers writers = open_writers(request, entry, images, terminal);
    Ranking ranking{images.class_names(), static_cast<std::size_t>(request.show_all ? entry.classes : request.top_k)};
    ProgressBar bar{terminal, "predicting", size};
    std::int64_t done = 0, unreadable = 0;
    const auto add = [&](const ctnn::MiniBatch& batch, std::span<const float> logits) {
        ranking.set(logits, request.threads);
        for (std::size_t i = 0; i < batch.ids.size(); ++i) {
            const std::string file = images.paths()[batch.ids[i]].string();
            const std::string& reason = images.reason(batch.ids[i]);
            if (reason.empty()) {
                const std::span<const Guess> guesses = ranking(i);
                for (const auto& writer : writers) { writer->add(file, guesses); }
            } else {
                ++unreadable;
                terminal.error(reason);
                for (const auto& writer : writers) { writer->add_unreadable(file, reason); }
            }
        }
        for (const auto& writer : writers) { writer->flush(); }
        done += batch.size;
        if (terminal.draws()) { bar.update(done); }  // elsewhere standard output is the table's
        return interrupted() == 0;
    };
    entry.predict(request.weights, loader, request.threads, request.views, add);
    if (done < size) { return 128 + interrupted(); }
    for (const auto& writer : writers) { writer->finish(); }
    return unreadable == 0 ? 0 : 1;
}

}  // namespace

std::function<std::optional<int>(Terminal&)> add_predict_command(CLI::App& app, bool& quiet) {
    CLI::App& command = *app.add_subcommand("predict", "Says what is in pictures.");
    command.footer(predict_examples);
    const auto request = std::make_shared<PredictRequest>();
    PredictRequest& r = *request;
    command.add_option("--weights", r.weights, "a safetensors or native file")->required();
    command.add_option("--model", r.model, "the network (as the file says)");
    CLI::App& images = *command.add_option_group("Images", "what to look at; one of them");
    images.add_option("--image", r.images, "image files")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    images.add_option("--image-dir", r.image_dir, "a folder: all images below it, in the order of their paths");
    images.require_option(1);

    CLI::Option* const top = command.add_option("--top-k", r.top_k, "classes to show of each image, likeliest first")
                                 ->check(at_least(1, "POSITIVE"))
                                 ->capture_default_str();
    command.add_flag("--show-all-probs", r.show_all, "show all classes")->excludes(top);
    command.add_option("--json", r.json, "write JSON to this file; - is standard output, without the table");
    command.add_option("--csv", r.csv, "write CSV to this file; - is standard output, without the table");
    command.add_option("--class-names", r.class_names, "a file of the classes' names, one a line (as the weights say)");
    command.add_option("--shorter-side", r.shorter_side, "resize to this, then take the middle (0: resize to fit)")
        ->check(CLI::Range(0, 1 << 14));
    add_view_options(command, r.views);
    command.add_option("--batch-size", r.batch_size, "images at a time")
        ->check(at_least(1, "POSITIVE"))
        ->capture_default_str();
    command.add_option("--workers", r.workers, "threads that decode images; they change no result (all cores)")
        ->check(CLI::Range(1, 256))
        ->default_str(std::to_string(r.workers));
    command.add_flag("--quiet", quiet, "print no table and no bar");
    add_threads_option(command, r.threads);

    return [&command, request](Terminal& terminal) -> std::optional<int> {
        if (!command.parsed()) { return std::nullopt; }
        return predict(*request, terminal);
    };
}

}  // namespace alexnet
