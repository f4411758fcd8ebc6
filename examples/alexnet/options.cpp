#include "options.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/train/lars_recipes.hpp>

#include "data.hpp"
#include "networks.hpp"
#include "run_folder.hpp"
#include "validators.hpp"

namespace alexnet {

namespace {

constexpr const char* a_number = "NUMBER";
constexpr const char* a_count = "COUNT";

/// The defaults of a network.
RunSettings defaults(const std::string& model) {
    RunSettings s;
    if (!model.empty()) { s.model = model; }
    const Recipe& recipe = find_network(s.model).recipe;
    s.trainer = {
        .loss = ctnn::CrossEntropy{.label_smoothing = recipe.label_smoothing},
        .optimizer =
            ctnn::Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4, .decay_biases_and_norms = false},
        .schedule = {.kind = ctnn::ScheduleKind::linear, .lr = recipe.lr, .epochs = 10},
        .batch_size = recipe.batch_size,
        .seed = 42,
        .clip_norm = recipe.clip_norm};
    return s;
}

template <class Change, class Value>
void parse(const Change& change, Value& to) {
    try {
        ctnn::parse_setting(change.text, to);
    } catch (const ctnn::ArgumentError& error) {
        throw ctnn::ArgumentError(fmt::format("{}: {}", change.option, error.what()));
    }
}

/// Of a first convolution that whitens.
const ctnn::LrScale whitening_stays = ctnn::freeze("0.weight");

}  // namespace

bool is_run_json(const std::string& path) { return path.ends_with(".json"); }

void add_threads_option(CLI::App& command, int& threads) {
    command.add_option("--threads", threads, "threads; they change no result (all cores)")
        ->check(CLI::Range(1, 1024))
        ->default_str(std::to_string(threads));
}

void add_view_options(CLI::App& command, ctnn::EvaluateOptions& views) {
    command.add_flag("--test-flip,--flip", views.flip, "take images and their mirror images together");
    command.add_option("--test-shift", views.shift, "take images moved by this many pixels, too (0: do not)")
        ->check(at_least(0, "NONNEGATIVE"));
}

