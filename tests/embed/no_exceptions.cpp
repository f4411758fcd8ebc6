// Built without exceptions: an error is its line on stderr and the end of the program.
#include <cstddef>

#include <ctnn/layers/activations.hpp>
#include <ctnn/network/workspace.hpp>

struct Net : ctnn::Sequential<ctnn::Input<1, 4, 4>, ctnn::Sigmoid> {};

int main() {
    alignas(ctnn::block_alignment) static std::byte memory[ctnn::block_alignment];
    const ctnn::Workspace<ctnn::Inference<Net>> enough{memory, 1, 1};
    const ctnn::Workspace<ctnn::Inference<Net>> short_of_memory{memory, 2, 1};
}
