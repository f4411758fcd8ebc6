// alexnet train: the loop over epochs, and what it leaves behind.
#include <algorithm>
#include <cmath>
#include <csignal>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <ctnn/core/config.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/io/checkpoint.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/early_stopping.hpp>

#include "commands.hpp"
#include "data.hpp"
#include "evaluation.hpp"
#include "interrupt.hpp"
#include "networks.hpp"
#include "ranks.hpp"
#include "report.hpp"
#include "run_folder.hpp"
#include "train_log.hpp"
#include "train_setup.hpp"

namespace alexnet {

namespace {

/// A run in progress.
class Run {
  public:
    Run(TrainRequest request, Ranks& ranks, Terminal& terminal)
        : request_{std::move(request)},
          ranks_{ranks},
          terminal_{terminal},
          resumed_{!request_.resume.empty()},
          settings_{settings_of(request_, ranks_)},
          entry_{find_network(settings_.model)},
          data_dir_{request_.data_dir.empty() ? settings_.data_dir : request_.data_dir},
          data_{open_for(entry_, settings_, data_dir_)},
          parts_{split(settings_, data_.train->size())},
          network_{start_network()},
          loader_{*data_.train, parts_.first, loader_options(settings_, entry_.input, request_.workers, ranks_)},
          info_{std::string{entry_.type}, data_.train->normalization(), data_.train->class_names()},
          folder_{open_folder()} {
        network_->synchronize();
        folder_.share(ranks_);
        if (request_.tensorboard && ranks_.first()) {
            log_.emplace(folder_.path(), settings_, *network_, terminal_, request_.histogram_every, request_.threads);
        }
    }

    int operator()() {
        print_start();
        const int epochs = settings_.trainer.schedule.epochs;
        const int last = request_.stop_after > 0 ? std::min(request_.stop_after, epochs) : epochs;
        while (network_->progress().epoch < last && !stops_early()) {
            if (!epoch_or_nothing()) {
                require_same_model();
                save();
                say_stopped();
                return 128 + (interrupted() != 0 ? interrupted() : SIGTERM);  // the one that another rank was sent
            }
        }
        if (network_->progress().epoch < epochs && !stops_early()) {
            terminal_.result(fmt::format("stopped after {} of {} epochs; saved in {}", network_->progress().epoch,
                                         epochs, folder_.path().string()));
            say_how_to_resume();
        } else {
            print_end();
        }
        return 0;
    }

  private:
    std::unique_ptr<TrainedNetwork> start_network() const {
        // Where there is no room for all threads, OpenMP's runtime ends the program: better now than with a folder.
        ctnn::parallel_for(request_.threads, request_.threads, [](int, int) {});
        require_same_training(ranks_, settings_, data_);
        return entry_.start(settings_.trainer, request_.threads, ranks_);
    }
    RunFolder open_folder() {
        if (!ranks_.first()) { return RunFolder::of_another_rank(); }
        const ctnn::SafetensorsMetadata loader = ctnn::loader_metadata(loader_.options());
        RunFolder folder = resumed_               ? RunFolder::open(request_.resume)
                           : request_.out.empty() ? RunFolder::create_named(settings_)
                                                  : RunFolder::create(request_.out);
        if (resumed_ && folder.has_begun()) {
            network_->load_state(folder.state(), loader);
            require_as_many_images(folder);
            require_its_classes(folder);
            folder.go_on(network_->progress().epoch);
            return folder;
        }
        try {
            if (settings_.whiten) { whiten(); }
            // The settings come first: with them alone, a run that is killed here is resumed from the beginning. The
            // state shows now whatever keeps it from being written.
            folder.begin(settings_, about_run(entry_, request_.threads, ranks_.size(), parts_.first.size()));
            network_->save_state(folder.state(), loader);
        } catch (...) {
            if (!resumed_) { folder.discard(); }
            throw;
        }
        return folder;
    }

    /// With images that came or went since the run began it would go on as another one. Runs of older versions say
    /// nothing of them.
    void require_as_many_images(const RunFolder& folder) const {
        const std::string place = folder.settings().string();
        const ctnn::Json about{folder.read_about()};
        if (about.find("train_images") == nullptr) { return; }
        const auto expected = about.field<std::size_t>("train_images", place);
        if (parts_.first.size() != expected) {
            throw ctnn::FileError(fmt::format("{}: found {} images to train on, expected {} as in {}",
                                              data_title(settings_.dataset, data_dir_), parts_.first.size(), expected,
                                              place));
        }
    }

    /// Folders of images that were renamed since may have made other labels of the same images.
    void require_its_classes(const RunFolder& folder) const {
        std::error_code ignored;
        if (!std::filesystem::exists(folder.last(), ignored)) { return; }  // before the first epoch's end
        require_same_classes(folder.last(), watched_model_info(folder.last()), *data_.train,
                             data_title(settings_.dataset, data_dir_));
    }

