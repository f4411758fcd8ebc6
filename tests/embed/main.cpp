// A program that has its weights from a header: they are the model's to the bit, and so is what it computes.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string_view>

#include "embedded.hpp"
#include "network.hpp"

namespace {

constexpr ctnn::ModelView<Tiny> embedded = tiny::view<Tiny>();

int failures = 0;

void check(bool good, const char* what) {
    if (!good) {
        std::printf("%s: not as they were\n", what);
        ++failures;
    }
}

bool same_bits(const auto& a, const auto& b) {
    return std::ranges::equal(std::as_bytes(std::span{a}), std::as_bytes(std::span{b}));
}

}  // namespace

int main() {
    const ctnn::Model<Tiny> model = tiny_model();
    check(same_bits(tiny::parameters, model.parameters().span()), "parameters");
    check(same_bits(tiny::buffers, model.buffers().span()), "buffers");
    check(reinterpret_cast<std::uintptr_t>(embedded.parameters) % ctnn::block_alignment == 0, "alignment");
    check(same_bits(tiny::mean, ctnn::cifar10_normalization().mean), "mean");
    check(same_bits(tiny::standard_deviation, ctnn::cifar10_normalization().std), "standard deviation");
    const std::array<std::string_view, 4> names{"a", "b\"\\", "\xC3\xBC", "?\?/\n1"};
    check(std::ranges::equal(tiny::class_names, names), "class names");

    ctnn::AlignedArray<float> images(2 * static_cast<std::size_t>(Tiny::input_shape.size()));
    ctnn::Random random{1, ctnn::Stream::test};
    for (float& x : images) { x = static_cast<float>(random.normal()); }
    ctnn::Workspace<ctnn::Inference<Tiny>> one{2}, other{2};
    const auto expected = ctnn::forward(model.view(), images.data(), 2, one);
    check(expected[0] != 0.0f && expected[0] != expected[4], "the model's outputs");
    check(same_bits(ctnn::forward(embedded, images.data(), 2, other), expected), "outputs");
    return failures;
}