RunOptions::RunOptions(CLI::App& app) : app_{app} {
    std::vector<std::string> models;
    for (const NetworkEntry& entry : networks()) { models.emplace_back(entry.name); }

    group_ = "Run";
    app.add_option("--config", "a TOML file with options, or a run.json to begin with; options given here win")
        ->check(CLI::ExistingFile)
        ->group(group_)
        ->each([this](const std::string& path) { run_ = is_run_json(path) ? path : ""; });
    const auto set_preset = [this](const std::string& name) { preset_ = {place_ + "--preset", name}; };
    app.add_option_function<std::string>("--preset", set_preset,
                                         "lars, lars-bn: rate and schedule of the LARS paper for --batch-size")
        ->check(CLI::IsMember({"lars", "lars-bn"}))
        ->group(group_);
    add(app, "--model", "model", "NAME", "the network (small)");
    app.get_option("--model")->check(CLI::IsMember(models));
    add(app, "--dataset", "dataset", "NAME", "the images (cifar10 where it is found, else synthetic)");
    app.get_option("--dataset")->check(CLI::IsMember(dataset_names));
    add(app, "--epochs", "epochs", a_count, "epochs; also the schedule's length (10)");
    add(app, "--batch-size", "batch_size", a_count, "images in a step (128; 16 of 224 pixels and more)");
    add(app, "--micro-batch", "micro_batch", a_count, "images in a pass, several of which make a step (0: all)");
    add(app, "--seed", "seed", a_count, "of weights, order, augmentation and dropout (42)");
    add(app, "--val-size", "val_size", a_count, "training images held out for validation, the last ones (0)");
    app.get_option("--val-size")->check(at_least(0, "NONNEGATIVE"));
    add(app, "--limit-train", "limit_train", a_count, "train on this many images only (0: all)");
    app.get_option("--limit-train")->check(at_least(0, "NONNEGATIVE"));
    add(app, "--limit-test", "limit_test", a_count, "test on this many images only (0: all)");
    app.get_option("--limit-test")->check(at_least(0, "NONNEGATIVE"));
    add(app, "--patience", "patience", a_count, "stop behind this many epochs without a better one (0: never)");
    app.get_option("--patience")->check(at_least(0, "NONNEGATIVE"));
    add(app, "--ema", "ema_decay", a_number,
        "evaluate and keep a moving average of the weights, by this decay (0: none)");
    add(app, "--ema-every", "ema_every", a_count, "steps between its updates (1)");
    flag(app, "--test-flip", "test_flip", "evaluate images and their mirror images together (off)");
    add(app, "--test-shift", "test_shift", a_count, "evaluate images moved by this many pixels, too (0: off)");
    app.get_option("--test-shift")->check(at_least(0, "NONNEGATIVE"));
    flag(app, "--whiten", "whiten", "whiten patches in the first convolution, which is then frozen (off)");

    group_ = "Augmentation";
    flag(app, "--augment,!--no-augment", "augment", "random crops and flips (on)");
    add(app, "--crop-padding", "crop_padding", a_count, "pixels around the image that crops may show (4)");
    flag(app, "--flip,!--no-flip", "flip", "horizontal flips (on)");
    flag(app, "--alternate-flips", "alternate_flips", "flips that alternate by epoch instead of random ones (off)");
    flag(app, "--reflect-border", "reflect_border", "the padding mirrors the image instead of being black (off)");
    flag(app, "--random-resized-crop", "random_resized_crop", "crops of random size and aspect instead (off)");
    add(app, "--shorter-side", "shorter_side", a_count, "resize to this, then crop (0: resize to the network's input)");
    add(app, "--brightness", "brightness", a_number, "jitter, as ColorJitter's (0)");
    add(app, "--contrast", "contrast", a_number, "(0)");
    add(app, "--saturation", "saturation", a_number, "(0)");
    add(app, "--hue", "hue", a_number, "(0)");
    add(app, "--lighting", "lighting", a_number, "PCA lighting of the 2012 paper, which uses 0.1 (0)");
    add(app, "--cutout", "cutout", a_count, "side of a square that is greyed out (0)");
    add(app, "--mixup", "mixup", a_number, "mix pairs of images, by Beta(A, A) (0)");

    group_ = "Optimizer";
    add(app, "--optimizer", "optimizer", "NAME", "sgd, adam, adamw or lars (sgd)");
    add(app, "--lr", "lr", a_number,
        "peak learning rate (small ones 0.1, quick 0.2, others 0.01 to 0.02; adam, adamw 0.001; lars 4)");
    const auto set_base_lr = [this](double value) {
        base_lr_ = value;
        changes_.erase("lr");  // of a file
    };
    app.add_option_function<double>("--base-lr", set_base_lr, "the same for batches of 256, scaled by the batch size")
        ->type_name(a_number)
        ->excludes("--lr")
        ->group(group_);
    add(app, "--momentum", "momentum", a_number, "(0.9)");
    flag(app, "--nesterov,!--no-nesterov", "nesterov", "Nesterov's momentum (on)");
    add(app, "--beta1", "beta1", a_number, "adam, adamw (0.9)");
    add(app, "--beta2", "beta2", a_number, "adam, adamw (0.999)");
    add(app, "--eps", "eps", a_number, "adam, adamw (1e-8)");
    add(app, "--trust-coefficient", "trust_coefficient", a_number, "lars (0.001)");
    flag(app, "--lr-in-velocity,!--lr-outside-velocity", "lr_in_velocity", "lars: velocity holds steps, not gradients");
    add(app, "--weight-decay", "weight_decay", a_number, "(5e-4; adam 0, adamw 0.01)");
    flag(app, "!--no-decay-bias,--decay-bias", "decay_biases_and_norms",
         "leave biases and batch norm out of the decay (they are left out)");
    add(app, "--clip-norm", "clip_norm", a_number,
        "clip the gradient's norm; 0 is off (small ones and quick 0, others 1)");
    flag(app, "--sync-batch-norm", "sync_batch_norm",
         "with mpirun: batch norm takes all ranks' samples together (off)");
    add(app, "--skip-nonfinite", "skip_nonfinite", a_count,
        "steps in a row to skip where loss or gradients are infinite or NaN (0)");
    add(app, "--lr-scales", "lr_scales", "LIST", "factors of the rate: NAME=FACTOR[@EPOCH],...; 0 freezes");
    add(app, "--loss", "loss", "NAME", "cross-entropy or mse (cross-entropy)");
    add(app, "--label-smoothing", "label_smoothing", a_number, "(small ones 0.1, quick 0.2, others 0)");
    add(app, "--class-weights", "class_weights", "LIST", "a weight per class, with commas between (all 1)");

    group_ = "Schedule";
    add(app, "--schedule", "schedule", "NAME",
        "constant, step, multi-step, linear, cosine, polynomial or one-cycle (linear)");
    add(app, "--warmup-epochs", "warmup_epochs", a_number,
        "epochs of linear rise (a fifth of all; 0 for constant, steps and one-cycle)");
    add(app, "--initial-lr-fraction", "initial_lr_fraction", a_number, "share of the rate where warmup begins (0)");
    add(app, "--final-lr-fraction", "final_lr_fraction", a_number,
        "share of the rate where linear, cosine and polynomial end (0)");
    add(app, "--step-size", "step_size", a_count, "step: epochs between drops (a third of all)");
    add(app, "--milestones", "milestones", "LIST", "multi-step: epochs of drops, with commas between");
    add(app, "--gamma", "gamma", a_number, "step, multi-step: factor of a drop (0.1)");
    add(app, "--power", "power", a_number, "polynomial: exponent (2)");
    add(app, "--pct-start", "pct_start", a_number, "one-cycle: share that rises (0.3)");
}

