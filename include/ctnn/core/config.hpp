// What the compiler was told to build for: library version, the namespace of the instruction set, OpenMP.
#pragma once

#define CTNN_VERSION_MAJOR 0
#define CTNN_VERSION_MINOR 1
#define CTNN_VERSION_PATCH 0

// All of ctnn lives in an inline namespace named after the instruction set, so that objects compiled for different
// vector units can be linked into one program without the linker merging their kernels. Extensions that no kernel asks
// for (VNNI, VBMI, …) do not enter the name.
#if defined(CTNN_FORCE_SCALAR)
#define CTNN_ISA scalar
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512CD__)
#define CTNN_ISA avx512
#elif defined(__AVX512F__)
#define CTNN_ISA avx512f
#elif defined(__AVX2__) && defined(__FMA__)
#define CTNN_ISA avx2_fma
#elif defined(__AVX2__)
#define CTNN_ISA avx2
#elif defined(__AVX__)
#define CTNN_ISA avx
#elif defined(__SSE4_2__)
#define CTNN_ISA sse4_2
#elif defined(__SSE4_1__)
#define CTNN_ISA sse4_1
#elif defined(__SSSE3__)
#define CTNN_ISA ssse3
#elif defined(__SSE3__)
#define CTNN_ISA sse3
#elif defined(__SSE2__) || defined(_M_X64)
#define CTNN_ISA sse2
#elif defined(__ARM_NEON) || defined(_M_ARM64)
#define CTNN_ISA neon
#else
#define CTNN_ISA scalar
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define CTNN_ALWAYS_INLINE __forceinline
#else
#define CTNN_ALWAYS_INLINE inline __attribute__((always_inline))
#endif

// A function that is never inlined, cloned or specialised.
#if defined(_MSC_VER) && !defined(__clang__)
#define CTNN_ONE_COPY __declspec(noinline)
#elif defined(__clang__)
#define CTNN_ONE_COPY __attribute__((noinline))
#else
#define CTNN_ONE_COPY __attribute__((noipa))
#endif

namespace ctnn::inline CTNN_ISA {

/// The library's version.
struct Version {
    int major, minor, patch;
};
inline constexpr Version version{CTNN_VERSION_MAJOR, CTNN_VERSION_MINOR, CTNN_VERSION_PATCH};

/// The instruction set that this was compiled for: "avx512".
#define CTNN_DETAIL_TEXT(x) #x
#define CTNN_DETAIL_TEXT_OF(x) CTNN_DETAIL_TEXT(x)
inline constexpr const char* isa = CTNN_DETAIL_TEXT_OF(CTNN_ISA);
#undef CTNN_DETAIL_TEXT
#undef CTNN_DETAIL_TEXT_OF

}  // namespace ctnn::inline CTNN_ISA
