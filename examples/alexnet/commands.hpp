// The subcommands behind the command line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <ctnn/train/evaluate.hpp>
#include <ctnn/train/metrics.hpp>

#include "ranks.hpp"
#include "settings.hpp"
#include "terminal.hpp"

namespace alexnet {

struct TrainRequest {
    RunSettings settings;          ///< of a new run
    std::filesystem::path out;     ///< of a new run; empty: a free name below runs/
    std::filesystem::path resume;  ///< the folder of the run to continue; empty: a new run
    std::string data_dir;          ///< where the data of a resumed run lie now; empty: where they lay
    int threads = 1, workers = 1;  ///< of the step, and of what prepares batches
    int stop_after = 0;            ///< epochs; 0: all
    bool tensorboard = true;       ///< whether to write event files
    int histogram_every = 100;     ///< steps between histograms in them; 0: none
    bool report = true;            ///< whether a run that is complete gets report.html
    double rank_timeout = 300;     ///< seconds for which ranks wait for each other
    std::string program;           ///< how the tool was called
};

/// On all ranks together; the first one writes and prints. Exit status: 0, or 128 + the signal that ended it, with
/// everything saved. Throws ctnn::Error.
int train(TrainRequest request, Ranks& ranks, Terminal& terminal);

struct EvalRequest {
    std::string model;  ///< empty: the one that the file names
    std::filesystem::path weights;
    std::string dataset, data_dir;
    std::int64_t limit_test = 0;  ///< of the test images the first so many; 0 is all
    int batch_size = 250, threads = 1, workers = 1, shorter_side = 0;
    ctnn::EvaluateOptions views{};
    bool half = false;  ///< linear layers' weights in half precision
};
void evaluate(const EvalRequest& request, Terminal& terminal);

/// Loss, top-5, recalls, and last the accuracy.
void print_metrics(const ctnn::Metrics& metrics, const std::vector<std::string>& class_names, Terminal& terminal);

struct InfoRequest {
    std::string model = "small";
    bool all = false;
    int batch_size = 128, threads = 1;
};
void print_info(const InfoRequest& request, Terminal& terminal);

}  // namespace alexnet
