// Any bytes as a file that may be gzipped. What is not comes out as it is.
#include "gzip.hpp"

#include <algorithm>
#include <vector>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = fuzz::as_bytes(data, size);
    const fuzz::MemoryFile file{bytes};
    const bool packed = size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
    std::vector<std::byte> unpacked;
    if (fuzz::accepted([&] { unpacked = alexnet::read_unpacked(file.path()); }) && !packed) {
        fuzz::require(std::ranges::equal(unpacked, bytes), "what is not packed stays");
    }
    return 0;
}
