// Threads: OpenMP's where the compiler has it, else everything runs on one. Results never depend on their number.
#pragma once

#include <algorithm>

#include <ctnn/core/config.hpp>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace ctnn::inline CTNN_ISA {

/// Threads that a parallel loop uses when nobody says otherwise.
inline int default_threads() {
#if defined(_OPENMP)
    return omp_get_max_threads();
#else
    return 1;
#endif
}

/// Calls f(item, thread) for every item in [0, items), each once, in contiguous runs per thread; f must not throw.
template <class F>
void parallel_for(int items, int threads, F&& f) {
#if defined(_OPENMP)
    const int used = std::min(items, threads);
    if (used > 1) {
#pragma omp parallel num_threads(used)
        {
            const int thread = omp_get_thread_num();
            const int team = omp_get_num_threads();
            const int begin = static_cast<int>(static_cast<long long>(items) * thread / team);
            const int end = static_cast<int>(static_cast<long long>(items) * (thread + 1) / team);
            for (int i = begin; i < end; ++i) { f(i, thread); }
        }
        return;
    }
#endif
    static_cast<void>(threads);
    for (int i = 0; i < items; ++i) { f(i, 0); }
}

}  // namespace ctnn::inline CTNN_ISA
