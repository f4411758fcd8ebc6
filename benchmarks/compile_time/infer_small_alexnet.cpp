// What the compile-time figures are measured on: a program on the single header that only infers. It names the class of
// the first test image by weights that train_small_alexnet.cpp saved.
#include <cstdio>

#ifndef CTNN_HEADERS_APART
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/arena.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/data/augment.hpp>
#include <ctnn/data/normalize.hpp>
#include <ctnn/io/cifar.hpp>
#include <ctnn/io/model_info.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/models/small_alexnet.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/network/workspace.hpp>
#include <ctnn/train/metrics.hpp>
#endif

using namespace ctnn;

int main(int argc, char** argv) {
    const TrainTest data = read_cifar10(argc > 1 ? argv[1] : "datasets/cifar10");
    Model<SmallAlexNet> model{Seed{0}};
    const ModelInfo info = load_weights("small_alexnet.safetensors", model);
    AlignedArray<float> image(static_cast<std::size_t>(SmallAlexNet::input_shape.size()));
    place_image(data.test.image(0), data.test.shape, ByteTable{info.normalization, 3}, {}, image.data());
    Workspace<Inference<SmallAlexNet>> workspace{1};
    const int guess = argmax<float>(forward(model.view(), image.data(), 1, workspace));
    std::printf("%s\n", info.class_names[static_cast<std::size_t>(guess)].c_str());
}
