// ctnn_bench streams: loops bound by memory beside the bandwidth that the machine has.
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>

#include "limits.hpp"
#include "machine.hpp"
#include "measure.hpp"
#include "streams/streams.hpp"
#include "table.hpp"

namespace ctnn::inline CTNN_ISA::bench {

void run_streams(const Options& options) {
    std::vector<Stream> streams = layer_streams(options.threads);
    for (Stream& stream : update_streams(options.threads)) { streams.push_back(std::move(stream)); }
    std::erase_if(streams, [&](const Stream& stream) { return !options.wants(stream.name); });
    if (streams.empty()) {
        throw ArgumentError(fmt::format("--filter: found no loop with '{}' in its name", options.filter));
    }
    Limits limits{options.threads};
    fmt::print("{}, {} thread{}\n", program_facts(), options.threads, options.threads == 1 ? "" : "s");
    fmt::print(
        "{:.1f} GB/s two reads and a write\n\n"
        "GB/s of the fastest run if every array moved once, and as a share of that bandwidth: arrays that stay in\n"
        "caches exceed it, arithmetic keeps below it.\n\n",
        limits.triad_gbytes());
    const Table table{{{"loop", -34}, {"pass", -8}, {"runs", 5}, {"ms", 8}, {"GB/s", 6}, {"%", 4}}};
    Json::Array rows;
    for (const Stream& stream : streams) {
        Times times;
        limits.measure_memory();
        repeat(options, [&](bool warm) {
            stream.renew();
            const double seconds = seconds_of(stream.run);
            if (!warm) { times.add(seconds); }
        });
        const double gbytes = 1e-9 * stream.bytes / times.fastest();
        table.row({stream.name, stream.pass, fmt::format("{}", times.runs()),
                   fmt::format("{:.3f}", 1e3 * times.fastest()), fmt::format("{:.1f}", gbytes),
                   fmt::format("{:.0f}", 100.0 * gbytes / limits.triad_gbytes())});
        rows.emplace_back(Json::Object{{"loop", stream.name},
                                       {"pass", stream.pass},
                                       {"bytes", stream.bytes},
                                       {"runs", times.runs()},
                                       {"seconds_fastest", times.fastest()},
                                       {"seconds_p10", times.low()}});
    }
    write_figures(options.json, Json::Object{{"benchmark", "streams"},
                                             {"machine", machine_facts()},
                                             {"threads", options.threads},
                                             {"limits", limits.json()},
                                             {"streams", std::move(rows)}});
}

}  // namespace ctnn::inline CTNN_ISA::bench
