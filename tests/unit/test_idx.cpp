// IDX: files written out by hand, round trips, and one test for each way a file can be wrong.
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/idx.hpp>
#endif

#include "refusal.hpp"
#include "scratch.hpp"

namespace {

using namespace ctnn;
using Bytes = std::vector<std::byte>;

Bytes bytes(std::initializer_list<int> values) {
    Bytes out;
    for (const int value : values) { out.push_back(static_cast<std::byte>(value)); }
    return out;
}

/// The message of the FileError that parsing throws, behind "f: "; empty where nothing is thrown.
std::string refusal(const Bytes& file) {
    return refusal_of("f: ", [&] { parse_idx(file, "f"); });
}

template <class T>
std::vector<T> values(const Bytes& file) {
    const IdxArray array = parse_idx(file, "f");
    const std::span<const T> all = array.values<T>();
    return {all.begin(), all.end()};
}

template <class T>
IdxArray array_of(const std::string& source, std::vector<std::uint32_t> dims, const std::vector<T>& data) {
    const auto raw = std::as_bytes(std::span{data});
    return {source, std::move(dims), detail::idx_type<T>(), {raw.begin(), raw.end()}};
}
IdxArray u8_array(const std::string& source, std::vector<std::uint32_t> dims, const std::vector<std::uint8_t>& data) {
    return array_of(source, std::move(dims), data);
}

/// Two RGB images of 1×2 pixels, and their labels.
const IdxArray rgb = u8_array("i", {2, 3, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
const IdxArray two_labels = u8_array("l", {2}, {1, 0});

Dataset empty_set(std::size_t classes) {
    Dataset set;
    for (std::size_t c = 0; c < classes; ++c) { set.class_names.push_back(std::to_string(c)); }
    return set;
}

std::string append_refusal(const IdxArray& images, const IdxArray& labels) {
    Dataset set = empty_set(2);
    append_idx(set, rgb, two_labels);
    const Dataset before = set;
    std::string message;
    try {
        append_idx(set, images, labels);
    } catch (const FileError& error) { message = error.what(); }
    if (!message.empty()) {
        CHECK(set.shape == before.shape);
        CHECK(set.pixels == before.pixels);
        CHECK(set.labels == before.labels);
    }
    return message;
}

}  // namespace

TEST_CASE("IDX: every type is read, big-endian", "[io][idx]") {
    CHECK(values<std::uint8_t>(bytes({0, 0, 0x08, 1, 0, 0, 0, 2, 7, 255})) == std::vector<std::uint8_t>{7, 255});
    CHECK(values<std::int8_t>(bytes({0, 0, 0x09, 1, 0, 0, 0, 2, 7, 255})) == std::vector<std::int8_t>{7, -1});
    CHECK(values<std::int16_t>(bytes({0, 0, 0x0B, 1, 0, 0, 0, 2, 1, 2, 0xFF, 0xFE})) ==
          std::vector<std::int16_t>{0x0102, -2});
    CHECK(values<std::int32_t>(bytes({0, 0, 0x0C, 1, 0, 0, 0, 1, 0x80, 0, 0, 1})) ==
          std::vector<std::int32_t>{std::numeric_limits<std::int32_t>::min() + 1});
    CHECK(values<float>(bytes({0, 0, 0x0D, 1, 0, 0, 0, 1, 0x3F, 0x80, 0, 0})) == std::vector{1.0f});
    CHECK(values<double>(bytes({0, 0, 0x0E, 1, 0, 0, 0, 1, 0xC0, 0, 0, 0, 0, 0, 0, 0})) == std::vector{-2.0});
}

TEST_CASE("IDX: elements of another type than asked for are refused", "[io][idx]") {
    const IdxArray shorts = parse_idx(bytes({0, 0, 0x0B, 1, 0, 0, 0, 1, 1, 2}), "f");
    CHECK(refusal_of("f: ", [&] { static_cast<void>(shorts.values<float>()); }) ==
          "offset 2: found type 0b, expected 0d");
}

TEST_CASE("IDX: every rank is read", "[io][idx]") {
    CHECK(parse_idx(bytes({0, 0, 8, 0, 5}), "f").dims.empty());  // one element
    CHECK(values<std::uint8_t>(bytes({0, 0, 8, 0, 5})) == std::vector<std::uint8_t>{5});
    const auto cube = parse_idx(bytes({0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6}), "f");
    CHECK(cube.dims == std::vector<std::uint32_t>{2, 1, 3});
    CHECK(parse_idx(bytes({0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 1, 0}), "f").dims == std::vector<std::uint32_t>{0, 256});
    Bytes deep = bytes({0, 0, 8, 255});
    for (int i = 0; i < 255; ++i) { deep.insert(deep.end(), {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}}); }
    deep.push_back(std::byte{9});
    CHECK(parse_idx(deep, "f").dims.size() == 255);
}

TEST_CASE("IDX: what is written is read back to the bit", "[io][idx]") {
    const Scratch scratch;
    const auto round_trip = [&](const IdxArray& array) {
        write_idx(scratch / "a.idx", array);
        const IdxArray read = read_idx(scratch / "a.idx");
        CHECK(read.dims == array.dims);
        CHECK(read.type == array.type);
        CHECK(read.bytes == array.bytes);
        CHECK(read.source == (scratch / "a.idx").string());
    };
    round_trip(u8_array("", {2, 3}, {0, 1, 2, 253, 254, 255}));
    round_trip(array_of("", {3}, std::vector<std::int8_t>{-128, 0, 127}));
    round_trip(array_of("", {1, 3}, std::vector<std::int16_t>{-32768, 258, 32767}));
    round_trip(array_of("", {2, 1, 1, 1, 1}, std::vector<std::int32_t>{-5, 0x01020304}));
    round_trip(array_of("", {2}, std::vector<float>{-0.1f, std::numeric_limits<float>::denorm_min()}));
    round_trip(array_of("", {2}, std::vector<double>{-0.1, std::numeric_limits<double>::infinity()}));
    round_trip(array_of("", {}, std::vector<double>{0.5}));
    round_trip(array_of("", {0, 7}, std::vector<float>{}));
    CHECK_THROWS_AS(write_idx(scratch / "b.idx", u8_array("", {2}, {1})), ArgumentError);
    CHECK_THROWS_AS(write_idx(scratch / "b.idx", u8_array("", std::vector<std::uint32_t>(256, 1), {1})), ArgumentError);
    CHECK_FALSE(std::filesystem::exists(scratch / "b.idx"));
}

TEST_CASE("IDX: a header that is none is refused", "[io][idx]") {
    CHECK(refusal({}) == "found 0 bytes, expected at least 4");
    CHECK(refusal(bytes({0, 0, 8})) == "found 3 bytes, expected at least 4");
    const std::string expected = ", expected 00, 00, a type (08, 09, 0b, 0c, 0d or 0e), the rank";
    CHECK(refusal(bytes({0x1F, 0x8B, 8, 0})) == "offset 0: found 1f8b0800" + expected);
    CHECK(refusal(bytes({0, 1, 8, 1, 0, 0, 0, 0})) == "offset 0: found 00010801" + expected);
    CHECK(refusal(bytes({0, 0, 0x0A, 1, 0, 0, 0, 0})) == "offset 0: found 00000a01" + expected);
    CHECK(refusal(bytes({0, 0, 8, 2, 0, 0, 0, 1, 0})) ==
          "offset 4: found 5 bytes, expected 8 of dimensions for rank 2");
}

TEST_CASE("IDX: a length that does not fit the dimensions is refused", "[io][idx]") {
    CHECK(refusal(bytes({0, 0, 8, 1, 0, 0, 0, 2, 1})) ==
          "offset 8: found 1 bytes, expected 2 for 2 elements of a byte");
    CHECK(refusal(bytes({0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 1, 2, 3})) ==
          "offset 12: found 3 bytes, expected 2 for 2x1 elements of a byte");
    CHECK(refusal(bytes({0, 0, 0x0D, 1, 0, 0, 0, 1, 1, 2, 3})) ==
          "offset 8: found 3 bytes, expected 4 for 1 elements of 4 bytes");
    CHECK(refusal(bytes({0, 0, 8, 0})) == "offset 4: found 0 bytes, expected 1 for 1 elements of a byte");
    // 65536^4 is 0 modulo 2^64, and 2^61 elements of 8 bytes are too.
    CHECK(refusal(bytes({0, 0, 8, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0})) ==
          "offset 20: found 0 bytes, expected fewer than 2^64 for 65536x65536x65536x65536 elements of a byte");
    CHECK(refusal(bytes({0, 0, 0x0E, 2, 0x80, 0, 0, 0, 0x40, 0, 0, 0})) ==
          "offset 12: found 0 bytes, expected fewer than 2^64 for 2147483648x1073741824 elements of 8 bytes");
}

TEST_CASE("IDX: images and labels become a data set", "[io][idx]") {
    Dataset set = empty_set(2);
    append_idx(set, rgb, two_labels);
    CHECK(set.shape == Shape{3, 1, 2});
    CHECK(set.labels == std::vector<std::uint16_t>{1, 0});
    CHECK(set.image(1)[0] == 7);
    append_idx(set, rgb, two_labels);
    CHECK(set.size() == 4);
    CHECK(set.pixels.size() == 24);

    Dataset grey = empty_set(3);
    append_idx(grey, u8_array("i", {1, 2, 3}, {1, 2, 3, 4, 5, 6}), u8_array("l", {1}, {2}));
    CHECK(grey.shape == Shape{1, 2, 3});
    CHECK(grey.pixels == std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});

