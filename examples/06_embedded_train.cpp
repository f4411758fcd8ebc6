// At the desk: trains the network of 06_embedded.cpp and writes its weights as a header.
//
//     g++ -std=c++20 -O3 -march=native -fopenmp -I ../single_include 06_embedded_train.cpp -lfmt && ./a.out [FILE]
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include <fmt/format.h>

#include "06_embedded_net.hpp"

using namespace ctnn;

int main(int argc, char** argv) try {
    constexpr int batch = 64, steps = 500;
    Model<Net> model{Seed{1}};
    Trainer trainer{model, CrossEntropy{}, Sgd{.momentum = 0.9}, Schedule{}, batch};
    Random random{1, Stream::test};
    AlignedArray<float> images(static_cast<std::size_t>(batch * Net::input_shape.size()));
    std::vector<std::int32_t> labels(batch);
    double loss = 0;
    for (int step = 0; step < steps; ++step) {
        for (int i = 0; i < batch; ++i) {
            read_sensor(labels[static_cast<std::size_t>(i)] = i % 3, random,
                        images.data() + i * Net::input_shape.size());
        }
        loss = trainer.step(images.data(), labels, nullptr, 0.05).loss.mean();
    }
    const char* const file = argc > 1 ? argv[1] : "06_embedded_weights.hpp";
    save_embedded(file, model, {"Net", {}, {"a line that lies", "a line that stands", "a cross"}}, "weights");
    fmt::print("loss {:.3f}, {} weights in {}\n", loss, Net::parameter_count, file);
} catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
}
