// Ctrl-C, and SIGTERM as schedulers send it: the first asks the program to finish its step and save, the second kills.
#pragma once

namespace alexnet {

void catch_interrupts();

/// The signal that asked for the end, or 0.
int interrupted();

}  // namespace alexnet
