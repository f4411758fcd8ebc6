// Four threads answer images by one const model until told to stop, by the end of standard input. Every second it
// prints how many they have answered, and the seconds of processor time that all of this took.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/models/small_alexnet.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/network/workspace.hpp>

namespace {

using Net = ctnn::SmallAlexNet;

void answer(const ctnn::Model<Net>& model, std::uint64_t thread, std::atomic<long>& answered, std::stop_token stop) {
    ctnn::AlignedArray<float> image(static_cast<std::size_t>(Net::input_shape.size()));
    ctnn::Random random{thread, ctnn::Stream::test};
    while (!stop.stop_requested()) {
        // A workspace a request, as a service may have it that forgets what it was asked.
        ctnn::Workspace<ctnn::Inference<Net>> workspace{1, 1};
        for (int i = 0; i < 16; ++i) {
            for (float& x : image) { x = random.uniform(-2.0F, 2.0F); }
            ctnn::forward(model.view(), image.data(), 1, workspace);
            answered.fetch_add(1, std::memory_order_relaxed);
        }
    }
}

}  // namespace

int main() {
    const ctnn::Model<Net> model{ctnn::Seed{1}};
    std::atomic<long> answered{0};
    std::atomic<bool> over{false};
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < 4; ++i) {
        threads.emplace_back([&, i](std::stop_token stop) { answer(model, i, answered, std::move(stop)); });
    }
    const std::jthread until_closed{[&] {
        while (std::getchar() != EOF) {}
        over = true;
    }};
    while (!over) {
        std::this_thread::sleep_for(std::chrono::seconds{1});
        std::printf("%ld %.3f\n", answered.load(), static_cast<double>(std::clock()) / CLOCKS_PER_SEC);
        std::fflush(stdout);
    }
}
