// In the device: a trained network without files, exceptions, run-time types, threads, or any memory from the heap.
// The weights are constants in a header, which 06_embedded_train.cpp writes. Then:
//
//     g++ -std=c++20 -O3 -march=native -fno-exceptions -fno-rtti -I ../single_include 06_embedded.cpp && ./a.out
#include <cstddef>
#include <cstdio>

#include "06_embedded_net.hpp"
#include "06_embedded_weights.hpp"

using namespace ctnn;

int main() {
    constexpr ModelView<Net> model = weights::view<Net>();
    // All that inference needs, a constant of the network: activations of one picture on one thread.
    alignas(block_alignment) static std::byte memory[InferencePlan<Net, Batch<1>>::bytes];
    static_assert(sizeof(memory) <= 4096);
    Workspace<Inference<Net>> workspace{memory, 1, 1};
    Random random{2, Stream::test};
    alignas(block_alignment) float picture[Net::input_shape.size()];
    int right = 0;
    for (int i = 0; i < 1000; ++i) {
        read_sensor(i % 3, random, picture);
        const int guess = argmax(forward(model, picture, 1, workspace));
        right += guess == i % 3 ? 1 : 0;
        if (i < 3) { std::printf("%s\n", weights::class_names[guess]); }
    }
    std::printf("%d of 1000 right, with %zu bytes of weights and %zu of memory\n", right, sizeof(weights::parameters),
                sizeof(memory));
}
