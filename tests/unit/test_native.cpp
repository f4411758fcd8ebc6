// Native files: the arenas to the bit, results to the bit, and one test for each way a file can be wrong.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/native.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>
#endif

#include "refusal.hpp"
#include "scratch.hpp"

namespace {

using namespace ctnn;
namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

/// Storage that is padded, groups, a map that is flattened.
struct Net : Sequential<Input<4, 4, 6>, Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>, ReLU,
                        MaxPool2d<Kernel<2>>, Flatten, Linear<7>> {};
/// The same tensors.
struct Sigmoids : Sequential<Input<4, 4, 6>, Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>, Sigmoid,
                             AvgPool2d<Kernel<2>>, Flatten, Linear<7>> {};
/// Other names, places, shapes, groups, statistics.
struct Named : Sequential<Input<4, 4, 6>, Block<"a", Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>>, ReLU,
                          MaxPool2d<Kernel<2>>, Flatten, Linear<7>> {};
struct Later : Sequential<Input<4, 4, 6>, Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>, ReLU,
                          MaxPool2d<Kernel<2>>, Dropout<0.5>, Flatten, Linear<7>> {};
struct Six : Sequential<Input<4, 4, 6>, Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>, ReLU,
                        MaxPool2d<Kernel<2>>, Flatten, Linear<6>> {};
struct Ungrouped : Sequential<Input<2, 4, 6>, Conv2d<36, Kernel<3>, Padding<1>>, BatchNorm2d<>, ReLU,
                              MaxPool2d<Kernel<2>>, Flatten, Linear<7>> {};
struct Turned : Sequential<Input<4, 6, 4>, Conv2d<36, Kernel<3>, Padding<1>, Groups<2>>, BatchNorm2d<>, ReLU,
                           MaxPool2d<Kernel<2>>, Flatten, Linear<7>> {};
/// No statistics; no parameters.
struct Plain : Sequential<Input<3>, Flatten, Linear<5>> {};
struct Bare : Sequential<Input<3, 2, 2>, ReLU> {};

static_assert(layout_hash<Net> == layout_hash<Sigmoids>);
// Files are refused where this number changes: it may with the layout alone, not with compiler or instruction set.
static_assert(layout_hash<Plain> == 0x047E2F9257D8CC57);

template <class T>
Bytes bytes_of(const T* values, std::int64_t count) {
    const auto view = std::as_bytes(std::span{values, static_cast<std::size_t>(count)});
    return {view.begin(), view.end()};
}

/// Everything that inference reads, padding included.
template <class N, class T>
std::pair<Bytes, Bytes> bytes_of(ModelView<N, T> view) {
    return {bytes_of(view.parameters, ParameterLayout<N>::size),
            bytes_of(view.buffers, ParameterLayout<N>::buffer_size)};
}

/// A model with statistics other than the first ones.
template <class N = Net, class T = float>
Model<N, T> some_model(std::uint64_t seed) {
    Model<N, T> model{Seed{seed}};
    Random random{seed, Stream::test};
    for (const BufferSlot& slot : ParameterLayout<N>::buffers) {
        for (int c = 0; c < slot.channels; ++c) {
            model.buffers().data()[slot.mean_offset + c] = static_cast<T>(random.normal());
            model.buffers().data()[slot.variance_offset + c] = static_cast<T>(random.uniform(0.5f, 2.0f));
        }
    }
    model.buffers().batches_tracked = static_cast<std::int64_t>(seed) + 1'000'000'000'000;
    return model;
}

const ModelInfo some_info{"Net", {{0.5f, 0.25f}, {1.0f, 2.0f}}, {"cat", "dög"}};

void write(const fs::path& path, std::span<const std::byte> bytes) {
    std::ofstream{path, std::ios::binary}.write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

/// The message with which a file is refused, behind its path; empty where it is not. By load_weights too, which must
/// leave the model as it was, unless only using the file where it lies is impossible.
template <class N = Net, class T = float>
std::string refusal(const fs::path& path, bool loadable = false) {
    const std::string prefix = path.string() + ": ";
    const std::string text = refusal_of(prefix, [&] { MappedModel<N, T>{path}; });
    Model<N, T> model = some_model<N, T>(9);
    const auto before = bytes_of(model.view());
    const std::string loading = refusal_of(prefix, [&] { load_weights(path, model); });
    CHECK(loading == (loadable ? "" : text));
    if (!loading.empty()) { CHECK(bytes_of(model.view()) == before); }
    return text;
}

/// A native file of Net in parts, to be changed.
struct Parts {
    Model<Net> model = some_model(3);
    Bytes bytes;
    SafetensorsFile file;

    explicit Parts(const Scratch& scratch) {
        save_native(scratch / "good", model, some_info);
        bytes = read_file(scratch / "good");
        file = parse_safetensors(bytes, "good");
    }
    std::string& metadata(const std::string& key) {
        return std::ranges::find(file.metadata, key, &SafetensorsMetadata::value_type::first)->second;
    }
    [[nodiscard]] std::string refusal(const Scratch& scratch) const {
        save_safetensors(scratch / "changed", file.tensors, file.metadata);
        return ::refusal(scratch / "changed");
    }
};

}  // namespace

TEST_CASE("native: a safetensors file of the two arenas, on cache lines", "[io][native]") {
    const Scratch scratch;
    Parts parts{scratch};
    REQUIRE(parts.file.tensors.size() == 2);
    const auto& [buffers, parameters] = std::pair{parts.file.tensors[0], parts.file.tensors[1]};
    CHECK(buffers.name == "buffers");
    CHECK(buffers.shape == std::vector<std::int64_t>{ParameterLayout<Net>::buffer_size});
    CHECK(parameters.name == "parameters");
    CHECK(parameters.shape == std::vector<std::int64_t>{ParameterLayout<Net>::size});
    for (const TensorView& tensor : {buffers, parameters}) {
        CHECK(tensor.dtype == Dtype::f32);
        CHECK((tensor.data.data() - parts.bytes.data()) % 64 == 0);
    }
    CHECK(std::ranges::equal(parameters.data, std::as_bytes(parts.model.parameters().span())));
    CHECK(std::ranges::equal(buffers.data, std::as_bytes(parts.model.buffers().span())));
    CHECK(parts.metadata("format") == "ctnn native 1");
    CHECK(parts.metadata("layout").size() == 16);
    CHECK(parts.metadata("batches_tracked") == "1000000000003");
    CHECK(load_model_info(scratch / "good") == some_info);
    CHECK(is_native(scratch / "good"));

    save_native(scratch / "again", some_model(3), some_info);
    CHECK(read_file(scratch / "again") == parts.bytes);
    save_weights(scratch / "canonical", parts.model, some_info);
    CHECK_FALSE(is_native(scratch / "canonical"));
}

TEST_CASE("native: what was saved is mapped and loaded to the bit", "[io][native]") {
    const auto check = []<class N, class T>(const Model<N, T>& model) {
        const Scratch scratch;
        save_native(scratch / "m", model, some_info);
        MappedModel<N, T> first{scratch / "m"};
        const MappedModel<N, T> mapped = std::move(first);
        CHECK(bytes_of(mapped.view()) == bytes_of(model.view()));
        CHECK(mapped.info() == some_info);
        const auto address = [](const T* at) { return reinterpret_cast<std::uintptr_t>(at); };
        CHECK(address(mapped.view().parameters) % block_alignment == 0);
        CHECK(address(mapped.view().buffers) % block_alignment == 0);
        Model<N, T> loaded{Seed{8}};
        CHECK(load_weights(scratch / "m", loaded) == some_info);
        CHECK(bytes_of(loaded.view()) == bytes_of(model.view()));
        CHECK(loaded.buffers().batches_tracked == model.buffers().batches_tracked);
    };
    check(some_model<Net, float>(1));
    check(some_model<Net, double>(2));
    check(some_model<Plain, float>(3));
    check(some_model<Bare, float>(4));
}

TEST_CASE("native: inference from the file equals that of the model to the bit", "[io][native]") {
    const Scratch scratch;
    const Model<Net> model = some_model(5);
    save_native(scratch / "m", model, {});
    constexpr int samples = 3;
    std::vector<float> input(samples * Net::input_shape.size());
    Random random{5, Stream::test};
    for (float& x : input) { x = static_cast<float>(random.normal()); }
    Workspace<Inference<Net>> workspace{samples};
    const auto outputs = [&](ModelView<Net> view) {
        const auto out = forward(view, input.data(), samples, workspace);
        return bytes_of(out.data(), std::ssize(out));
    };
    const Bytes expected = outputs(model.view());
    CHECK(outputs(some_model(6).view()) != expected);
    CHECK(outputs(MappedModel<Net>{scratch / "m"}.view()) == expected);
}

TEST_CASE("native: a file that is replaced stays what it was for those who use it", "[io][native]") {
    const Scratch scratch;
    const Model<Net> old_model = some_model(1), new_model = some_model(2);
    save_native(scratch / "m", old_model, {});
    const MappedModel<Net> before{scratch / "m"};
    save_native(scratch / "m", new_model, {});
    const MappedModel<Net> after{scratch / "m"};
    CHECK(bytes_of(before.view()) == bytes_of(old_model.view()));
    CHECK(bytes_of(after.view()) == bytes_of(new_model.view()));
}

TEST_CASE("native: networks of other tensors have other numbers", "[io][native]") {
    const std::set<std::uint64_t> numbers{layout_hash<Net>,       layout_hash<Named>, layout_hash<Later>,
                                          layout_hash<Six>,       layout_hash<Plain>, layout_hash<Bare>,
                                          layout_hash<Ungrouped>, layout_hash<Turned>};
    CHECK(numbers.size() == 8);
    // As large as Net's, so that nothing else tells.
    static_assert(ParameterLayout<Named>::size == ParameterLayout<Net>::size);
    static_assert(ParameterLayout<Turned>::size == ParameterLayout<Net>::size);
    static_assert(ParameterLayout<Six>::size == ParameterLayout<Net>::size);
    const Scratch scratch;
    save_native(scratch / "m", some_model(1), {});
    const std::string found = fmt::format("{:016x}", layout_hash<Net>);
    const auto message = [&](std::uint64_t expected) {
        return fmt::format(
            "metadata 'layout': found \"{}\", expected \"{:016x}\": this is another network, or from another version "
            "of "
            "ctnn",
            found, expected);
    };
    CHECK(refusal<Named>(scratch / "m") == message(layout_hash<Named>));
    CHECK(refusal<Later>(scratch / "m") == message(layout_hash<Later>));
    CHECK(refusal<Six>(scratch / "m") == message(layout_hash<Six>));
    CHECK(refusal<Turned>(scratch / "m") == message(layout_hash<Turned>));
    CHECK(refusal<Plain>(scratch / "m") == message(layout_hash<Plain>));
    CHECK(refusal<Sigmoids>(scratch / "m").empty());
}

TEST_CASE("native: another type's arenas are refused", "[io][native]") {
    const Scratch scratch;
    save_native(scratch / "m", some_model<Net, double>(1), {});
    const std::string n = std::to_string(ParameterLayout<Net>::size);
    CHECK(refusal(scratch / "m") == "tensor \"parameters\": found F64 [" + n + "], expected F32 [" + n + "]");
    CHECK(refusal<Net, double>(scratch / "m").empty());
}

TEST_CASE("native: every field of the header is checked", "[io][native]") {
    const Scratch scratch;
    Parts parts{scratch};
    SafetensorsMetadata& metadata = parts.file.metadata;
    std::vector<TensorView>& tensors = parts.file.tensors;
    CHECK(parts.refusal(scratch).empty());
    SECTION("version") {
        parts.metadata("format") = "ctnn native 2";
        CHECK(parts.refusal(scratch) == "metadata 'format': found \"ctnn native 2\", expected \"ctnn native 1\"");
    }
    SECTION("layout") {
        parts.metadata("layout") = "0123456789abcdef";
        CHECK(parts.refusal(scratch).starts_with("metadata 'layout': found \"0123456789abcdef\", expected \""));
    }
    SECTION("no layout") {
        std::erase_if(metadata, [](const auto& entry) { return entry.first == "layout"; });
        CHECK(parts.refusal(scratch).starts_with("found no metadata 'layout', expected \""));
    }
    SECTION("batches_tracked") {
        parts.metadata("batches_tracked") = "many";
        CHECK(parts.refusal(scratch).starts_with("metadata 'batches_tracked': "));
    }
    SECTION("batches_tracked below 0") {
        parts.metadata("batches_tracked") = "-1";
        CHECK(parts.refusal(scratch) == "metadata 'batches_tracked': found -1, expected 0 to 4611686018427387903");
    }
    SECTION("no batches_tracked") {
        std::erase_if(metadata, [](const auto& entry) { return entry.first == "batches_tracked"; });
        CHECK(parts.refusal(scratch) == "found no metadata 'batches_tracked', expected a number");
    }
    SECTION("type") {
        tensors[1].dtype = Dtype::i32;
        CHECK(parts.refusal(scratch).starts_with("tensor \"parameters\": found I32 ["));
    }
    SECTION("size") {
        tensors[1].shape = {ParameterLayout<Net>::size - 1};
        tensors[1].data = tensors[1].data.first(tensors[1].data.size() - sizeof(float));
        CHECK(parts.refusal(scratch).starts_with("tensor \"parameters\": found F32 ["));
    }
    SECTION("shape") {
        tensors[0].shape = {2, ParameterLayout<Net>::buffer_size / 2};
        CHECK(parts.refusal(scratch).starts_with("tensor \"buffers\": found F32 [2, "));
    }
    SECTION("one arena") {
        tensors.pop_back();
        CHECK(parts.refusal(scratch).starts_with("tensor \"parameters\": found none of this name"));
    }
    SECTION("a third tensor") {
        tensors.push_back(tensor_view("x", {0}, std::span<const float>{}));
        CHECK(parts.refusal(scratch) == "found the tensor \"x\", expected \"parameters\" and \"buffers\" alone");
    }
}

TEST_CASE("native: files of other kinds are refused", "[io][native]") {
    const Scratch scratch;
    const auto message = [&] {
        try {
            MappedModel<Net>{scratch / "m"};
        } catch (const FileError& error) { return std::string{error.what()}.substr((scratch / "m").string().size()); }
        return std::string{};
    };
    CHECK(message() == ": cannot open: No such file or directory");
    save_weights(scratch / "m", some_model(1), {});
    CHECK(message() == ": found no metadata 'format', expected \"ctnn native 1\"");
    const std::string text = "\x89PNG, and so on";
    write(scratch / "m", std::as_bytes(std::span{text}));
    CHECK(message().starts_with(": offset 0: found a header of "));
    fs::remove(scratch / "m");
    fs::create_directory(scratch / "m");
    CHECK(message() == ": found a directory, expected a regular file");
}

TEST_CASE("native: a file that is cut off or goes on is refused", "[io][native]") {
    const Scratch scratch;
    const Parts parts{scratch};
    const auto header = static_cast<std::size_t>(parts.file.tensors[0].data.data() - parts.bytes.data());
    for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, header - 1, header, header + 1,
                                   parts.bytes.size() - 4096, parts.bytes.size() - 64, parts.bytes.size() - 1}) {
        INFO(size);
        write(scratch / "cut", std::span{parts.bytes}.first(size));
        CHECK(refusal(scratch / "cut").find("expected") != std::string::npos);
    }
    Bytes longer = parts.bytes;
    longer.push_back(std::byte{0});
    write(scratch / "long", longer);
    CHECK(refusal(scratch / "long").find("where the last tensor ends") != std::string::npos);
}

