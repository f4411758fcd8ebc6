// Batch norm's gradients behind a max pool, where only the places of the maxima have one: without a map of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <ctnn/kernels/normalization.hpp>
#include <ctnn/kernels/pooling.hpp>
#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA {

/// Batch norm's two sums over one sample from the pool's output gradient dy: sums[c] = Σ dy and
/// sums[channels + c] = Σ dy · x̂. `x` is the norm's input.
template <PoolDims D, class T, class Arch = DefaultArch>
void max_pool_batch_norm_sums(const T* x, const T* dy, const std::uint8_t* places, BatchNormVectors<T> v, T* sums) {
    using V = Vec<T, Arch>;
    for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
        V plain = V::broadcast(T{});
        V scaled = V::broadcast(T{});
        const V mean = load(v.mean + c), istd = load(v.istd + c);
        for_max_windows<D>(0, D.out.height, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int, auto&& for_taps) {
            const V gradient = load(dy + at + c), place = load(places + at + c);
            V most = V::broadcast(T{});
            for_taps([&](int tap, std::ptrdiff_t pixel) {
                most = where_equal(place, V::broadcast(static_cast<T>(tap)), load(x + corner + pixel + c), most);
            });
            plain = plain + gradient;
            scaled = fma(gradient, (most - mean) * istd, scaled);
        });
        store(sums + c, plain);
        store(sums + D.in.channels + c, scaled);
    });
}

/// The gradient with respect to the norm's input x from the pool's output gradient dy, one sample: overwrites dx, which
/// may be x.
template <PoolDims D, class T, class Arch = DefaultArch>
void max_pool_batch_norm_gradient(const T* x, const T* dy, const std::uint8_t* places, BatchNormVectors<T> v, T* dx) {
    using V = Vec<T, Arch>;
    if constexpr (!D.tiles()) {
        batch_norm_gradient<T, Arch>(x, nullptr, v, dx, D.in.pixels(), D.in.channels);
        max_pool_scatter<D, T, Arch>(dy, places, v.scale, dx);
    } else {
        for_max_windows<D>(0, D.out.height, [&](std::ptrdiff_t at, std::ptrdiff_t corner, int, auto&& for_taps) {
            for_vectors<T, Arch>(D.in.channels, [&](std::ptrdiff_t c, auto load, auto store) {
                const V gradient = load(dy + at + c), place = load(places + at + c);
                for_taps([&](int tap, std::ptrdiff_t pixel) {
                    const V here = V::broadcast(static_cast<T>(tap));
                    const V g = where_equal(place, here, gradient, V::broadcast(T{}));
                    store(dx + corner + pixel + c,
                          batch_norm_gradient(load(x + corner + pixel + c), g, load(v.mean + c), load(v.istd + c),
                                              load(v.scale + c), load(v.a + c), load(v.b + c)));
                });
            });
        });
    }
}

}  // namespace ctnn::inline CTNN_ISA
