// ctnn_bench kernels: every layer and direction beside the machine's limits and, where it is there, oneDNN.
#include "kernels.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "measure.hpp"
#include "peak.hpp"
#include "table.hpp"
#if defined(CTNN_BENCH_ONEDNN)
#include "onednn.hpp"
#endif

namespace ctnn::inline CTNN_ISA::bench {

namespace {

#if defined(CTNN_BENCH_ONEDNN)
using Peer = OneDnn;

std::optional<Peer> make_peer(const KernelCase& layer, Direction direction, int threads) {
    try {
        return std::optional<Peer>{std::in_place, layer, direction, threads};
    } catch (const dnnl::error&) { return std::nullopt; }  // it has no kernel for this
}
#else
struct Peer {
    void run() {}
};
std::optional<Peer> make_peer(const KernelCase&, Direction, int) { return std::nullopt; }
#endif

/// Layer, peer and multiply-add bursts in turn, so that all three meet the same machine. `peak` rises to the GFLOP/s of
/// the fastest burst.
struct Figure {
    Times own, peer;
    double error = 0.0;
};

Figure measure(const KernelCase& layer, LayerKernels& kernels, Direction direction, const Options& options,
               double& peak) {
    Figure figure;
    std::optional<Peer> peer = make_peer(layer, direction, options.threads);
    repeat(options, [&](bool warm) {
        for (int burst = 0; burst < 4; ++burst) { peak = std::max(peak, fma_burst(options.threads)); }
        const double own = seconds_of([&] { kernels.run(direction); });
        if (!warm) { figure.own.add(own); }
        if (peer) {
            const double other = seconds_of([&] { peer->run(); });
            if (!warm) { figure.peer.add(other); }
        }
    });
    figure.error = kernels.error(direction);
    return figure;
}

double gflops(const KernelCase& layer, double seconds) { return 1e-9 * layer.flops() / seconds; }

std::vector<std::string> cells(const KernelCase& layer, Direction direction, const Figure& figure, double peak) {
    const double seconds = figure.own.fastest(), speed = gflops(layer, seconds);
    std::vector<std::string> row{std::string{layer.name},
                                 std::string{name(direction)},
                                 fmt::format("{}", figure.own.runs()),
                                 fmt::format("{:.3f}", 1e3 * seconds),
                                 fmt::format("{:.1f}", speed),
                                 fmt::format("{:.0f}", 100.0 * speed / peak),
                                 fmt::format("{:.1f}", 1e-9 * layer.bytes() / seconds),
                                 fmt::format("{:.1e}", figure.error)};
    if (!figure.peer.empty()) {
        row.push_back(fmt::format("{:.1f}", gflops(layer, figure.peer.fastest())));
        row.push_back(fmt::format("{:.2f}", figure.peer.fastest() / seconds));
        row.push_back(fmt::format("{:.2f}", figure.peer.low() / figure.own.low()));
    }
    return row;
}

Json json(const KernelCase& layer, Direction direction, const Figure& figure) {
    Json::Object row{{"layer", layer.name},
                     {"direction", name(direction)},
                     {"samples", layer.samples},
                     {"flops", layer.flops()},
                     {"bytes", layer.bytes()},
                     {"runs", figure.own.runs()},
                     {"seconds_fastest", figure.own.fastest()},
                     {"seconds_p10", figure.own.low()},
                     {"error", figure.error}};
    if (!figure.peer.empty()) {
        row.emplace_back("onednn_seconds_fastest", figure.peer.fastest());
        row.emplace_back("onednn_seconds_p10", figure.peer.low());
    }
    return row;
}

/// Sums of the logarithms of speed-ups over the peer.
struct Ratios {
    double log_fastest = 0.0, log_low = 0.0;
    int count = 0;

    void add(const Figure& figure) {
        if (figure.peer.empty()) { return; }
        log_fastest += std::log(figure.peer.fastest() / figure.own.fastest());
        log_low += std::log(figure.peer.low() / figure.own.low());
        ++count;
    }
};

}  // namespace

void run_kernels(const Options& options) {
    Peak peak = measure_peak(options.threads);
    fmt::print(
        "{} threads, vectors of {} floats: {:.0f} GFLOP/s of fused multiply-adds, {:.1f} GB/s read from memory\n",
        options.threads, Vec<float>::width, peak.gflops, peak.read_gbytes);
    fmt::print(
        "GFLOP/s by the fastest run, and as a share of the multiply-adds, measured again between the runs;\n"
        "GB/s if every array moved once; error as a share of the largest entry.\n"
        "Ratios: oneDNN's time to ours, of the fastest runs and of the tenth percentiles.\n\n");
    const Table table{{{"layer", -20},
                       {"direction", -16},
                       {"runs", 5},
                       {"ms", 8},
                       {"GFLOP/s", 8},
                       {"% peak", 6},
                       {"GB/s", 6},
                       {"error", 8},
                       {"oneDNN", 7},
                       {"ratio", 6},
                       {"p10", 6}}};
    Json::Array rows;
    Ratios ratios;
    for (const auto cases : {small_alexnet_layers(), alexnet_convolutions(), alexnet_linear_layers()}) {
        for (const KernelCase& layer : cases) {
            if (!options.wants(layer.name)) { continue; }
            const auto kernels = layer.make(layer.samples, options.threads);
            for (const Direction direction : directions) {
                const Figure figure = measure(layer, *kernels, direction, options, peak.gflops);
                table.row(cells(layer, direction, figure, peak.gflops));
                rows.emplace_back(json(layer, direction, figure));
                ratios.add(figure);
            }
        }
    }
    if (ratios.count > 0) {
        fmt::print("\ngeometric means of the ratios: {:.2f}, of the tenth percentiles {:.2f}\n",
                   std::exp(ratios.log_fastest / ratios.count), std::exp(ratios.log_low / ratios.count));
    }
    write_figures(options.json, Json::Object{{"threads", options.threads},
                                             {"vector_floats", Vec<float>::width},
                                             {"peak_gflops", peak.gflops},
                                             {"read_gbytes", peak.read_gbytes},
                                             {"kernels", std::move(rows)}});
}

}  // namespace ctnn::inline CTNN_ISA::bench
