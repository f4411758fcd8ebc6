// ctnn_bench kernels: every layer and direction beside the machine's limits and, where it is there, oneDNN.
#include "kernels.hpp"

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
std::optional<Peer> make_peer(const KernelCase&, Direction, int) {
    return std::nullopt;
}
#endif

/// Layer, peer and multiply-add bursts in turn, so that all three meet the same machine.
struct Figure {
    Times own, peer;
    double peak = 0.0;  ///< GFLOP/s of the fastest burst
    double error = 0.0;
};

Figure measure(const KernelCase& layer, LayerKernels& kernels, Direction direction, const Options& options) {
    Figure figure;
    std::optional<Peer> peer = make_peer(layer, direction, options.threads);
    repeat(options, [&](bool warm) {
        figure.peak = std::max(figure.peak, fma_burst(options.threads));
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

}  // namespace

void run_kernels(const Options& options) {
    const Peak peak = measure_peak(options.threads);
    fmt::print(
        "{} threads, vectors of {} floats: {:.0f} GFLOP/s of fused multiply-adds, {:.1f} GB/s read from memory\n",
        options.threads, Vec<float>::width, peak.gflops, peak.read_gbytes);
    fmt::print(
        "GFLOP/s by the fastest run; share of the peak measured between the runs; GB/s if every array moved once.\n"
        "Ratios: oneDNN's time to ours, by the fastest run and by the tenth percentile.\n\n");
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
    double log_ratio = 0.0;
    int compared = 0;
    for (const auto cases : {small_alexnet_layers(), alexnet_convolutions(), alexnet_linear_layers()}) {
        for (const KernelCase& layer : cases) {
            if (!options.wants(layer.name)) { continue; }
            const auto kernels = layer.make(layer.samples, options.threads);
            for (const Direction direction : directions) {
                const Figure f = measure(layer, *kernels, direction, options);
                const double seconds = f.own.fastest();
                const double gflops = 1e-9 * layer.flops() / seconds;
                const double gbytes = 1e-9 * layer.bytes() / seconds;
                std::vector<std::string> cells{
                    std::string{layer.name},         std::string{name(direction)},
                    fmt::format("{}", f.own.runs()), fmt::format("{:.3f}", 1e3 * seconds),
                    fmt::format("{:.1f}", gflops),   fmt::format("{:.0f}", 100.0 * gflops / f.peak),
                    fmt::format("{:.1f}", gbytes),   fmt::format("{:.1e}", f.error)};
                Json::Object row{{"layer", layer.name},  {"direction", name(direction)}, {"samples", layer.samples},
                                 {"runs", f.own.runs()}, {"seconds_fastest", seconds},   {"seconds_p10", f.own.low()},
                                 {"gflops", gflops},     {"peak_gflops", f.peak},        {"gbytes", gbytes},
                                 {"error", f.error}};
                if (!f.peer.empty()) {
                    const double other = f.peer.fastest(), ratio = other / seconds, low = f.peer.low() / f.own.low();
                    log_ratio += std::log(low);
                    ++compared;
                    cells.push_back(fmt::format("{:.1f}", 1e-9 * layer.flops() / other));
                    cells.push_back(fmt::format("{:.2f}", ratio));
                    cells.push_back(fmt::format("{:.2f}", low));
                    row.emplace_back("onednn_seconds_fastest", other);
                    row.emplace_back("onednn_seconds_p10", f.peer.low());
                }
                table.row(cells);
                rows.emplace_back(std::move(row));
            }
        }
    }
    Json::Object figures{{"threads", options.threads},
                         {"vector_floats", Vec<float>::width},
                         {"peak_gflops", peak.gflops},
                         {"read_gbytes", peak.read_gbytes},
                         {"kernels", std::move(rows)}};
    if (compared > 0) {
        const double mean = std::exp(log_ratio / compared);
        fmt::print("\ngeometric mean of the ratios at the tenth percentile: {:.2f}\n", mean);
        figures.emplace_back("mean_ratio_p10", mean);
    }
    write_figures(options.json, std::move(figures));
}

}  // namespace ctnn::inline CTNN_ISA::bench
