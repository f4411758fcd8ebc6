// ctnn_bench: how fast ctnn is on this machine, beside the machine's limits and beside its peers.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/core/processor.hpp>

#include "kernels/kernels.hpp"
#include "options.hpp"
#include "steps/steps.hpp"
#include "streams/streams.hpp"

namespace {

constexpr std::string_view usage =
    R"(usage: ctnn_bench kernels [option | problem]...
       ctnn_bench streams [option]...
       ctnn_bench steps [option]...

  kernels   single layers in three directions: time, GFLOP/s, share of the machine's multiply-add peak and memory
            bandwidth, error against double precision, and oneDNN and OpenBLAS in turn where they were found
  streams   pools, norms, dropout and updates, which are bound by memory: time, and share of its bandwidth
  steps     training steps and inferences of whole networks

  --threads N      threads (all)
  --filter TEXT    only layers, loops or networks with TEXT in their name
  --seconds S      time for each figure (1)
  --repeats N      runs for each figure instead of a time
  --json FILE      also write the figures there

kernels:
  problem          only this layer, in benchdnn's notation: mb128ic64ih8oc128kh3ph1 is a batch of 128 maps of 64
                   channels, 8x8, to 128 channels by a 3x3 kernel padded by 1; without ih a linear layer; with
                   _winograd behind it by that algorithm. Shapes are compiled in: for any other layer,
                   benchmarks/problem.py PROBLEM... [option]... compiles a program.
  --dir DIRECTION  only fwd, bwd_d (data) or bwd_w (weights)
  --list           say which layers there are, and their problems

steps:
  --batch N        images in a batch (128; 16 of 224×224 and larger)
  --stages         also the times of the stages of a training step
  --serve          time what standard input asks for, for compare.py

Beside it, in benchmarks/, each with a --help of its own: compare.py (steps in turn with PyTorch), compile.py (what
compiling costs), report.py (tables and a chart from JSON), and run.sh, which runs them all for docs/performance.md.
)";

}  // namespace

/// Before the constructors of global objects, which are compiled for the same processor.
[[gnu::constructor(101)]] static void before_everything() { ctnn::require_processor(); }

int main(int argc, char** argv) {
    const std::span<const char* const> arguments(argv, static_cast<std::size_t>(argc));
    const auto is_help = [](std::string_view text) { return text == "--help" || text == "-h"; };
    try {
        if (argc < 2 || std::any_of(arguments.begin(), arguments.end(), is_help)) {
            fmt::print("{}", usage);
            return 0;
        }
        using namespace ctnn::bench;
        const std::string_view command = arguments[1];
        if (command == "kernels") {
            run_kernels(parse_options(Command::kernels, arguments.subspan(2)));
        } else if (command == "streams") {
            run_streams(parse_options(Command::streams, arguments.subspan(2)));
        } else if (command == "steps") {
            run_steps(parse_options(Command::steps, arguments.subspan(2)));
        } else {
            throw ctnn::ArgumentError(
                fmt::format("command: found '{}', expected kernels, streams or steps; see ctnn_bench --help", command));
        }
    } catch (const std::exception& e) {
        fmt::print(stderr, "ctnn_bench: {}\n", e.what());
        return 1;
    }
    return 0;
}
