// The command line of the tool: options, help, and one clear line for whatever goes wrong.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/core/processor.hpp>

#include "commands.hpp"
#include "data.hpp"
#include "networks.hpp"

namespace alexnet {

namespace {

std::vector<std::string> model_names() {
    std::vector<std::string> names;
    for (const NetworkEntry& entry : networks()) { names.emplace_back(entry.name); }
    return names;
}

/// A whole number from `least` on. CLI11's own checks answer with the largest double there is, in three hundred digits.
CLI::Validator at_least(std::int64_t least, const char* name) {
    return {[least](const std::string& text) {
                std::int64_t value = 0;
                const char* const end = text.data() + text.size();
                const auto [read, error] = std::from_chars(text.data(), end, value);
                const bool good = error == std::errc{} && read == end && value >= least;
                return good ? "" : "found " + text + ", expected a whole number from " + std::to_string(least) + " on";
            },
            name};
}

/// The options of a new run: what is given changes the defaults of the chosen model, and nothing of a resumed run.
class RunOptions {
  public:
    explicit RunOptions(CLI::App& app) : app_{app} {
        group_ = "Run";
        add<std::string>("--model", "the network (small)", [](auto& s) -> auto& {
            return s.model;
        })->check(CLI::IsMember(model_names()));
        add<std::string>("--dataset", "the images (cifar10 where it is found, else synthetic)", [](auto& s) -> auto& {
            return s.dataset;
        })->check(CLI::IsMember(dataset_names));
        add<int>("--epochs", "epochs; also the schedule's length (10)",
                 [](auto& s) -> auto& { return s.trainer.schedule.epochs; });
        add<int>("--batch-size", "images in a step (128)", [](auto& s) -> auto& { return s.trainer.batch_size; });
        add<std::uint64_t>("--seed", "of weights, order, augmentation and dropout (42)",
                           [](auto& s) -> auto& { return s.trainer.seed; });
        add<std::int64_t>("--val-size", "training images held out for validation, the last ones (0)",
                          [](auto& s) -> auto& { return s.val_size; })
            ->check(at_least(0, "NONNEGATIVE"));
        add<std::int64_t>("--limit-train", "train on this many images only (0: all)", [](auto& s) -> auto& {
            return s.limit_train;
        })->check(at_least(0, "NONNEGATIVE"));
        flag("--augment,!--no-augment", "random crops and flips (on)", [](auto& s) -> auto& { return s.augment; });

        group_ = "Optimizer";
        app.add_option("--optimizer", optimizer_, "sgd")->check(CLI::IsMember({"sgd"}))->group(group_);
        add<double>("--lr", "peak learning rate (small 0.1, alexnet32 0.02)",
                    [](auto& s) -> auto& { return s.trainer.schedule.lr; });
        add<double>("--momentum", "(0.9)", [](auto& s) -> auto& { return s.trainer.optimizer.momentum; });
        flag("--nesterov,!--no-nesterov", "Nesterov's momentum (on)",
             [](auto& s) -> auto& { return s.trainer.optimizer.nesterov; });
        add<double>("--weight-decay", "(5e-4)", [](auto& s) -> auto& { return s.trainer.optimizer.weight_decay; });
        flag("!--no-decay-bias,--decay-bias", "leave biases and batch norm out of the decay (they are left out)",
             [](auto& s) -> auto& { return s.trainer.optimizer.decay_biases_and_norms; });
        add<double>("--clip-norm", "clip the gradient's norm; 0 is off (small 0, alexnet32 1)",
                    [](auto& s) -> auto& { return s.trainer.optimizer.clip_norm; });
        add<double>("--label-smoothing", "(small 0.1, alexnet32 0)",
                    [](auto& s) -> auto& { return s.trainer.loss.label_smoothing; });

        group_ = "Schedule";
        add<std::string>("--schedule", "constant, step, linear, cosine, polynomial or one-cycle (linear)",
                         [](auto& s) { return Named{s.trainer.schedule.kind}; });
        add<double>("--warmup-epochs", "epochs of linear rise (a fifth of all; 0 for constant, step and one-cycle)",
                    [](auto& s) -> auto& { return s.trainer.schedule.warmup_epochs; });
        add<int>("--step-size", "step: epochs between drops (a third of all)",
                 [](auto& s) -> auto& { return s.trainer.schedule.step_size; });
        add<double>("--gamma", "step: factor of a drop (0.1)",
                    [](auto& s) -> auto& { return s.trainer.schedule.gamma; });
        add<double>("--power", "polynomial: exponent (2)", [](auto& s) -> auto& { return s.trainer.schedule.power; });
    }

    [[nodiscard]] bool given(const std::string& name) const { return changes_.contains(name); }
    /// The first option that a resumed run cannot take, or nothing.
    [[nodiscard]] std::string first_given() const { return changes_.empty() ? "" : changes_.begin()->first; }

