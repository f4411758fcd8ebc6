// Transfer: a network learns ten classes from many pictures; its frozen features serve to learn five others from few.
//
//     g++ -std=c++20 -O3 -march=native -fopenmp -I ../single_include 07_transfer.cpp -lfmt && ./a.out
#include <algorithm>
#include <exception>
#include <vector>

#include <fmt/format.h>

#include <ctnn/ctnn.hpp>

using namespace ctnn;

template <int Classes>
struct Net : Sequential<Input<3, 32, 32>,
                        Block<"features", Conv2d<16, Kernel<5>, Padding<2>>, ReLU, MaxPool2d<Kernel<2>>,
                              Conv2d<32, Kernel<3>, Padding<1>>, ReLU, MaxPool2d<Kernel<2>>,
                              Conv2d<64, Kernel<3>, Padding<1>>, ReLU, MaxPool2d<Kernel<4>>>,
                        Flatten, Block<"head", Linear<Classes>>> {};

template <int Classes>
double accuracy(const Model<Net<Classes>>& model, const Dataset& data) {
    Workspace<Inference<Net<Classes>>> workspace{100};
    return 100 * evaluate(model.view(), data, all_indices(data.size()), workspace).accuracy();
}

template <int Classes>
double train(Model<Net<Classes>>& model, const TrainTest& data, int epochs, std::vector<LrScale> lr_scales = {}) {
    BatchLoader loader{data.train, all_indices(data.train.size()), {.batch_size = 32}};
    TrainerSettings settings{.optimizer = Sgd{.momentum = 0.9}, .batch_size = 32, .lr_scales = lr_scales};
    settings.schedule = {.kind = ScheduleKind::cosine, .lr = 0.02, .epochs = epochs};
    Trainer trainer{model, settings};
    for (int epoch = 0; epoch < epochs; ++epoch) { trainer.train_epoch(loader); }
    return accuracy(model, data.test);
}

int main() try {
    Model<Net<10>> teacher{Seed{1}};
    fmt::print("ten classes: {:.1f} %\n", train(teacher, make_synthetic(4000, 1000, 1), 6));

    TrainTest outlines = make_synthetic(200, 1000, 2);  // whether striped or checked does not matter here
    for (Dataset* set : {&outlines.train, &outlines.test}) {
        set->class_names = {"disc", "square", "triangle", "ring", "cross"};
        for (std::uint16_t& label : set->labels) { label = label % 5; }
    }
    Model<Net<5>> model{Seed{2}}, scratch{Seed{2}};
    const std::size_t copied = copy_matching(teacher, model);  // all but the head's, which are of another size
    fmt::print("{} tensors are the teacher's: {:.1f} %\n", copied, accuracy(model, outlines.test));
    const Model<Net<5>> before = model;
    fmt::print("with a trained head: {:.1f} %\n", train(model, outlines, 30, {freeze("features")}));
    for (const ParameterSlot& slot : ParameterLayout<Net<5>>::slots) {
        const bool same = std::ranges::equal(tensor_of(model.parameters(), slot), tensor_of(before.parameters(), slot));
        fmt::print("  {} {}\n", slot.name.view(), same ? "as it was" : "trained");
    }
    fmt::print("without the teacher: {:.1f} %\n", train(scratch, outlines, 30));
} catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
}
