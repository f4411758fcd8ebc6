// Nothing is allocated in a training step or an inference. The counting operators new and delete here serve the whole
// test program; they only count.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/models/small_alexnet.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/loss.hpp>
#include <ctnn/train/optimizer.hpp>
#endif

namespace {

std::atomic<long> allocations{0};

void* count_and_allocate(std::size_t size, std::size_t alignment) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
    void* p = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
    if (p == nullptr) { throw std::bad_alloc{}; }
    return p;
}

}  // namespace

// The array and nothrow forms of the standard library come through these.
void* operator new(std::size_t size) { return count_and_allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return count_and_allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

TEST_CASE("a training step and an inference allocate nothing") {
    using namespace ctnn;
    using Net = SmallAlexNet;
    constexpr int n = 6;
    const long before_all = allocations;
    Model<Net> model{Seed{1}};
    Parameters<Net> gradients, velocity;
    Workspace<Training<Net>> training(n, 2);
    Workspace<Inference<Net>> inference(n, 2);
    const std::vector<float> input(n * static_cast<std::size_t>(Net::input_shape.size()), 0.5f);
    const std::vector<std::int32_t> labels(n, 3);
    REQUIRE(allocations - before_all >= 6);  // the counter counts

    const Sgd sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4, .clip_norm = 1.0};
    const auto step = [&](std::uint32_t epoch) {
        const auto logits = forward(model, input.data(), n, training, RandomKey{1, epoch, nullptr});
        cross_entropy<float>({.label_smoothing = 0.1}, logits, labels, 10, training.output_gradient(n));
        backward(model, input.data(), n, training, gradients);
        sgd_step<float>(sgd, 0.1, model.parameters().span(), gradients.span(), velocity.span(),
                        Parameters<Net>::decayed);
        forward(model.view(), input.data(), n, inference);
    };
    step(0);  // threads start
    const long before = allocations;
    step(1);
    const long after = allocations;
    CHECK(after - before == 0);
}
