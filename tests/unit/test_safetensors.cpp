// safetensors: bytes written out by hand, round trips, and one test for each way a file can be wrong.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/safetensors.hpp>
#endif

#include "refusal.hpp"
#include "scratch.hpp"

namespace {

using namespace ctnn;
using Bytes = std::vector<std::byte>;

Bytes to_bytes(std::string_view text) {
    const auto view = std::as_bytes(std::span{text});
    return {view.begin(), view.end()};
}

/// A file of the given header and so many bytes of data (0, 1, 2, …).
Bytes file(std::string_view header, std::size_t data_size) {
    Bytes out;
    for (unsigned i = 0; i < 8; ++i) { out.push_back(static_cast<std::byte>(header.size() >> 8 * i)); }
    const Bytes text = to_bytes(header);
    out.insert(out.end(), text.begin(), text.end());
    for (std::size_t i = 0; i < data_size; ++i) { out.push_back(static_cast<std::byte>(i)); }
    return out;
}

/// The message of the FileError that parsing throws, behind "m: "; empty where nothing is thrown.
std::string refusal(const Bytes& bytes) {
    return refusal_of("m: ", [&] { parse_safetensors(bytes, "m"); });
}

std::string refusal(std::string_view header, std::size_t data_size) { return refusal(file(header, data_size)); }

/// A header with the one tensor "t".
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

}  // namespace

TEST_CASE("safetensors: a small file, to the byte", "[io][safetensors]") {
    const std::array<float, 2> weight{1.0f, -2.0f};
    const std::array<std::int64_t, 1> count{258};
    const std::array<float, 1> bias{0.5f};
    const std::vector tensors{tensor_view("weight", {2, 1}, weight), tensor_view("bias", {1}, bias),
                              tensor_view("count", {}, count)};

    // 217 characters of JSON, and 31 blanks so that 8 + 248 is a multiple of 64.
    std::string expected{"\xF8\0\0\0\0\0\0\0", 8};
    expected += R"({"__metadata__":{"model":"M","a":"\"q\""},)"
                R"("count":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                R"("bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                R"("weight":{"dtype":"F32","shape":[2,1],"data_offsets":[12,20]}})"
                "                               ";
    expected += std::string{
        "\x02\x01\0\0\0\0\0\0"
        "\0\0\0\x3F"
        "\0\0\x80\x3F"
        "\0\0\0\xC0",
        20};
    REQUIRE(expected.size() == 276);

    const Bytes written = write_safetensors(tensors, {{"model", "M"}, {"a", "\"q\""}});
    CHECK(written == to_bytes(expected));

    const auto read = parse_safetensors(written, "m");
    CHECK(read.metadata == SafetensorsMetadata{{"model", "M"}, {"a", "\"q\""}});
    REQUIRE(read.tensors.size() == 3);
    CHECK(read.tensors[0].name == "count");
    CHECK(read.tensors[0].shape.empty());
    CHECK(read.tensors[2].data.data() == written.data() + 256 + 12);
    std::array<float, 2> back{};
    read.find("weight")->copy_to(back);
    CHECK(back == weight);
    CHECK(read.find("none") == nullptr);
    CHECK(*read.find_metadata("model") == "M");
    CHECK(read.find_metadata("none") == nullptr);
}

TEST_CASE("safetensors: the order of the tensors given does not change the bytes", "[io][safetensors]") {
    const std::array<std::byte, 8> data{};
    const auto view = [&](const char* name, Dtype dtype) {
        return TensorView{name, dtype, {1}, std::span{data}.first(dtype_info(dtype).bits / 8)};
    };
    std::vector<TensorView> tensors{view("b", Dtype::u8),  view("a", Dtype::f16), view("z", Dtype::f64),
                                    view("y", Dtype::f32), view("c", Dtype::i32), view("a2", Dtype::boolean)};
    const Bytes written = write_safetensors(tensors);
    std::string order;
    const auto read = parse_safetensors(written, "m");
    for (const auto& tensor : read.tensors) { order += tensor.name + " "; }
    CHECK(order == "z c y a a2 b ");
    std::reverse(tensors.begin(), tensors.end());
    CHECK(write_safetensors(tensors) == written);
}

