#include "gzip.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <string>

#include <zlib.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/file.hpp>

namespace alexnet {

std::vector<std::byte> read_unpacked(const std::filesystem::path& path) {
    std::vector<std::byte> packed = ctnn::read_file(path);
    if (packed.size() < 2 || packed[0] != std::byte{0x1F} || packed[1] != std::byte{0x8B}) { return packed; }

    z_stream stream{};
    const auto fail = [&](const std::string& reason) {
        throw ctnn::FileError(path.string() + ": found a damaged gzip file (" + reason + "), expected a whole one");
    };
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) { fail("zlib cannot start"); }  // 16: gzip's header
    const struct Release {
        z_stream& stream;
        ~Release() { inflateEnd(&stream); }
    } release{stream};

    constexpr std::size_t most = std::numeric_limits<uInt>::max();
    std::vector<std::byte> bytes;
    std::size_t used = 0, written = 0;
    int status = Z_OK;
    // A file may be several gzip streams, one after the other, and zeros that fill its last block on a tape.
    while (used < packed.size() || status != Z_STREAM_END) {
        if (status == Z_STREAM_END) {
            const auto rest = std::span{packed}.subspan(used);
            if (std::ranges::all_of(rest, [](std::byte byte) { return byte == std::byte{0}; })) { break; }
            inflateReset(&stream);
        }
        if (written == bytes.size()) { bytes.resize(std::max<std::size_t>(4 * packed.size(), 2 * bytes.size())); }
        stream.next_in = reinterpret_cast<Bytef*>(packed.data() + used);
        stream.avail_in = static_cast<uInt>(std::min(packed.size() - used, most));
        stream.next_out = reinterpret_cast<Bytef*>(bytes.data() + written);
        stream.avail_out = static_cast<uInt>(std::min(bytes.size() - written, most));
        const uInt in = stream.avail_in, out = stream.avail_out;
        status = inflate(&stream, Z_NO_FLUSH);
        used += in - stream.avail_in;
        written += out - stream.avail_out;
        if (status == Z_BUF_ERROR) { fail("it ends too early"); }  // room for output there always is
        if (status != Z_OK && status != Z_STREAM_END) { fail(stream.msg != nullptr ? stream.msg : "no reason given"); }
    }
    bytes.resize(written);
    return bytes;
}

}  // namespace alexnet
