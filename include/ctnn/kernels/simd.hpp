// The only file that includes xsimd: one small vector type over every instruction set, and plain scalars.
//
// Kernels ask a vector for its width and the machine for its number of registers, never for a particular instruction
// set. What differs between releases of xsimd (8.1 to 14.3) is settled here.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <ctnn/core/half.hpp>
#include <ctnn/core/shape.hpp>

#if !defined(CTNN_FORCE_SCALAR)
// GCC's own AVX-512 header warns of uninitialised operands that no instruction reads, wherever xsimd's exp is inlined.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <xsimd/xsimd.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif

// Where xsimd knows no vector unit (x86 of 32 bits without SSE2, say), everything is as if scalars were asked for.
#if defined(CTNN_FORCE_SCALAR) || defined(XSIMD_NO_SUPPORTED_ARCHITECTURE)
#define CTNN_VECTORS 0
#else
#define CTNN_VECTORS 1
#endif

namespace ctnn::inline CTNN_ISA {

/// Stands for 'no vector unit': vectors of one element. Selected by -DCTNN_FORCE_SCALAR, or where there is none.
struct ScalarArch {};

#if CTNN_VECTORS
using DefaultArch = xsimd::default_arch;
#else
using DefaultArch = ScalarArch;
#endif

/// A vector of `width` elements of float or double. Loads and stores need no alignment.
template <class T, class Arch = DefaultArch>
struct Vec;

template <class T>
struct Vec<T, ScalarArch> {
    static constexpr int width = 1;
    static constexpr int registers = 16;
    static constexpr int broadcast_registers = 0;
    T v{};

    static Vec load(const T* p) { return {*p}; }
    static Vec load(const Half* p) { return {to_float(*p)}; }
    static Vec load(const T* p, int count) { return {count > 0 ? *p : T{}}; }
    static Vec load(const std::uint8_t* p) { return {static_cast<T>(*p)}; }
    static Vec load(const std::uint8_t* p, int count) { return {count > 0 ? static_cast<T>(*p) : T{}}; }
    static Vec broadcast(T x) { return {x}; }
    void store(T* p) const { *p = v; }
    void store(T* p, int count) const {
        if (count > 0) { *p = v; }
    }
    void store(std::uint8_t* p, int count = 1) const {
        if (count > 0) { *p = static_cast<std::uint8_t>(v); }
    }
    friend Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
    friend Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
    friend Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
    friend Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
    friend Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
    friend Vec max(Vec a, Vec b) { return {a.v > b.v ? a.v : b.v}; }
    friend Vec sqrt(Vec a) { return {std::sqrt(a.v)}; }
    friend Vec exp(Vec a) { return {std::exp(a.v)}; }
    friend Vec tanh(Vec a) { return {std::tanh(a.v)}; }
    friend Vec pow(Vec a, Vec b) { return {std::pow(a.v, b.v)}; }
    friend Vec where_bits(unsigned bits, Vec yes, Vec no) { return (bits & 1u) != 0 ? yes : no; }
    friend Vec where_equal(Vec a, Vec b, Vec yes, Vec no) { return a.v == b.v ? yes : no; }
    friend Vec where_greater(Vec a, Vec b, Vec yes, Vec no) { return a.v > b.v ? yes : no; }
    friend Vec where_greater_or_nan(Vec a, Vec b, Vec yes, Vec no) { return a.v > b.v || a.v != a.v ? yes : no; }
    friend T sum(Vec a) { return a.v; }
};

#if CTNN_VECTORS
template <class T, class Arch>
struct Vec {
    using Batch = xsimd::batch<T, Arch>;
    static constexpr int width = static_cast<int>(Batch::size);
    /// Architectural vector registers: 32 with AVX-512 and 64-bit NEON, else 16.
#if defined(__AVX512F__) || defined(__aarch64__)
    static constexpr int registers = 32;
#else
    static constexpr int registers = 16;
#endif
    /// Those that the broadcast operand of a multiply-add takes: AVX-512's instructions read it from memory.
    static constexpr int broadcast_registers = sizeof(Batch) == 64 ? 0 : 1;
    Batch v;

    static CTNN_ALWAYS_INLINE Vec load(const T* p) { return {Batch::load_unaligned(p)}; }
    /// The first `count` elements, zeros behind them; reads nothing past them.
    static CTNN_ALWAYS_INLINE Vec load(const T* p, int count) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), p))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1u), p))};
        }
#endif
        T part[width] = {};
        for (int i = 0; i < width; ++i) {  // a bound that the compiler can see
            if (i < count) { part[i] = p[i]; }
        }
        return load(part);
    }
    /// Widened, which is exact; of float vectors only.
    static CTNN_ALWAYS_INLINE Vec load(const Half* p)
        requires std::is_same_v<T, float>
    {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))))};
        }
