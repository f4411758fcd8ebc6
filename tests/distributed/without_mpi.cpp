// What alexnet does at its start, built without MPI.
#include <cstdio>
#include <exception>

#include "ranks.hpp"

int main() {
    try {
        const alexnet::Ranks ranks;
        std::printf("%d process\n", ranks.size());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
