#include "interrupt.hpp"

#include <csignal>

namespace alexnet {

namespace {

volatile std::sig_atomic_t caught = 0;

extern "C" void remember(int signal) {
    caught = signal;
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
}

}  // namespace

void catch_interrupts() {
    std::signal(SIGINT, remember);
    std::signal(SIGTERM, remember);
}

int interrupted() { return caught; }

}  // namespace alexnet
