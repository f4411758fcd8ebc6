// The memory of a training process: its peak grows by what the plans, the parameters and the data say, and kernels hide
// none. Linux only: the peak is VmHWM of /proc/self/status. Usage: ctnn_memory SmallAlexNet|AlexNet32
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <ctnn/ctnn.hpp>

namespace {

using namespace ctnn;

constexpr int batch = 128, test_batch = 250, threads = 2;

// A third of what PyTorch's activations take at that batch.
static_assert(TrainingPlan<SmallAlexNet, Batch<batch>, Threads<threads>>::bytes <= 58u << 20);
static_assert(TrainingPlan<AlexNet32, Batch<batch>, Threads<threads>>::bytes <= 20u << 20);

double mib(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// The most memory that this process has had so far, in bytes.
std::size_t peak() {
    std::ifstream status{"/proc/self/status"};
    for (std::string word; status >> word;) {
        std::size_t kib = 0;
        if (word == "VmHWM:" && status >> kib) { return kib * 1024; }
    }
    throw FileError("/proc/self/status: found no VmHWM, expected one");
}

std::size_t bytes_of(const Dataset& data) { return data.pixels.size() + data.labels.size() * sizeof(std::uint16_t); }

/// Three batches with their labels, and the samples' indices as given and in the epoch's order.
std::size_t loader_bytes(const Dataset& data, int batch_size) {
    const std::size_t sample = static_cast<std::size_t>(data.shape.size()) * sizeof(float) + sizeof(std::int32_t);
    return 3 * static_cast<std::size_t>(batch_size) * sample + 2 * data.size() * sizeof(std::uint32_t);
}

template <Network Net>
std::size_t expected_bytes(const TrainTest& data) {
    const std::size_t parameters = 3 * Parameters<Net>::size;  // weights, gradients, velocity
    const std::size_t statistics =
        2 * static_cast<std::size_t>(ParameterLayout<Net>::buffer_size);  // and before a step
    return Training<Net>::bytes(batch, threads) + Inference<Net>::bytes(test_batch, threads) +
           (parameters + statistics) * sizeof(float) + bytes_of(data.train) + bytes_of(data.test) +
           loader_bytes(data.train, batch) + loader_bytes(data.test, test_batch);
}

/// Some steps of training and an evaluation. Returns what they should need, while all of it is alive.
template <Network Net>
std::size_t train_and_evaluate() {
    const TrainTest data = make_synthetic(4000, 1000, 1);
    Model<Net> model{Seed{1}};
    Trainer trainer{model,
                    {.loss = CrossEntropy{.label_smoothing = 0.1},
                     .optimizer = Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4},
                     .schedule = {.kind = ScheduleKind::constant, .lr = 0.01, .epochs = 1},
                     .batch_size = batch,
                     .seed = 1,
                     .clip_norm = 1},
                    threads};
    BatchLoader loader{data.train, all_indices(data.train.size()), {.batch_size = batch, .augment = true}};
    trainer.train_epoch(loader, [&](const StepResult&) { return trainer.progress().step < 5; });
    Workspace<Inference<Net>> workspace{test_batch, threads};
    const Metrics metrics = evaluate(model.view(), data.test, all_indices(data.test.size()), workspace);
    if (metrics.samples() != 1000) { throw ArgumentError("not every sample was evaluated"); }
    return expected_bytes<Net>(data);
}

/// A tenth is for what is small and not counted: buffers of a few kilobytes, rounding to pages. 8 MiB are for what is
/// no array: pages of code and libraries that are touched for the first time, and the stacks of main, OpenMP's second
/// thread and the loader's, each of which may be a huge page of 2 MiB.
template <Network Net>
int check(std::string_view name) {
    const std::size_t before = peak();
    const std::size_t expected = train_and_evaluate<Net>();
    const std::size_t grown = peak() - before;
    const std::size_t most = expected + expected / 10 + (8u << 20);
    // Every array is written to from end to end, so that a peak that does not show them is none.
    const bool good = grown <= most && grown >= expected - expected / 10;
    fmt::print("{}: the peak grew by {:.1f} MiB, expected {:.1f} for plans, parameters and data, {:.1f} at most{}\n",
               name, mib(grown), mib(expected), mib(most), good ? "" : ": FAILED");
    return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
    const std::string name = argc == 2 ? argv[1] : "";
    if (name == "SmallAlexNet") { return check<SmallAlexNet>(name); }
    if (name == "AlexNet32") { return check<AlexNet32>(name); }
    throw ArgumentError("found the network '" + name + "', expected SmallAlexNet or AlexNet32");
} catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
}
