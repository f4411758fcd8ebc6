// ctnn_bench steps: training steps and inferences, measured here or on request of another program.
#include "steps.hpp"

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>

#include "measure.hpp"
#include "table.hpp"

namespace ctnn::inline CTNN_ISA::bench {

namespace {

Pass pass_named(std::string_view text) {
    for (const Pass pass : passes) {
        if (name(pass) == text) { return pass; }
    }
    throw ArgumentError("a request for '" + std::string{text} + "'; expected train, infer or infer_one");
}

/// Answers every line "<pass> <count>" with the times of that many runs in milliseconds, until standard input ends: so
/// two programs can be measured in turn, their start left out.
void serve(NetworkSteps& network) {
    fmt::print("ready\n");
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

}  // namespace

void run_steps(const Options& options) {
    const NetworkCase networks[] = {small_alexnet(), alexnet32()};
    if (options.serve) {
        for (const NetworkCase& network : networks) {
            if (options.wants(network.name)) { return serve(*network.make(options.batch, options.threads)); }
        }
        throw ArgumentError("--serve: no network has '" + options.filter + "' in its name");
    }
    fmt::print("{} threads\n\n", options.threads);
    const Table table{{{"network", -14},
                       {"pass", -10},
                       {"batch", 6},
                       {"runs", 6},
                       {"fastest ms", 11},
                       {"p10 ms", 9},
                       {"median ms", 10},
                       {"images/s", 9},
                       {"plan MiB", 9}}};
    Json::Array rows;
    for (const NetworkCase& network : networks) {
        if (!options.wants(network.name)) { continue; }
        const auto steps = network.make(options.batch, options.threads);
        for (const Pass pass : passes) {
            Times times;
            repeat(options, [&](bool warm) {
                const double seconds = seconds_of([&] { steps->run(pass); });
                if (!warm) { times.add(seconds); }
            });
            const int batch = pass == Pass::infer_one ? 1 : options.batch;
            const std::size_t bytes = steps->plan_bytes(pass);
            table.row({std::string{network.name}, std::string{name(pass)}, fmt::format("{}", batch),
                       fmt::format("{}", times.runs()), fmt::format("{:.3f}", 1e3 * times.fastest()),
                       fmt::format("{:.3f}", 1e3 * times.low()), fmt::format("{:.3f}", 1e3 * times.median()),
                       fmt::format("{:.0f}", batch / times.fastest()),
                       fmt::format("{:.2f}", static_cast<double>(bytes) / (1 << 20))});
            Json::Object row{{"network", network.name},
                             {"pass", name(pass)},
                             {"batch", batch},
                             {"runs", times.runs()},
                             {"seconds_fastest", times.fastest()},
                             {"seconds_p10", times.low()},
                             {"seconds_median", times.median()},
                             {"plan_bytes", bytes}};
            if (pass == Pass::train && options.stages) {
                print_stages(*steps);
                row.emplace_back("stages", stage_figures(*steps));
            }
            rows.emplace_back(std::move(row));
        }
    }
    write_figures(options.json, Json::Object{{"threads", options.threads}, {"steps", std::move(rows)}});
}

}  // namespace ctnn::inline CTNN_ISA::bench