    /// A new run that cannot read its images, or make steps of them, has nothing to resume. Steps that it has made are
    /// kept.
    bool epoch_or_nothing() {
        const ctnn::TrainerProgress before = network_->progress();
        try {
            return epoch();
        } catch (const ctnn::NumericError&) { throw; } catch (const ctnn::FileError&) {
            // What cannot be read or printed shows between two steps; but behind the epoch's last one its row is
            // missing, and other ranks are in the midst of the next step.
            const ctnn::TrainerProgress& now = network_->progress();
            if (ranks_.alone() && now.epoch == before.epoch && now.step > before.step) { save_if_possible(); }
            discard_without_steps();
            throw;
        } catch (const std::exception&) {
            discard_without_steps();
            throw;
        }
    }
    void discard_without_steps() const {
        if (!resumed_ && network_->progress().step == 0) { folder_.discard(); }
    }
    /// While another error is on its way, which is told behind it.
    void save_if_possible() {
        try {
            save();
        } catch (const ctnn::Error& error) {
            terminal_.error(fmt::format("{}; the epoch's steps are not saved", error.what()));
            return;
        }
        say_stopped();
    }
    void whiten() {
        // Those that train come first in the set; so many of them say what patches look like (Jordan 2024,
        // section 3.2).
        network_->whiten(first_images(*data_.train, std::min<std::size_t>(parts_.first.size(), 5000),
                                      {entry_.input, settings_.loader.shorter_side}));
    }
    [[nodiscard]] bool stops_early() const {
        std::vector<double> scores;
        for (const EpochRow& row : folder_.rows()) { scores.push_back(row.eval_accuracy); }
        return ctnn::stops_early(scores, settings_.patience);
    }

    /// Trains and evaluates one epoch, or returns false where it was interrupted.
    bool epoch() {
        const ctnn::TrainerProgress& progress = network_->progress();
        const int number = progress.epoch + 1;
        EpochBar bar{terminal_, number, settings_.trainer.schedule.epochs, static_cast<std::int64_t>(loader_.samples()),
                     progress.loss.count};
        const ctnn::StepResult result = network_->train_epoch(loader_, [&](const ctnn::StepResult& step) {
            bar.update(progress.loss);
            if (log_) { log_->step(step); }
            return !ranks_.any(interrupted() != 0);
        });
        if (progress.epoch < number) { return false; }
        const double seconds = bar.seconds(), rate = bar.images_per_second();

        terminal_.transient("evaluating");
        network_->require_finite();
        require_same_model();
        const Evaluated evaluated = what_is_evaluated();
        const ctnn::Metrics metrics = evaluate(evaluated);
        if (!has_validation()) { test_ = metrics; }
        if (metrics.not_numbers() > 0 && ranks_.first()) {
            terminal_.error(
                fmt::format("epoch {}: {} of the {} {} images have outputs that are NaN; they count as wrong", number,
                            metrics.not_numbers(), metrics.samples(), evaluated.name));
        }
        const EpochRow row{.epoch = number,
                           .lr = result.lr,
                           .train_loss = result.loss.mean(),
                           .train_accuracy = result.loss.accuracy(),
                           .eval_loss = metrics.mean_loss(),
                           .eval_accuracy = metrics.accuracy(),
                           .images_per_second = rate,
                           .seconds = seconds,
                           .skipped = result.skipped};
        // The trainer's state comes last: until it is there, a resumed run repeats the epoch and writes the same files.
        folder_.add(row);
        const bool best = folder_.best_row() == &folder_.rows().back();
        if (best && ranks_.first()) { network_->save_weights(folder_.best(), info_); }
        save();
        if (log_) { log_->epoch(row, metrics, evaluated); }
        print_row(row, best);
        return true;
    }
    [[nodiscard]] Evaluated what_is_evaluated() const {
        if (!has_validation()) { return test_images(); }
        return {*data_.train, parts_.second, evaluation(), "validation"};
    }
    [[nodiscard]] Evaluated test_images() const {
        return {*data_.test, ctnn::all_indices(data_.test->size()), evaluation(), "test"};
    }
    [[nodiscard]] ctnn::LoaderOptions evaluation() const {
        return evaluation_options(settings_, entry_.input, request_.workers, ranks_.rank(), ranks_.size());
    }
    /// By all ranks, each of which takes its share.
    ctnn::Metrics evaluate(const Evaluated& what) {
        ctnn::BatchLoader loader{what.images, what.indices, what.options};
        ctnn::Metrics metrics = network_->evaluate(loader, settings_.views());
        metrics.all_reduce(ranks_);
        return metrics;
    }
    [[nodiscard]] bool has_validation() const { return !parts_.second.empty(); }

    void save() {
        network_->require_finite();
        if (!ranks_.first()) { return; }
        network_->save_weights(folder_.last(), info_);
        network_->save_state(folder_.state(), ctnn::loader_metadata(loader_.options()));
    }

