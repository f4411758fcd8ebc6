// Plans: constants, no two live buffers in one place, and nothing alive that the plan calls dead.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/models/alexnet32.hpp>
#include <ctnn/models/small_alexnet.hpp>
#include <ctnn/network/run.hpp>
#endif

#include "reference/compare.hpp"

namespace {

using namespace ctnn;

/// Every layer there is.
struct Everything
    : Sequential<Input<3, 14, 13>,
                 Block<"features", Conv2d<18, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU,
                       MaxPool2d<Kernel<3>, Stride<2>, Padding<1>>,
                       Block<"inner", Conv2d<12, Kernel<3>, Groups<2>>, ReLU, LocalResponseNorm<5, Alpha<0.5>>,
                             MaxPool2d<Kernel<2>, Stride<1>>>,
                       Dropout2d<0.2>, AvgPool2d<Kernel<2>, Stride<1>>, Sigmoid>,
                 AdaptiveAvgPool2d<2, 3>, Flatten, Linear<20>, Tanh, Dropout<0.4>, Linear<5, Bias<false>>> {};

/// Rows and columns of a kept map that no window of the pool has.
struct Uncovered : Sequential<Input<3, 12, 13>, Conv2d<10, Kernel<3>, Padding<1>>, Tanh, LocalResponseNorm<3>,
                              MaxPool2d<Kernel<2>, Stride<3>>, Flatten, Linear<5>> {};

// What is asked of the constants by hand: 3·18·9 + 18, twice 18, 9·12·9 + 12, 20·72 + 20, 5·20.
static_assert(Everything::parameter_count == 504 + 36 + 984 + 1460 + 100);
static_assert(Everything::layer_count == 17);
static_assert(Everything::output_shape == Shape{5, 1, 1} && Everything::classes == 5);
static_assert(Everything::shape_after(3) == Shape{18, 7, 7} && Everything::shape_after(7) == Shape{12, 4, 4});
// Taps inside the map: (14·3 − 2)·(13·3 − 2) of the first convolution, 25 outputs of 9 of the second.
static_assert(Everything::multiply_adds == 40 * 37 * 3 * 18 + 25 * 9 * 9 * 12 + 1440 + 100);
static_assert(AlexNet32::parameter_count == 21'622'154);

static_assert(TrainingPlan<SmallAlexNet, Batch<128>, Threads<2>>::bytes < 60u << 20);
static_assert(InferencePlan<SmallAlexNet, Batch<1>>::bytes < 512u << 10);
static_assert(InferencePlan<SmallAlexNet, Batch<128>>::bytes < TrainingPlan<SmallAlexNet, Batch<128>>::bytes / 2);
// The full-size maps that fusion spares, and the input's gradient that nobody asked for.
static_assert(Training<SmallAlexNet>::bytes(128, 1) < Training<SmallAlexNet, float, Fusion::none>::bytes(128, 1));
static_assert(Training<SmallAlexNet>::bytes(128, 1) <=
              Training<SmallAlexNet, float, Fusion::full, InputGradient::yes>::bytes(128, 1));

/// Whether buffer i holds bytes that a time after t reads, or, at the end, the caller.
template <class Plan>
bool needed_after(std::size_t i, int t) {
    const LiveBuffer& b = Plan::buffers[i];
    return b.size > 0 && b.first <= t && (b.last > t || (b.last == t && t == Plan::end_time));
}

/// Fills the workspace with NaN after every time, but for what the plan says is still needed.
template <class Plan>
struct Poison {
    Workspace<Plan>& workspace;
    std::vector<bool> spared = std::vector<bool>(workspace.bytes().size());

