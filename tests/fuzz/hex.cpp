// Any text as a tensor in ML Odyssey's hex. What is read is written as the same text.
#include <string>
#include <vector>

#include <fmt/format.h>

#include <ctnn/io/hex_weights.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::vector<float> numbers(6);
    static const ctnn::TensorView expected = ctnn::tensor_view("w", {2, 3}, numbers);
    const fuzz::MemoryFile file{fuzz::as_bytes(data, size)};
    std::vector<std::byte> bytes;
    if (!fuzz::accepted([&] { bytes = ctnn::detail::read_hex(file.path(), "w", expected); })) { return 0; }

    std::string text = "w\nfloat32 2 3\n";
    for (const std::byte byte : bytes) { text += fmt::format("{:02x}", std::to_integer<int>(byte)); }
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    fuzz::require(input == text || input == text + "\n", "hex stays");
    return 0;
}
