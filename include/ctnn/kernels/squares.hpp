// Sums of squares over contiguous memory, for norms, and whether every number in it is finite.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/config.hpp>
#include <ctnn/core/parallel.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// Elements a thread takes at a time: 64 KiB of floats from each array, enough to make starting it worth while.
inline constexpr std::size_t update_chunk = 16384;

/// In 16 double sums, added pairwise at the end: independent of the vector width. A float's square is exact in
/// double, so for floats the result is also independent of fused multiply-add.
template <class T>
double sum_of_squares_chunk(const T* x, std::size_t n) {
    constexpr std::size_t lanes = 16;
    std::array<double, lanes> sum{};
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (std::size_t k = 0; k < lanes; ++k) {
            const auto v = static_cast<double>(x[i + k]);
            sum[k] += v * v;
        }
    }
    for (std::size_t k = 0; i < n; ++i, ++k) {
        const auto v = static_cast<double>(x[i]);
        sum[k] += v * v;
    }
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
        for (std::size_t k = 0; k < half; ++k) { sum[k] += sum[k + half]; }
    }
    return sum[0];
}

}  // namespace detail

/// Σx² in double, bit-identical for any number of threads: chunks depend on the size alone and are added in order.
/// For floats it is finite exactly when every element is.
template <class T>
double sum_of_squares(std::span<const T> x, int threads = default_threads()) {
    constexpr std::size_t most = 1024;  // partial sums, on the stack
    std::array<double, most> partial;
    const std::size_t chunk = std::max(detail::update_chunk, round_up((x.size() + most - 1) / most, 16));
    const auto chunks = static_cast<int>((x.size() + chunk - 1) / chunk);
    parallel_for(chunks, threads, [&](int c, int) {
        const std::size_t begin = static_cast<std::size_t>(c) * chunk;
        partial[static_cast<std::size_t>(c)] =
            detail::sum_of_squares_chunk(x.data() + begin, std::min(chunk, x.size() - begin));
    });
    double sum = 0.0;
    for (int c = 0; c < chunks; ++c) { sum += partial[static_cast<std::size_t>(c)]; }
    return sum;
}

/// Whether no element is infinite or NaN; the second look is for doubles whose squares overflow.
template <class T>
bool all_finite(std::span<const T> x, int threads = default_threads()) {
    return std::isfinite(sum_of_squares(x, threads)) ||
           std::all_of(x.begin(), x.end(), [](T v) { return std::isfinite(v); });
}

}  // namespace ctnn::inline CTNN_ISA
