// The limits of the machine, measured: multiply-adds of vectors in registers, and reading memory.
#pragma once

#include <cstddef>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/kernels/simd.hpp>

#include "measure.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// One short burst of fused multiply-adds on `threads` threads, about a millisecond: GFLOP/s.
inline double fma_burst(int threads) {
    using V = Vec<float>;
    constexpr int chains = 12;  // latency × units is at most 10 on current processors, registers are at least 16
    constexpr int rounds = 200'000;
    AlignedArray<float> sums(static_cast<std::size_t>(threads) * block_size);
    const double seconds = seconds_of([&] {
        parallel_for(threads, threads, [&](int i, int) {
            V chain[chains];
            // Equal chains, or one that starts at its limit 1, would be seen through and left out.
            for (int c = 0; c < chains; ++c) { chain[c] = V::broadcast(2.0f + 0.1f * static_cast<float>(c)); }
            const V factor = V::broadcast(0.999f), term = V::broadcast(0.001f);
#pragma GCC unroll 1
            for (int r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
                for (V& v : chain) { v = fma(v, factor, term); }
            }
            float total = 0.0f;
            for (const V& v : chain) { total += sum(v); }
            sums[static_cast<std::size_t>(i) * block_size] = total;
        });
    });
    // Reading the sums keeps the loops; they are positive, so this adds nothing.
    return 2e-9 * chains * rounds * V::width * threads / (seconds + (sums[0] < 0.0f ? 1.0 : 0.0));
}

/// Bytes per second, in GB/s, of reading memory that no cache holds, the best of some passes.
inline double read_bandwidth(int threads) {
    using V = Vec<float>;
    constexpr std::size_t floats = std::size_t{64} << 20;
    constexpr int streams = 8;
    const AlignedArray<float> data(floats);
    AlignedArray<float> sums(static_cast<std::size_t>(threads) * block_size);
    double best = 0.0;
    for (int pass = 0; pass < 16; ++pass) {
        const double seconds = seconds_of([&] {
            parallel_for(threads, threads, [&](int i, int) {
                const std::size_t part = floats / static_cast<std::size_t>(threads) / 256 * 256;
                const float* p = data.data() + static_cast<std::size_t>(i) * part;
                V sum_of[streams];
                for (V& v : sum_of) { v = V::broadcast(0.0f); }
                for (std::size_t k = 0; k < part; k += std::size_t{streams} * V::width) {
#pragma GCC unroll 8
                    for (int s = 0; s < streams; ++s) { sum_of[s] = sum_of[s] + V::load(p + k + s * V::width); }
                }
                float total = 0.0f;
                for (const V& v : sum_of) { total += sum(v); }
                sums[static_cast<std::size_t>(i) * block_size] = total;
            });
        });
        best = std::max(best, 4e-9 * floats / (seconds + static_cast<double>(sums[0])));
    }
    return best;
}

struct Peak {
    double gflops = 0.0, read_gbytes = 0.0;
};

/// Both limits on `threads` threads.
inline Peak measure_peak(int threads) {
    Peak peak{0.0, read_bandwidth(threads)};
    for (int i = 0; i < 200; ++i) { peak.gflops = std::max(peak.gflops, fma_burst(threads)); }
    return peak;
}

}  // namespace ctnn::inline CTNN_ISA::bench
