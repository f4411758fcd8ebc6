// Files that may be gzipped.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

namespace alexnet {

/// A file's bytes, unpacked where they begin as gzip does. Throws FileError, also for what is damaged or cut short.
std::vector<std::byte> read_unpacked(const std::filesystem::path& path);

}  // namespace alexnet
