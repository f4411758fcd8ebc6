// What a run is asked for: everything that decides its numbers, as options set it and as run.json keeps it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <ctnn/data/loader_options.hpp>
#include <ctnn/io/json.hpp>
#include <ctnn/train/evaluate.hpp>
#include <ctnn/train/settings.hpp>

namespace alexnet {

/// The number of threads is not among them: it changes no bit.
struct RunSettings {
    std::string model = "small";
    std::string dataset = "cifar10";
    std::string data_dir = "datasets/cifar10";
    std::int64_t val_size = 0;     ///< training samples held out, from the end
    std::int64_t limit_train = 0;  ///< training samples used, from the beginning; 0 is all
    std::int64_t limit_test = 0;   ///< the same of test samples
    bool test_flip = false;        ///< evaluate images and their mirror images together
    int test_shift = 0;            ///< pixels by which evaluated images are moved, too; 0 is none
    int patience = 0;              ///< epochs without a better one behind which the run ends; 0 is never
    bool whiten = false;           ///< the first convolution begins as filters that whiten patches, and stays
    ctnn::LoaderOptions loader{.augment = true};
    ctnn::TrainerSettings trainer{};

    [[nodiscard]] ctnn::EvaluateOptions views() const { return {.flip = test_flip, .shift = test_shift}; }
};

/// Options of the loader that follow from other settings.
inline constexpr std::array<std::string_view, 7> derived_settings{
    "loader_batch_size", "loader_seed", "shuffle", "drop_last", "input_channels", "input_height", "input_width"};

/// Calls f(key, value) for every setting, kinds before the settings that they have; values are those that
/// ctnn::setting_text knows, and texts.
template <class Settings, class F>
void for_each_run_setting(Settings& s, F&& f) {
    f("model", s.model);
    f("dataset", s.dataset);
    f("data_dir", s.data_dir);
    f("val_size", s.val_size);
    f("limit_train", s.limit_train);
    f("limit_test", s.limit_test);
    f("test_flip", s.test_flip);
    f("test_shift", s.test_shift);
    f("patience", s.patience);
    f("whiten", s.whiten);
    ctnn::for_each_setting(s.loader, [&](const char* key, auto& value) {
        for (const std::string_view derived : derived_settings) {
            if (derived == key) { return; }
        }
        f(key, value);
    });
    ctnn::for_each_setting(s.trainer, f);
}

ctnn::Json to_json(const RunSettings& settings);

/// Throws FileError that names `place` and the key for what is missing or of another kind.
RunSettings run_settings(const ctnn::Json& json, std::string_view place);

}  // namespace alexnet
