// Hex weights: files written out by hand, round trips to the bit, and one test for each way a directory can be wrong.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/hex_weights.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/models/alexnet32.hpp>
#endif

#include "refusal.hpp"
#include "scratch.hpp"

namespace {

using namespace ctnn;
namespace fs = std::filesystem;

/// No batch norm: names can be counted. One convolution has no bias, and the map that is flattened is 2×2.
struct Plain : Sequential<Input<2, 4, 4>, Block<"features", Conv2d<3, Kernel<3>, Bias<false>>, ReLU>,
                          Conv2d<2, Kernel<1>>, Flatten, Linear<5>, ReLU, Linear<2>> {};
struct Wider : Sequential<Input<2, 4, 4>, Block<"features", Conv2d<4, Kernel<3>, Bias<false>>, ReLU>,
                          Conv2d<2, Kernel<1>>, Flatten, Linear<5>, ReLU, Linear<2>> {};
struct Norm : Sequential<Input<2, 2, 2>, Conv2d<3, Kernel<1>>, BatchNorm2d<>, Flatten, Linear<2>> {};

static_assert(has_numbered_names<Plain> && has_numbered_names<AlexNet32> && !has_numbered_names<Norm>);

std::string text(const fs::path& path) {
    const auto content = read_file(path);
    return {reinterpret_cast<const char*>(content.data()), content.size()};
}
void write(const fs::path& path, std::string_view content) {
    write_file_atomically(path, std::as_bytes(std::span{content}));
}

std::vector<std::string> names(const fs::path& directory) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator{directory}) { found.push_back(entry.path().filename().string()); }
    std::ranges::sort(found);
    return found;
}

template <class N, class T>
bool same(const Model<N, T>& a, const Model<N, T>& b) {
    const auto equal = [](auto x, auto y) { return std::ranges::equal(std::as_bytes(x), std::as_bytes(y)); };
    return equal(a.parameters().span(), b.parameters().span()) && equal(a.buffers().span(), b.buffers().span()) &&
           a.buffers().batches_tracked == b.buffers().batches_tracked;
}

/// The message with which load_hex_weights refuses a directory, behind its path; empty where it does not. The model
/// must stay.
template <class N = Plain>
std::string refusal(const fs::path& directory) {
    Model<N> model{Seed{9}};
    const Model<N> before = model;
    const std::string message = refusal_of(directory.string(), [&] { load_hex_weights(directory, model); });
    if (!message.empty()) { CHECK(same(model, before)); }
    return message;
}

}  // namespace

TEST_CASE("hex weights: a file has name, type and dimensions, digits", "[io][hex]") {
    const Scratch scratch;
    Model<Norm> model{Seed{1}};
    const auto offset = [](std::size_t slot) { return ParameterLayout<Norm>::slots[slot].offset; };
    float* const bias = model.parameters().data() + offset(1);
    bias[0] = 1.0f, bias[1] = -2.0f, bias[2] = std::bit_cast<float>(0x7FC12345u);
    float* const weight = model.parameters().data() + offset(4);  // of the linear layer: 2 × 12
    std::fill_n(weight, ParameterLayout<Norm>::slots[4].spec.dims.stored(), 0.0f);
    weight[ParameterLayout<Norm>::slots[4].spec.dims.stored_offset(0, 1, 2, 1, 0)] = 1.0f;  // out 1, channel 2, row 1
    model.buffers().batches_tracked = 258;
    save_hex_weights(scratch.path, model);

    CHECK(text(scratch / "0.bias.weights") == "0.bias\nfloat32 3\n0000803f000000c04523c17f\n");
    CHECK(text(scratch / "1.num_batches_tracked.weights") == "1.num_batches_tracked\nint64\n0201000000000000\n");
    CHECK(text(scratch / "1.running_var.weights") == "1.running_var\nfloat32 3\n0000803f0000803f0000803f\n");
    // Flattened by channel, row, column: channel 2, row 1, column 0 of 3×2×2 is place 10 of 12.
    CHECK(text(scratch / "3.weight.weights") ==
          "3.weight\nfloat32 2 12\n" + std::string(8 * 22, '0') + "0000803f" + std::string(8, '0') + "\n");
    CHECK(text(scratch / "0.weight.weights").starts_with("0.weight\nfloat32 3 2 1 1\n"));
    CHECK(names(scratch.path) == std::vector<std::string>{"0.bias.weights", "0.weight.weights", "1.bias.weights",
                                                          "1.num_batches_tracked.weights", "1.running_mean.weights",
                                                          "1.running_var.weights", "1.weight.weights", "3.bias.weights",
                                                          "3.weight.weights"});
}

TEST_CASE("hex weights: the round trip is exact", "[io][hex]") {
    const Scratch scratch;
    Model<Norm> model{Seed{2}};
    float* const values = model.parameters().data() + ParameterLayout<Norm>::slots[1].offset;
    values[0] = -0.0f, values[1] = std::bit_cast<float>(0xFFA00001u),
    values[2] = std::numeric_limits<float>::infinity();
    model.buffers().data()[0] = std::numeric_limits<float>::denorm_min();
    model.buffers().batches_tracked = 1'000'000'000'007;
    save_hex_weights(scratch / "new" / "deep", model);
    Model<Norm> read{Seed{3}};
    load_hex_weights(scratch / "new" / "deep", read);
    CHECK(same(read, model));

    Model<Plain, double> wide{Seed{4}}, read_wide;
    save_hex_weights(scratch / "double", wide);
    CHECK(text(scratch / "double/1.bias.weights").starts_with("1.bias\nfloat64 2\n"));
    load_hex_weights(scratch / "double", read_wide);
    CHECK(same(read_wide, wide));
}

