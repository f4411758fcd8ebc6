// Nothing is allocated in a training step or an inference. What counts here serves the whole test program; it only
// counts.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <vector>

#include <catch2/catch.hpp>

#if defined(__SANITIZE_ADDRESS__)  // GCC
#define CTNN_COUNT_BY_HOOKS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CTNN_COUNT_BY_HOOKS
#endif
#endif
#ifdef CTNN_COUNT_BY_HOOKS
#include <sanitizer/allocator_interface.h>
#endif

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/models/small_alexnet.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/trainer.hpp>
#endif

namespace {

std::atomic<long> allocations{0};

#ifdef CTNN_COUNT_BY_HOOKS

// The sanitizer's own operators new must stay together: it tells who counts.
void count(const volatile void*, std::size_t) { allocations.fetch_add(1, std::memory_order_relaxed); }
void ignore(const volatile void*) {}
[[maybe_unused]] const int installed = __sanitizer_install_malloc_and_free_hooks(count, ignore);

#else

void* count_and_allocate(std::size_t size, std::size_t alignment) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
    void* p = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
    if (p == nullptr) { throw std::bad_alloc{}; }
    return p;
}

#endif

}  // namespace

#ifndef CTNN_COUNT_BY_HOOKS

// The array and nothrow forms of the standard library come through these.
void* operator new(std::size_t size) { return count_and_allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return count_and_allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

#endif

namespace {

using namespace ctnn;

void check_step(const TrainerSettings& settings) {
    using Net = SmallAlexNet;
    const int n = settings.batch_size;
    const long before_all = allocations;
    Model<Net> model{Seed{1}};
    Trainer<Net> trainer{model, settings, 2};
    Workspace<Inference<Net>> inference(n, 2);
    const std::vector<float> input(static_cast<std::size_t>(n * Net::input_shape.size()), 0.5f);
    const std::vector<std::int32_t> labels(static_cast<std::size_t>(n), 3);
    REQUIRE(allocations - before_all >= 6);  // the counter counts

    std::vector<float> broken = input;
    broken.back() = std::numeric_limits<float>::infinity();
    const auto step = [&] {
        trainer.step(input.data(), labels, nullptr, 0.1);
        if (settings.skip_nonfinite > 0) { trainer.step(broken.data(), labels, nullptr, 0.1); }
        forward(model.view(), input.data(), n, inference);
    };
    step();  // threads start
    const long before = allocations;
    step();
    const long after = allocations;
    CHECK(after - before == 0);
}

}  // namespace

TEST_CASE("a training step and an inference allocate nothing") {
    TrainerSettings settings;
    settings.optimizer = Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4};
    settings.batch_size = 3;
    settings.clip_norm = 1.0;
    check_step(settings);

    settings.loss = CrossEntropy{.label_smoothing = 0.1, .class_weights = std::vector<double>(10, 2.0)};
    settings.micro_batch = 2;
    settings.ema_decay = 0.9;
    settings.skip_nonfinite = 1;
    settings.lr_scales = {freeze("0.weight"), lr_scale("BatchNorm2d.bias", 64)};
    for (const Optimizer& optimizer : std::array<Optimizer, 3>{Adam{}, AdamW{}, Lars{}}) {
        settings.optimizer = optimizer;
        check_step(settings);
    }
}