    CHECK(numbered_classes(std::vector{two_labels, u8_array("m", {1}, {2})}) ==
          std::vector<std::string>{"0", "1", "2"});
    CHECK(numbered_classes({}).empty());
}

TEST_CASE("IDX: RGB files are ML Odyssey's", "[io][idx]") {
    const Scratch scratch;
    Dataset set = empty_set(2);
    append_idx(set, rgb, two_labels);
    write_idx_images(scratch / "i", scratch / "l", set, 1, 1);
    CHECK(read_file(scratch / "i") ==
          bytes({0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 7, 8, 9, 10, 11, 12}));  // 2052 = 0x0804
    CHECK(read_file(scratch / "l") == bytes({0, 0, 8, 1, 0, 0, 0, 1, 0}));                            // 2049
    Dataset again = empty_set(2);
    write_idx_images(scratch / "i", scratch / "l", set, 0, 2);
    append_idx(again, read_idx(scratch / "i"), read_idx(scratch / "l"));
    CHECK(again.shape == set.shape);
    CHECK(again.pixels == set.pixels);
    CHECK(again.labels == set.labels);
    set.labels[1] = 256;
    CHECK_THROWS_AS(write_idx_images(scratch / "n", scratch / "m", set, 0, 2), ArgumentError);
    CHECK_FALSE(std::filesystem::exists(scratch / "n"));
}

