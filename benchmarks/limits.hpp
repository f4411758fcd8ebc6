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

    /// One short burst of fused multiply-adds, about a millisecond.
    void burst() {
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
        gflops_ = std::max(gflops_, 2e-9 * chains * rounds * V::width * threads_ / seconds);
    }

    /// Some passes over a quarter of a gigabyte. Neither streams side by side nor streams far apart are the faster way
    /// of reading on every machine.
    void measure_memory() {
        const std::size_t part = data_.size() / 3 / static_cast<std::size_t>(threads_) / step * step;
        const auto gbytes = [&](double seconds) {
            return 3e-9 * sizeof(float) * static_cast<double>(part) * threads_ / seconds;
        };
        const auto read = [&](std::size_t apart, std::size_t advance) {
            return gbytes(on_threads([&](std::size_t thread) {
                const float* p = data_.data() + 3 * thread * part;
                V sum_of[streams];
                for (V& v : sum_of) { v = V::broadcast(0.0f); }
                for (std::size_t k = 0; k < 3 * part / step * advance; k += advance) {
#pragma GCC unroll 8
                    for (std::size_t s = 0; s < streams; ++s) {
                        __builtin_prefetch(p + k + s * apart + 128);
                        sum_of[s] = sum_of[s] + V::load(p + k + s * apart);
                    }
                }
                float total = 0.0f;
                for (const V& v : sum_of) { total += sum(v); }
                return total;
            }));
        };
        read_gbytes_ = std::max({read_gbytes_, read(V::width, step), read(3 * part / streams, V::width)});
        triad_gbytes_ = std::max(triad_gbytes_, gbytes(on_threads([&](std::size_t thread) {
                                     float* to = data_.data() + 3 * thread * part;
                                     const float *a = to + part, *b = a + part;
                                     const V factor = V::broadcast(3.0f);
                                     for (std::size_t k = 0; k < part; k += V::width) {
                                         fma(V::load(b + k), factor, V::load(a + k)).store(to + k);
                                     }
                                     return to[0];
                                 })));
    }

  private:
    using V = Vec<float>;
    static constexpr std::size_t streams = 8, step = streams * V::width;

    /// Seconds that f(thread) takes when all threads call it. What it returns is
    /// 0 or more, and is used, so that no compiler leaves the work out.
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
    AlignedArray<float> data_{std::size_t{64} << 20};
    double gflops_ = 0.0, read_gbytes_ = 0.0, triad_gbytes_ = 0.0;
};

}  // namespace ctnn::inline CTNN_ISA::bench
