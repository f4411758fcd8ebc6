// Timing on a machine that others use too: many short runs, of which the fastest and a low percentile count.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <ctime>
#include <thread>
#include <vector>

#include "options.hpp"

namespace ctnn::inline CTNN_ISA::bench {

inline double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class F>
double seconds_of(F&& f) {
    const double start = now();
    f();
    return now() - start;
}

/// Returns when no thread of this process computes any more, or after half a second. Libraries with threads of their
/// own let these spin for a while after a call, up to a tenth of a second, at the cost of what runs next.
inline void wait_until_idle() {
    for (int i = 0; i < 250; ++i) {
        const std::clock_t before = std::clock();
        std::this_thread::sleep_for(std::chrono::milliseconds{2});
        if (std::clock() - before < CLOCKS_PER_SEC / 5000) { return; }
    }
}

/// Run times of one thing, in seconds.
class Times {
  public:
    void add(double seconds) { seconds_.push_back(seconds); }
    [[nodiscard]] bool empty() const { return seconds_.empty(); }
    [[nodiscard]] std::size_t runs() const { return seconds_.size(); }
    [[nodiscard]] double fastest() const { return quantile(0.0); }
    /// The tenth percentile: nearly as blind to other load as the fastest run, and less a matter of luck.
    [[nodiscard]] double low() const { return quantile(0.1); }
    [[nodiscard]] double median() const { return quantile(0.5); }

  private:
    [[nodiscard]] double quantile(double q) const {
        std::vector<double> sorted = seconds_;
        std::sort(sorted.begin(), sorted.end());
        return sorted.empty() ? 0.0 : sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
    }

    std::vector<double> seconds_;
};

/// Calls round(), which times one run of everything that is compared, as often as the options say, after one call whose
/// times do not count: `warm` is true in that one.
template <class F>
void repeat(const Options& options, F&& round) {
    round(true);
    const double end = now() + options.seconds;
    for (int i = 0; options.repeats > 0 ? i < options.repeats : i < 3 || now() < end; ++i) { round(false); }
}

}  // namespace ctnn::inline CTNN_ISA::bench