void RunOptions::add(CLI::App& app, const char* option, const char* key, const char* type, const char* help) {
    const auto set = [this, option, key](const std::string& text) {
        changes_[key] = {place_ + option, text};
        if (option == std::string_view{"--lr"}) { base_lr_.reset(); }  // of a file
    };
    app.add_option_function<std::string>(option, set, help)->type_name(type)->group(group_);
}

void RunOptions::flag(CLI::App& app, const char* options, const char* key, const char* help) {
    // CLI11 says what was meant, and not by which of the spellings.
    std::string yes, no;
    for (const std::string& name : CLI::detail::split(options, ',')) {
        (name.starts_with('!') ? no : yes) = name.substr(name.find('-'));
    }
    if (no.empty()) { no = yes; }
    // CLI11's own answer to another value is "stoll".
    const auto expect_truth = [](const std::string& text) {
        static const std::set<std::string> known{"true", "false", "on", "off", "yes", "no", "1", "0"};
        return known.contains(CLI::detail::to_lower(text)) ? "" : fmt::format("found {}, expected true or false", text);
    };
    app.add_flag_function(
           options,
           [this, yes, no, key](std::int64_t value) {
               changes_[key] = {place_ + (value > 0 ? yes : no), value > 0 ? "1" : "0"};
           },
           help)
        ->check(expect_truth)
        ->group(group_);
}

std::string RunOptions::first_given() const {
    if (!changes_.empty()) { return changes_.begin()->second.option; }
    return !run_.empty() ? "--config" : preset_ ? preset_->option : base_lr_ ? "--base-lr" : "";
}