    void operator()(int t) {
        std::fill(spared.begin(), spared.end(), false);
        for (std::size_t i = 0; i < Plan::buffers.size(); ++i) {
            if (!needed_after<Plan>(i, t)) { continue; }
            const auto begin = static_cast<std::ptrdiff_t>(Plan::offset(i, workspace.batch()));
            const auto size = static_cast<std::ptrdiff_t>(Plan::buffer_bytes(i, workspace.batch()));
            std::fill(spared.begin() + begin, spared.begin() + begin + size, true);
        }
        // All bits set is NaN in every float and double.
        for (std::size_t i = 0; i < spared.size(); ++i) {
            if (!spared[i]) { workspace.bytes()[i] = std::byte{0xFF}; }
        }
    }
};

/// Every number that a training step and an inference give, poisoned or not. Gradients begin as `garbage`, but for the
/// padding, and both their padding and the parameters' are checked to be zero afterwards.
template <class Net, Fusion F, InputGradient G>
std::vector<float> step(bool poisoned, float garbage) {
    using Train = Training<Net, float, F, G>;
    constexpr int batch = 5, n = 3;
    Model<Net> model = reference::grid_model<Net, float>();
    const auto input = reference::grid<float>(n * static_cast<std::size_t>(Net::input_shape.size()), 1);
    const auto dy = reference::grid<float>(n * static_cast<std::size_t>(Net::output_shape.size()), 2);
    std::vector<float> results;
    const auto keep = [&](auto span) { results.insert(results.end(), span.begin(), span.end()); };

    Workspace<Train> training(batch, 2);
    Poison<Train> poison{training};
    const auto observe = [&](int t) {
        if (poisoned) { poison(t); }
    };
    observe(-1);
    keep(forward(model, input.data(), n, training, RandomKey{1, 2, nullptr}, observe));
    std::copy(dy.begin(), dy.end(), training.output_gradient(n).begin());
    Parameters<Net> gradients;
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
        slot.spec.dims.for_canonical([&](std::int64_t at) { gradients.data()[slot.offset + at] = garbage; });
    }
    backward(model, input.data(), n, training, gradients, observe);
    keep(gradients.span());
    keep(model.buffers().span());
    if constexpr (G == InputGradient::yes) { keep(training.input_gradient(n)); }
    keep(training.output(n));  // the logits stay to the end

    Workspace<Inference<Net, float, F>> inference(batch, 2);
    Poison<Inference<Net, float, F>> poison_inference{inference};
    const auto observe_inference = [&](int t) {
        if (poisoned) { poison_inference(t); }
    };
    observe_inference(-1);
    keep(forward(model.view(), input.data(), n, inference, observe_inference));

    std::vector<bool> used(gradients.span().size());
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
        slot.spec.dims.for_canonical([&](std::int64_t at) { used[static_cast<std::size_t>(slot.offset + at)] = true; });
    }
    bool padding_is_zero = true;
    for (std::size_t i = 0; i < used.size(); ++i) {
        padding_is_zero = padding_is_zero && (used[i] || gradients.data()[i] == 0);
    }
    CHECK(padding_is_zero);
    return results;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

template <class Net, Fusion F, InputGradient G>
void check_dead_regions() {
    const std::vector<float> clean = step<Net, F, G>(false, 0.0f);
    CHECK(std::all_of(clean.begin(), clean.end(), [](float v) { return v - v == 0; }));
    CHECK(same_bits(clean, step<Net, F, G>(true, 0.0f)));
    CHECK(same_bits(clean, step<Net, F, G>(false, 1e30f)));
    CHECK(same_bits(clean, step<Net, F, G>(false, std::numeric_limits<float>::quiet_NaN())));
}

/// Buffers that are live at one time lie apart, inside the workspace, and in front of the threads' scratch.
template <class Plan>
void check_places() {
    constexpr int batch = 3, threads = 2;
    CHECK(Plan::scratch_offset(batch) + threads * Plan::thread_bytes == Plan::bytes(batch, threads));
    for (std::size_t i = 0; i < Plan::buffers.size(); ++i) {
        if (Plan::buffers[i].size == 0) { continue; }
        const std::size_t begin = Plan::offset(i, batch), end = begin + Plan::buffer_bytes(i, batch);
        CHECK(begin % 64 == 0);
        CHECK(end <= Plan::scratch_offset(batch));
        for (std::size_t j = 0; j < i; ++j) {
            if (Plan::buffers[j].size == 0) { continue; }
            bool together = false;
            for (int t = 0; t <= Plan::end_time; ++t) {
                together = together || (Plan::buffers[i].live_at(t) && Plan::buffers[j].live_at(t));
            }
            const std::size_t other = Plan::offset(j, batch), other_end = other + Plan::buffer_bytes(j, batch);
            CHECK((!together || end <= other || other_end <= begin));
        }
    }
}

