// One process at a time writes to a folder.
#pragma once

#include <filesystem>
#include <utility>

namespace alexnet {

/// Holds a folder until it goes, or the process ends in whatever way. Where the file system knows no locks nothing is
/// held.
class FolderLock {
  public:
    FolderLock() = default;
    /// Throws FileError where another process holds the folder.
    explicit FolderLock(const std::filesystem::path& folder);
    FolderLock(FolderLock&& other) noexcept : descriptor_{std::exchange(other.descriptor_, -1)} {}
    FolderLock& operator=(FolderLock&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    ~FolderLock();

  private:
    int descriptor_ = -1;
};

}  // namespace alexnet