TEST_CASE("safetensors: every dtype makes the round trip", "[io][safetensors]") {
    const auto index = GENERATE(range(std::size_t{0}, dtype_infos.size()));
    const auto dtype = static_cast<Dtype>(index);
    const Bytes data(dtype_info(dtype).bits, std::byte{7});  // of 8 elements
    const Bytes written = write_safetensors(std::vector{TensorView{"t", dtype, {2, 4}, data}});
    const auto read = parse_safetensors(written, "m");
    REQUIRE(read.tensors.size() == 1);
    CHECK(read.tensors[0].dtype == dtype);
    CHECK(read.tensors[0].shape == std::vector<std::int64_t>{2, 4});
    CHECK(Bytes(read.tensors[0].data.begin(), read.tensors[0].data.end()) == data);
    CHECK(refusal(one(std::string{dtype_info(dtype).name}, "[2,4]", "[0," + std::to_string(data.size()) + "]"),
                  data.size())
              .empty());
}

TEST_CASE("safetensors: C++ types stand for their dtypes", "[io][safetensors]") {
    STATIC_REQUIRE(dtype_of<float>() == Dtype::f32);
    STATIC_REQUIRE(dtype_of<double>() == Dtype::f64);
    STATIC_REQUIRE(dtype_of<std::int8_t>() == Dtype::i8);
    STATIC_REQUIRE(dtype_of<std::int16_t>() == Dtype::i16);
    STATIC_REQUIRE(dtype_of<std::int32_t>() == Dtype::i32);
    STATIC_REQUIRE(dtype_of<std::int64_t>() == Dtype::i64);
    STATIC_REQUIRE(dtype_of<std::uint8_t>() == Dtype::u8);
    STATIC_REQUIRE(dtype_of<std::uint16_t>() == Dtype::u16);
    STATIC_REQUIRE(dtype_of<std::uint32_t>() == Dtype::u32);
    STATIC_REQUIRE(dtype_of<std::uint64_t>() == Dtype::u64);
    STATIC_REQUIRE(dtype_info(Dtype::u64).name == "U64");  // the last: the table and the enumeration run in step
    STATIC_REQUIRE(dtype_info(Dtype::f8_e5m2fnuz).name == "F8_E5M2FNUZ");
    STATIC_REQUIRE(dtype_info(Dtype::bf16).name == "BF16");
}

TEST_CASE("safetensors: legal oddities are read", "[io][safetensors]") {
    CHECK(parse_safetensors(file("{}", 0), "m").tensors.empty());
    CHECK(parse_safetensors(file("{}      ", 0), "m").tensors.empty());
    CHECK(parse_safetensors(write_safetensors({}), "m").tensors.empty());
    CHECK(refusal(one("F32", "[]", "[0,4]"), 4).empty());     // rank 0
    CHECK(refusal(one("F32", "[3,0]", "[0,0]"), 0).empty());  // no elements
    // Zero-size tensors at the start, in the middle and at the end, header and data in different orders.
    const Bytes mixed = file(R"({"d":{"dtype":"F32","shape":[0],"data_offsets":[3,3]},)"
                             R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                             R"("e":{"dtype":"F32","shape":[0,2],"data_offsets":[1,1]},)"
                             R"("a":{"dtype":"I8","shape":[1,1],"data_offsets":[0,1]},)"
                             R"("c":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})",
                             3);
    std::string order;
    const auto read = parse_safetensors(mixed, "m");
    for (const auto& tensor : read.tensors) { order += tensor.name; }
    CHECK(order == "caebd");
    CHECK(read.find("b")->data[1] == std::byte{2});
    std::array<float, 0> nothing{};
    CHECK_NOTHROW(read.find("d")->copy_to(nothing));
}

TEST_CASE("safetensors: data at any alignment are copied out", "[io][safetensors]") {
    for (const std::string padding : {"", " ", "  ", "   "}) {
        const Bytes bytes = file(one("U32", "[2]", "[0,8]") + padding, 8);
        std::array<std::uint32_t, 2> values{};
        parse_safetensors(bytes, "m").tensors[0].copy_to(values);
        CHECK(values == std::array<std::uint32_t, 2>{0x03020100, 0x07060504});
    }
}

