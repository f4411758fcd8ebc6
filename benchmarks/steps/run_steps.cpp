// ctnn_bench steps: training steps and inferences, measured here or on request of another program.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>

#include "compiled.hpp"
#include "limits.hpp"
#include "machine.hpp"
#include "measure.hpp"
#include "steps/steps.hpp"
#include "table.hpp"

namespace ctnn::inline CTNN_ISA::bench {

namespace {

Pass pass_named(std::string_view text) {
    for (const Pass pass : passes) {
        if (name(pass) == text) { return pass; }
    }
    throw ArgumentError("a request for '" + std::string{text} +
                        "'; expected train, infer, infer_one or infer_one_half");
}

/// Answers every line "<pass> <count>" with the times of that many runs in milliseconds, until standard input ends: so
/// two programs can be measured in turn, their start left out.
void serve(NetworkSteps& network) {
    fmt::print("ready {}\n", program_facts());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words{line};
        std::string pass;
        int count = 1;
        words >> pass >> count;
        for (int i = 0; i < count; ++i) {
            fmt::print("{:.6f} ", 1e3 * seconds_of([&] { network.run(pass_named(pass)); }));
        }
        fmt::print("\n");
        std::fflush(stdout);
    }
}

void print_stages(const NetworkSteps& network) {
    const Table table{{{"", 1}, {"stage", -50}, {"forward ms", 11}, {"backward ms", 11}}};
    double forward = 0.0, backward = 0.0;
    for (const StageTime& stage : network.stages()) {
        table.row(
            {"", stage.name, fmt::format("{:.3f}", 1e3 * stage.forward), fmt::format("{:.3f}", 1e3 * stage.backward)});
        forward += stage.forward;
        backward += stage.backward;
    }
    table.row({"", "sum", fmt::format("{:.3f}", 1e3 * forward), fmt::format("{:.3f}", 1e3 * backward)});
}

Json::Array stage_figures(const NetworkSteps& network) {
    Json::Array figures;
    for (const StageTime& stage : network.stages()) {
        figures.emplace_back(Json::Object{
            {"stage", stage.name}, {"forward_seconds", stage.forward}, {"backward_seconds", stage.backward}});
    }
    return figures;
}

struct StepFigure {
    Times times;
    double peak = 0.0;  ///< GFLOP/s of the fastest burst of multiply-adds, in turn with the pass: clocks change
};

/// One pass and bursts of multiply-adds in turn.
StepFigure measure(NetworkSteps& network, Pass pass, const Options& options, Limits& limits) {
    StepFigure figure;
    limits.measure_memory();
    repeat(options, [&](bool warm) {
        for (int i = 0; i < 4; ++i) { figure.peak = std::max(figure.peak, limits.burst()); }
        const double seconds = seconds_of([&] { network.run(pass); });
        if (!warm) { figure.times.add(seconds); }
    });
    return figure;
}

}  // namespace

void run_steps(const Options& options) {
    std::vector<NetworkCase> networks = compiled_networks();
    std::erase_if(networks, [&](const NetworkCase& network) { return !options.wants(network.name); });
    if (networks.empty()) {
        throw ArgumentError(
            fmt::format("--filter: found no network with '{}' in its name in this program", options.filter));
    }
    const auto batch_of = [&](const NetworkCase& network) { return options.batch > 0 ? options.batch : network.batch; };
    if (options.serve) { return serve(*networks.front().make(batch_of(networks.front()), options.threads)); }

    Limits limits{options.threads};
    fmt::print("{}, {} thread{}\n", program_facts(), options.threads, options.threads == 1 ? "" : "s");
    fmt::print(
        "{:.1f} GFLOP/s of fused multiply-adds, {:.1f} GB/s two reads and a write\n\n"
        "Limit: live multiply-adds, without a gradient of the image, as fast as bursts of them in turn with the pass, "
        "and\n"
        "in training the memory traffic of the update at the second; its share is that of the fastest run.\n\n",
        limits.gflops(), limits.triad_gbytes());
    const Table table{{{"network", -20},
                       {"pass", -14},
                       {"batch", 6},
                       {"runs", 6},
                       {"fastest ms", 11},
                       {"p10 ms", 9},
                       {"median ms", 10},
                       {"images/s", 9},
                       {"% limit", 8},
                       {"plan MiB", 9}}};
    Json::Array rows;
    for (const NetworkCase& network : networks) {
        const auto steps = network.make(batch_of(network), options.threads);
        for (const Pass pass : passes) {
            const auto [times, peak] = measure(*steps, pass, options, limits);
            const double limit = 1e-9 * (steps->flops(pass) / peak + steps->memory_bytes(pass) / limits.triad_gbytes());
            const int batch = pass == Pass::infer_one || pass == Pass::infer_one_half ? 1 : batch_of(network);
            const std::size_t bytes = steps->plan_bytes(pass);
            table.row({std::string{network.name}, std::string{name(pass)}, fmt::format("{}", batch),
                       fmt::format("{}", times.runs()), fmt::format("{:.3f}", 1e3 * times.fastest()),
                       fmt::format("{:.3f}", 1e3 * times.low()), fmt::format("{:.3f}", 1e3 * times.median()),
                       fmt::format("{:.0f}", batch / times.fastest()),
                       fmt::format("{:.0f}", 100.0 * limit / times.fastest()),
                       fmt::format("{:.2f}", static_cast<double>(bytes) / (1 << 20))});
            Json::Object row{{"network", network.name},
                             {"pass", name(pass)},
                             {"batch", batch},
                             {"flops", steps->flops(pass)},
                             {"memory_bytes", steps->memory_bytes(pass)},
                             {"runs", times.runs()},
                             {"seconds_fastest", times.fastest()},
                             {"seconds_p10", times.low()},
                             {"seconds_median", times.median()},
                             {"seconds_limit", limit},
                             {"plan_bytes", bytes}};
            if (pass == Pass::train && options.stages) {
                print_stages(*steps);
                row.emplace_back("stages", stage_figures(*steps));
            }
            rows.emplace_back(std::move(row));
        }
    }
    write_figures(options.json, Json::Object{{"benchmark", "steps"},
                                             {"machine", machine_facts()},
                                             {"threads", options.threads},
                                             {"limits", limits.json()},
                                             {"steps", std::move(rows)}});
}

}  // namespace ctnn::inline CTNN_ISA::bench
