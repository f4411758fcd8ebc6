// A whole file as bytes in memory that nobody has to read first: mapped where the system can, read where not.
#pragma once

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <ctnn/core/arena.hpp>
#include <ctnn/io/file.hpp>

namespace ctnn::inline CTNN_ISA {

#if defined(__unix__) || defined(__APPLE__)

/// The bytes of a regular file, read-only, at a multiple of block_alignment. They come from the disk, or from the
/// system's cache of it, when they are first looked at, and processes that map the same file share them. Meanwhile the
/// file must not be written to or cut short, which would end the process by a signal; to replace it by another one, as
/// write_file_atomically does, is safe: the old bytes stay. Movable, and the bytes stay where they are. Constructing
/// throws FileError.
class MappedFile {
  public:
    explicit MappedFile(const std::filesystem::path& path) {
        detail::expect_regular_file(path);
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (descriptor < 0) { raise(detail::file_error(path, "open", errno)); }
        struct ::stat status{};
        void* at = MAP_FAILED;
        if (::fstat(descriptor, &status) == 0) {
            const auto size = static_cast<std::size_t>(status.st_size);
            // No system maps nothing.
            at = size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        }
        const int error = errno;
        ::close(descriptor);  // the mapping stays
        if (at == MAP_FAILED) { raise(detail::file_error(path, "map", error)); }
        bytes_.reset(static_cast<const std::byte*>(at));
        bytes_.get_deleter().size = static_cast<std::size_t>(status.st_size);
    }

    [[nodiscard]] std::span<const std::byte> bytes() const {
        return {bytes_.get(), bytes_ ? bytes_.get_deleter().size : 0};
    }

    /// Has the system fetch all bytes from the disk while the program goes on, instead of page by page in the order in
    /// which threads happen to look at them. A hint, which fails without harm.
    void prefetch() const {
        if (bytes_) { ::posix_madvise(const_cast<std::byte*>(bytes_.get()), bytes().size(), POSIX_MADV_WILLNEED); }
    }

  private:
    struct Unmap {
        std::size_t size;
        void operator()(const std::byte* at) const { ::munmap(const_cast<std::byte*>(at), size); }
    };
    std::unique_ptr<const std::byte[], Unmap> bytes_{nullptr, Unmap{0}};
};

#else

/// The same with nothing but std: the file is read, into memory of this object's own.
class MappedFile {
  public:
    explicit MappedFile(const std::filesystem::path& path) {
        InputFile file{path};
        bytes_ = AlignedArray<std::byte>{static_cast<std::size_t>(file.size())};
        file.read(bytes_.span());
    }

    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_.span(); }
    void prefetch() const {}

  private:
    AlignedArray<std::byte> bytes_;
};

#endif

}  // namespace ctnn::inline CTNN_ISA
