// Whole files: read exactly, and written so that a reader sees either the old bytes or all of the new ones.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <unistd.h>
#endif

#include <ctnn/core/error.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// "<path>: cannot <action>: <the system's text for code>".
inline FileError file_error(const std::filesystem::path& path, std::string_view action, int code) {
    return FileError{path.string() + ": cannot " + std::string{action} + ": " + std::generic_category().message(code)};
}

/// Refuses what is there but is no regular file: reading a directory or replacing a device is never meant.
inline void expect_regular_file(const std::filesystem::path& path) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
        raise<FileError>({path.string(), ": found a ",
                          (std::filesystem::is_directory(status) ? "directory" : "special file"),
                          ", expected a regular file"});
    }
}

}  // namespace detail

/// A regular file of known size, read front to back. Every failure is a FileError that names the path.
class InputFile {
  public:
    explicit InputFile(std::filesystem::path path) : path_{std::move(path)} {
        detail::expect_regular_file(path_);
        errno = 0;
        stream_.open(path_, std::ios::binary);
        if (!stream_) { raise(detail::file_error(path_, "open", errno != 0 ? errno : EIO)); }
        // Of what was opened: by its path there may be another file by now.
        const auto end = stream_.seekg(0, std::ios::end).tellg();
        stream_.seekg(0);
        if (!stream_) { raise(detail::file_error(path_, "find the size", errno != 0 ? errno : EIO)); }
        size_ = static_cast<std::uintmax_t>(end);
    }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    /// Bytes in the whole file, at the time of opening.
    [[nodiscard]] std::uintmax_t size() const { return size_; }

    /// Fills `out` with the next bytes; fewer are an error.
    void read(std::span<std::byte> out) {
        errno = 0;
        stream_.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size()));
        const auto count = static_cast<std::uintmax_t>(stream_.gcount());
        if (stream_.bad()) { raise(detail::file_error(path_, "read", errno != 0 ? errno : EIO)); }
        if (count != out.size()) {
            raise<FileError>({path_.string(), ": offset ", offset_ + count, ": found the end of the file, expected ",
                              out.size() - count, " bytes more"});
        }
        offset_ += count;
    }

  private:
    std::filesystem::path path_;
    std::ifstream stream_;
    std::uintmax_t size_ = 0, offset_ = 0;
};

/// The bytes of a regular file. Throws FileError.
inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
    InputFile file{path};
    std::vector<std::byte> bytes(static_cast<std::size_t>(file.size()));
    file.read(bytes);
    return bytes;
}

namespace detail {

#if defined(__unix__) || defined(__APPLE__)

/// A new file beside `target` that takes its place on commit(), and is removed when that does not happen. Of several
/// that belong together all are finished, which may fail, before one replaces what was there.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::filesystem::path& target) : target_{target} {
        // O_EXCL keeps threads apart, and steps over what a killed process of the same number left behind.
        for (int n = 0; descriptor_ < 0; ++n) {
            path_ = target;
            path_ += ".tmp" + std::to_string(::getpid()) + "." + std::to_string(n);
            descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            if (descriptor_ < 0 && errno != EINTR && (errno != EEXIST || n == 1000)) { fail("create"); }
        }
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (descriptor_ >= 0) { ::close(descriptor_); }
        if (!committed_) { ::unlink(path_.c_str()); }
    }

    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            // macOS refuses to write 2 GiB or more at once.
            const auto count = ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 30));
            if (count < 0 && errno != EINTR) { fail("write"); }
            if (count > 0) { bytes = bytes.subspan(static_cast<std::size_t>(count)); }
        }
    }

    void finish() {
        if (::fsync(descriptor_) != 0) { fail("sync"); }
        if (::close(std::exchange(descriptor_, -1)) != 0) { fail("close"); }  // some network disks fail only here
    }
    void replace() {
        if (::rename(path_.c_str(), target_.c_str()) != 0) { fail("replace"); }
        committed_ = true;
        sync_directory();
    }
    void commit() {
        finish();
        replace();
    }

  private:
    [[noreturn]] void fail(std::string_view action) const { raise(file_error(target_, action, errno)); }

    /// Makes the rename itself survive a power cut. File systems that cannot sync a directory say EINVAL.
    void sync_directory() const {
        const auto directory = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path{"."};
        const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) { return; }  // writable but not readable: nothing can be done
        const int error = ::fsync(descriptor) == 0 ? 0 : errno;
        ::close(descriptor);
        if (error != 0 && error != EINVAL) { raise(file_error(directory, "sync the directory", error)); }
    }

    std::filesystem::path target_, path_;
    int descriptor_ = -1;
    bool committed_ = false;
};

#else

/// The same with nothing but std: no sync, because std has none.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::filesystem::path& target) : target_{target}, path_{target} {
        path_ += ".tmp";
        errno = 0;
        stream_.open(path_, std::ios::binary | std::ios::trunc);
        if (!stream_) { fail("create"); }
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (committed_) { return; }
        stream_.close();
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }

    void write(std::span<const std::byte> bytes) {
        errno = 0;
        stream_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        if (!stream_) { fail("write"); }
    }

    void finish() {
        errno = 0;
        stream_.close();
        if (!stream_) { fail("write"); }
    }
    void replace() {
        std::error_code error;
        std::filesystem::rename(path_, target_, error);
        if (error) { raise<FileError>({target_.string(), ": cannot replace: ", error.message()}); }
        committed_ = true;
    }
    void commit() {
        finish();
        replace();
    }

  private:
    [[noreturn]] void fail(std::string_view action) const {
        raise(file_error(target_, action, errno != 0 ? errno : EIO));
    }

    std::filesystem::path target_, path_;
    std::ofstream stream_;
    bool committed_ = false;
};

#endif

}  // namespace detail

/// Makes `path` a file of the given parts, one after the other: a temporary file in the same directory, synced, then
/// renamed over `path`, then the directory synced. On any failure before that the temporary file is removed, an old
/// file at `path` is whole and unchanged, and FileError says what failed; where only the directory cannot be synced, it
/// says so of the new one. A symbolic link at `path` is itself replaced.
inline void write_file_atomically(const std::filesystem::path& path,
                                  std::span<const std::span<const std::byte>> parts) {
    detail::expect_regular_file(path);
    detail::TemporaryFile file{path};
    for (const auto part : parts) { file.write(part); }
    file.commit();
}

inline void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    write_file_atomically(path, std::span{&bytes, 1});
}

}  // namespace ctnn::inline CTNN_ISA
