// The options of a new run: names, help, and how they become settings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <ctnn/train/evaluate.hpp>

#include "settings.hpp"

namespace alexnet {

/// A whole number from `least` on. CLI11's own checks answer with the largest double there is, in three hundred digits.
CLI::Validator at_least(std::int64_t least, const char* name);

/// --threads of a command.
void add_threads_option(CLI::App& command, int& threads);

/// --test-flip and --test-shift of a command that is given weights.
void add_view_options(CLI::App& command, ctnn::EvaluateOptions& views);

/// What is given changes the defaults of the chosen model, or the settings of another run, and nothing of a resumed
/// run.
class RunOptions {
  public:
    explicit RunOptions(CLI::App& app);

    [[nodiscard]] bool given(const std::string& key) const { return changes_.contains(key); }
    /// Whether another run's settings were named.
    [[nodiscard]] bool begins_with_run() const { return !run_.empty(); }
    /// The first option that a resumed run cannot take, or nothing.
    [[nodiscard]] std::string first_given() const;

    /// Throws ArgumentError that names the option, and FileError where another run's settings cannot be read.
    [[nodiscard]] RunSettings settings() const;

  private:
    struct Change {
        std::string option, text;
    };
    void add(CLI::App& app, const char* option, const char* key, const char* type, const char* help);
    void flag(CLI::App& app, const char* options, const char* key, const char* help);
    void apply(RunSettings& settings) const;
    void follow(RunSettings& settings) const;

    const char* group_ = "";
    std::map<std::string, Change> changes_;  // by the setting's key
    std::filesystem::path run_;              // whose run.json to begin with
    std::string preset_;
    double base_lr_ = 0;
};

/// The arguments with those of a TOML file, which `--config FILE` of `train` names, in front: what is said on the
/// command line comes later and wins. Keys are options without their dashes. A run.json is left to RunOptions. Throws
/// FileError that names file and key.
std::vector<std::string> with_config(std::vector<std::string> arguments, CLI::App& train_app);

}  // namespace alexnet
