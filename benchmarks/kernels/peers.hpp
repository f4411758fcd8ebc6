// Other libraries on the same problems.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// One direction of one layer by another library, with arrays of its own.
class Peer {
  public:
    Peer() = default;
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    virtual ~Peer() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;
    /// Seconds of one run.
    virtual double time() = 0;
};

struct PeerLibrary {
    std::string_view name;
    std::string version;
};

/// The libraries that this program was built with.
std::vector<PeerLibrary> peer_libraries();

/// Those of them that can do the problem.
std::vector<std::unique_ptr<Peer>> make_peers(const Problem& problem, Direction direction, int threads);

}  // namespace ctnn::inline CTNN_ISA::bench
