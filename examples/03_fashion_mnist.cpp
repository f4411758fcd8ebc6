// Fashion-MNIST from a folder of IDX files, gzipped or not: Debian's dataset-fashion-mnist, or a download.
//
//     g++ -std=c++20 -O3 -march=native -fopenmp -I ../single_include 03_fashion_mnist.cpp -lfmt -lz
//     ./a.out [/usr/share/datasets/fashion-mnist] [training images = 60000]
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <zlib.h>

#include <ctnn/ctnn.hpp>

using namespace ctnn;

struct Net : Sequential<Input<1, 28, 28>,                                                              //
                        Conv2d<16, Kernel<5>, Padding<2>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>>,  //
                        Conv2d<32, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU, MaxPool2d<Kernel<2>>,  //
                        Flatten, Dropout<0.2>, Linear<10>> {};

// An IDX file that may be gzipped, both of which zlib reads. Where it is not, read_idx(path) does it.
IdxArray read(const std::filesystem::path& file) {
    const std::string path = exists(file) ? file.string() : file.string() + ".gz";
    const gzFile stream = gzopen(path.c_str(), "rb");
    if (stream == nullptr) { throw FileError(path + ": cannot open; install dataset-fashion-mnist or name a folder"); }
    std::vector<std::byte> bytes(64 << 20);  // more than the largest file
    const int size = gzread(stream, bytes.data(), 64 << 20);
    gzclose(stream);
    bytes.resize(static_cast<std::size_t>(std::max(size, 0)));  // what is damaged is short, and parse_idx says so
    return parse_idx(bytes, path);
}

int main(int argc, char** argv) try {
    const std::filesystem::path folder = argc > 1 ? argv[1] : "/usr/share/datasets/fashion-mnist";
    const std::size_t most = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 60000;
    Dataset train{.class_names = {"T-shirt", "trousers", "pullover", "dress", "coat",  //
                                  "sandal", "shirt", "sneaker", "bag", "ankle boot"},
                  .normalization = {{0.286f}, {0.353f}}};
    Dataset test = train;
    append_idx(train, read(folder / "train-images-idx3-ubyte"), read(folder / "train-labels-idx1-ubyte"));
    append_idx(test, read(folder / "t10k-images-idx3-ubyte"), read(folder / "t10k-labels-idx1-ubyte"));

    BatchLoader loader{train, all_indices(std::min(most, train.size())), {.batch_size = 64}};
    Model<Net> model{Seed{1}};
    Trainer trainer{model, CrossEntropy{}, Sgd{.momentum = 0.9, .weight_decay = 5e-4},
                    Schedule{.kind = ScheduleKind::one_cycle, .lr = 0.05, .epochs = 2}, 64};
    Workspace<Inference<Net>> workspace{250};
    for (int epoch = 1; epoch <= 2; ++epoch) {
        const LossSum loss = trainer.train_epoch(loader).loss;
        const Metrics result = evaluate(model.view(), test, all_indices(test.size()), workspace);
        fmt::print("epoch {}: loss {:.3f}, test accuracy {:.1f} %\n", epoch, loss.mean(), 100 * result.accuracy());
    }
} catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
}
