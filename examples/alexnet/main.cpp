// The command line of the tool: options, help, and one clear line for whatever goes wrong.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/core/processor.hpp>

#include "commands.hpp"
#include "convert.hpp"
#include "data.hpp"
#include "export.hpp"
#include "networks.hpp"
#include "options.hpp"
#include "predict.hpp"
#include "ranks.hpp"
#include "report.hpp"
#include "scale.hpp"
#include "validators.hpp"

namespace alexnet {

namespace {

std::vector<std::string> model_names() {
    std::vector<std::string> names;
    for (const NetworkEntry& entry : networks()) { names.emplace_back(entry.name); }
    return names;
}

constexpr const char* program_examples = R"(Examples:
  alexnet train                                    ten epochs of SmallAlexNet
  alexnet train --resume runs/small-cifar10        go on with a run that was stopped
  alexnet eval --weights runs/small-cifar10/best.safetensors
  alexnet predict --weights runs/small-cifar10/best.safetensors --image cat.jpg
  alexnet report runs/small-cifar10                what there is to see of a run, as an HTML file
  alexnet info --all                               layers, shapes, memory
  alexnet scale --ranks 8,64 --bandwidth 10        how long a step takes on several machines, before one has them
  alexnet convert, alexnet export                  data sets and weights in other forms; see their --help)";

constexpr const char* train_examples = R"(Examples:
  alexnet train --data-dir datasets/cifar10 --epochs 10
  alexnet train --model alexnet32 --lr 0.02 --clip-norm 1 --val-size 5000 --out runs/big
  alexnet train --schedule one-cycle --lr 0.2 --epochs 5 --stop-after 2
  alexnet train --dataset fashion-mnist --ema 0.99 --test-flip
  alexnet train --model bn --preset lars-bn --batch-size 4096 --micro-batch 128
  alexnet train --config examples/recipes/cifar_alexnet.toml --epochs 60
  alexnet train --resume runs/small-cifar10 --threads 1
  alexnet report runs/small-cifar10 runs/small-cifar10-2     compare two runs

A run's folder has run.json (settings and versions), metrics.csv (a row an epoch), last.safetensors, best.safetensors and
trainer.safetensors, from which --resume goes on, and event files for tensorboard --logdir runs. A run that is complete
has report.html, a page to open in a browser; --no-report leaves it out. Ctrl-C finishes the step and saves; a second one
leaves at once.)";

constexpr const char* eval_examples = R"(Examples:
  alexnet eval --weights runs/small-cifar10/best.safetensors
  alexnet eval --model small --weights from_pytorch.safetensors --dataset cifar10 --data-dir datasets/cifar10)";

constexpr const char* info_examples = R"(Examples:
  alexnet info alexnet32 --batch-size 1 --threads 1
  alexnet info --all)";

constexpr const char* data_dir_help = "folder of the data set's files (datasets/NAME; Debian's for fashion-mnist)";

/// What was asked for where nothing was said: CIFAR-10 where its folder is, the synthetic set otherwise.
std::string default_dataset(const std::string& data_dir, Terminal& terminal) {
    const std::string folder = default_data_dir("cifar10");
    if (!data_dir.empty() || has_cifar10(folder)) { return "cifar10"; }
    terminal.line("no CIFAR-10 in " + folder + " (examples/download_cifar10.sh fetches it): the synthetic set instead");
    return "synthetic";
}

/// Those that this process may have; ranks that are not bound to cores of their own share the machine's.
int default_threads(const Ranks& ranks) {
    const int threads = ctnn::default_threads();
    if (ranks.local_size() == 1 || std::getenv("OMP_NUM_THREADS") != nullptr) { return threads; }
    return std::clamp(static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)) / ranks.local_size(), 1, threads);
}

