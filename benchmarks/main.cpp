// ctnn_bench: how fast ctnn is on this machine, beside the machine's limits and beside its peers.
#include <charconv>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>

#include "kernels.hpp"
#include "options.hpp"
#include "steps.hpp"

namespace {

using ctnn::bench::Options;

constexpr std::string_view usage = R"(usage: ctnn_bench kernels|steps [options]

  kernels   single layers in three directions, with the machine's limits and oneDNN where it was found
  steps     training steps and inferences of whole networks

  --threads N      threads (all)
  --filter TEXT    only layers or networks with TEXT in their name
  --seconds S      time for each figure (1)
  --repeats N      runs for each figure instead of a time
  --json FILE      also write the figures there
  --batch N        steps: images in a batch (128)
  --stages         steps: also the times of the stages of a training step
  --serve          steps: time what standard input asks for, for the scripts in peers/
)";

template <class T>
T number(std::string_view option, std::string_view text, T least) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= least)) {
        throw ctnn::ArgumentError(fmt::format("{}: found '{}', expected a number, at least {}", option, text, least));
    }
    return value;
}

Options parse(std::span<const char* const> arguments) {
    Options options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view option = arguments[i];
        const auto value = [&]() -> std::string_view {
            if (i + 1 == arguments.size()) { throw ctnn::ArgumentError(fmt::format("{}: expected a value", option)); }
            return arguments[++i];
        };
        if (option == "--threads") {
            options.threads = number(option, value(), 1);
        } else if (option == "--filter") {
            options.filter = value();
        } else if (option == "--seconds") {
            options.seconds = number(option, value(), 0.0);
        } else if (option == "--repeats") {
            options.repeats = number(option, value(), 1);
        } else if (option == "--json") {
            options.json = value();
        } else if (option == "--batch") {
            options.batch = number(option, value(), 1);
        } else if (option == "--stages") {
            options.stages = true;
        } else if (option == "--serve") {
            options.serve = true;
        } else {
            throw ctnn::ArgumentError(fmt::format("unknown option '{}'\n\n{}", option, usage));
        }
    }
    return options;
}

}  // namespace

int main(int argc, char** argv) {
    const std::span<const char* const> arguments(argv, static_cast<std::size_t>(argc));
    const std::string_view command = argc > 1 ? arguments[1] : "--help";
    try {
        if (command == "kernels") {
            ctnn::bench::run_kernels(parse(arguments.subspan(2)));
        } else if (command == "steps") {
            ctnn::bench::run_steps(parse(arguments.subspan(2)));
        } else if (command == "--help") {
            fmt::print("{}", usage);
        } else {
            throw ctnn::ArgumentError(fmt::format("unknown command '{}'\n\n{}", command, usage));
        }
    } catch (const std::exception& e) {
        fmt::print(stderr, "ctnn_bench: {}\n", e.what());
        return 1;
    }
    return 0;
}
