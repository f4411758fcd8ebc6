#include "folder_lock.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <ctnn/core/error.hpp>

namespace alexnet {

FolderLock::FolderLock(const std::filesystem::path& folder)
    : descriptor_{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)} {
    if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) { return; }
    const int error = errno;
    ::close(std::exchange(descriptor_, -1));
    if (error == EWOULDBLOCK) {
        throw ctnn::FileError(folder.string() + ": found another alexnet train in it, expected none");
    }
}

FolderLock::~FolderLock() {
    if (descriptor_ >= 0) { ::close(descriptor_); }
}

}  // namespace alexnet