TEST_CASE("safetensors: a length that does not fit is refused", "[io][safetensors]") {
    CHECK(refusal(Bytes{}) == "found 0 bytes, expected at least 8");
    CHECK(refusal(Bytes(7)) == "found 7 bytes, expected at least 8");
    CHECK(refusal(Bytes(8)) == "offset 8: found no '{', expected the header to begin with it");

    Bytes truncated = file("{}", 0);
    truncated.pop_back();
    CHECK(refusal(truncated) == "offset 0: found a header of 2 bytes, expected at most 1");
    Bytes huge(100'000'010, std::byte{' '});
    const std::uint64_t size = 100'000'001;
    for (unsigned i = 0; i < 8; ++i) { huge[i] = static_cast<std::byte>(size >> 8 * i); }
    huge[8] = std::byte{'{'}, huge[9] = std::byte{'}'};
    CHECK(refusal(huge) == "offset 0: found a header of 100000001 bytes, expected at most 100000000");
    CHECK(refusal(Bytes(16, std::byte{0xFF})) ==
          "offset 0: found a header of 18446744073709551615 bytes, expected at most 8");
}

TEST_CASE("safetensors: a header that is no JSON object of UTF-8 is refused", "[io][safetensors]") {
    CHECK(refusal(" {}", 0) == "offset 8: found no '{', expected the header to begin with it");
    CHECK(refusal("[]", 0) == "offset 8: found no '{', expected the header to begin with it");
    CHECK(refusal("{\"\xFF\":1}", 0) == "offset 10: found the byte 255, expected UTF-8");
    CHECK(refusal("{\"a\"}", 0) == "offset 12: found '}', expected ':'");
    CHECK(refusal("{}x", 0) == "offset 10: found 'x', expected nothing more");
    CHECK(refusal(std::string_view{"{}\0", 3}, 0) == "offset 10: found the byte 0, expected nothing more");
    const std::string entry = R"("t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
    CHECK(refusal("{" + entry + "," + entry + "}", 0) ==
          "offset 61: found the key \"t\" again, expected each key once");
}

TEST_CASE("safetensors: metadata map strings to strings", "[io][safetensors]") {
    CHECK(refusal(R"({"__metadata__":{"a":1}})", 0) ==
          "__metadata__: key \"a\": found the number 1, expected a string");
    CHECK(refusal(R"({"__metadata__":"a"})", 0) == "__metadata__: found the string \"a\", expected an object");
    CHECK(refusal(R"({"__metadata__":{"a":"1","a":"2"}})", 0) ==
          "offset 33: found the key \"a\" again, expected each key once");
    CHECK(refusal(R"({"__metadata__":{}})", 0).empty());
}

TEST_CASE("safetensors: an entry without its three fields is refused", "[io][safetensors]") {
    struct Case {
        const char *entry, *message;
    };
    const auto [entry, message] = GENERATE(values<Case>({
        {"[]", "found an array, expected an object"},
        {"{}", "key \"dtype\": found nothing, expected the key and a value"},
        {R"({"dtype":4,"shape":[],"data_offsets":[0,4]})", "key \"dtype\": found the number 4, expected a string"},
        {R"({"dtype":"F31","shape":[],"data_offsets":[0,4]})",
         "found the dtype \"F31\", expected one of BOOL, F4 \u2026 U64"},
        {R"({"dtype":"f32","shape":[],"data_offsets":[0,4]})",
         "found the dtype \"f32\", expected one of BOOL, F4 \u2026 U64"},
        {R"({"dtype":"F32","data_offsets":[0,4]})", "key \"shape\": found nothing, expected the key and a value"},
        {R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})", "key \"shape\": found the number 1, expected an array"},
        {R"({"dtype":"F32","shape":[]})", "key \"data_offsets\": found nothing, expected the key and a value"},
        {R"({"dtype":"F32","shape":[],"data_offsets":[4]})", "found 1 data_offsets, expected 2"},
        {R"({"dtype":"F32","shape":[],"data_offsets":[0,4,4]})", "found 3 data_offsets, expected 2"},
        {R"({"dtype":"F32","shape":[],"data_offsets":[-4,0]})",
         "data_offsets: found the number -4, expected an integer from 0 to 18446744073709551615"},
    }));
    CAPTURE(entry);
    CHECK(refusal(R"({"t":)" + std::string{entry} + "}", 4) == "tensor \"t\": " + std::string{message});
}

