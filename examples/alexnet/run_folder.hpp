// A run's folder: its settings, its table of epochs and its checkpoints.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include <ctnn/io/json.hpp>

#include "folder_lock.hpp"
#include "ranks.hpp"
#include "settings.hpp"

namespace alexnet {

/// A row of metrics.csv. Accuracies are shares, 0 to 1; `eval` is the validation split where there is one, else the
/// test set.
struct EpochRow {
    int epoch;
    double lr, train_loss, train_accuracy, eval_loss, eval_accuracy, images_per_second, seconds;
    int skipped = 0;  ///< steps; a column only where some were
};

/// Every file is written beside its place and renamed, so that what was there is whole until the new one is; but events
/// are appended, by TrainLog, to a file for every time that the run was started.
///
/// | file | what |
/// |---|---|
/// | run.json | settings and versions |
/// | metrics.csv | a row an epoch |
/// | last.safetensors | the weights behind the last epoch, or behind the last step of an interrupted run |
/// | best.safetensors | the weights of the epoch with the highest accuracy |
/// | trainer.safetensors | everything that resuming needs |
/// | report.html | what there is to see of a run that is complete |
/// | events.out.tfevents.… | curves, histograms and pictures for TensorBoard |
///
/// Whoever writes holds the folder's lock.
class RunFolder {
  public:
    /// Makes the folder of a new run. Throws FileError where one of its files is there already, or no right to write.
    static RunFolder create(const std::filesystem::path& path);
    /// The same by a name below runs/ that nobody has taken.
    static RunFolder create_named(const RunSettings& settings);
    /// The folder of a run to go on with, unchanged until begin() or go_on(). Throws FileError where another process
    /// trains in it.
    static RunFolder open(const std::filesystem::path& path);
    /// Writes run.json and an empty table. From the first of them on it is a run, and can be resumed.
    void begin(const RunSettings& settings, ctnn::Json::Object about);
    /// Whether a run came as far as to its first state, which may be missing now.
    [[nodiscard]] bool has_begun() const;
    /// Behind `epochs` epochs: rows of later ones, which a killed run may have left, are forgotten. Throws FileError,
    /// also where the folder cannot be written.
    void go_on(int epochs);
    /// That of a rank which is not the first: knows the table, and neither reads nor writes a file.
    static RunFolder of_another_rank();
    /// The first rank's name and table become all ranks'.
    void share(Ranks& ranks);
    /// Removes what a new run that could not begin has left, and the folder if it was made for it.
    void discard() const;

    /// The folder of a run as it is, for one who changes nothing: it may be in progress. Throws FileError.
    static RunFolder look_at(const std::filesystem::path& path);
    static RunSettings read_settings(const std::filesystem::path& path) { return read_settings_of(path / "run.json"); }
    /// Those in a file run.json.
    static RunSettings read_settings_of(const std::filesystem::path& file);
    /// What run.json says beside the settings. Throws FileError.
    [[nodiscard]] ctnn::Json::Object read_about() const;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::filesystem::path last() const { return path_ / "last.safetensors"; }
    [[nodiscard]] std::filesystem::path best() const { return path_ / "best.safetensors"; }
    [[nodiscard]] std::filesystem::path state() const { return path_ / "trainer.safetensors"; }
    [[nodiscard]] std::filesystem::path table() const { return path_ / "metrics.csv"; }
    [[nodiscard]] std::filesystem::path settings() const { return path_ / "run.json"; }
    [[nodiscard]] std::filesystem::path report() const { return path_ / "report.html"; }

    void add(const EpochRow& row);
    [[nodiscard]] const std::vector<EpochRow>& rows() const { return rows_; }
    /// The row with the highest accuracy, the first among equals; null before the first epoch.
    [[nodiscard]] const EpochRow* best_row() const;

  private:
    explicit RunFolder(std::filesystem::path path) : path_{std::move(path)} {}
    /// The first `epochs` rows, or all of them.
    void read_rows(std::optional<int> epochs);
    void write_rows() const;
    /// Those that a killed run was writing.
    void remove_temporaries() const;
    [[nodiscard]] std::array<std::filesystem::path, 6> files() const;

    std::filesystem::path path_;
    bool writes_ = true;  // or is another rank's
    bool made_ = false;   // by this process
    FolderLock lock_;
    std::vector<EpochRow> rows_;
};

}  // namespace alexnet
