// alexnet report: what there is to see of a run, or of several beside each other, as one HTML file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <ctnn/data/image.hpp>
#include <ctnn/data/source.hpp>
#include <ctnn/io/json.hpp>
#include <ctnn/train/metrics.hpp>

#include "networks.hpp"
#include "run_folder.hpp"
#include "settings.hpp"
#include "terminal.hpp"

namespace CLI {
class App;
}

namespace alexnet {

/// A test image that was taken for something else.
struct Mistake {
    std::uint32_t id;
    std::size_t truth, guess;
    double probability;  ///< of the guess
    ctnn::Image picture;
};

/// What best.safetensors makes of the test images.
struct Examination {
    std::string images;  ///< "CIFAR-10 in datasets/cifar10"
    std::vector<std::string> class_names;
    ctnn::Metrics metrics;
    std::vector<Mistake> mistakes;  ///< the most confident ones, these first
};

/// What is known of a run.
struct RunReport {
    RunFolder folder;
    std::string name;  ///< of the folder
    RunSettings settings;
    ctnn::Json::Object about;  ///< what run.json says beside them
    const NetworkEntry* network = nullptr;
    std::optional<ctnn::Image> filters;
    std::optional<Examination> test;
    std::vector<std::string> missing;  ///< why a part is not there
};

struct ReportRequest {
    std::vector<std::filesystem::path> runs;
    std::filesystem::path out;  ///< empty: report.html, in the folder of a run, and here of several
    std::string data_dir;       ///< empty: where the data lay
    int threads = 1, workers = 1;
};

/// Writes the report and returns its file, or nothing where it was interrupted. `test` are a single run's test images
/// where they are in memory; otherwise they are opened. What is left out for want of the weights or images is said in
/// the report and on the terminal. Throws ctnn::Error where there is no run, no epoch of it is finished, or the file
/// cannot be written.
std::optional<std::filesystem::path> write_report(const ReportRequest& request, const ctnn::ImageSource* test,
                                                  Terminal& terminal);

/// Adds the subcommand. What comes back runs it where it was chosen, and returns the exit status. Throws ctnn::Error.
std::function<std::optional<int>(Terminal&)> add_report_command(CLI::App& app);

}  // namespace alexnet