#endif
#if defined(__F16C__)
        if constexpr (sizeof(Batch) == 32) {
            return {Batch(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
        }
#elif defined(__aarch64__)
        if constexpr (sizeof(Batch) == 16) { return {Batch(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&p->bits))))}; }
#endif
        T wide[width];
        for (int i = 0; i < width; ++i) { wide[i] = to_float(p[i]); }
        return load(wide);
    }
    /// Bytes as numbers: whole numbers from 0 to 255.
    static CTNN_ALWAYS_INLINE Vec load(const std::uint8_t* p) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
            const auto all = static_cast<__mmask16>(-1);
            return {Batch(_mm512_maskz_cvtepi32_ps(all, _mm512_maskz_cvtepu8_epi32(all, bytes)))};
        }
#endif
#if defined(__AVX2__)
        if constexpr (sizeof(Batch) == 32 && std::is_same_v<T, float>) {
            const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
            return {Batch(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)))};
        }
#endif
        T wide[width];
        for (int i = 0; i < width; ++i) { wide[i] = static_cast<T>(p[i]); }
        return load(wide);
    }
    static CTNN_ALWAYS_INLINE Vec load(const std::uint8_t* p, int count) {
        T part[width] = {};
        for (int i = 0; i < width; ++i) {
            if (i < count) { part[i] = static_cast<T>(p[i]); }
        }
        return load(part);
    }
    static CTNN_ALWAYS_INLINE Vec broadcast(T x) { return {Batch(x)}; }
    CTNN_ALWAYS_INLINE void store(T* p) const { v.store_unaligned(p); }
    /// The first `count` elements; nothing behind them is touched.
    CTNN_ALWAYS_INLINE void store(T* p, int count) const {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), v);
            return;
        } else if constexpr (sizeof(Batch) == 64) {
            _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1u), v);
            return;
        }
#endif
        T part[width];
        store(part);
        for (int i = 0; i < width; ++i) {
            if (i < count) { p[i] = part[i]; }
        }
    }
    /// The first `count` elements, whole numbers from 0 to 255, as bytes.
    CTNN_ALWAYS_INLINE void store(std::uint8_t* p, int count = width) const {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            const auto all = static_cast<__mmask16>(-1);
            if (count == width) {
                const __m512i numbers = _mm512_maskz_cvttps_epi32(all, v);
                _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(all, numbers));
                return;
            }
        }
#endif
        T part[width];
        store(part);
        for (int i = 0; i < width; ++i) {
            if (i < count) { p[i] = static_cast<std::uint8_t>(part[i]); }
        }
    }
    friend CTNN_ALWAYS_INLINE Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
    friend CTNN_ALWAYS_INLINE Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
    friend CTNN_ALWAYS_INLINE Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
    friend CTNN_ALWAYS_INLINE Vec operator/(Vec a, Vec b) { return {a.v / b.v}; }
    /// a·b + c, rounded once where the machine can. xsimd 8.1 has no native form for AVX-512: a product and a sum,
    /// which clang does not contract across calls.
    friend CTNN_ALWAYS_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_fmadd_ps(a.v, b.v, c.v))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_fmadd_pd(a.v, b.v, c.v))};
        }
#endif
        return {xsimd::fma(a.v, b.v, c.v)};
    }
    /// The larger; where one is no number, b on x86 and no number on ARM.
    friend CTNN_ALWAYS_INLINE Vec max(Vec a, Vec b) {
#if defined(__AVX512F__)
        // The masked forms name their pass-through operand, where GCC 12's plain ones warn of an uninitialised one.
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_mask_max_ps(a.v, static_cast<__mmask16>(-1), a.v, b.v))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_mask_max_pd(a.v, static_cast<__mmask8>(-1), a.v, b.v))};
        }
#endif
#if XSIMD_VERSION_MAJOR >= 14  // which returns its first argument then, as std::max does
        return {xsimd::max(b.v, a.v)};
#else
        return {xsimd::max(a.v, b.v)};
#endif
    }
    friend CTNN_ALWAYS_INLINE Vec sqrt(Vec a) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_mask_sqrt_ps(a.v, static_cast<__mmask16>(-1), a.v))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_mask_sqrt_pd(a.v, static_cast<__mmask8>(-1), a.v))};
        }
