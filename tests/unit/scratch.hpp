// A folder for a test's files.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

/// An empty directory that goes away with everything in it.
class Scratch {
  public:
    Scratch() {
        for (int n = 0; !std::filesystem::create_directory(path); ++n) {  // false: another test has it
            path = std::filesystem::temp_directory_path() / ("ctnn_test_" + std::to_string(n));
        }
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }

    [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path / name; }

    std::filesystem::path path = std::filesystem::temp_directory_path();
};
