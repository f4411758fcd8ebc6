// What a run is asked for: everything that decides its numbers, as options set it and as run.json keeps it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <ctnn/io/json.hpp>
#include <ctnn/train/settings.hpp>

namespace alexnet {

/// The number of threads is not among them: it changes no bit.
struct RunSettings {
    std::string model = "small";
    std::string dataset = "cifar10";
    std::string data_dir = "datasets/cifar10";
    bool augment = true;
    std::int64_t val_size = 0;     ///< training samples held out, from the end
    std::int64_t limit_train = 0;  ///< training samples used, from the beginning; 0 is all
    ctnn::TrainerSettings trainer{};
};

ctnn::Json to_json(const RunSettings& settings);

/// Throws FileError that names `place` and the key for what is missing or of another kind.
RunSettings run_settings(const ctnn::Json& json, std::string_view place);

}  // namespace alexnet