int run(int argc, char** argv, Ranks& ranks) {
    CLI::App app{"Trains, evaluates, uses and describes the AlexNet family.", "alexnet"};
    app.require_subcommand(0, 1);
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    app.footer(program_examples);
    app.set_version_flag("--version", std::to_string(ctnn::version.major) + "." + std::to_string(ctnn::version.minor) +
                                          "." + std::to_string(ctnn::version.patch));
    bool quiet = false;
    int threads = default_threads(ranks);
    std::string dataset, data_dir;

    CLI::App& train_app = *app.add_subcommand("train", "Trains a network on images.");
    train_app.footer(train_examples);
    TrainRequest request;
    request.program = argv[0];
    RunOptions options{train_app};
    train_app.add_option("--data-dir", data_dir, data_dir_help);
    train_app.add_option("--out", request.out, "a new run's folder (runs/MODEL-DATASET)");
    CLI::Option& resume =
        *train_app.add_option("--resume", request.resume, "go on with the run of that folder, by its own settings");
    if (ranks.first()) { resume.check(CLI::ExistingDirectory); }  // the others' machines may not have it
    train_app.add_option("--stop-after", request.stop_after, "stop after this epoch, as if interrupted")
        ->check(at_least(1, "POSITIVE"));
    train_app.add_option("--workers", request.workers, "threads that prepare batches; they change no result (1)")
        ->check(CLI::Range(1, 256));
    train_app.add_flag("--tensorboard,!--no-tensorboard", request.tensorboard,
                       "write what TensorBoard shows into the run's folder (on)");
    train_app
        .add_option("--histogram-every", request.histogram_every, "steps between histograms in that (100; 0: none)")
        ->check(at_least(0, "NONNEGATIVE"));
    train_app.add_flag("--report,!--no-report", request.report, "write report.html when the run is complete (on)");
    train_app
        .add_option("--rank-timeout", request.rank_timeout,
                    "with mpirun: seconds without an answer of other ranks behind which all end (300)")
        ->check(within(1, 1e6));
    train_app.add_flag("--quiet", quiet, "print the end alone");
    add_threads_option(train_app, threads);

    CLI::App& eval_app = *app.add_subcommand("eval", "Evaluates a weight file on the test images.");
    eval_app.footer(eval_examples);
    EvalRequest eval;
    eval_app.add_option("--model", eval.model, "the network (as the file says)")->check(CLI::IsMember(model_names()));
    eval_app.add_option("--weights", eval.weights, "a safetensors or native file")->required();
    eval_app.add_option("--dataset", dataset, "the images (cifar10 where it is found, else synthetic)")
        ->check(CLI::IsMember(dataset_names));
    eval_app.add_option("--data-dir", data_dir, data_dir_help);
    eval_app.add_option("--limit-test", eval.limit_test, "test on this many images only (0: all)")
        ->check(at_least(0, "NONNEGATIVE"));
    eval_app.add_option("--batch-size", eval.batch_size, "images at a time")
        ->check(at_least(1, "POSITIVE"))
        ->capture_default_str();
    eval_app.add_option("--shorter-side", eval.shorter_side, "resize to this, then take the middle (0: resize to fit)")
        ->check(at_least(0, "NONNEGATIVE"));
    add_view_options(eval_app, eval.views);
    eval_app.add_flag("--half", eval.half, "linear layers' weights in half precision");
    eval_app.add_option("--workers", eval.workers, "threads that prepare batches (1)")->check(CLI::Range(1, 256));
    eval_app.add_flag("--quiet", quiet, "print the accuracy alone");
    add_threads_option(eval_app, threads);

    CLI::App& info_app = *app.add_subcommand("info", "Describes a network: layers, shapes, stages, memory.");
    info_app.footer(info_examples);
    InfoRequest info;
    info_app.add_option("model,--model", info.model, "the network")
        ->check(CLI::IsMember(model_names()))
        ->capture_default_str();
    info_app.add_flag("--all", info.all, "all networks");
    info_app.add_option("--batch-size", info.batch_size, "batch for which memory is counted")
        ->check(at_least(1, "POSITIVE"))
        ->capture_default_str();
    add_threads_option(info_app, threads);

    const auto predict = add_predict_command(app, quiet), report = add_report_command(app),
               scale = add_scale_command(app);
    const auto convert = add_convert_command(app), export_header = add_export_command(app);

    try {
        options.read_config({argv + 1, argv + argc});
        app.parse(argc, argv);
    } catch (const CLI::Success& help) {
        std::ostringstream text;
        app.exit(help, text);
        Terminal{false, !ranks.first()}.write(text.str());
        return 0;
    } catch (const CLI::ParseError& error) {
        std::string text = error.what();
        std::ranges::replace(text, '\n', ' ');
        const auto chosen = app.get_subcommands();
        throw ctnn::ArgumentError(text + "; see alexnet " + (chosen.empty() ? "" : chosen[0]->get_name() + " ") +
                                  "--help");
    }

    if (app.get_subcommands().empty()) {
        throw ctnn::ArgumentError(
            "found no subcommand, expected train, eval, predict, report, info, scale, convert or export; see alexnet "
            "--help");
    }
    if (!ranks.alone() && !train_app.parsed()) {
        throw ctnn::ArgumentError(fmt::format("alexnet {} runs in one process, found {} ranks of mpirun",
                                              app.get_subcommands()[0]->get_name(), ranks.size()));
    }
    Terminal terminal{quiet, !ranks.first()};
    if (const auto status = predict(terminal)) { return *status; }
    if (const auto status = report(terminal)) { return *status; }
    if (const auto status = scale(terminal)) { return *status; }
    if (convert(terminal) || export_header(terminal)) { return 0; }
    if (info_app.parsed()) {
        info.threads = threads;
        print_info(info, terminal);
        return 0;
    }
    if (eval_app.parsed()) {
        eval.threads = threads;
        eval.dataset = dataset.empty() ? default_dataset(data_dir, terminal) : dataset;
        eval.data_dir = data_dir.empty() ? default_data_dir(eval.dataset) : data_dir;
        evaluate(eval, terminal);
        return 0;
    }
    request.threads = threads;
    if (!request.resume.empty()) {
        const std::string other = !request.out.empty() ? "--out" : options.first_given();
        if (!other.empty()) {
            throw ctnn::ArgumentError(other + " cannot be given with --resume: a resumed run keeps the settings in " +
                                      (request.resume / "run.json").string());
        }
        request.data_dir = data_dir;
    } else {
        request.settings = options.settings();
        RunSettings& settings = request.settings;
        if (!options.given("dataset") && !options.begins_with_run()) {
            settings.dataset = default_dataset(data_dir, terminal);
        }
        if (!data_dir.empty()) {
            settings.data_dir = data_dir;
        } else if (!options.begins_with_run() || options.given("dataset")) {
            settings.data_dir = default_data_dir(settings.dataset);
        }
    }
    ranks.set_timeout(request.rank_timeout);
    return train(std::move(request), ranks, terminal);
}

}  // namespace

}  // namespace alexnet