RunSettings RunOptions::settings() const {
    RunSettings s =
        run_.empty() ? defaults(given("model") ? changes_.at("model").text : "") : RunFolder::read_settings_of(run_);
    if (preset_) { choose_recipe(s); }
    if (given("optimizer")) { choose_optimizer(s); }
    if (s.whiten && given("whiten")) { std::erase(s.trainer.lr_scales, whitening_stays); }
    apply(s);
    follow(s);
    return s;
}

/// The LARS paper's, for the batch size that is asked for.
void RunOptions::choose_recipe(RunSettings& s) const {
    if (given("batch_size")) { parse(changes_.at("batch_size"), s.trainer.batch_size); }
    try {
        const auto paper = ctnn::lars_paper_recipe(s.trainer.batch_size, preset_->text == "lars-bn");
        s.trainer.optimizer = paper.optimizer;
        s.trainer.schedule = paper.schedule;
    } catch (const ctnn::ArgumentError& error) {
        throw ctnn::ArgumentError(fmt::format("{}: {}", preset_->option, error.what()));
    }
}

/// Another kind than there is comes with what this program has for it: its rate, and what decays.
void RunOptions::choose_optimizer(RunSettings& s) const {
    ctnn::Optimizer& optimizer = s.trainer.optimizer;
    const std::size_t before = optimizer.index();
    parse(changes_.at("optimizer"), optimizer);
    if (optimizer.index() == before) { return; }
    const RunSettings own = defaults(given("model") ? changes_.at("model").text : s.model);
    double& lr = s.trainer.schedule.lr;
    if (std::holds_alternative<ctnn::Sgd>(optimizer)) {
        optimizer = own.trainer.optimizer;
        lr = own.trainer.schedule.lr;
    } else if (std::holds_alternative<ctnn::Lars>(optimizer)) {
        lr = 4;  // times local rates of a thousandth: with SGD's rates next to nothing moves
    } else {
        lr = 0.001;
        std::visit(
            [](auto& o) {
                if constexpr (requires { o.decay_biases_and_norms; }) { o.decay_biases_and_norms = false; }
            },
            optimizer);
    }
}

/// Sets what was given.
void RunOptions::apply(RunSettings& settings) const {
    std::set<std::string> known;
    for_each_run_setting(settings, [&](const std::string& key, auto& value) {
        known.insert(key);
        const auto change = changes_.find(key);
        if (change == changes_.end()) { return; }
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, std::string>) {
            value = change->second.text;
        } else {
            parse(change->second, value);
        }
    });
    for (const auto& [key, change] : changes_) {
        if (!known.contains(key)) {
            throw ctnn::ArgumentError(fmt::format("{}: no setting of {} with {}", change.option,
                                                  ctnn::setting_text(settings.trainer.optimizer),
                                                  ctnn::setting_text(settings.trainer.loss)));
        }
    }
}

/// What follows from what was given; lengths of another run stay as it has them.
void RunOptions::follow(RunSettings& s) const {
    using enum ctnn::ScheduleKind;
    ctnn::Schedule& schedule = s.trainer.schedule;
    if (base_lr_) { schedule.lr = ctnn::scaled_lr(*base_lr_, s.trainer.batch_size); }
    if (s.whiten && (given("whiten") || given("lr_scales"))) {
        std::erase(s.trainer.lr_scales, whitening_stays);
        s.trainer.lr_scales.push_back(whitening_stays);  // the last one counts
    }
    if (auto* sgd = std::get_if<ctnn::Sgd>(&s.trainer.optimizer); sgd != nullptr && sgd->momentum == 0) {
        if (!given("nesterov")) { sgd->nesterov = false; }
    }
    if (begins_with_run()) { return; }
    const bool rises = schedule.kind == linear || schedule.kind == cosine || schedule.kind == polynomial;
    if (!given("warmup_epochs") && rises && !preset_) { schedule.warmup_epochs = schedule.epochs / 5.0; }
    if (!given("step_size")) { schedule.step_size = std::max(1, (schedule.epochs + 2) / 3); }
}

}  // namespace alexnet