TEST_CASE("IDX: what is no data set is refused by file, offset, found and expected", "[io][idx]") {
    CHECK(append_refusal(rgb, two_labels).empty());
    const std::string images =
        ", expected images: type 08 (bytes) and rank 3 (image, row, column) or 4 (image, channel, row, column)";
    CHECK(append_refusal(two_labels, two_labels) == "l: offset 2: found type 08 and rank 1" + images);
    CHECK(append_refusal(array_of("i", {1, 1, 1}, std::vector<float>{1}), two_labels) ==
          "i: offset 2: found type 0d and rank 3" + images);
    CHECK(append_refusal(rgb, rgb) ==
          "i: offset 2: found type 08 and rank 4, expected labels: type 08 (bytes) and rank 1");
    CHECK(append_refusal(rgb, array_of("l", {2}, std::vector<std::int32_t>{0, 0})) ==
          "l: offset 2: found type 0c and rank 1, expected labels: type 08 (bytes) and rank 1");
    CHECK(append_refusal(rgb, u8_array("l", {3}, {0, 0, 0})) == "l: offset 4: found 3 labels, expected 2 as in i");
    CHECK(append_refusal(rgb, u8_array("l", {2}, {0, 2})) == "l: offset 9: found the label 2, expected 0 to 1");
    CHECK(append_refusal(u8_array("i", {2, 3, 2, 1}, std::vector<std::uint8_t>(12)), two_labels) ==
          "i: offset 8: found images of 3x2x1, expected 3x1x2 as before");
    CHECK(append_refusal(u8_array("i", {2, 0, 2}, {}), two_labels) ==
          "i: offset 8: found images of 1x0x2, expected 1 to 2^31 - 1 bytes each");
    CHECK(append_refusal(u8_array("i", {0, 65536, 65536}, {}), u8_array("l", {0}, {})) ==
          "i: offset 8: found images of 1x65536x65536, expected 1 to 2^31 - 1 bytes each");
}
