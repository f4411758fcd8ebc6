// Signals: the first Ctrl-C, or SIGTERM as schedulers send it, asks the program to finish its step and save, the second
// kills. A terminal that is closed asks, too, but never kills.
#pragma once

#include <filesystem>

#include <ctnn/io/model_info.hpp>

namespace alexnet {

void catch_interrupts();

/// The signal that asked for the end, or 0.
int interrupted();

/// Has the program end with a line that names this file, which is mapped into memory, where it can no longer be read.
void watch_mapped_file(const std::filesystem::path& path);

/// What a file of weights says of itself, so watched. Throws FileError.
ctnn::ModelInfo watched_model_info(const std::filesystem::path& path);

}  // namespace alexnet
