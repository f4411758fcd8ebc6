#include "options.hpp"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>

namespace ctnn::inline CTNN_ISA::bench {

namespace {

template <class T>
T number(std::string_view option, std::string_view text, T least, T most) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= least && value <= most)) {
        throw ArgumentError(fmt::format("{}: found '{}', expected a number from {} to {}", option, text, least, most));
    }
    return value;
}

/// A file that cannot be written should be told before minutes of measuring, not after.
std::string writable(std::string_view option, std::string_view text) {
    const std::filesystem::path path{text};
    const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
    if (!path.has_filename() || !std::filesystem::is_directory(folder)) {
        throw ArgumentError(fmt::format("{}: found '{}', expected a file in a folder that exists", option, text));
    }
    return std::string{text};
}

}  // namespace

Options parse_options(Command command, std::span<const char* const> arguments) {
    const bool kernels = command == Command::kernels, steps = command == Command::steps;
    constexpr int most = std::numeric_limits<int>::max();
    Options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view option = arguments[i];
        const auto value = [&]() -> std::string_view {
            if (i + 1 == arguments.size()) { throw ArgumentError(fmt::format("{}: expected a value", option)); }
            return arguments[++i];
        };
        if (option == "--threads") {
            options.threads = number(option, value(), 1, 64);
        } else if (option == "--filter") {
            options.filter = value();
        } else if (option == "--seconds") {
            options.seconds = number(option, value(), 0.0, 3600.0);
        } else if (option == "--repeats") {
            options.repeats = number(option, value(), 1, most);
        } else if (option == "--json") {
            options.json = writable(option, value());
        } else if (kernels && option == "--dir") {
            options.direction = value();
        } else if (kernels && option == "--list") {
            options.list = true;
        } else if (kernels && !option.starts_with('-')) {
            options.problems.emplace_back(option);
        } else if (steps && option == "--batch") {
            options.batch = number(option, value(), 1, 1 << 16);
        } else if (steps && option == "--stages") {
            options.stages = true;
        } else if (steps && option == "--serve") {
            options.serve = true;
        } else {
            throw ArgumentError(fmt::format("'{}' is no option of {}; see ctnn_bench --help", option,
                                            kernels ? "kernels"
                                            : steps ? "steps"
                                                    : "streams"));
        }
    }
    return options;
}

}  // namespace ctnn::inline CTNN_ISA::bench
