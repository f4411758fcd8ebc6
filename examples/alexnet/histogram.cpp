#include "histogram.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <limits>

#include <ctnn/core/config.hpp>
#include <ctnn/core/layer.hpp>
#include <ctnn/core/parallel.hpp>

namespace alexnet {

namespace {

constexpr double first_limit = 1e-12, end_of_limits = 1e20, growth = 1.1;
constexpr double outer_limit = std::numeric_limits<double>::max();

constexpr std::size_t finite_limits = [] {
    std::size_t n = 0;
    for (double limit = first_limit; limit < end_of_limits; limit *= growth) { ++n; }
    return n;
}();

constexpr std::array<double, finite_limits> positive_limits = [] {
    std::array<double, finite_limits> limits{};
    double limit = first_limit;
    for (double& each : limits) {
        each = limit;
        limit *= growth;
    }
    return limits;
}();

/// Magnitudes with equal exponent and leading four bits of mantissa differ by less than a tenth, so that at most one
/// limit lies among them. How many limits lie below all of them, and the bits of the next limit.
struct Cell {
    std::uint32_t next, below;
};
constexpr int cell_shift = 23 - 4;

constexpr std::array<Cell, 1u << (31 - cell_shift)> cell_table = [] {
    // The smallest float that is not below a limit; floats that are not negative are in the order of their bits.
    const auto bits_of = [](double limit) {
        const auto rounded = static_cast<float>(limit);
        return std::bit_cast<std::uint32_t>(rounded) + (static_cast<double>(rounded) < limit ? 1u : 0u);
    };
    std::array<Cell, 1u << (31 - cell_shift)> table{};
    std::uint32_t below = 0;
    std::uint32_t next = bits_of(positive_limits[0]);
    for (std::uint32_t i = 0; i < table.size(); ++i) {
        while (next <= i << cell_shift) {
            ++below;
            next = below < finite_limits ? bits_of(positive_limits[below]) : ~0u;
        }
        table[i] = {next, below};
    }
    return table;
}();

// Buckets by rising values: negative ones, then those from zero on.
constexpr std::size_t bucket_count = 2 * (finite_limits + 1);

/// Where bucket `i` ends.
double limit_of(std::size_t i) {
    if (i < finite_limits) { return -positive_limits[finite_limits - 1 - i]; }
    if (i == finite_limits) { return 0; }
    return i + 1 < bucket_count ? positive_limits[i - finite_limits - 1] : outer_limit;
}

using Counts = std::array<std::uint32_t, bucket_count>;
constexpr std::size_t lanes = ctnn::block_size;

/// What a part of the values adds up to. Zeros, which may be padding, are counted, and none of `min` and `max`.
struct Sums {
    double sum = 0, squares = 0;
    float min = std::numeric_limits<float>::infinity(), max = -std::numeric_limits<float>::infinity();
    std::int64_t zeros = 0;

    void add(const Sums& other) {
        sum += other.sum;
        squares += other.squares;
        min = std::min(min, other.min);
        max = std::max(max, other.max);
        zeros += other.zeros;
    }
};

/// One pass: sums in as many lanes as a block has elements, which the compiler makes vectors, then each one's bucket.
Sums count_values(std::span<const float> values, Counts& counts) {
    std::array<double, lanes> sum{}, squares{};
    std::array<float, lanes> low, high;
    std::array<std::int32_t, lanes> zeros{};
    low.fill(Sums{}.min);
    high.fill(Sums{}.max);
    for (const float* x = values.data(); x != values.data() + values.size(); x += lanes) {
        for (std::size_t k = 0; k < lanes; ++k) {
            const auto v = static_cast<double>(x[k]);
            sum[k] += v;
            squares[k] += v * v;
        }
        for (std::size_t k = 0; k < lanes; ++k) {
            const bool zero = x[k] == 0;
            low[k] = zero || !(x[k] < low[k]) ? low[k] : x[k];
            high[k] = zero || !(x[k] > high[k]) ? high[k] : x[k];
            zeros[k] += zero ? 1 : 0;
        }
        for (std::size_t k = 0; k < lanes; ++k) {
            const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x[k]) & 0x7FFFFFFFu;
            const Cell& cell = cell_table[magnitude >> cell_shift];
            const std::size_t i = cell.below + (magnitude >= cell.next ? 1u : 0u);
            ++counts[x[k] < 0 ? finite_limits - i : finite_limits + 1 + i];
        }
    }
    Sums sums;
    for (std::size_t k = 0; k < lanes; ++k) { sums.add({sum[k], squares[k], low[k], high[k], zeros[k]}); }
    return sums;
}

}  // namespace

Histogram histogram_of(std::span<const float> stored, std::int64_t padding, int threads) {
    constexpr std::size_t chunk = 1u << 16;  // of elements, so that sums do not depend on the number of threads
    std::vector<Sums> parts((stored.size() + chunk - 1) / chunk);
    std::vector<Counts> counts(static_cast<std::size_t>(threads));
    ctnn::parallel_for(static_cast<int>(parts.size()), threads, [&](int part, int thread) {
        const std::size_t begin = static_cast<std::size_t>(part) * chunk;
        parts[static_cast<std::size_t>(part)] = count_values(
            stored.subspan(begin, std::min(chunk, stored.size() - begin)), counts[static_cast<std::size_t>(thread)]);
    });
    Sums all;
    for (const Sums& part : parts) { all.add(part); }
    if (all.zeros > padding) { all.add({.min = 0, .max = 0}); }

    Histogram histogram{.min = all.min, .max = all.max, .sum = all.sum, .sum_squares = all.squares};
    bool empty = true;  // the bucket before
    for (std::size_t i = 0; i < bucket_count; ++i) {
        std::int64_t values = i == finite_limits + 1 ? -padding : 0;
        for (const Counts& each : counts) { values += each[i]; }
        if (values > 0) {
            const auto add = [&](double limit, std::int64_t n) {
                histogram.limits.push_back(limit);
                histogram.counts.push_back(static_cast<double>(n));
            };
            if (empty) { add(i == 0 ? -outer_limit : limit_of(i - 1), 0); }
            add(limit_of(i), values);
            histogram.count += values;
        }
        empty = values == 0;
    }
    return histogram;
}

}  // namespace alexnet
