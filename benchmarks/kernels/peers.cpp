#include "kernels/peers.hpp"

#if defined(CTNN_BENCH_ONEDNN)
#include "kernels/onednn.hpp"
#endif
#if defined(CTNN_BENCH_OPENBLAS)
#include "kernels/openblas.hpp"
#endif

namespace ctnn::inline CTNN_ISA::bench {

std::vector<PeerLibrary> peer_libraries() {
    std::vector<PeerLibrary> libraries;
#if defined(CTNN_BENCH_ONEDNN)
    libraries.push_back({OneDnn::library, OneDnn::version()});
#endif
#if defined(CTNN_BENCH_OPENBLAS)
    libraries.push_back({OpenBlas::library, OpenBlas::version()});
#endif
    return libraries;
}

std::vector<std::unique_ptr<Peer>> make_peers([[maybe_unused]] const Problem& problem,
                                              [[maybe_unused]] Direction direction, [[maybe_unused]] int threads) {
    std::vector<std::unique_ptr<Peer>> peers;
#if defined(CTNN_BENCH_ONEDNN)
    try {
        peers.push_back(std::make_unique<OneDnn>(problem, direction, threads));
    } catch (const dnnl::error&) {  // it has no kernel for this
    }
#endif
#if defined(CTNN_BENCH_OPENBLAS)
    if (problem.linear()) { peers.push_back(std::make_unique<OpenBlas>(problem, direction, threads)); }
#endif
    return peers;
}

}  // namespace ctnn::inline CTNN_ISA::bench
