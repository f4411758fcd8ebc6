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

/// Gives every buffer for which chosen(index) holds an offset, largest first, each at the lowest place that no chosen
/// buffer live at the same time holds. Returns the units needed in all. Compilers count the steps of constant
/// evaluation, so empty buffers are passed over once, at the start.
template <std::size_t Count, class Chosen>
constexpr std::int64_t place_buffers(std::array<LiveBuffer, Count>& buffers, Chosen chosen) {
    std::array<LiveBuffer*, Count> order{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < Count; ++i) {
        if (buffers[i].size == 0 || !chosen(i)) { continue; }
        std::size_t at = count++;
        for (; at > 0 && order[at - 1]->size < buffers[i].size; --at) { order[at] = order[at - 1]; }
        order[at] = &buffers[i];
    }
    std::int64_t total = 0;
    for (std::size_t next = 0; next < count; ++next) {
        LiveBuffer& buffer = *order[next];
        for (std::size_t i = 0; i < next; ++i) {
            const LiveBuffer& other = *order[i];
            if (buffer.overlaps(other) && buffer.offset < other.offset + other.size &&
                other.offset < buffer.offset + buffer.size) {
                buffer.offset = other.offset + other.size;
                i = static_cast<std::size_t>(-1);  // what was passed may now be in the way
            }
        }
        total = total > buffer.offset + buffer.size ? total : buffer.offset + buffer.size;
    }
    return total;
}

}  // namespace ctnn::inline CTNN_ISA
