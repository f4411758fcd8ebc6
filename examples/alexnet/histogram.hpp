// Histograms of parameters and gradients, as TensorBoard draws them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace alexnet {

/// Counts in buckets whose limits grow by a tenth, from ±1e-12 to ±1e20, which are TensorBoard's own. Bucket i holds
/// the values from limits[i − 1] up to, but not including, limits[i]; empty ones next to each other are one, and so is
/// what lies before the first value.
struct Histogram {
    double min = 0, max = 0, sum = 0, sum_squares = 0;
    std::int64_t count = 0;
    std::vector<double> limits{}, counts{};
};

/// Of a tensor as ctnn::ParameterLayout stores it: whole blocks of ctnn::block_size, in which `padding` zeros are no
/// values. In one pass, and equal for any number of threads. Infinities and NaN are in the outermost buckets, and NaN
/// is neither the least nor the greatest.
Histogram histogram_of(std::span<const float> stored, std::int64_t padding, int threads);

}  // namespace alexnet
