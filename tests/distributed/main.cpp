// Ranks that MPI starts make the steps of one process, bit by bit the same on all of them: mpirun -np N ctnn_ranks
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <span>
#include <vector>

#include <ctnn/distributed/mpi.hpp>

#include "distributed/steps.hpp"

namespace {

using namespace distributed_test;

/// Whether the ranks came to what one process comes to, and to the same.
template <class Net, class T>
bool check(distributed::MpiCommunicator& ranks, const TrainerSettings& settings, std::size_t n) {
    const Samples<T> samples{n};
    const std::vector<double> found = steps_of_rank<Net>(ranks, settings, samples, true),
                              expected = steps_alone<Net>(settings, samples, true);
    std::vector<double> firsts = found;
    ranks.broadcast(std::as_writable_bytes(std::span{firsts}), 0);
    const double off = distance(found, expected) / static_cast<double>(std::numeric_limits<T>::epsilon());
    const bool good = off < 1000 && found == firsts;
    if (!good) { std::printf("rank %d of %d: off by %g roundings\n", ranks.rank(), ranks.size(), off); }
    return good;
}

}  // namespace

int main() {
    distributed::MpiCommunicator ranks{std::chrono::seconds{60}};
    int checks = 0, failures = 0;
    const auto count = [&](bool good) { ++checks, failures += good ? 0 : 1; };
    for (TrainerSettings settings : cases()) {
        count(check<WithNorms, float>(ranks, settings, 13));
        count(check<WithNorms, double>(ranks, settings, 13));
        for (const int micro_batch : {0, 2}) {
            settings.micro_batch = micro_batch;
            count(check<Plain, double>(ranks, settings, 13));
            count(check<Plain, double>(ranks, settings, 3));  // no samples for the fourth rank
        }
    }
    // What is longer than a message may be is several: not tried here, for want of memory. What is empty is none.
    ranks.all_reduce(std::span<float>{});
    std::vector<double> sum{1.0, static_cast<double>(ranks.rank())};
    ranks.all_reduce(std::span{sum});
    count(sum[0] == ranks.size() && sum[1] == ranks.size() * (ranks.size() - 1) / 2.0);
    double failed = failures;
    ranks.all_reduce(std::span{&failed, 1});
    if (ranks.rank() == 0) { std::printf("%d checks on %d ranks, %g failed\n", checks, ranks.size(), failed); }
    return failed == 0 ? 0 : 1;
}
