// What a training leaves for TensorBoard beside its own files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include <ctnn/data/loader.hpp>
#include <ctnn/data/source.hpp>
#include <ctnn/train/metrics.hpp>
#include <ctnn/train/trainer.hpp>

#include "networks.hpp"
#include "run_folder.hpp"
#include "settings.hpp"
#include "tensorboard.hpp"
#include "terminal.hpp"

namespace alexnet {

/// What is evaluated behind every epoch.
struct Evaluated {
    const ctnn::ImageSource& images;
    std::vector<std::uint32_t> indices;
    ctnn::LoaderOptions options;
    std::string_view name;  ///< "validation" or "test"
};

/// An event file in a run's folder, made at the first step: a run that cannot begin leaves none.
///
/// | tag | when | what |
/// |---|---|---|
/// | train/loss, train/accuracy, lr, train/gradient_norm | every step | of its batch; the norm where it is taken |
/// | parameters/…, gradients/… | every `histogram_every` steps | the values of each tensor |
/// | epoch/… | every epoch | the row of metrics.csv |
/// | filters, confusion | every epoch | pictures: the first convolution's filters, true classes against guesses |
/// | predictions/… | every epoch | eight of the evaluated images, each under its true class and its guess |
///
/// and the settings, for the HParams plugin. Steps are counted over the whole run. What cannot be written is reported
/// once; the run goes on without.
class TrainLog {
  public:
    TrainLog(std::filesystem::path folder, const RunSettings& settings, TrainedNetwork& network, Terminal& terminal,
             int histogram_every, int threads);
    TrainLog(const TrainLog&) = delete;
    TrainLog& operator=(const TrainLog&) = delete;
    ~TrainLog();

    /// Behind a step, and behind an epoch's row, whose metrics are of what was evaluated.
    void step(const ctnn::StepResult& result);
    void epoch(const EpochRow& row, const ctnn::Metrics& metrics, const Evaluated& evaluated);
    /// The run is complete.
    void end();

  private:
    template <class F>
    void unless_failed(F&& write);
    [[nodiscard]] std::int64_t steps() const { return network_.progress().step; }
    void add_histograms(Summary& summary) const;
    void add_predictions(Summary& summary, const Evaluated& evaluated) const;

    std::filesystem::path folder_;
    const RunSettings& settings_;
    TrainedNetwork& network_;
    Terminal& terminal_;
    int histogram_every_, threads_;
    bool failed_ = false;
    std::optional<EventFile> file_;
};

}  // namespace alexnet
