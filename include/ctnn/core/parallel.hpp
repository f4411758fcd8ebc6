// Threads: OpenMP's where the compiler has it, else everything runs on one. Results never depend on their number.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

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

namespace detail {

struct alignas(64) Share {
    std::atomic<int> next;
    int end;
};

/// One thread's work in a loop over shares: its own first, then what is left of the others'.
///
/// The only copy of the loop's body, for one thread as for many: the compiler fuses multiplications and additions as it
/// sees fit, so two inlined copies may round differently, and results would depend on the number of threads.
template <class F>
CTNN_ONE_COPY void work_on(Share* share, int shares, int run, int thread, void* body) {
    F& f = *static_cast<F*>(body);
    for (int s = 0; s < shares; ++s) {
        Share& mine = share[(thread + s) % shares];
        for (int begin = mine.next.fetch_add(run); begin < mine.end; begin = mine.next.fetch_add(run)) {
            for (int i = begin; i < std::min(begin + run, mine.end); ++i) { f(i, thread); }
        }
    }
}

/// The part of parallel_for that does not depend on the body's type, which is compiled once instead of once a loop.
inline void share_out(int items, int threads, void (*work)(Share*, int, int, int, void*), void* body) {
#if defined(_OPENMP)
    if (items > 1 && threads > 1) {
        constexpr int most = 64;
        const int shares = std::min({items, threads, most});
        std::array<Share, most> share;
        for (int s = 0; s < shares; ++s) {
            share[static_cast<std::size_t>(s)].next = static_cast<int>(std::int64_t{items} * s / shares);
            share[static_cast<std::size_t>(s)].end = static_cast<int>(std::int64_t{items} * (s + 1) / shares);
        }
        const int run = std::max(1, items / (shares * 8));
#pragma omp parallel num_threads(threads)
        work(share.data(), shares, run, omp_get_thread_num(), body);
        return;
    }
#else
    static_cast<void>(threads);
#endif
    Share all{0, items};
    work(&all, 1, std::max(items, 1), 0, body);
}

}  // namespace detail

/// Calls f(item, thread) for every item in [0, items), each once; f must not throw. Every thread begins with a
/// contiguous share of its own, the same in every loop, so that what it touched before is still in its cache; a thread
/// that has finished helps with the shares of those that other work on the machine holds up. The team is always
/// `threads` strong, because OpenMP's runtimes keep a team that does not change and allocate for one that does.
template <class F>
void parallel_for(int items, int threads, F&& f) {
    using Body = std::remove_reference_t<F>;
    detail::share_out(items, threads, detail::work_on<Body>, const_cast<std::remove_const_t<Body>*>(&f));
}

}  // namespace ctnn::inline CTNN_ISA
