// The options of a new run: names, help, and how they become settings.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <ctnn/train/evaluate.hpp>

#include "settings.hpp"

namespace CLI {
class App;
}

namespace alexnet {

/// --threads of a command.
void add_threads_option(CLI::App& command, int& threads);

/// --test-flip and --test-shift of a command that is given weights.
void add_view_options(CLI::App& command, ctnn::EvaluateOptions& views);

/// Whether a file for --config is another run's settings, and not options.
bool is_run_json(const std::string& path);

/// What is given changes the defaults of the chosen model, or the settings of another run, and nothing of a resumed
/// run.
class RunOptions {
  public:
    explicit RunOptions(CLI::App& app);

    /// Takes the options of a TOML file that `--config FILE` names among the arguments of the program. To be called
    /// before these are parsed, which win. Keys are options without their dashes. A run.json is left to settings().
    /// Throws FileError that names file and key.
    void read_config(const std::vector<std::string>& arguments);

    [[nodiscard]] bool given(const std::string& key) const { return changes_.contains(key); }
    /// Whether another run's settings were named.
    [[nodiscard]] bool begins_with_run() const { return !run_.empty(); }
    /// The first option that a resumed run cannot take, or nothing.
    [[nodiscard]] std::string first_given() const;

    /// Throws ArgumentError that names the option, and the file if it is from one, and FileError where another run's
    /// settings cannot be read.
    [[nodiscard]] RunSettings settings() const;

  private:
    struct Change {
        std::string option, text;  ///< the option behind the file that says it, if one does
    };
    void add(CLI::App& app, const char* option, const char* key, const char* type, const char* help);
    void flag(CLI::App& app, const char* options, const char* key, const char* help);
    void choose_recipe(RunSettings& settings) const;
    void choose_optimizer(RunSettings& settings) const;
    void apply(RunSettings& settings) const;
    void follow(RunSettings& settings) const;

    CLI::App& app_;
    const char* group_ = "";
    std::string place_;                      // of what is parsed: "", or "FILE: "
    std::map<std::string, Change> changes_;  // by the setting's key
    std::filesystem::path run_;              // whose run.json to begin with
    std::optional<Change> preset_;
    std::optional<double> base_lr_;
};

}  // namespace alexnet
