// ctnn_bench kernels: every layer and direction beside the machine's limits and other libraries.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>

#include "compiled.hpp"
#include "kernels/kernels.hpp"
#include "kernels/peers.hpp"
#include "kernels/problem.hpp"
#include "limits.hpp"
#include "machine.hpp"
#include "measure.hpp"
#include "table.hpp"

namespace ctnn::inline CTNN_ISA::bench {

namespace {

/// One layer and direction, measured.
struct Figure {
    const KernelCase& layer;
    Direction direction;
    Times own;
    Times reading;  ///< of as many bytes, where nothing else bounds a layer: one image through a linear layer
    std::vector<std::pair<std::string, Times>> peers;
    double peak = 0.0;  ///< GFLOP/s of the fastest burst of multiply-adds, in turn with the layer: clocks change
    double error = 0.0;

    [[nodiscard]] double gflops(const Times& times) const { return 1e-9 * layer.problem.flops() / times.fastest(); }
    [[nodiscard]] double gbytes() const { return 1e-9 * layer.problem.bytes() / own.fastest(); }
    /// As a share of reading memory: of reading timed in turn with the layer, or else of the best bandwidth seen.
    [[nodiscard]] double read_share(const Limits& limits) const {
        return reading.empty() ? gbytes() / limits.read_gbytes() : reading.low() / own.low();
    }
    /// A library's times, or nullptr where it was not measured.
    [[nodiscard]] const Times* of(std::string_view library) const {
        for (const auto& [name, times] : peers) {
            if (name == library) { return &times; }
        }
        return nullptr;
    }
};

/// Layer, other libraries and bursts of multiply-adds in turn, so that all meet the same machine. Each begins a round
/// as often as the others: behind a library that is waited for, the first one finds caches and processor cold.
Figure measure(const KernelCase& layer, LayerKernels& kernels, Direction direction, const Options& options,
               Limits& limits) {
    Figure figure{layer, direction, {}, {}, {}};
    const auto peers = make_peers(layer.problem, direction, options.threads);
    for (const auto& peer : peers) { figure.peers.emplace_back(peer->name(), Times{}); }
    limits.measure_memory();
    const std::size_t contenders = 1 + peers.size();
    std::size_t first = 0;
    repeat(options, [&](bool warm) {
        for (int i = 0; i < 4; ++i) { figure.peak = std::max(figure.peak, limits.burst()); }
        for (std::size_t turn = 0; turn < contenders; ++turn) {
            const std::size_t at = (first + turn) % contenders;
            const double seconds = at == 0 ? seconds_of([&] { kernels.run(direction); }) : peers[at - 1]->time();
            if (!warm) { (at == 0 ? figure.own : figure.peers[at - 1].second).add(seconds); }
            if (at == 0 && layer.inference && !warm) {
                figure.reading.add(limits.seconds_of_reading(layer.problem.bytes()));
            }
        }
        first = (first + 1) % contenders;
    });
    figure.error = kernels.error(direction);
    return figure;
}

/// Speed-up over another library by the tenth percentiles, which luck moves less than the fastest runs.
double ratio(const Figure& figure, const Times& peer) { return peer.low() / figure.own.low(); }

std::vector<std::string> cells(const Figure& figure, const Limits& limits, const std::vector<PeerLibrary>& libraries) {
    const double speed = figure.gflops(figure.own);
    std::vector<std::string> row{
        std::string{figure.layer.name},         std::string{name(figure.direction)},
        fmt::format("{}", figure.own.runs()),   fmt::format("{:.3f}", 1e3 * figure.own.fastest()),
        fmt::format("{:.1f}", speed),           fmt::format("{:.0f}", 100.0 * speed / figure.peak),
        fmt::format("{:.1f}", figure.gbytes()), fmt::format("{:.0f}", 100.0 * figure.read_share(limits)),
        fmt::format("{:.1e}", figure.error)};
    for (const PeerLibrary& library : libraries) {
        const Times* times = figure.of(library.name);
        row.push_back(times != nullptr ? fmt::format("{:.1f}", figure.gflops(*times)) : "");
        row.push_back(times != nullptr ? fmt::format("{:.2f}", ratio(figure, *times)) : "");
    }
    return row;
}

Json json(const Figure& figure) {
    const Problem& problem = figure.layer.problem;
    Json::Object peers;
    for (const auto& [library, times] : figure.peers) {
        peers.emplace_back(library, Json::Object{{"seconds_fastest", times.fastest()}, {"seconds_p10", times.low()}});
    }
    Json::Object row{{"layer", figure.layer.name},
                     {"problem", problem_text(problem)},
                     {"kind", problem.linear()   ? "linear"
                              : problem.winograd ? "winograd"
                                                 : "convolution"},
                     {"group_inputs", problem.dims.group_in()},
                     {"samples", problem.samples},
                     {"direction", name(figure.direction)},
                     {"flops", problem.flops()},
                     {"bytes", problem.bytes()},
                     {"runs", figure.own.runs()},
                     {"seconds_fastest", figure.own.fastest()},
                     {"seconds_p10", figure.own.low()},
                     {"peak_gflops", figure.peak},
                     {"error", std::isfinite(figure.error) ? Json{figure.error} : Json{}},
                     {"peers", std::move(peers)}};
    if (!figure.reading.empty()) { row.emplace_back("seconds_reading_p10", figure.reading.low()); }
    return row;
}

/// The layers that the options ask for. Throws ArgumentError where one is not there.
std::vector<KernelCase> chosen(const std::vector<KernelCase>& compiled, const Options& options) {
    std::vector<KernelCase> layers;
    for (const std::string& text : options.problems) {
        const ParsedProblem parsed = parse_problem(text);
        if (!parsed.error.empty()) { throw ArgumentError(fmt::format("problem {}: {}", text, parsed.error.view())); }
        const auto layer = std::find_if(compiled.begin(), compiled.end(), [&](const KernelCase& candidate) {
            return candidate.make != nullptr && candidate.problem == parsed.problem;
        });
        if (layer == compiled.end()) {
            throw ArgumentError(
                fmt::format("problem {}: found no such layer in this program, expected one of --list; for any other: "
                            "benchmarks/problem.py {}",
                            text, text));
        }
        layers.push_back(*layer);
    }
    if (!options.problems.empty()) { return layers; }
    std::copy_if(compiled.begin(), compiled.end(), std::back_inserter(layers),
                 [&](const KernelCase& layer) { return options.wants(layer.name); });
    if (layers.empty()) {
        throw ArgumentError(
            fmt::format("--filter: found no layer with '{}' in its name, expected one of --list", options.filter));
    }
    return layers;
}

std::vector<Direction> chosen_directions(const Options& options) {
    if (options.direction.empty()) { return {std::begin(directions), std::end(directions)}; }
    for (const Direction direction : directions) {
        if (short_name(direction) == options.direction) { return {direction}; }
    }
    throw ArgumentError(fmt::format("--dir: found '{}', expected fwd, bwd_d or bwd_w", options.direction));
}

int name_width(const std::vector<KernelCase>& layers) {
    std::size_t width = 0;
    for (const KernelCase& layer : layers) { width = std::max(width, layer.name.size()); }
    return static_cast<int>(width);
}

std::vector<Column> columns(const std::vector<KernelCase>& layers, const std::vector<PeerLibrary>& libraries) {
    std::vector<Column> all{{"layer", -name_width(layers)},
                            {"direction", -16},
                            {"runs", 5},
                            {"ms", 8},
                            {"GFLOP/s", 8},
                            {"% peak", 6},
                            {"GB/s", 6},
                            {"% read", 6},
                            {"error", 8}};
    for (const PeerLibrary& library : libraries) {
        all.push_back({library.name, 9});
        all.push_back({"ratio", 6});
    }
    return all;
}

void print_heading(const Options& options, const Limits& limits, const std::vector<PeerLibrary>& libraries) {
    fmt::print("{}, {} thread{}\n", program_facts(), options.threads, options.threads == 1 ? "" : "s");
    for (const PeerLibrary& library : libraries) { fmt::print("{} {}\n", library.name, library.version); }
    fmt::print(
        "{:.1f} GFLOP/s of fused multiply-adds, {:.1f} GB/s read from memory, {:.1f} GB/s two reads and a write\n\n"
        "GFLOP/s by the fastest run, taps that meet input only, and as a share of the multiply-adds, which are\n"
        "timed in turn with the layer; GB/s if every array moved once, and as a share of reading memory, which\n"
        "caches may exceed; of one image, as a share of reading as many bytes, timed in turn with the layer; error\n"
        "against double precision as a share of the largest entry; another library's GFLOP/s, and its time to ours,\n"
        "of the tenth percentiles.\n\n",
        limits.gflops(), limits.read_gbytes(), limits.triad_gbytes());
}

/// Of equal algorithms: none of the libraries is asked for Winograd's.
void print_means(const std::vector<Figure>& figures, const std::vector<PeerLibrary>& libraries) {
    for (const PeerLibrary& library : libraries) {
        double logarithms = 0.0;
        int count = 0;
        for (const Figure& figure : figures) {
            if (const Times* times = figure.of(library.name); times != nullptr && !figure.layer.problem.winograd) {
                logarithms += std::log(ratio(figure, *times));
                ++count;
            }
        }
        if (count > 0) {
            fmt::print("\n{}: geometric mean of {} ratios {:.2f}", library.name, count, std::exp(logarithms / count));
        }
    }
    fmt::print("\n");
}

}  // namespace

void run_kernels(const Options& options) {
    const std::vector<KernelCase> compiled = compiled_layers(), layers = chosen(compiled, options);
    const std::vector<Direction> wanted = chosen_directions(options);
    if (options.list) {
        for (const KernelCase& layer : layers) {
            fmt::print("{:<{}}  {}\n", layer.name, name_width(layers), problem_text(layer.problem));
        }
        return;
    }
    Limits limits{options.threads};
    const std::vector<PeerLibrary> libraries = peer_libraries();
    print_heading(options, limits, libraries);
    const Table table{columns(layers, libraries)};
    std::vector<Figure> figures;
    for (const KernelCase& layer : layers) {
        const auto kernels = layer.make(layer.problem.samples, options.threads);
        for (const Direction direction : wanted) {
            if (layer.inference && direction != Direction::forward) { continue; }
            figures.push_back(measure(layer, *kernels, direction, options, limits));
            table.row(cells(figures.back(), limits, libraries));
        }
    }
    print_means(figures, libraries);

    Json::Object versions;
    for (const PeerLibrary& library : libraries) { versions.emplace_back(library.name, library.version); }
    Json::Array rows;
    for (const Figure& figure : figures) { rows.push_back(json(figure)); }
    write_figures(options.json, Json::Object{{"benchmark", "kernels"},
                                             {"machine", machine_facts()},
                                             {"threads", options.threads},
                                             {"peers", std::move(versions)},
                                             {"limits", limits.json()},
                                             {"kernels", std::move(rows)}});
}

}  // namespace ctnn::inline CTNN_ISA::bench