TEST_CASE("safetensors: a shape that cannot be is refused", "[io][safetensors]") {
    const std::string expected =
        ", expected dimensions of at least 0 whose product is a number of whole bytes below 2^61";
    const auto shape_refusal = [](const std::string& dtype, const std::string& shape) {
        return refusal(one(dtype, shape, "[0,4]"), 4);
    };
    CHECK(shape_refusal("F32", "[-1]") == "tensor \"t\": found F32 [-1]" + expected);
    CHECK(shape_refusal("U8", "[4294967296, 4294967296]") ==
          "tensor \"t\": found U8 [4294967296, 4294967296]" + expected);
    CHECK(shape_refusal("U8", "[4294967296,4294967296,0]") ==  // overflows before it meets the 0
          "tensor \"t\": found U8 [4294967296, 4294967296, 0]" + expected);
    // 2^62 + 1 elements of 4 bytes are 4 modulo 2^64.
    CHECK(shape_refusal("F32", "[4611686018427387905]") == "tensor \"t\": found F32 [4611686018427387905]" + expected);
    CHECK(shape_refusal("F4", "[7]") == "tensor \"t\": found F4 [7]" + expected);
    CHECK(shape_refusal("U8", "[4.5]") ==
          "tensor \"t\": shape: found the number 4.5, expected an integer from "
          "-9223372036854775808 to 9223372036854775807");
    CHECK(shape_refusal("U8", "[18446744073709551615]") != "");
    CHECK(shape_refusal("U8", "[99999999999999999999]") ==
          "offset 36: found an integer of 20 characters, expected one of 64 bits");
}

TEST_CASE("safetensors: offsets that do not fit the shape are refused", "[io][safetensors]") {
    CHECK(refusal(one("F32", "[2]", "[0,4]"), 4) ==
          "tensor \"t\": found data_offsets [0, 4], expected 8 bytes for F32 [2]");
    CHECK(refusal(one("F32", "[2]", "[0,9]"), 9) ==
          "tensor \"t\": found data_offsets [0, 9], expected 8 bytes for F32 [2]");
    CHECK(refusal(one("F32", "[2]", "[8,0]"), 8) ==
          "tensor \"t\": found data_offsets [8, 0], expected 8 bytes for F32 [2]");
    CHECK(refusal(one("F6_E2M3", "[4]", "[0,4]"), 4) ==
          "tensor \"t\": found data_offsets [0, 4], expected 3 bytes for F6_E2M3 [4]");
}

TEST_CASE("safetensors: gaps, overlaps and data that do not end with the file are refused", "[io][safetensors]") {
    const auto two = [](const char* a, const char* b) {
        return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + std::string{a} +
               R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + b + "}}";
    };
    CHECK(refusal(two("[0,2]", "[2,4]"), 4).empty());
    CHECK(refusal(two("[2,4]", "[0,2]"), 4).empty());
    CHECK(refusal(two("[1,3]", "[3,5]"), 5) ==
          "tensor \"a\": found its data at 1, expected 0, where the data before it end");
    CHECK(refusal(two("[0,2]", "[3,5]"), 5) ==
          "tensor \"b\": found its data at 3, expected 2, where the data before it end");
    CHECK(refusal(two("[0,2]", "[1,3]"), 3) ==
          "tensor \"b\": found its data at 1, expected 2, where the data before it end");
    CHECK(refusal(two("[0,2]", "[0,2]"), 2) ==
          "tensor \"b\": found its data at 0, expected 2, where the data before it end");
    CHECK(refusal(two("[0,2]", "[2,4]"), 3) == "tensor \"b\": found 3 bytes of data in the file, expected at least 4");
    CHECK(refusal(two("[0,2]", "[2,4]"), 5) == "found 5 bytes of data, expected 4, where the last tensor ends");
    CHECK(refusal("{}", 1) == "found 1 bytes of data, expected 0, where the last tensor ends");
    CHECK(refusal(one("U8", "[2]", "[18446744073709551614,18446744073709551616]"), 2) !=
          "");  // the second does not fit 64 bits
    CHECK(refusal(one("U8", "[1]", "[18446744073709551614,18446744073709551615]"), 1) ==
          "tensor \"t\": found its data at 18446744073709551614, expected 0, where the data before it end");
}

