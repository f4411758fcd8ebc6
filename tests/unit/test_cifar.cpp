// CIFAR-10's binary layout, from sparse files of the true size with a few bytes set.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/cifar.hpp>
#endif

#include "scratch.hpp"

namespace {

using namespace ctnn;
namespace fs = std::filesystem;

constexpr std::size_t record = 3073, pixels = 3072;

/// A directory with six files of the right size, all labels 0 and all pixels black; removed at the end.
struct CifarDirectory : Scratch {
    CifarDirectory() {
        for (const auto* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                 "data_batch_5.bin", "test_batch.bin"}) {
            make(name, 10'000 * record);
        }
    }

    void make(const std::string& name, std::uintmax_t size) const {
        std::ofstream{path / name};
        fs::resize_file(path / name, size);
    }
    void set(const std::string& name, std::size_t offset, int byte) const {
        std::fstream file{path / name, std::ios::binary | std::ios::in | std::ios::out};
        file.seekp(static_cast<std::streamoff>(offset));
        file.put(static_cast<char>(byte));
    }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream{path / name, std::ios::binary} << text;
    }
};

}  // namespace

TEST_CASE("CIFAR-10: six files become a training and a test set", "[io][cifar]") {
    const CifarDirectory directory;
    for (int batch = 1; batch <= 5; ++batch) {
        const auto name = "data_batch_" + std::to_string(batch) + ".bin";
        directory.set(name, 0, batch);                              // the first label
        directory.set(name, 9'999 * record, 9);                     // the last label
        directory.set(name, 9'999 * record + pixels, 200 + batch);  // the last pixel of the last blue plane
    }
    directory.set("data_batch_2.bin", 7 * record + 1 + 1024 + 32 * 3 + 5, 77);  // record 7, green, row 3, column 5
    directory.set("test_batch.bin", record, 8);

    const auto [train, test] = read_cifar10(directory.path);
    CHECK(train.shape == Shape{3, 32, 32});
    REQUIRE(train.size() == 50'000);
    REQUIRE(train.pixels.size() == 50'000 * pixels);
    CHECK(train.normalization == cifar10_normalization());
    CHECK(train.class_names == cifar10_class_names());
    for (std::size_t batch = 1; batch <= 5; ++batch) {
        const std::size_t last = batch * 10'000 - 1;
        CHECK(train.labels[last - 9'999] == batch);
        CHECK(train.labels[last] == 9);
        CHECK(train.image(last)[pixels - 1] == 200 + batch);
    }
    CHECK(train.image(10'007)[1024 + 32 * 3 + 5] == 77);
    std::uint64_t sum = 0;
    for (const auto pixel : train.pixels) { sum += pixel; }
    CHECK(sum == 77 + 201 + 202 + 203 + 204 + 205);

    REQUIRE(test.size() == 10'000);
    CHECK(test.pixels.size() == 10'000 * pixels);
    CHECK(test.labels[1] == 8);
    CHECK(test.class_names == train.class_names);

    const auto batch = read_cifar10_batch(directory.path / "data_batch_2.bin");
    CHECK(batch.size() == 10'000);
    CHECK(batch.image(7)[1024 + 32 * 3 + 5] == 77);
}

TEST_CASE("CIFAR-10: class names come from batches.meta.txt where it is", "[io][cifar]") {
    const CifarDirectory directory;
    directory.write("batches.meta.txt", "a\r\nb\r\nc\nd\ne\nf\ng\nh\ni\nflying fish \n\n\n");
    CHECK(read_cifar10(directory.path).train.class_names ==
          std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "flying fish"});
    directory.write("batches.meta.txt", "a\nb\n");
    CHECK_THROWS_WITH(read_cifar10(directory.path),
                      (directory.path / "batches.meta.txt").string() + ": found 2 class names, expected 10");
}

TEST_CASE("CIFAR-10: what is not whole is refused by file, offset, found and expected", "[io][cifar]") {
    const CifarDirectory directory;
    const auto third = directory.path / "data_batch_3.bin";

    SECTION("a label above 9") {
        directory.set("data_batch_3.bin", 42 * record, 10);
        CHECK_THROWS_WITH(read_cifar10(directory.path),
                          third.string() + ": offset 129066: found the label 10, expected 0 to 9");
        CHECK_THROWS_AS(read_cifar10_batch(third), FileError);
    }
    SECTION("a wrong size") {
        const auto size = GENERATE(0u, 30'729'999u, 30'730'001u);
        fs::resize_file(third, size);
        CHECK_THROWS_WITH(read_cifar10(directory.path), third.string() + ": found " + std::to_string(size) +
                                                            " bytes, expected 30730000 (10000 records of a label "
                                                            "and 3072 pixels)");
    }
    SECTION("a missing file") {
        const auto* name = GENERATE("data_batch_1.bin", "data_batch_5.bin", "test_batch.bin");
        fs::remove(directory.path / name);
        CHECK_THROWS_WITH(read_cifar10(directory.path),
                          (directory.path / name).string() + ": cannot open: No such file or directory");
    }
    SECTION("a directory in place of a file") {
        fs::remove(third);
        fs::create_directory(third);
        CHECK_THROWS_WITH(read_cifar10(directory.path),
                          third.string() + ": found a directory, expected a regular file");
    }
    SECTION("no directory, or a file, or an empty one") {
        const auto message =
            ": found no directory, expected one with CIFAR-10's data_batch_1.bin to data_batch_5.bin "
            "and test_batch.bin";
        const auto none = directory.path / "none", empty = directory.path / "empty";
        CHECK_THROWS_WITH(read_cifar10(none), none.string() + message);
        CHECK_THROWS_WITH(read_cifar10(third), third.string() + message);
        fs::create_directory(empty);
        CHECK_THROWS_WITH(read_cifar10(empty),
                          (empty / "data_batch_1.bin").string() + ": cannot open: No such file or directory");
        CHECK_THROWS_AS(read_cifar10(none), FileError);
    }
}

TEST_CASE("CIFAR-100: two files become a training and a test set by fine labels", "[io][cifar]") {
    constexpr std::size_t record100 = 3074;
    const CifarDirectory directory;
    directory.make("train.bin", 50'000 * record100);
    directory.make("test.bin", 10'000 * record100);
    directory.set("train.bin", 0, 19);                            // coarse
    directory.set("train.bin", 1, 99);                            // fine
    directory.set("train.bin", 49'999 * record100 + 1, 7);        // the last image
    directory.set("train.bin", 50'000 * record100 - 1, 200);      // its last blue pixel
    directory.set("test.bin", 3 * record100 + 2 + 1024 + 5, 77);  // image 3, green, row 0, column 5

    const auto [train, test] = read_cifar100(directory.path);
    REQUIRE(train.size() == 50'000);
    REQUIRE(test.size() == 10'000);
    CHECK(train.shape == Shape{3, 32, 32});
    CHECK(train.labels[0] == 99);
    CHECK(train.labels[49'999] == 7);
    CHECK(train.image(49'999)[pixels - 1] == 200);
    CHECK(test.image(3)[1024 + 5] == 77);
    CHECK(train.normalization == cifar100_normalization());
    const auto names = cifar100_class_names();
    CHECK(train.class_names == names);
    REQUIRE(names.size() == 100);
    CHECK(std::ranges::is_sorted(names));  // fine labels number the names in this order
    CHECK(std::ranges::adjacent_find(names) == names.end());

    SECTION("class names come from fine_label_names.txt where it is") {
        std::string text;
        for (int i = 0; i < 100; ++i) { text += "class " + std::to_string(i) + "\n"; }
        directory.write("fine_label_names.txt", text);
        CHECK(read_cifar100(directory.path).test.class_names[42] == "class 42");
        directory.write("fine_label_names.txt", "apple\n");
        CHECK_THROWS_WITH(read_cifar100(directory.path),
                          (directory / "fine_label_names.txt").string() + ": found 1 class names, expected 100");
    }
    SECTION("labels out of range") {
        directory.set("train.bin", 2 * record100 + 1, 100);
        CHECK_THROWS_WITH(read_cifar100(directory.path),
                          (directory / "train.bin").string() + ": offset 6149: found the label 100, expected 0 to 99");
        directory.set("train.bin", 2 * record100, 20);
        CHECK_THROWS_WITH(read_cifar100(directory.path),
                          (directory / "train.bin").string() + ": offset 6148: found the label 20, expected 0 to 19");
    }
    SECTION("a wrong size") {
        fs::resize_file(directory / "test.bin", 10'000 * record);
        CHECK_THROWS_WITH(
            read_cifar100(directory.path),
            (directory / "test.bin").string() +
                ": found 30730000 bytes, expected 30740000 (10000 records of two labels and 3072 pixels)");
    }
    SECTION("no directory") {
        CHECK_THROWS_WITH(read_cifar100(directory / "none"),
                          (directory / "none").string() +
                              ": found no directory, expected one with CIFAR-100's train.bin and test.bin");
    }
}
