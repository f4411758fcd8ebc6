// Prints whether OpenMP came with the library, and for which instruction set it was built.
#include <cstdio>

#include <ctnn/ctnn.hpp>

int main() {
#ifdef _OPENMP
    const char* threads = "OpenMP";
#else
    const char* threads = "one thread";
#endif
    return std::printf("ctnn %d, %s, %s\n", ctnn::version.minor, threads, ctnn::isa) > 0 ? 0 : 1;
}
