// What data-parallel training asks of whatever moves bytes between processes, and the answer of a process that is
// alone.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>

#include <ctnn/core/config.hpp>

#define CTNN_HAS_COMMUNICATOR  // so that the header for MPI can be included behind the single one

namespace ctnn::inline CTNN_ISA::distributed {

/// Processes, called ranks, that call the same functions in the same order. Sums are taken in place and have the same
/// bits on every rank. To be used from one thread. What a rank does that waits for others in vain is the transport's
/// affair: it must end the program rather than wait for ever.
template <class C>
concept Communicator = requires(C& c, const C& same, std::span<float> floats, std::span<double> doubles,
                                std::span<std::byte> bytes, int root) {
    { same.rank() } -> std::same_as<int>;  // in [0, size())
    { same.size() } -> std::same_as<int>;  // at least 1
    c.all_reduce(floats);                  // Σ over the ranks
    c.all_reduce(doubles);
    c.start_all_reduce(floats);  // the same beside what the caller does next, who leaves the span alone …
    c.start_all_reduce(doubles);
    c.finish();                // … until this has waited for all that was started
    c.broadcast(bytes, root);  // every rank's bytes become the root's
    c.barrier();               // returns when all ranks have called it
};

/// A process alone: a sum over one rank is the value itself, and nobody is waited for.
struct SingleProcess {
    static constexpr int rank() { return 0; }
    static constexpr int size() { return 1; }
    template <class T>
    void all_reduce(std::span<T> /*values*/) const {}
    template <class T>
    void start_all_reduce(std::span<T> /*values*/) const {}
    void finish() const {}
    void broadcast(std::span<std::byte> /*bytes*/, int /*root*/) const {}
    void barrier() const {}
};
static_assert(Communicator<SingleProcess>);

/// The one that a trainer takes where it is given none.
inline SingleProcess alone;

}  // namespace ctnn::inline CTNN_ISA::distributed
