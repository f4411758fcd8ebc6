#include "steps.hpp"

#include <cstddef>
#include <cstdint>

#include <ctnn/core/processor.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/train/trainer.hpp>

namespace {

using namespace ctnn;

/// Every kind of kernel once.
struct Net : Sequential<Input<3, 20, 20>,                                                                      //
                        Conv2d<24, Kernel<5>, Stride<2>, Padding<2>>, ReLU, LocalResponseNorm<5, Alpha<0.1>>,  //
                        Conv2d<32, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>, ReLU,                     //
                        MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>,                                           //
                        Conv2d<32, Kernel<3>, Padding<1>, Winograd>, ReLU, AvgPool2d<Kernel<2>, Stride<1>>,    //
                        Flatten, Linear<40>, ReLU, Dropout<0.5>, Linear<10>> {};

}  // namespace

// The linker may take for main what of the standard library was compiled here, for another processor.
[[gnu::constructor(101)]] static void before_everything() { require_processor(); }

Steps CTNN_STEPS(int threads) {
    constexpr int samples = 24;
    Model<Net> model{Seed{3}};
    Trainer trainer{model,
                    CrossEntropy{.label_smoothing = 0.1},
                    Sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 5e-4},
                    Schedule{.lr = 0.02, .epochs = 1},
                    samples,
                    Seed{4},
                    threads};
    std::vector<float> images(static_cast<std::size_t>(samples * Net::input_shape.size()));
    std::vector<std::int32_t> labels(samples);
    Random random{9, Stream::test};
    Steps result;
    result.isa = isa;
    const auto take_numbers = [&] {
        for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
            const float* const tensor = model.parameters().data() + slot.offset;
            slot.spec.dims.for_canonical([&](std::int64_t at) { result.numbers.push_back(tensor[at]); });
        }
        for (const float x : model.buffers().span()) { result.numbers.push_back(x); }
    };
    for (int i = 0; i < 20; ++i) {
        for (std::int32_t& label : labels) { label = static_cast<std::int32_t>(random.below(10)); }
        for (float& x : images) { x = static_cast<float>(random.normal()); }
        result.loss = trainer.step(images.data(), Labels{labels, {}, {}}, nullptr, 0.02).loss.mean();
        if (i == 3) { take_numbers(); }
    }
    take_numbers();
    return result;
}
