// Memory reuse by liveness: buffers that are never needed at the same time share their place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

/// A buffer of `size` units that is live at times [first, last], both included. Size 0 is no buffer.
struct LiveBuffer {
    std::int64_t size = 0;
    int first = 0, last = 0;
    std::int64_t offset = 0;

    [[nodiscard]] constexpr bool live_at(int time) const { return size > 0 && first <= time && time <= last; }
    [[nodiscard]] constexpr bool overlaps(const LiveBuffer& o) const { return first <= o.last && o.first <= last; }
};

/// Gives every buffer an offset, largest first, each at the lowest place that no buffer live at the same time holds.
/// Returns the units needed in all.
template <std::size_t Count>
constexpr std::int64_t place_buffers(std::array<LiveBuffer, Count>& buffers) {
    std::array<bool, Count> placed{};
    std::int64_t total = 0;
    for (std::size_t round = 0; round < Count; ++round) {
        std::size_t next = Count;
        for (std::size_t i = 0; i < Count; ++i) {
            if (!placed[i] && buffers[i].size > 0 && (next == Count || buffers[i].size > buffers[next].size)) {
                next = i;
            }
        }
        if (next == Count) { break; }
        LiveBuffer& buffer = buffers[next];
        std::int64_t offset = 0;
        for (bool moved = true; moved;) {
            moved = false;
            for (std::size_t i = 0; i < Count; ++i) {
                const LiveBuffer& other = buffers[i];
                if (placed[i] && buffer.overlaps(other) && offset < other.offset + other.size &&
                    other.offset < offset + buffer.size) {
                    offset = other.offset + other.size;
                    moved = true;
                }
            }
        }
        buffer.offset = offset;
        placed[next] = true;
        total = total > offset + buffer.size ? total : offset + buffer.size;
    }
    return total;
}

}  // namespace ctnn::inline CTNN_ISA
