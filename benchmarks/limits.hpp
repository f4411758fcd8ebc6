// The limits of the machine, measured: multiply-adds of vectors in registers, and memory.
#pragma once

#include <algorithm>
#include <cstddef>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/io/json.hpp>
#include <ctnn/kernels/simd.hpp>

#include "measure.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// The best that some threads have reached so far, each of them at the same time.
class Limits {
  public:
    explicit Limits(int threads) : threads_{threads}, sums_(static_cast<std::size_t>(threads) * block_size) {
        for (int i = 0; i < 12; ++i) { measure_memory(); }
        for (int i = 0; i < 200; ++i) { burst(); }
    }

    /// Fused multiply-adds, in GFLOP/s.
    [[nodiscard]] double gflops() const { return gflops_; }
    /// Reading memory that no cache holds, in GB/s.
    [[nodiscard]] double read_gbytes() const { return read_gbytes_; }
    /// Reading two arrays and writing a third, as STREAM's triad does; the three
    /// are counted once each.
    [[nodiscard]] double triad_gbytes() const { return triad_gbytes_; }
    [[nodiscard]] Json::Object json() const {
        return {{"gflops", gflops_}, {"read_gbytes", read_gbytes_}, {"triad_gbytes", triad_gbytes_}};
    }

    /// One short burst of fused multiply-adds, less than a millisecond, and its GFLOP/s.
    double burst() {
        constexpr int chains = 12;  // latency × units is at most 10 on current
                                    // processors, registers are at least 16
        constexpr int rounds = 200'000;
        const double seconds = on_threads([](std::size_t) {
            V chain[chains];
            // Equal chains, or one that starts at its limit 1, would be seen through
            // and left out.
            for (int c = 0; c < chains; ++c) { chain[c] = V::broadcast(2.0f + 0.1f * static_cast<float>(c)); }
            const V factor = V::broadcast(0.999f), term = V::broadcast(0.001f);
#pragma GCC unroll 1
            for (int r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
                for (V& v : chain) { v = fma(v, factor, term); }
            }
            float total = 0.0f;
            for (const V& v : chain) { total += sum(v); }
            return total;
        });
        const double reached = 2e-9 * chains * rounds * V::width * threads_ / seconds;
        gflops_ = std::max(gflops_, reached);
        return reached;
    }

    /// Passes over more memory than caches hold, timed in parts, for the fastest of short runs counts here too. Whether
    /// streams side by side or streams far apart are read faster depends on the machine.
    void measure_memory() {
        const auto pass = [&](double& best, auto f) {
            for (std::size_t part = 0; part < parts; ++part) {
                const std::size_t share = part_size / static_cast<std::size_t>(threads_) / step * step;
                const double seconds = on_threads(
                    [&](std::size_t thread) { return f(data_.data() + part * part_size + thread * share, share); });
                best = std::max(best, 1e-9 * sizeof(float) * static_cast<double>(share) * threads_ / seconds);
            }
        };
        pass(read_gbytes_, read_along);
        pass(read_gbytes_, read_apart);
        pass(triad_gbytes_, [](float* p, std::size_t n) { return triad(p, n / 3); });
    }

    /// Seconds of reading as many bytes as one array holds, in the faster of the two orders. Every call reads what no
    /// cache has kept from the one before.
    double seconds_of_reading(double bytes) {
        const auto floats = std::min(static_cast<std::size_t>(bytes) / sizeof(float), parts * part_size);
        const std::size_t share = floats / static_cast<std::size_t>(threads_) / step * step;
        const auto pass = [&](auto f) {
            if (next_ + floats > parts * part_size) { next_ = 0; }
            const float* const from = data_.data() + next_;
            next_ += floats / step * step;
            return on_threads([&](std::size_t thread) { return f(from + thread * share, share); });
        };
        return std::min(pass(read_along), pass(read_apart));
    }

  private:
    using V = Vec<float>;
    static constexpr std::size_t streams = 8, step = streams * V::width;
    static constexpr std::size_t parts = 4, part_size = std::size_t{16} << 20;

    static float read_along(const float* p, std::size_t n) { return read(p, n, V::width, step); }
    static float read_apart(const float* p, std::size_t n) { return read(p, n, n / streams, V::width); }
    /// Reads n floats in streams that begin `apart` and advance by `stride` at a time.
    static float read(const float* p, std::size_t n, std::size_t apart, std::size_t stride) {
        V sums[streams];
        for (V& v : sums) { v = V::broadcast(0.0f); }
        for (std::size_t i = 0; i < n / step; ++i, p += stride) {
#pragma GCC unroll 8
            for (std::size_t s = 0; s < streams; ++s) {
                __builtin_prefetch(p + s * apart + 128);
                sums[s] = sums[s] + V::load(p + s * apart);
            }
        }
        float total = 0.0f;
        for (const V& v : sums) { total += sum(v); }
        return total;
    }
    static float triad(float* to, std::size_t n) {
        const float *a = to + n, *b = a + n;
        const V factor = V::broadcast(3.0f);
        for (std::size_t k = 0; k + V::width <= n; k += V::width) {
            fma(V::load(b + k), factor, V::load(a + k)).store(to + k);
        }
        return to[0];
    }

    /// Seconds that f(thread) takes when all threads call it. What it returns is 0 or more, and is used, so that no
    /// compiler leaves the work out.
    template <class F>
    double on_threads(F&& f) {
        const double seconds = seconds_of([&] {
            parallel_for(threads_, threads_, [&](int i, int) {
                sums_[static_cast<std::size_t>(i) * block_size] = f(static_cast<std::size_t>(i));
            });
        });
        return seconds + (sums_[0] < 0.0f ? 1.0 : 0.0);
    }

    int threads_;
    AlignedArray<float> sums_;
    AlignedArray<float> data_{parts * part_size};
    std::size_t next_ = 0;
    double gflops_ = 0.0, read_gbytes_ = 0.0, triad_gbytes_ = 0.0;
};

}  // namespace ctnn::inline CTNN_ISA::bench