TEST_CASE("native: arenas off the cache lines are refused", "[io][native]") {
    const Scratch scratch;
    const Parts parts{scratch};
    const auto header = parts.file.tensors[0].data.data() - parts.bytes.data();
    Bytes shifted = parts.bytes;
    shifted.insert(shifted.begin() + header, 8, std::byte{' '});
    shifted[0] = static_cast<std::byte>(header & 255);  // the length of the header: 8 more than it was
    shifted[1] = static_cast<std::byte>(header >> 8);
    write(scratch / "m", shifted);
    CHECK(refusal(scratch / "m", true) ==
          fmt::format("tensor \"parameters\": found at offset {} of the file, expected a multiple of 64",
                      header + 8 + static_cast<std::ptrdiff_t>(parts.file.tensors[0].data.size())));
}

TEST_CASE("native: any changed byte of the header is refused, or changes nothing of the numbers", "[io][native]") {
    const Scratch scratch;
    const Parts parts{scratch};
    const auto header = static_cast<std::size_t>(parts.file.tensors[0].data.data() - parts.bytes.data());
    int refused = 0;
    for (std::size_t i = 0; i < header; ++i) {
        Bytes changed = parts.bytes;
        changed[i] ^= std::byte{1};
        write(scratch / "m", changed);
        try {
            const MappedModel<Net> model{scratch / "m"};
            if (bytes_of(model.view()) != bytes_of(parts.model.view())) { FAIL("byte " << i); }
        } catch (const FileError&) { ++refused; }
    }
    CHECK(refused > static_cast<int>(header) / 2);
}