    /// Ranks that made the same steps have the same bits.
    void require_same_model() {
        if (ranks_.alone()) { return; }
        std::string all;
        for (const auto& numbers : network_->state()) { all += fingerprint(std::as_bytes(numbers)); }
        ranks_.require_same({{"the model's fingerprint", fingerprint(std::as_bytes(std::span{all}))}});
    }

    void print_start() {
        const NetworkInfo about = entry_.info();
        terminal_.line(fmt::format(
            "{}: {} parameters, {:.1f} million multiply-adds an image; training plan {:.1f} MiB", entry_.type,
            about.parameters, static_cast<double>(about.multiply_adds) / 1e6,
            static_cast<double>(about.training.total(settings_.trainer.pass_size(ranks_.size()), request_.threads)) /
                (1 << 20)));
        terminal_.line(fmt::format("{}: {} images train, {} validate, {} test",
                                   data_title(settings_.dataset, data_dir_), parts_.first.size(), parts_.second.size(),
                                   data_.test->size()));
        terminal_.line(fmt::format("{} {} on {}{} thread{}", resumed_ ? "resuming" : "run in", folder_.path().string(),
                                   ranks_.alone() ? "" : fmt::format("{} ranks of ", ranks_.size()), request_.threads,
                                   request_.threads == 1 ? "" : "s"));
        terminal_.line(fmt::format("epoch       lr  train loss  train acc  {0:>4} loss  {0:>4} acc  images/s   time",
                                   has_validation() ? "val" : "test"),
                       Colour::dim);
        const EpochRow* best = folder_.best_row();
        for (const EpochRow& row : folder_.rows()) { print_row(row, &row == best); }
    }
    void print_row(const EpochRow& row, bool best) {
        terminal_.line(fmt::format("{:5} {:8.5f} {:>11.4f} {:>8.2f} % {:>10.4f} {:7.2f} % {:9.0f} {:>6}{}", row.epoch,
                                   row.lr, row.train_loss, 100 * row.train_accuracy, row.eval_loss,
                                   100 * row.eval_accuracy, row.images_per_second, duration(row.seconds),
                                   row.skipped > 0 ? fmt::format("  {} skipped", row.skipped) : ""),
                       best ? Colour::green : Colour::none);
    }
    void print_end() {
        terminal_.transient("evaluating");
        print_metrics(test_ ? *test_ : evaluate(test_images()), data_.test->class_names(), terminal_);
        if (log_) { log_->end(); }
        const bool report = request_.report && ranks_.first() && write_report();
        if (const std::int64_t skipped = network_->progress().skipped; skipped > 0) {
            terminal_.result(fmt::format("{} of {} steps were skipped: their loss or gradients were not finite",
                                         skipped, network_->progress().step));
        }
        const EpochRow& best = *folder_.best_row();
        terminal_.result(
            fmt::format("results in {}: best.safetensors (epoch {}, {} accuracy {:.2f} %), last.safetensors, "
                        "metrics.csv, run.json{}",
                        folder_.path().string(), best.epoch, has_validation() ? "validation" : "test",
                        100 * best.eval_accuracy, report ? ", report.html" : ""));
    }
    /// The run is complete whether its report can be written or not.
    bool write_report() {
        std::string reason = "interrupted";
        try {
            const ReportRequest request{.runs = {folder_.path()},
                                        .out = {},
                                        .data_dir = data_dir_,
                                        .threads = request_.threads,
                                        .workers = request_.workers};
            if (alexnet::write_report(request, data_.test.get(), terminal_)) { return true; }
        } catch (const std::exception& error) { reason = error.what(); }
        terminal_.error(fmt::format("{}; the run is complete, but without a report", reason));
        return false;
    }
    void say_stopped() {
        terminal_.result(fmt::format("stopped in epoch {}, behind step {} of the run; saved in {}",
                                     network_->progress().epoch + 1, network_->progress().step,
                                     folder_.path().string()));
        say_how_to_resume();
    }
    void say_how_to_resume() {
        terminal_.result(fmt::format("to go on: {} train --resume {}", request_.program, folder_.path().string()));
    }

    TrainRequest request_;
    Ranks& ranks_;
    Terminal& terminal_;
    bool resumed_;
    RunSettings settings_;
    const NetworkEntry& entry_;
    std::string data_dir_;
    Sources data_;
    std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> parts_;
    std::unique_ptr<TrainedNetwork> network_;
    ctnn::BatchLoader loader_;
    ctnn::ModelInfo info_;
    RunFolder folder_;
    std::optional<ctnn::Metrics> test_;  // behind the last epoch
    std::optional<TrainLog> log_;
};

}  // namespace

int train(TrainRequest request, Ranks& ranks, Terminal& terminal) {
    catch_interrupts();
    return Run{std::move(request), ranks, terminal}();
}

}  // namespace alexnet