    [[nodiscard]] RunSettings settings() const {
        RunSettings s;
        if (given("--model")) { changes_.at("--model")(s); }
        const Recipe& recipe = find_network(s.model).recipe;
        s.trainer = {.loss = {.label_smoothing = recipe.label_smoothing},
                     .optimizer = {.momentum = 0.9,
                                   .nesterov = true,
                                   .weight_decay = 5e-4,
                                   .decay_biases_and_norms = false,
                                   .clip_norm = recipe.clip_norm},
                     .schedule = {.kind = ctnn::ScheduleKind::linear, .lr = recipe.lr, .epochs = 10},
                     .batch_size = 128,
                     .seed = 42};
        for (const auto& [name, change] : changes_) { change(s); }

        ctnn::Schedule& schedule = s.trainer.schedule;
        using enum ctnn::ScheduleKind;
        const bool rises = schedule.kind != constant && schedule.kind != step && schedule.kind != one_cycle;
        if (!given("--warmup-epochs") && rises) { schedule.warmup_epochs = 0.2 * schedule.epochs; }
        if (!given("--step-size")) { schedule.step_size = std::max(1, (schedule.epochs + 2) / 3); }
        if (!given("--nesterov") && s.trainer.optimizer.momentum == 0) { s.trainer.optimizer.nesterov = false; }
        return s;
    }

  private:
    /// A schedule that is set by its name.
    struct Named {
        ctnn::ScheduleKind& kind;
        void operator=(const std::string& text) const { ctnn::parse_name(text, kind); }
    };

    template <class Value, class Member>
    CLI::Option* add(const std::string& name, const std::string& help, Member member) {
        return app_
            .add_option_function<Value>(
                name,
                [this, name, member](const Value& value) {
                    changes_[name] = [member, value](RunSettings& s) { member(s) = value; };
                },
                help)
            ->group(group_);
    }
    template <class Member>
    void flag(const std::string& names, const std::string& help, Member member) {
        const std::string name = names.substr(names.find('-'), names.find(',') - names.find('-'));
        app_.add_flag_function(
                names,
                [this, name, member](std::int64_t value) {
                    changes_[name] = [member, value](RunSettings& s) { member(s) = value > 0; };
                },
                help)
            ->group(group_);
    }

    CLI::App& app_;
    std::string group_, optimizer_ = "sgd";
    std::map<std::string, std::function<void(RunSettings&)>> changes_;
};

constexpr const char* examples = R"(Examples:
  alexnet train                                    ten epochs of SmallAlexNet
  alexnet train --resume runs/small-cifar10        go on with a run that was stopped
  alexnet eval --weights runs/small-cifar10/best.safetensors
  alexnet info --all                               layers, shapes, memory)";

constexpr const char* train_examples = R"(Examples:
  alexnet train --data-dir datasets/cifar10 --epochs 10
  alexnet train --model alexnet32 --lr 0.02 --clip-norm 1 --val-size 5000 --out runs/big
  alexnet train --schedule one-cycle --lr 0.2 --epochs 5 --stop-after 2
  alexnet train --resume runs/small-cifar10 --threads 1

A run's folder has run.json (settings and versions), metrics.csv (a row an epoch), last.safetensors, best.safetensors and
trainer.safetensors, from which --resume goes on. Ctrl-C finishes the step and saves; a second one leaves at once.)";

constexpr const char* eval_examples = R"(Examples:
  alexnet eval --weights runs/small-cifar10/best.safetensors
  alexnet eval --model small --weights from_pytorch.safetensors --dataset cifar10 --data-dir datasets/cifar10)";

constexpr const char* info_examples = R"(Examples:
  alexnet info --model alexnet32 --batch-size 1 --threads 1
  alexnet info --all)";

/// What was asked for where nothing was said: CIFAR-10 where its folder is, the synthetic set otherwise.
std::string default_dataset(const std::string& data_dir, bool named, Terminal& terminal) {
    if (named || has_cifar10(data_dir)) { return "cifar10"; }
    terminal.line("no CIFAR-10 in " + data_dir +
                  " (examples/download_cifar10.sh fetches it): the synthetic set instead");
    return "synthetic";
}

