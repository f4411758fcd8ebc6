#include "scale.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <ctnn/core/parallel.hpp>
#include <ctnn/io/json.hpp>

#include "data.hpp"
#include "networks.hpp"
#include "options.hpp"
#include "ranks.hpp"
#include "validators.hpp"

namespace alexnet {

namespace {

/// The first of two ranks, whose other one says at once what this one says. Keeps what is asked for, and when: without
/// the time that the additions take here.
class Recorder final : public Transport {
  public:
    using Clock = std::chrono::steady_clock;

    void begin() {
        times = {};
        begun_ = Clock::now();
    }
    void end() { times.seconds = now(); }
    StepTimes times;

    [[nodiscard]] int rank() const override { return 0; }
    [[nodiscard]] int size() const override { return 2; }
    [[nodiscard]] int local_size() const override { return 1; }
    void set_timeout(double /*seconds*/) override {}
    void all_reduce(std::span<float> values) override { add(Kind::waits_for_itself, values); }
    void all_reduce(std::span<double> values) override { add(Kind::waits_for_itself, values); }
    void start_all_reduce(std::span<float> values) override { add(Kind::starts, values); }
    void start_all_reduce(std::span<double> values) override { add(Kind::starts, values); }
    void finish() override { times.events.push_back({Kind::waits_for_all, now(), 0}); }
    void broadcast(std::span<std::byte> /*bytes*/, int /*root*/) override {}
    void barrier() override {}
    void abort(int /*status*/) override {}

  private:
    [[nodiscard]] double now() const { return std::chrono::duration<double>{Clock::now() - begun_}.count(); }
    using Kind = StepTimes::Kind;
    template <class T>
    void add(Kind kind, std::span<T> values) {
        times.events.push_back({kind, now(), values.size_bytes()});
        const auto before = Clock::now();
        for (T& value : values) { value += value; }
        begun_ += Clock::now() - before;
    }

    Clock::time_point begun_ = Clock::now();
};

struct ScaleRequest {
    std::string model = "small";
    int batch_size = 0, micro_batch = 0, threads = 1, steps = 10;
    std::vector<int> ranks;
    double bandwidth = 10, latency = 20;  ///< Gbit/s, microseconds
    bool sync_batch_norm = false, json = false;

    [[nodiscard]] Link link() const { return {bandwidth * 1e9 / 8, latency * 1e-6}; }
    /// Of all ranks' images.
    [[nodiscard]] std::int64_t batch(int of) const { return std::int64_t{of} * batch_size; }
};

/// The median of some steps, behind two to warm up.
StepTimes measure(const ScaleRequest& request, const NetworkEntry& entry) {
    auto transport = std::make_unique<Recorder>();
    Recorder& recorder = *transport;
    Ranks ranks{std::move(transport)};
    ctnn::TrainerSettings settings{.optimizer = ctnn::Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4},
                                   .schedule = {.lr = 1e-4},
                                   .batch_size = 2 * request.batch_size,
                                   .micro_batch = request.micro_batch};
    settings.sync_batch_norm = request.sync_batch_norm;
    const auto network = entry.start(settings, request.threads, ranks);

    const int steps = request.steps + 2;
    const auto images = static_cast<std::size_t>(steps) * static_cast<std::size_t>(settings.batch_size);
    const Sources data = open_sources("synthetic", "", {entry.input});
    std::vector<std::uint32_t> indices(images);
    for (std::size_t i = 0; i < images; ++i) { indices[i] = static_cast<std::uint32_t>(i % data.train->size()); }
    ctnn::LoaderOptions options{.batch_size = settings.batch_size, .shape = entry.input};
    options.ranks = ranks.size();
    ctnn::BatchLoader loader{*data.train, indices, options};

