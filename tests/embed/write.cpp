// Writes the network's weights as a header: write FILE.
#include <cstdio>
#include <exception>

#include <ctnn/io/embed.hpp>

#include "network.hpp"

int main(int argc, char** argv) try {
    ctnn::save_embedded(argc > 1 ? argv[1] : "", tiny_model(),
                        {"Tiny \"\n", ctnn::cifar10_normalization(), {"a", "b\"\\", "\xC3\xBC", "?\?/\n1"}}, "tiny");
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