int run(int argc, char** argv) {
    CLI::App app{"Trains, evaluates and describes the AlexNet family.", "alexnet"};
    app.require_subcommand(0, 1);
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    app.footer(examples);
    app.set_version_flag("--version", std::to_string(ctnn::version.major) + "." + std::to_string(ctnn::version.minor) +
                                          "." + std::to_string(ctnn::version.patch));
    bool quiet = false;
    int threads = ctnn::default_threads();
    std::string dataset, data_dir = RunSettings{}.data_dir;
    const auto common = [&](CLI::App& command) {
        command.add_option("--threads", threads, "threads; they change no result (all cores)")
            ->check(CLI::Range(1, 1024))
            ->default_str(std::to_string(threads));
    };

    CLI::App& train_app = *app.add_subcommand("train", "Trains a network on images.");
    train_app.footer(train_examples);
    TrainRequest request;
    request.program = argv[0];
    RunOptions options{train_app};
    train_app.add_option("--data-dir", data_dir, "folder of CIFAR-10's binary files")->capture_default_str();
    train_app.add_option("--out", request.out, "a new run's folder (runs/MODEL-DATASET)");
    train_app.add_option("--resume", request.resume, "go on with the run of that folder, by its own settings")
        ->check(CLI::ExistingDirectory);
    train_app.add_option("--stop-after", request.stop_after, "stop after this epoch, as if interrupted")
        ->check(at_least(1, "POSITIVE"));
    train_app.add_flag("--quiet", quiet, "print the end alone");
    common(train_app);

    CLI::App& eval_app = *app.add_subcommand("eval", "Evaluates a weight file on the test images.");
    eval_app.footer(eval_examples);
    EvalRequest eval;
    eval_app.add_option("--model", eval.model, "the network (as the file says)")->check(CLI::IsMember(model_names()));
    eval_app.add_option("--weights", eval.weights, "a safetensors file")->required();
    eval_app.add_option("--dataset", dataset, "the images (cifar10 where it is found, else synthetic)")
        ->check(CLI::IsMember(dataset_names));
    eval_app.add_option("--data-dir", data_dir, "folder of CIFAR-10's binary files")->capture_default_str();
    eval_app.add_option("--batch-size", eval.batch_size, "images at a time")
        ->check(at_least(1, "POSITIVE"))
        ->capture_default_str();
    eval_app.add_flag("--quiet", quiet, "print the accuracy alone");
    common(eval_app);

    CLI::App& info_app = *app.add_subcommand("info", "Describes a network: layers, shapes, stages, memory.");
    info_app.footer(info_examples);
    InfoRequest info;
    info_app.add_option("--model", info.model, "the network")
        ->check(CLI::IsMember(model_names()))
        ->capture_default_str();
    info_app.add_flag("--all", info.all, "all networks");
    info_app.add_option("--batch-size", info.batch_size, "batch for which memory is counted")
        ->check(at_least(1, "POSITIVE"))
        ->capture_default_str();
    common(info_app);

    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help) { return app.exit(help); } catch (const CLI::ParseError& error) {
        std::string text = error.what();
        std::ranges::replace(text, '\n', ' ');
        const auto chosen = app.get_subcommands();
        throw ctnn::ArgumentError(text + "; see alexnet " + (chosen.empty() ? "" : chosen[0]->get_name() + " ") +
                                  "--help");
    }

    if (app.get_subcommands().empty()) {
        throw ctnn::ArgumentError("found no subcommand, expected train, eval or info; see alexnet --help");
    }
    Terminal terminal{quiet};
    if (info_app.parsed()) {
        info.threads = threads;
        print_info(info, terminal);
        return 0;
    }
    if (eval_app.parsed()) {
        eval.threads = threads;
        eval.data_dir = data_dir;
        eval.dataset =
            dataset.empty() ? default_dataset(data_dir, eval_app.count("--data-dir") > 0, terminal) : dataset;
        evaluate(eval, terminal);
        return 0;
    }
    request.threads = threads;
    const bool named = train_app.count("--data-dir") > 0;
    if (!request.resume.empty()) {
        const std::string other = !request.out.empty() ? "--out" : options.first_given();
        if (!other.empty()) {
            throw ctnn::ArgumentError(other + " cannot be given with --resume: a resumed run keeps the settings in " +
                                      (request.resume / "run.json").string());
        }
        if (named) { request.data_dir = data_dir; }
    } else {
        request.settings = options.settings();
        request.settings.data_dir = data_dir;
        if (!options.given("--dataset")) { request.settings.dataset = default_dataset(data_dir, named, terminal); }
    }
    return train(std::move(request), terminal);
}

}  // namespace

}  // namespace alexnet

/// Before the constructors of global objects, which are compiled for the same processor.
[[gnu::constructor(101)]] static void before_everything() { ctnn::require_processor(); }

int main(int argc, char** argv) {
    // A file that hits a size limit is an error of write(), which is reported, not the end of the process.
#ifdef SIGXFSZ
    std::signal(SIGXFSZ, SIG_IGN);
#endif
    try {
        return alexnet::run(argc, argv);
    } catch (const std::bad_alloc&) {
        alexnet::Terminal{}.error("out of memory");
    } catch (const std::exception& error) { alexnet::Terminal{}.error(error.what()); }
    return 1;
}
