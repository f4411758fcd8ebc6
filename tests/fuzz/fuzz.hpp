// What all fuzz targets share. A target fails where it crashes, where a sanitizer reports, where an exception is none
// of the library's, and where what it `require`s does not hold.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include <ctnn/core/error.hpp>

namespace fuzz {

inline void require(bool holds, const char* what) {
    if (!holds) {
        std::fprintf(stderr, "does not hold: %s\n", what);
        std::abort();
    }
}

inline std::span<const std::byte> as_bytes(const std::uint8_t* data, std::size_t size) {
    return std::as_bytes(std::span{data, size});
}

/// A file in memory, for readers that take a path.
class MemoryFile {
  public:
    explicit MemoryFile(std::span<const std::byte> bytes) : descriptor_{memfd_create("input", 0)} {
        require(descriptor_ >= 0, "a file in memory can be made");
        require(::write(descriptor_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
                "a file in memory can be written");
    }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    ~MemoryFile() { ::close(descriptor_); }

    [[nodiscard]] std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

  private:
    int descriptor_;
};

/// Whether f() returned rather than refused its input by an error of the library's, which has one line.
template <class F>
bool accepted(F&& f) {
    try {
        f();
        return true;
    } catch (const ctnn::FileError& error) {
        const std::string text = error.what();
        require(
            !text.empty() && std::none_of(text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c); }),
            "an error is one line");
        return false;
    }
}

}  // namespace fuzz