TEST_CASE("native: padding that a file fills stays empty in a model", "[io][native]") {
    const Scratch scratch;
    save_native(scratch / "a", Model<Net>{Seed{1}}, {});
    std::vector<std::byte> bytes = read_file(scratch / "a");
    const std::size_t data = sizeof(float) * (Parameters<Net>::size + Buffers<Net>{}.span().size());
    const std::vector<float> ones(data / sizeof(float), 1.0f);
    std::ranges::copy(std::as_bytes(std::span{ones}), bytes.end() - static_cast<std::ptrdiff_t>(data));
    write_file_atomically(scratch / "b", bytes);
    Model<Net> model;
    load_weights(scratch / "b", model);

    std::int64_t numbers = 0;
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) { numbers += slot.spec.dims.count(); }
    REQUIRE(numbers < ParameterLayout<Net>::size);
    CHECK(std::ranges::count(model.parameters().span(), 1.0f) == numbers);
    CHECK(std::ranges::count(model.parameters().span(), 0.0f) == ParameterLayout<Net>::size - numbers);
    save_weights(scratch / "c", model, {});
    Model<Net> again;
    load_weights(scratch / "c", again);
    CHECK(std::ranges::equal(model.parameters().span(), again.parameters().span()));
    CHECK(std::ranges::equal(model.buffers().span(), again.buffers().span()));
}

TEST_CASE("mapped file: the bytes of a file", "[io][native]") {
    const Scratch scratch;
    const std::string text = "some bytes";
    write(scratch / "m", std::as_bytes(std::span{text}));
    MappedFile first{scratch / "m"};
    const MappedFile file = std::move(first);
    CHECK(std::ranges::equal(file.bytes(), read_file(scratch / "m")));
    write(scratch / "nothing", {});
    CHECK(MappedFile{scratch / "nothing"}.bytes().empty());
    CHECK_THROWS_WITH(MappedFile{scratch / "gone"},
                      (scratch / "gone").string() + ": cannot open: No such file or directory");
    CHECK_THROWS_WITH(MappedFile{scratch.path}, scratch.path.string() + ": found a directory, expected a regular file");
}
