// Options of alexnet train from a TOML file.
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/file.hpp>

#include "options.hpp"

namespace alexnet {

namespace {

/// CLI11 would make a list of both values, or take the last one.
void require_keys_once(const std::string& path, const std::string& text, const CLI::App& app) {
    std::set<const CLI::Option*> seen;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        std::string key = line.substr(0, line.find_first_of("=#"));
        CLI::detail::remove_quotes(CLI::detail::trim(key));
        const CLI::Option* const option = app.get_option_no_throw("--" + key);
        if (option != nullptr && !seen.insert(option).second) {
            throw ctnn::FileError(fmt::format("{}: found the key '{}' twice, expected it once", path, key));
        }
    }
}

}  // namespace

void RunOptions::read_config(const std::vector<std::string>& arguments) {
    if (arguments.empty() || arguments[0] != "train") { return; }
    std::string path;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        if (arguments[i].starts_with("--config=")) { path = arguments[i].substr(9); }
        if (arguments[i] == "--config" && i + 1 < arguments.size()) { path = arguments[i + 1]; }
    }
    std::error_code ignored;
    if (path.empty() || is_run_json(path) || !std::filesystem::exists(path, ignored)) { return; }
    if (!std::filesystem::is_regular_file(path, ignored)) {
        throw ctnn::FileError(path + ": found no regular file, expected a TOML file or a run.json");
    }
    const std::vector<std::byte> bytes = ctnn::read_file(path);
    const std::string text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    require_keys_once(path, text, app_);
    std::istringstream lines{text};
    std::vector<std::string> options;
    try {
        for (const CLI::ConfigItem& item : CLI::ConfigTOML{}.from_config(lines)) {
            if (item.name == "++" || item.name == "--") { continue; }  // CLI11's marks of sections
            const CLI::Option* const option = app_.get_option_no_throw("--" + item.name);
            if (!item.parents.empty() || option == nullptr || item.name == "config" || item.name == "resume" ||
                item.name == "help") {
                throw ctnn::FileError(fmt::format("{}: found the key '{}', expected a long option of alexnet train",
                                                  path, item.fullname()));
            }
            options.push_back(fmt::format("--{}={}", item.name, fmt::join(item.inputs, ",")));
        }
        place_ = path + ": ";
        std::ranges::reverse(options);  // as CLI11 wants them
        app_.parse(std::move(options));
        app_.clear();  // keeps what was set
        place_.clear();
    } catch (const CLI::Error& error) { throw ctnn::FileError(fmt::format("{}: {}", path, error.what())); }
}

}  // namespace alexnet
