#include "data.hpp"

#include <filesystem>
#include <system_error>

#include <ctnn/core/error.hpp>
#include <ctnn/data/synthetic.hpp>
#include <ctnn/io/cifar.hpp>

namespace alexnet {

ctnn::TrainTest open_data(const std::string& dataset, const std::string& data_dir) {
    if (dataset == "cifar10") { return ctnn::read_cifar10(data_dir); }
    // Always the same pictures: a run's seed changes the training, not what it is measured on.
    if (dataset == "synthetic") { return ctnn::make_synthetic(10'000, 2'000, 1); }
    throw ctnn::ArgumentError("unknown data set '" + dataset + "', expected cifar10 or synthetic");
}

std::string data_title(const std::string& dataset, const std::string& data_dir) {
    return dataset == "cifar10" ? "CIFAR-10 in " + data_dir : "the synthetic set, drawn in memory";
}

bool has_cifar10(const std::string& data_dir) {
    std::error_code ignored;
    return std::filesystem::exists(std::filesystem::path{data_dir} / "data_batch_1.bin", ignored);
}

}  // namespace alexnet
