// The data sets that the tool knows by name.
#pragma once

#include <string>
#include <vector>

#include <ctnn/data/dataset.hpp>

#include "settings.hpp"

namespace alexnet {

inline const std::vector<std::string> dataset_names{"cifar10", "synthetic"};

/// Throws FileError where the files are missing or wrong, ArgumentError for an unknown name.
ctnn::TrainTest open_data(const std::string& dataset, const std::string& data_dir);

/// "CIFAR-10 in datasets/cifar10".
std::string data_title(const std::string& dataset, const std::string& data_dir);

/// Whether there is anything like CIFAR-10 in that directory.
bool has_cifar10(const std::string& data_dir);

}  // namespace alexnet
