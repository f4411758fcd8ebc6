// Filters that whiten: the principal components of a training set's patches, for a frozen first layer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ctnn/core/error.hpp>
#include <ctnn/core/parallel.hpp>
#include <ctnn/core/shape.hpp>
#include <ctnn/data/dataset.hpp>
#include <ctnn/data/image.hpp>
#include <ctnn/data/normalize.hpp>
#include <ctnn/data/source.hpp>

namespace ctnn::inline CTNN_ISA {

/// A symmetric matrix taken apart: row i of `vectors` is the unit vector of values[i], and values fall. The largest
/// component of every vector, the first of equal ones, is positive.
struct Eigensystem {
    std::vector<double> values;
    std::vector<double> vectors;  ///< n × n

    [[nodiscard]] std::span<const double> vector(std::size_t i) const {
        return std::span{vectors}.subspan(i * values.size(), values.size());
    }
};

/// Of a symmetric n × n matrix, by Jacobi's rotations (Golub and Van Loan, "Matrix Computations", 4th edition, section
/// 8.5): sweeps over all pairs until what is off the diagonal has vanished beside the rest. For some hundred rows.
inline Eigensystem symmetric_eigensystem(std::vector<double> a) {
    const auto n = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(a.size()))));
    if (n == 0 || n * n != a.size()) {
        raise<ArgumentError>({"eigensystem: ", a.size(), " numbers, expected a square matrix"});
    }
    std::vector<double> v(n * n, 0.0);
    for (std::size_t i = 0; i < n; ++i) { v[i * n + i] = 1; }
    const auto rotate = [](double& p, double& q, double c, double s) {
        const double old = p;
        p = c * old - s * q;
        q = s * old + c * q;
    };
    for (int sweep = 0; sweep < 64; ++sweep) {
        double off = 0, all = 0;
        for (std::size_t i = 0; i < n * n; ++i) {
            all += a[i] * a[i];
            off += i / n == i % n ? 0 : a[i] * a[i];
        }
        if (off <= 1e-30 * all) { break; }
        for (std::size_t p = 0; p < n; ++p) {
            for (std::size_t q = p + 1; q < n; ++q) {
                if (a[p * n + q] == 0) { continue; }
                const double tau = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                const double t = (tau < 0 ? -1 : 1) / (std::abs(tau) + std::hypot(1.0, tau));
                const double c = 1 / std::hypot(1.0, t), s = t * c;
                for (std::size_t k = 0; k < n; ++k) { rotate(a[p * n + k], a[q * n + k], c, s); }
                for (std::size_t k = 0; k < n; ++k) { rotate(a[k * n + p], a[k * n + q], c, s); }
                for (std::size_t k = 0; k < n; ++k) { rotate(v[p * n + k], v[q * n + k], c, s); }
            }
        }
    }
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
        const double x = a[i * n + i], y = a[j * n + j];
        return x != y ? x > y : i < j;
    });
    Eigensystem found;
    for (const std::size_t i : order) {
        found.values.push_back(a[i * n + i]);
        const auto row = std::span{v}.subspan(i * n, n);
        const double largest =
            *std::max_element(row.begin(), row.end(), [](double x, double y) { return std::abs(x) < std::abs(y); });
        for (const double x : row) { found.vectors.push_back(largest < 0 ? -x : x); }
    }
    return found;
}

/// Principal components of the kernel × kernel patches, at every place, of the first `count` images of a set (all of
/// them where there are fewer), normalised as the set says, about their mean. Vectors are in a filter's order: channel,
/// row, column. Sums of bytes are whole numbers, so that threads change no bit. Throws ArgumentError where there is no
/// patch.
inline Eigensystem patch_whitening(const Dataset& data, int kernel, std::size_t count,
                                   int threads = default_threads()) {
    const std::size_t images = std::min(count, data.size());
    const Shape shape = data.shape;
    if (images == 0 || kernel < 1 || kernel > std::min(shape.height, shape.width)) {
        raise<ArgumentError>({"patch whitening: ", images, " images, kernel ", kernel,
                              ", expected images and a kernel of 1 to ", std::min(shape.height, shape.width),
                              " pixels"});
    }
    static_cast<void>(DatasetSource{data});  // which checks it, as a table does its normalisation
    static_cast<void>(ByteTable{data.normalization, shape.channels});
    const int area = kernel * kernel, n = shape.channels * area;
    const int rows = shape.height - kernel + 1, columns = shape.width - kernel + 1;
    const auto size = static_cast<std::size_t>(n);
    const auto tap = [&](const ImageView& image, int i, int y) {
        return image.row(i / area, y + i % area / kernel) + i % kernel;
    };
    std::vector<std::uint64_t> sums(size), products(size * size);
    parallel_for(n, threads, [&](int i, int) {
        for (std::size_t s = 0; s < images; ++s) {
            const ImageView image{data.image(s), shape};
            for (int y = 0; y < rows; ++y) {
                const std::uint8_t* const a = tap(image, i, y);
                sums[static_cast<std::size_t>(i)] += std::accumulate(a, a + columns, std::uint64_t{0});
                for (int j = 0; j <= i; ++j) {
                    const std::uint8_t* const b = tap(image, j, y);
                    std::uint32_t sum = 0;  // a row of 65536 pixels and less fits
                    for (int x = 0; x < columns; ++x) { sum += static_cast<std::uint32_t>(a[x]) * b[x]; }
                    products[static_cast<std::size_t>(i) * size + static_cast<std::size_t>(j)] += sum;
                }
            }
        }
    });
    const double patches = static_cast<double>(images) * rows * columns;
    std::vector<double> covariance(size * size);
    for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            const double unit = 255.0 * 255.0 *
                                static_cast<double>(data.normalization.std[i / static_cast<std::size_t>(area)]) *
                                static_cast<double>(data.normalization.std[j / static_cast<std::size_t>(area)]);
            const double mean_i = static_cast<double>(sums[i]) / patches,
                         mean_j = static_cast<double>(sums[j]) / patches;
            covariance[i * size + j] = covariance[j * size + i] =
                (static_cast<double>(products[i * size + j]) / patches - mean_i * mean_j) / unit;
        }
    }
    return symmetric_eigensystem(std::move(covariance));
}

/// Fills the filters of a first layer that whitens: the i-th component divided by √(λ_i + epsilon), and behind the
/// first half of the filters the same with the other sign (Jordan 2024, section 3.2; Page, "How to train your ResNet",
/// 2019). `filters` are in canonical order (O, I, kh, kw), O being even and at most twice the number of components.
/// Throws ArgumentError for other sizes.
inline void fill_whitening_filters(const Eigensystem& components, std::span<float> filters, double epsilon = 5e-4) {
    const std::size_t n = components.values.size(), half = filters.size() / 2;
    if (n == 0 || filters.size() != half / n * n * 2 || half == 0 || half > n * n) {
        raise<ArgumentError>({"whitening filters: ", filters.size(), " weights, expected those of 2 to ", 2 * n,
                              " filters, an even number, of ", n, " each"});
    }
    for (std::size_t i = 0; i < half; ++i) {
        const double scale = 1 / std::sqrt(std::max(components.values[i / n], 0.0) + epsilon);
        filters[i] = static_cast<float>(scale * components.vectors[i]);
        filters[half + i] = -filters[i];
    }
}

}  // namespace ctnn::inline CTNN_ISA
