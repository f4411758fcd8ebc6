#include "report.hpp"

#include <algorithm>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/data/loader.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/io/safetensors.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/softmax.hpp>

#include "data.hpp"
#include "evaluation.hpp"
#include "interrupt.hpp"
#include "options.hpp"
#include "other_file.hpp"
#include "pictures.hpp"
#include "report_html.hpp"

namespace alexnet {

namespace {

namespace fs = std::filesystem;

constexpr const char* report_examples = R"(Examples:
  alexnet report runs/small-cifar10                          curves, mistakes, filters: runs/small-cifar10/report.html
  alexnet report runs/small-cifar10 --data-dir datasets/cifar10 --out small.html
  alexnet report runs/small-cifar10 runs/small-cifar10-2     runs beside each other: report.html in this folder

The file holds all that it shows, and opens without a network. Of a single run, best.safetensors is tried on the test
images again; where these or the weights are not there, the report does without and says so.)";

constexpr std::size_t shown_mistakes = 24;

/// "small-cifar10" of "runs/small-cifar10/".
std::string folder_name(const fs::path& path) {
    std::error_code ignored;
    const fs::path whole = fs::absolute(path, ignored).lexically_normal();
    return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

RunReport read_run(const fs::path& path) {
    RunReport report{.folder = RunFolder::look_at(path),
                     .name = folder_name(path),
                     .settings = RunFolder::read_settings(path),
                     .about = {},
                     .network = nullptr,
                     .filters = {},
                     .test = {},
                     .missing = {}};
    report.about = report.folder.read_about();
    if (report.folder.rows().empty()) {
        throw ctnn::FileError(report.folder.table().string() + ": found no finished epoch, expected at least one");
    }
    try {
        report.network = &find_network(report.settings.model);
    } catch (const ctnn::ArgumentError& error) { report.missing.emplace_back(error.what()); }
    return report;
}

/// A picture of the first layer's filters in a weight file, or nothing where they see something else than colours.
std::optional<ctnn::Image> filters_of(const NetworkEntry& network, const fs::path& weights) {
    const ctnn::ParameterSlot& slot = network.info().slots[0];
    if (!has_filters_picture(slot)) { return std::nullopt; }
    const std::vector<std::byte> bytes = ctnn::read_file(weights);
    const ctnn::SafetensorsFile file = ctnn::parse_safetensors(bytes, weights.string());
    const auto shape = std::span{slot.spec.shape}.first(static_cast<std::size_t>(slot.spec.rank));
    std::vector<float> canonical(static_cast<std::size_t>(slot.spec.dims.count()));
    file.require(slot.name.view(), ctnn::Dtype::f32, shape).copy_to(canonical);
    std::vector<float> stored(static_cast<std::size_t>(slot.spec.dims.stored()));
    auto next = canonical.begin();
    slot.spec.dims.for_canonical([&](std::int64_t at) { stored[static_cast<std::size_t>(at)] = *next++; });
    return filters_picture(slot, stored);
}

/// Keeps the most confident mistakes; of equal ones the first images'.
class MistakeList {
  public:
    MistakeList(ctnn::Shape shape, const ctnn::Normalization& normalization)
        : shape_{shape}, normalization_{normalization} {}

    void add(const ctnn::MiniBatch& batch, std::span<const float> logits, int threads) {
        const std::size_t classes = logits.size() / batch.ids.size(), pixels = batch.images.size() / batch.ids.size();
        probabilities_.assign(logits.begin(), logits.end());
        ctnn::softmax<double>(probabilities_, static_cast<int>(classes), probabilities_, threads);
        for (std::size_t i = 0; i < batch.ids.size(); ++i) {
            const auto row = logits.subspan(i * classes, classes);
            const auto guess = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
            const auto truth = static_cast<std::size_t>(batch.labels[i]);
            const double probability = probabilities_[i * classes + guess];
            const auto before = [&](const Mistake& other) { return other.probability >= probability; };
            const auto place = std::ranges::partition_point(mistakes_, before);
            if (guess == truth || place - mistakes_.begin() == shown_mistakes) { continue; }
            const auto input = batch.images.subspan(i * pixels, pixels);
            mistakes_.insert(place,
                             {batch.ids[i], truth, guess, probability, input_picture(input, shape_, normalization_)});
            if (mistakes_.size() > shown_mistakes) { mistakes_.pop_back(); }
        }
    }
    [[nodiscard]] std::vector<Mistake> take() { return std::move(mistakes_); }

  private:
    ctnn::Shape shape_;
    const ctnn::Normalization& normalization_;
    std::vector<Mistake> mistakes_;
    std::vector<double> probabilities_;
};

/// Tries the weights on the images as the run did, or returns nothing where it was interrupted.
std::optional<Examination> examine(const RunReport& run, const ctnn::ImageSource& test, const std::string& title,
                                   int threads, int workers, Terminal& terminal) {
    const fs::path weights = run.folder.best();
    const ctnn::ModelInfo info = watched_model_info(weights);
    require_same_classes(weights, info, test, title);
    const Renormalized images{test, info.normalization};
    ctnn::BatchLoader loader{images, ctnn::all_indices(images.size()),
                             evaluation_options(run.settings, run.network->input, workers)};
    Examination result{title, images.class_names(), ctnn::Metrics{run.network->classes}, {}};
    MistakeList mistakes{loader.shape(), images.normalization()};
    ProgressBar bar{terminal, "making the report", static_cast<std::int64_t>(images.size())};
    const auto add = [&](const ctnn::MiniBatch& batch, std::span<const float> logits) {
        result.metrics.add<float>(logits, batch.labels);
        result.metrics.add_loss(ctnn::cross_entropy<float>({}, logits, batch.labels, run.network->classes, {}));
        mistakes.add(batch, logits, threads);
        if (terminal.draws()) { bar.update(result.metrics.samples()); }  // elsewhere it is not worth a line
        return interrupted() == 0;
    };
    run.network->predict(weights, loader, threads, run.settings.views(), add);
    if (interrupted() != 0) { return std::nullopt; }
    result.mistakes = mistakes.take();
    return result;
}

/// Adds what weights and images tell; false where it was interrupted.
bool complete(RunReport& run, const ReportRequest& request, const ctnn::ImageSource* test, Terminal& terminal) {
    if (run.network == nullptr) { return true; }
    try {
        run.filters = filters_of(*run.network, run.folder.best());
        const std::string& data_dir = request.data_dir.empty() ? run.settings.data_dir : request.data_dir;
        Sources opened;
        if (test == nullptr) {
            opened = open_sources(run.settings.dataset, data_dir,
                                  {run.network->input, run.settings.loader.shorter_side}, run.settings.limit_test);
            test = opened.test.get();
        }
        run.test =
            examine(run, *test, data_title(run.settings.dataset, data_dir), request.threads, request.workers, terminal);
        return run.test.has_value();
    } catch (const ctnn::Error& error) {
        run.missing.emplace_back(error.what());
        return true;
    }
}

}  // namespace

std::optional<fs::path> write_report(const ReportRequest& request, const ctnn::ImageSource* test, Terminal& terminal) {
    std::vector<RunReport> runs;
    for (const fs::path& path : request.runs) { runs.push_back(read_run(path)); }
    fs::path out = request.out;
    if (out.empty()) { out = runs.size() == 1 ? runs[0].folder.report() : "report.html"; }
    for (const RunReport& run : runs) {
        const RunFolder& folder = run.folder;
        for (const fs::path& file : {folder.settings(), folder.table(), folder.last(), folder.best(), folder.state()}) {
            require_other_file("--out", out, "the run in " + folder.path().string(), file);
        }
    }
    std::string page;
    if (runs.size() == 1) {
        ctnn::detail::expect_regular_file(out);
        if (!complete(runs[0], request, test, terminal)) { return std::nullopt; }
        for (const std::string& reason : runs[0].missing) {
            terminal.error(reason + "; the report does without what it is needed for");
        }
        page = html_of_run(runs[0]);
    } else {
        page = html_of_runs(runs);
    }
    ctnn::write_file_atomically(out, std::as_bytes(std::span{page}));
    return out;
}

std::function<std::optional<int>(Terminal&)> add_report_command(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("report", "Shows a run, or several beside each other, as an HTML file.");
    command.footer(report_examples);
    const auto request = std::make_shared<ReportRequest>();
    ReportRequest& r = *request;
    r.threads = ctnn::default_threads();
    command.add_option("RUN", r.runs, "the folders of runs")
        ->required()
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command.add_option("--out", r.out, "the file to write (report.html, in a run's folder, or here for several runs)");
    command.add_option("--data-dir", r.data_dir, "folder of the test images (where they lay; for a single run)");
    add_threads_option(command, r.threads);

    return [&command, request](Terminal& terminal) -> std::optional<int> {
        if (!command.parsed()) { return std::nullopt; }
        if (request->runs.size() > 1 && !request->data_dir.empty()) {
            throw ctnn::ArgumentError(
                "--data-dir: found several runs, which are compared without images; expected one");
        }
        request->workers = std::min(request->threads, 256);
        catch_interrupts();
        const std::optional<fs::path> file = write_report(*request, nullptr, terminal);
        if (!file) { return 128 + interrupted(); }
        terminal.result("report in " + file->string());
        return 0;
    };
}

}  // namespace alexnet