    std::vector<StepTimes> all;
    recorder.begin();
    network->train_epoch(loader, [&](const ctnn::StepResult&) {
        recorder.end();
        all.push_back(std::exchange(recorder.times, {}));
        recorder.begin();
        return true;
    });
    all.erase(all.begin(), all.begin() + 2);
    std::ranges::sort(all, {}, &StepTimes::seconds);
    return all[all.size() / 2];
}

ctnn::Json::Object to_json(const ScaleRequest& request, const StepTimes& step, int ranks) {
    return {{"ranks", ranks},
            {"step_ms", 1e3 * step.on(ranks, request.link())},
            {"step_without_overlap_ms", 1e3 * step.on(ranks, request.link(), false)},
            {"images_per_second", static_cast<double>(request.batch(ranks)) / step.on(ranks, request.link())}};
}

void scale(const ScaleRequest& request, Terminal& terminal) {
    const NetworkEntry& entry = find_network(request.model);
    const StepTimes step = measure(request, entry);
    const Link link = request.link();
    if (request.json) {
        ctnn::Json::Array rows;
        for (const int ranks : request.ranks) { rows.emplace_back(to_json(request, step, ranks)); }
        const ctnn::Json::Object all{{"model", entry.type},           {"batch_size", request.batch_size},
                                     {"threads", request.threads},    {"bandwidth_gbit", request.bandwidth},
                                     {"latency_us", request.latency}, {"step_alone_ms", 1e3 * step.seconds},
                                     {"bytes", step.bytes()},         {"rows", rows}};
        terminal.write(ctnn::write_json(all, 2) + "\n");
        return;
    }
    terminal.line(fmt::format("{}: {} images on {} thread{} a rank, {:.1f} ms a step alone; {:.2f} MB are summed",
                              entry.type, request.batch_size, request.threads, request.threads == 1 ? "" : "s",
                              1e3 * step.seconds, static_cast<double>(step.bytes()) / 1e6));
    terminal.line(fmt::format("{} Gbit/s, {} microseconds of latency", request.bandwidth, request.latency));
    terminal.line("ranks  batch       step ms  without overlap  images/s   efficiency", Colour::dim);
    for (const int ranks : request.ranks) {
        const double seconds = step.on(ranks, link), apart = step.on(ranks, link, false);
        terminal.result(fmt::format("{:5}  {:<9} {:9.1f}  {:15.1f}  {:8.0f}  {:10.1f} %", ranks, request.batch(ranks),
                                    1e3 * seconds, 1e3 * apart, static_cast<double>(request.batch(ranks)) / seconds,
                                    100 * step.seconds / seconds));
    }
}

constexpr const char* scale_examples = R"(Examples:
  alexnet scale --ranks 1,2,4,8 --bandwidth 1 --latency 50
  alexnet scale --model bn --batch-size 16 --ranks 64,256,1024 --bandwidth 100 --latency 2 --json

Measures a step of one rank with its images, which takes a while, and works out when the sums of the other ranks would
come: each is as long as the faster of a ring and recursive doubling, and one follows the other. --batch-size is what a
rank has, whatever their number.)";

}  // namespace

double all_reduce_seconds(std::size_t bytes, int ranks, const Link& link) {
    if (ranks <= 1) { return 0; }
    const double p = ranks, size = static_cast<double>(bytes) / link.bandwidth;
    const double ring = 2 * (p - 1) * link.latency + 2 * (p - 1) / p * size;
    const double doubling = std::bit_width(static_cast<unsigned>(ranks - 1)) * (link.latency + size);
    return std::min(ring, doubling);
}

std::size_t StepTimes::bytes() const {
    return std::accumulate(events.begin(), events.end(), std::size_t{0},
                           [](std::size_t sum, const Event& event) { return sum + event.bytes; });
}

double StepTimes::on(int ranks, const Link& link, bool overlap) const {
    double late = 0, free_at = 0, asked = 0;  // by how much the step lags, when the link is free, what waits for it
    for (const Event& event : events) {
        const double now = event.at + late, cost = all_reduce_seconds(event.bytes, ranks, link);
        if (event.kind == Kind::waits_for_itself) {
            late += cost;
        } else if (event.kind == Kind::starts) {
            asked += cost;
            free_at = std::max(free_at, now) + cost;
        } else {
            if (!overlap) { free_at = now + std::exchange(asked, 0); }
            late += std::max(0.0, free_at - now);
        }
    }
    return seconds + late;
}

std::function<std::optional<int>(Terminal&)> add_scale_command(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("scale", "Works out a step's time on several machines.");
    command.footer(scale_examples);
    const auto request = std::make_shared<ScaleRequest>();
    ScaleRequest& r = *request;
    r.threads = ctnn::default_threads();
    std::vector<std::string> models;
    for (const NetworkEntry& entry : networks()) { models.emplace_back(entry.name); }
    command.add_option("--model", r.model, "the network")->check(CLI::IsMember(models))->capture_default_str();
    command.add_option("--ranks", r.ranks, "how many, with commas between (1,2,4,8,16)")
        ->delimiter(',')
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->check(CLI::Range(1, 1'000'000));
    command.add_option("--bandwidth", r.bandwidth, "of the network, each way, in Gbit/s")
        ->check(within(1e-3, 1e6))
        ->capture_default_str();
    command.add_option("--latency", r.latency, "of a message, in microseconds")
        ->check(within(0, 1e7))
        ->capture_default_str();
    command.add_option("--batch-size", r.batch_size, "images of a rank (as the network is trained)")
        ->check(CLI::Range(1, 65'536));
    command.add_option("--micro-batch", r.micro_batch, "images in a pass (0: all)")->check(at_least(0, "NONNEGATIVE"));
    command.add_option("--steps", r.steps, "to be measured")->check(CLI::Range(1, 10'000))->capture_default_str();
    command.add_flag("--sync-batch-norm", r.sync_batch_norm, "batch norm takes all ranks' samples together");
    command.add_flag("--json", r.json, "for programs");
    add_threads_option(command, r.threads);

    return [&command, request](Terminal& terminal) -> std::optional<int> {
        if (!command.parsed()) { return std::nullopt; }
        if (request->ranks.empty()) { request->ranks = {1, 2, 4, 8, 16}; }
        if (request->batch_size == 0) { request->batch_size = find_network(request->model).recipe.batch_size; }
        scale(*request, terminal);
        return 0;
    };
}

}  // namespace alexnet