/// Before the constructors of global objects, which are compiled for the same processor.
[[gnu::constructor(101)]] static void before_everything() { ctnn::require_processor(); }

int main(int argc, char** argv) {
    alexnet::occupy_standard_streams();
    // A file that hits a size limit and a pipe that nobody reads are errors of write(), not the end of the process.
    std::signal(SIGXFSZ, SIG_IGN);
    const auto at_closed_pipe = std::signal(SIGPIPE, SIG_IGN);
    std::optional<alexnet::Ranks> ranks;
    const auto fail = [&](const char* text) {
        if (ranks) { ranks->wait_for_earlier_ones(); }
        alexnet::Terminal{}.error((ranks ? ranks->prefix() : "") + text);
        if (ranks) { ranks->abort(1); }
    };
    try {
        ranks.emplace();
        return alexnet::run(argc, argv, *ranks);
    } catch (const alexnet::ClosedPipe& error) {
        // Everything is tidied up; now end as every program does whose reader has had enough.
        std::signal(SIGPIPE, at_closed_pipe);
        std::raise(SIGPIPE);
        alexnet::Terminal{}.error(error.what());
        if (ranks) { ranks->abort(1); }
    } catch (const std::bad_alloc&) {
        fail("out of memory; alexnet info --batch-size N --threads N says what a network takes");
    } catch (const std::exception& error) { fail(error.what()); }
    return 1;
}
