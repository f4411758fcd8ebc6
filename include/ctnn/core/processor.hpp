// A program that was compiled for more than the processor has ends with a line of text, not with an illegal
// instruction.
#pragma once

#include <cstdio>
#include <cstdlib>

#include <ctnn/core/config.hpp>

// The function must itself run on any processor, so it is compiled for the least of its kind.
#if defined(__x86_64__) && defined(__GNUC__)
#define CTNN_ANY_PROCESSOR __attribute__((target("no-sse3,no-bmi,no-bmi2,no-lzcnt,no-movbe,no-popcnt")))
#else
#define CTNN_ANY_PROCESSOR
#endif

namespace ctnn::inline CTNN_ISA {

/// Returns where the processor has every instruction set that the calling file was compiled for; otherwise prints one
/// line to standard error, which names those it lacks, and ends the process with status 1. Nothing is thrown, because
/// what would catch it was compiled for the other processor, too.
///
/// For the same reason it must come before all other code of the program, constructors of global objects included:
///
///     [[gnu::constructor(101)]] static void before_everything() { ctnn::require_processor(); }
///
/// A call at the start of main is enough where no global object of the program needs a constructor. Checked are the
/// sets that GCC 12 and Clang 19 use without being asked. On processors other than x86-64 it does nothing.
///
/// Every file has its own: the namespace does not tell apart all that two files can be compiled for.
CTNN_ANY_PROCESSOR CTNN_ONE_COPY static inline void require_processor() {
#if defined(__x86_64__) && defined(__GNUC__)
    int missing = 0;
    __builtin_cpu_init();
// The macro of a set that the compiler may use is 1; of any other, its own name.
#define CTNN_TEXT(macro) #macro
#define CTNN_NEEDS(macro, name)                                                                   \
    if (CTNN_TEXT(macro)[0] == '1' && !__builtin_cpu_supports(name)) {                            \
        std::fputs(missing++ == 0 ? "ctnn: found a processor without " name : ", " name, stderr); \
    }
    CTNN_NEEDS(__SSE3__, "sse3")
    CTNN_NEEDS(__SSSE3__, "ssse3")
    CTNN_NEEDS(__SSE4_1__, "sse4.1")
    CTNN_NEEDS(__SSE4_2__, "sse4.2")
    CTNN_NEEDS(__SSE4A__, "sse4a")
    CTNN_NEEDS(__XOP__, "xop")
    CTNN_NEEDS(__FMA4__, "fma4")
    CTNN_NEEDS(__TBM__, "tbm")
    CTNN_NEEDS(__POPCNT__, "popcnt")
    CTNN_NEEDS(__LZCNT__, "lzcnt")
    CTNN_NEEDS(__MOVBE__, "movbe")
    CTNN_NEEDS(__BMI__, "bmi")
    CTNN_NEEDS(__BMI2__, "bmi2")
    CTNN_NEEDS(__AVX__, "avx")
    CTNN_NEEDS(__F16C__, "f16c")
    CTNN_NEEDS(__FMA__, "fma")
    CTNN_NEEDS(__AVX2__, "avx2")
    CTNN_NEEDS(__AVXVNNI__, "avxvnni")
    CTNN_NEEDS(__GFNI__, "gfni")
    CTNN_NEEDS(__AVX512F__, "avx512f")
    CTNN_NEEDS(__AVX512CD__, "avx512cd")
    CTNN_NEEDS(__AVX512VL__, "avx512vl")
    CTNN_NEEDS(__AVX512DQ__, "avx512dq")
    CTNN_NEEDS(__AVX512BW__, "avx512bw")
    CTNN_NEEDS(__AVX512IFMA__, "avx512ifma")
    CTNN_NEEDS(__AVX512VBMI__, "avx512vbmi")
    CTNN_NEEDS(__AVX512VBMI2__, "avx512vbmi2")
    CTNN_NEEDS(__AVX512VNNI__, "avx512vnni")
    CTNN_NEEDS(__AVX512BITALG__, "avx512bitalg")
    CTNN_NEEDS(__AVX512VPOPCNTDQ__, "avx512vpopcntdq")
    CTNN_NEEDS(__AVX512BF16__, "avx512bf16")
    CTNN_NEEDS(__AVX512FP16__, "avx512fp16")
#undef CTNN_NEEDS
#undef CTNN_TEXT
    if (missing > 0) {
        std::fputs(", expected one that has what this program was compiled for (-march)\n", stderr);
        std::_Exit(1);
    }
#endif
}

}  // namespace ctnn::inline CTNN_ISA

#undef CTNN_ANY_PROCESSOR
