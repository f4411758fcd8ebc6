#include "interrupt.hpp"

#include <csignal>
#include <string>

#include <unistd.h>

#include <ctnn/core/error.hpp>

namespace alexnet {

namespace {

volatile std::sig_atomic_t caught = 0;

/// What the program was started to ignore stays ignored: by nohup, or by a shell that put it into the background.
void set_unless_ignored(int signal, void (*handler)(int)) {
    if (std::signal(signal, handler) == SIG_IGN) { std::signal(signal, SIG_IGN); }
}

extern "C" void remember(int signal) {
    caught = signal;
    set_unless_ignored(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
}

std::string bus_error_line;

extern "C" void explain_bus_error(int /*signal*/) {
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, bus_error_line.data(), bus_error_line.size());
    ::_exit(1);
}

}  // namespace

void catch_interrupts() {
    set_unless_ignored(SIGINT, remember);
    std::signal(SIGTERM, remember);
    set_unless_ignored(SIGHUP, remember);
}

void watch_mapped_file(const std::filesystem::path& path) {
    bus_error_line = "alexnet: " + ctnn::detail::one_line(path.string()) +
                     ": cannot read: it was cut short while in use, or its disk failed\n";
    std::signal(SIGBUS, explain_bus_error);
}

ctnn::ModelInfo watched_model_info(const std::filesystem::path& path) {
    watch_mapped_file(path);
    return ctnn::load_model_info(path);
}

int interrupted() { return caught; }

}  // namespace alexnet