TEST_CASE("safetensors: every truncation of a file is refused", "[io][safetensors]") {
    const std::array<float, 3> values{1, 2, 3};
    const Bytes whole = write_safetensors(std::vector{tensor_view("t", {3}, values)}, {{"k", "v"}});
    REQUIRE(refusal(whole).empty());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CHECK_FALSE(refusal(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).empty());
    }
}

TEST_CASE("safetensors: names in messages are escaped and cut", "[io][safetensors]") {
    CHECK(refusal(R"({"a\nb":1})", 0) == "tensor \"a\\u000ab\": found the number 1, expected an object");
    const std::string message = refusal("{\"" + std::string(500, 'x') + "\":1}", 0);
    CHECK(message == "tensor \"" + std::string(80, 'x') + "\"...: found the number 1, expected an object");
}

TEST_CASE("safetensors: a tensor of another type or shape is refused", "[io][safetensors]") {
    const Bytes bytes = file(one("F32", "[2,3]", "[0,24]"), 24);
    const auto read = parse_safetensors(bytes, "m");
    const std::vector<std::int64_t> right{2, 3}, wrong{3, 2};
    CHECK(&read.require("t", Dtype::f32, right) == &read.tensors[0]);
    CHECK_THROWS_WITH(read.require("t", Dtype::f32, wrong), "m: tensor \"t\": found F32 [2, 3], expected F32 [3, 2]");
    CHECK_THROWS_WITH(read.require("t", Dtype::f64, right), "m: tensor \"t\": found F32 [2, 3], expected F64 [2, 3]");
    CHECK_THROWS_WITH(read.require("u", Dtype::f32, {}), "m: tensor \"u\": found none of this name, expected F32 []");
    std::array<float, 5> five{};
    std::array<std::int32_t, 6> six{};
    CHECK_THROWS_WITH(read.tensors[0].copy_to(five), "tensor \"t\": found F32 [2, 3], expected 5 elements of F32");
    CHECK_THROWS_WITH(read.tensors[0].copy_to(six), "tensor \"t\": found F32 [2, 3], expected 6 elements of I32");
}

TEST_CASE("safetensors: what no reader would take is not written", "[io][safetensors]") {
    const std::array<float, 2> values{};
    const auto refuses = [&](std::vector<TensorView> tensors, const SafetensorsMetadata& metadata = {}) {
        CHECK_THROWS_AS(write_safetensors(tensors, metadata), ArgumentError);
    };
    const auto good = tensor_view("t", {2}, values);
    CHECK_NOTHROW(write_safetensors(std::vector{good}));
    refuses({good, good});
    refuses({tensor_view("t", {3}, values)});
    refuses({tensor_view("t", {-2}, values)});
    refuses({tensor_view("__metadata__", {2}, values)});
    refuses({tensor_view("\xFF", {2}, values)});
    refuses({good}, {{"a", "1"}, {"a", "2"}});
    refuses({good}, {{"a", "\x80"}});
}

TEST_CASE("safetensors: saving gives the same bytes", "[io][safetensors]") {
    const std::array<double, 2> values{1.5, 2.5};
    const std::array<float, 1> scalar{3};
    const std::vector tensors{tensor_view("s", {}, scalar), tensor_view("t", {2}, values)};
    const Scratch scratch;
    const auto path = scratch / "saving.safetensors";
    save_safetensors(path, tensors, {{"k", "v"}});
    const Bytes saved = read_file(path);
    CHECK(saved == write_safetensors(tensors, {{"k", "v"}}));
}