#endif
        return {xsimd::sqrt(a.v)};
    }
    friend CTNN_ALWAYS_INLINE Vec exp(Vec a) { return {xsimd::exp(a.v)}; }
    friend CTNN_ALWAYS_INLINE Vec tanh(Vec a) { return {xsimd::tanh(a.v)}; }
    friend CTNN_ALWAYS_INLINE Vec pow(Vec a, Vec b) {
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__) && !defined(__OPTIMIZE__)
        // Without optimisation GCC's intrinsics are macros, with which xsimd 8.1's logarithm does not compile.
        T powers[width], exponents[width];
        a.store(powers);
        b.store(exponents);
        for (int i = 0; i < width; ++i) { powers[i] = std::pow(powers[i], exponents[i]); }
        return load(powers);
#else
        return {xsimd::pow(a.v, b.v)};
#endif
    }
    /// `yes` where the element's bit, from the lowest on, is 1, else `no`.
    friend CTNN_ALWAYS_INLINE Vec where_bits(unsigned bits, Vec yes, Vec no) {
#if defined(__AVX512F__)
        if constexpr (sizeof(Batch) == 64 && std::is_same_v<T, float>) {
            return {Batch(_mm512_mask_blend_ps(static_cast<__mmask16>(bits), no.v, yes.v))};
        } else if constexpr (sizeof(Batch) == 64) {
            return {Batch(_mm512_mask_blend_pd(static_cast<__mmask8>(bits), no.v, yes.v))};
        }
#endif
        T chosen[width];
        for (int i = 0; i < width; ++i) { chosen[i] = static_cast<T>((bits >> i) & 1u); }
        return where_greater(load(chosen), broadcast(T{}), yes, no);
    }
    /// `yes` where a = b, else `no`.
    friend CTNN_ALWAYS_INLINE Vec where_equal(Vec a, Vec b, Vec yes, Vec no) {
        return {xsimd::select(a.v == b.v, yes.v, no.v)};
    }
    /// `yes` where a > b, else `no`.
    friend CTNN_ALWAYS_INLINE Vec where_greater(Vec a, Vec b, Vec yes, Vec no) {
        return {xsimd::select(a.v > b.v, yes.v, no.v)};
    }
    /// `yes` where a > b or a is no number, else `no`.
    friend CTNN_ALWAYS_INLINE Vec where_greater_or_nan(Vec a, Vec b, Vec yes, Vec no) {
        // Not a != a: xsimd 8.1 finds NaN neither equal nor unequal to NaN.
        return {xsimd::select((a.v > b.v) || xsimd::isnan(a.v), yes.v, no.v)};
    }
    friend CTNN_ALWAYS_INLINE T sum(Vec a) {
#if XSIMD_VERSION_MAJOR >= 9
        return xsimd::reduce_add(a.v);
#else
        return xsimd::hadd(a.v);
#endif
    }
};
#endif

/// Vectors in one channel block.
template <class T, class Arch = DefaultArch>
inline constexpr int vectors_per_block = block_size / Vec<T, Arch>::width;

/// Calls f(offset, load, store) for every vector of `count` elements; the last may be a partial one. `load(p)` and
/// `store(p, v)` touch only what exists; elements may be bytes.
template <class T, class Arch = DefaultArch, class F>
CTNN_ALWAYS_INLINE void for_vectors(std::ptrdiff_t count, F&& f) {
    using V = Vec<T, Arch>;
    std::ptrdiff_t i = 0;
    for (; i + V::width <= count; i += V::width) {
        f(i, [](const auto* p) { return V::load(p); }, [](auto* p, V v) { v.store(p); });
    }
    if (i < count) {
        const int left = static_cast<int>(count - i);
        f(i, [left](const auto* p) { return V::load(p, left); }, [left](auto* p, V v) { v.store(p, left); });
    }
}

/// Stores a whole vector at an address that is a multiple of its size, past the caches where the machine can: for
/// what is larger than they are. finish_streams() must follow before another thread reads.
template <class T, class Arch>
CTNN_ALWAYS_INLINE void stream(T* p, Vec<T, Arch> x) {
#if CTNN_VECTORS && defined(__AVX512F__)
    if constexpr (sizeof(x.v) == 64 && std::is_same_v<T, float>) { return _mm512_stream_ps(p, x.v); }
#endif
#if CTNN_VECTORS && defined(__AVX__)
    if constexpr (sizeof(x.v) == 32 && std::is_same_v<T, float>) { return _mm256_stream_ps(p, x.v); }
#endif
    x.store(p);
}
CTNN_ALWAYS_INLINE void finish_streams() {
#if CTNN_VECTORS && defined(__AVX__)
    _mm_sfence();
#endif
}

/// Asks for the cache line at `p`, which may be any address.
CTNN_ALWAYS_INLINE void prefetch(const void* p) {
#if defined(__GNUC__)
    __builtin_prefetch(p);
#else
    static_cast<void>(p);
#endif
}

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

}  // namespace ctnn::inline CTNN_ISA
