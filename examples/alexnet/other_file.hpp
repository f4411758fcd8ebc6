// What is written must not replace what is read, or written, beside it.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include <ctnn/core/error.hpp>

namespace alexnet {

/// Throws ArgumentError where both options name one file, be it under other names or not there yet.
inline void require_other_file(const std::string& option, const std::filesystem::path& path, const std::string& other,
                               const std::filesystem::path& other_path) {
    namespace fs = std::filesystem;
    if (path.empty() || other_path.empty()) { return; }
    std::error_code error;
    const auto whole = [&](const fs::path& name) { return fs::weakly_canonical(fs::absolute(name, error), error); };
    const bool same = fs::equivalent(path, other_path, error);
    if (same || whole(path) == whole(other_path)) {
        throw ctnn::ArgumentError(option + ": found " + path.string() + ", expected another file than that of " +
                                  other);
    }
}

}  // namespace alexnet