template <class Net>
void check_all_places() {
    check_places<Training<Net>>();
    check_places<Training<Net, float, Fusion::none, InputGradient::yes>>();
    check_places<Training<Net, double, Fusion::full, InputGradient::yes>>();
    check_places<Inference<Net>>();
    check_places<Inference<Net, float, Fusion::none>>();
}

}  // namespace

TEST_CASE("every layer in one network") {
    reference::compare<Everything>(7, 9);
    reference::compare<Everything>(1, 9, 1);
    reference::compare<Everything, double>(5, 5);
}

TEST_CASE("parameters are named as PyTorch names them, blocks included") {
    using Layout = ParameterLayout<Everything>;
    const std::vector<std::string_view> expected = {"features.0.weight",
                                                    "features.0.bias",
                                                    "features.1.weight",
                                                    "features.1.bias",
                                                    "features.inner.0.weight",
                                                    "features.inner.0.bias",
                                                    "3.weight",
                                                    "3.bias",
                                                    "6.weight"};
    REQUIRE(Layout::slots.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) { CHECK(Layout::slots[i].name.view() == expected[i]); }
    REQUIRE(Layout::buffers.size() == 1);
    CHECK(Layout::buffers[0].mean.view() == "features.1.running_mean");
    CHECK(Layout::buffers[0].variance.view() == "features.1.running_var");
    CHECK(Layout::buffers[0].batches.view() == "features.1.num_batches_tracked");
}

TEST_CASE("parameters lie apart, aligned, and those that decay first") {
    using Layout = ParameterLayout<Everything>;
    std::vector<int> owners(static_cast<std::size_t>(Layout::size));
    for (const ParameterSlot& slot : Layout::slots) {
        CHECK(slot.offset % 16 == 0);
        CHECK((slot.offset < Layout::decayed) == (slot.name.view().ends_with("weight") && slot.spec.rank > 1));
        slot.spec.dims.for_canonical([&](std::int64_t at) { ++owners[static_cast<std::size_t>(slot.offset + at)]; });
    }
    CHECK(*std::max_element(owners.begin(), owners.end()) == 1);
    CHECK(std::count(owners.begin(), owners.end(), 1) == Everything::parameter_count);
}

TEST_CASE("buffers that live together lie apart") {
    check_all_places<Everything>();
    check_all_places<SmallAlexNet>();
    check_all_places<AlexNet32>();
}

TEST_CASE("what the plan calls dead may be overwritten, and gradients are overwritten, never added to") {
    check_dead_regions<Everything, Fusion::full, InputGradient::yes>();
    check_dead_regions<Everything, Fusion::full, InputGradient::no>();
    check_dead_regions<Everything, Fusion::none, InputGradient::yes>();
    check_dead_regions<Uncovered, Fusion::full, InputGradient::yes>();
    check_dead_regions<SmallAlexNet, Fusion::full, InputGradient::no>();
    check_dead_regions<SmallAlexNet, Fusion::none, InputGradient::yes>();
}

TEST_CASE("a batch that the workspace was not made for is told") {
    Model<Everything> model;
    const std::vector<float> input(6 * static_cast<std::size_t>(Everything::input_shape.size()));
    Workspace<Inference<Everything>> workspace(5, 1);
    CHECK_THROWS_AS(forward(model.view(), input.data(), 6, workspace), ArgumentError);
    CHECK_THROWS_AS(forward(model.view(), input.data(), 0, workspace), ArgumentError);
    CHECK_THROWS_AS(Workspace<Inference<Everything>>(0, 1), ArgumentError);
    CHECK_THROWS_AS(Workspace<Inference<Everything>>(1, 0), ArgumentError);
}