TEST_CASE("hex weights: tensors are numbered by kind of layer", "[io][hex]") {
    const Scratch scratch;
    const Model<Plain> model{Seed{5}};
    save_hex_weights(scratch.path, model, HexNames::numbered);
    CHECK(names(scratch.path) == std::vector<std::string>{"conv1_kernel.weights", "conv2_bias.weights",
                                                          "conv2_kernel.weights", "fc1_bias.weights",
                                                          "fc1_weights.weights", "fc2_bias.weights",
                                                          "fc2_weights.weights"});
    CHECK(text(scratch / "conv1_kernel.weights").starts_with("conv1_kernel\nfloat32 3 2 3 3\n"));
    CHECK(text(scratch / "fc1_weights.weights").starts_with("fc1_weights\nfloat32 5 8\n"));
    Model<Plain> read;
    load_hex_weights(scratch.path, read);
    CHECK(same(read, model));
    CHECK_THROWS_AS(save_hex_weights(scratch / "norm", Model<Norm>{}, HexNames::numbered), ArgumentError);
    CHECK_FALSE(fs::exists(scratch / "norm"));

    // ML Odyssey's sixteen.
    std::vector<std::string> expected;
    for (int i = 1; i <= 5; ++i) {
        for (const char* tensor : {"_kernel", "_bias"}) { expected.push_back("conv" + std::to_string(i) + tensor); }
    }
    for (int i = 1; i <= 3; ++i) {
        for (const char* tensor : {"_weights", "_bias"}) { expected.push_back("fc" + std::to_string(i) + tensor); }
    }
    CHECK(detail::numbered_names<AlexNet32>() == expected);
}

TEST_CASE("hex weights: what is wrong is refused by file and line", "[io][hex]") {
    const Scratch scratch;
    const fs::path& d = scratch.path;
    save_hex_weights(d, Model<Plain>{Seed{6}});
    const fs::path file = d / "1.bias.weights";
    CHECK(refusal(d).empty());
    const auto message = [&](std::string_view content) {
        write(file, content);
        const std::string found = refusal(d);
        CHECK(found.starts_with("/1.bias.weights: "));
        return found.substr(std::min<std::size_t>(found.size(), 17));
    };
    const std::string good = "1.bias\nfloat32 2\n0000803f0000803f";
    CHECK(message("") == "line 1: found \"\", expected \"1.bias\"");
    CHECK(message("1.weight\nfloat32 2\n") == "line 1: found \"1.weight\", expected \"1.bias\"");
    CHECK(message("1.bias") == "line 2: found \"\", expected \"float32 2\"");
    CHECK(message("1.bias\nfloat32 3\n") == "line 2: found \"float32 3\", expected \"float32 2\"");
    CHECK(message("1.bias\nfloat64 2\n") == "line 2: found \"float64 2\", expected \"float32 2\"");
    CHECK(message("1.bias\nfloat32 2 1\n") == "line 2: found \"float32 2 1\", expected \"float32 2\"");
    CHECK(message("1.bias\nfloat32 2\n0000803f0000803") == "line 3: found 15 digits, expected 16");
    CHECK(message("1.bias\nfloat32 2\n0000803f00008\n") == "line 3: found 13 digits, expected 16");
    CHECK(message(good + "00\n") == "line 3: found 18 digits, expected 16");
    CHECK(message("1.bias\nfloat32 2\n0000803f0g00803f\n") ==
          "line 3: found \"g\" as digit 10, expected one of 0 to 9, a to f");
    CHECK(message("1.bias\nfloat32 2\n0000803F0000803f\n") ==
          "line 3: found \"F\" as digit 8, expected one of 0 to 9, a to f");
    CHECK(message("1.bias\nfloat32 2\n0000803f 0000803f\n") ==
          "line 3: found \" \" as digit 9, expected one of 0 to 9, a to f");
    CHECK(message(good + "\nmore\n") == "line 4: found \"more\", expected the end of the file");
    CHECK(message(good + "\n\n") == "line 4: found \"\", expected the end of the file");
    write(file, good);  // without the last line's end
    CHECK(refusal(d).empty());

    fs::remove(d / "5.weight.weights");  // the last but one: everything before is read by then
    CHECK(refusal(d) == "/5.weight.weights: cannot open: No such file or directory");
    CHECK(refusal(d / "none") == "/features.0.weight.weights: cannot open: No such file or directory");
}

TEST_CASE("hex weights: another network's are refused", "[io][hex]") {
    const Scratch scratch;
    save_hex_weights(scratch.path, Model<Wider>{Seed{7}}, HexNames::numbered);
    CHECK(refusal(scratch.path) ==
          "/conv1_kernel.weights: line 2: found \"float32 4 2 3 3\", expected \"float32 3 2 3 3\"");
    CHECK(refusal<Wider>(scratch.path).empty());
    save_hex_weights(scratch.path, Model<Wider>{Seed{7}});
    CHECK(refusal<Wider>(scratch.path) ==
          ": found both conv1_kernel.weights and features.0.weight.weights, expected names of one kind");
    write(scratch / "file", "");
    CHECK_THROWS_AS(save_hex_weights(scratch / "file", Model<Plain>{}), FileError);
}
