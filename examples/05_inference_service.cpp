// A service: threads take requests off a queue and answer them by one const model, each in a workspace of its own.
//
//     g++ -std=c++20 -O3 -march=native -fopenmp -I ../single_include 05_inference_service.cpp -lfmt && ./a.out
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <ctnn/ctnn.hpp>

using namespace ctnn;
using Net = SmallAlexNet;

int main(int argc, char** argv) try {
    const int count = argc > 1 ? std::stoi(argv[1]) : 1000;  // requests
    constexpr int size = Net::input_shape.size();
    const Model<Net> model{Seed{1}};
    const auto samples = static_cast<std::size_t>(count);
    std::vector<float> images(samples * size), answers(samples * Net::classes);
    std::ranges::generate(images, [random = Random{1, Stream::test}]() mutable { return random.uniform(-2.0f, 2.0f); });
    std::mutex mutex;
    std::condition_variable_any ready;
    std::deque<int> queue;  // of images
    const auto serve = [&](std::stop_token stop) {
        Workspace<Inference<Net>> workspace{1, 1};  // one image by one thread: OpenMP is to start none besides
        for (std::unique_lock lock{mutex}; ready.wait(lock, stop, [&] { return !queue.empty(); }); lock.lock()) {
            const int i = queue.front();
            queue.pop_front();
            lock.unlock();
            const auto logits = forward(model.view(), images.data() + i * size, 1, workspace);
            std::ranges::copy(logits, answers.data() + i * Net::classes);
        }
    };
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::jthread> threads;
    while (threads.size() < std::max(2u, std::thread::hardware_concurrency())) { threads.emplace_back(serve); }
    for (int i = 0; i < count; ++i) {
        const std::lock_guard lock{mutex};
        queue.push_back(i);
        ready.notify_one();
    }
    threads.clear();  // stops them, once the queue is empty
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    Workspace<Inference<Net>> workspace{1, 1};
    int equal = 0;
    for (int i = 0; i < count; ++i) {
        const auto logits = forward(model.view(), images.data() + i * size, 1, workspace);
        equal += std::equal(logits.begin(), logits.end(), answers.data() + i * Net::classes) ? 1 : 0;
    }
    fmt::print("{:.0f} images a second, {} of {} as by one thread\n", count / seconds.count(), equal, count);
} catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
}
