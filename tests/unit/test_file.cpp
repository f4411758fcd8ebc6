// Files: exact reading, and writing that leaves either the old file or the new one and nothing else.
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#if defined(__unix__) || defined(__APPLE__)
#include <csignal>

#include <sys/resource.h>
#include <unistd.h>
#endif

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/io/file.hpp>
#endif

#include "scratch.hpp"

namespace {

using namespace ctnn;
namespace fs = std::filesystem;

std::vector<std::string> names(const Scratch& scratch) {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator{scratch.path}) {
        result.push_back(entry.path().filename().string());
    }
    return result;
}

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span{text}); }

std::string text(const fs::path& path) {
    const auto content = read_file(path);
    return {reinterpret_cast<const char*>(content.data()), content.size()};
}

}  // namespace

TEST_CASE("file: what is written is read back", "[io][file]") {
    const Scratch scratch;
    const auto path = scratch.path / "f";
    write_file_atomically(path, bytes("one"));
    CHECK(text(path) == "one");
    const std::vector parts{bytes("tw"), bytes(""), bytes("o"), bytes("\r\n")};
    write_file_atomically(path, parts);
    CHECK(text(path) == "two\r\n");
    write_file_atomically(path, bytes({"a\0b", 3}));
    CHECK(text(path) == std::string{"a\0b", 3});
    write_file_atomically(path, std::span<const std::byte>{});
    CHECK(text(path).empty());
    CHECK(names(scratch) == std::vector<std::string>{"f"});
}

TEST_CASE("file: a relative path without a directory works", "[io][file]") {
    const Scratch scratch;
    const auto before = fs::current_path();
    fs::current_path(scratch.path);
    write_file_atomically("here", bytes("x"));
    fs::current_path(before);
    CHECK(text(scratch.path / "here") == "x");
}

TEST_CASE("file: reading names the path and the reason", "[io][file]") {
    const Scratch scratch;
    const auto missing = scratch.path / "missing";
    CHECK_THROWS_WITH(read_file(missing), missing.string() + ": cannot open: No such file or directory");
    CHECK_THROWS_WITH(read_file(scratch.path), scratch.path.string() + ": found a directory, expected a regular file");

    const auto path = scratch.path / "short";
    write_file_atomically(path, bytes("12345"));
    InputFile file{path};
    CHECK(file.size() == 5);
    std::vector<std::byte> three(3);
    file.read(three);
    CHECK(three[2] == std::byte{'3'});
    CHECK_THROWS_WITH(file.read(three), path.string() + ": offset 5: found the end of the file, expected 1 bytes more");
    CHECK_THROWS_AS(read_file(missing), FileError);
}

TEST_CASE("file: a message is one line, whatever a name has", "[io][file]") {
    CHECK_THROWS_WITH(read_file("no\nwhere\x1b[31m\x7f/Füße"),
                      Catch::Contains("no\\u000awhere\\u001b[31m\\u007f/Füße: "));
}

TEST_CASE("file: a message of megabytes keeps its ends", "[io][file]") {
    const std::string line = FileError{"place: found " + std::string(4'000'000, '\n') + ", expected less"}.what();
    CHECK(line.size() < 60'000);
    CHECK_THAT(line, Catch::StartsWith("place: found \\u000a\\u000a") && Catch::Contains("\\u000a ... \\u000a") &&
                         Catch::EndsWith("\\u000a, expected less"));
}

TEST_CASE("file: a failed write keeps the old file and leaves no temporary", "[io][file]") {
    const Scratch scratch;

    SECTION("no directory") {
        const auto path = scratch.path / "none" / "f";
        CHECK_THROWS_WITH(write_file_atomically(path, bytes("x")),
                          path.string() + ": cannot create: No such file or directory");
        CHECK(names(scratch).empty());
    }
    SECTION("a directory in its place") {
        const auto path = scratch.path / "d";
        fs::create_directory(path);
        CHECK_THROWS_WITH(write_file_atomically(path, bytes("x")),
                          path.string() + ": found a directory, expected a regular file");
        CHECK(names(scratch) == std::vector<std::string>{"d"});
    }
#if defined(__unix__) || defined(__APPLE__)
    SECTION("a device is never replaced") {
        CHECK_THROWS_WITH(write_file_atomically("/dev/null", bytes("x")),
                          "/dev/null: found a special file, expected a regular file");
        CHECK(fs::is_character_file("/dev/null"));
    }
    SECTION("a directory without write permission") {
        if (::geteuid() == 0) { return; }  // root may write everywhere
        const auto path = scratch.path / "f";
        write_file_atomically(path, bytes("old"));
        fs::permissions(scratch.path, fs::perms::owner_read | fs::perms::owner_exec);
        CHECK_THROWS_WITH(write_file_atomically(path, bytes("new")),
                          path.string() + ": cannot create: Permission denied");
        fs::permissions(scratch.path, fs::perms::owner_all);
        CHECK(text(path) == "old");
    }
    SECTION("no room: a limit on file sizes fails in the middle of a write, as a full disk does") {
        const auto path = scratch.path / "f";
        write_file_atomically(path, bytes("old"));
        const std::string large(5000, 'x');
        std::string message = "nothing thrown";
        const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
        rlimit old_limit{};
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
        rlimit limit = old_limit;
        limit.rlim_cur = 1000;
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
        try {
            write_file_atomically(path, bytes(large));
        } catch (const FileError& error) { message = error.what(); }
        ::setrlimit(RLIMIT_FSIZE, &old_limit);
        std::signal(SIGXFSZ, old_handler);
        CHECK(message == path.string() + ": cannot write: File too large");
        CHECK(text(path) == "old");
        CHECK(names(scratch) == std::vector<std::string>{"f"});
    }
    SECTION("a temporary file left by a killed process is stepped over") {
        const auto stale = scratch.path / ("f.tmp" + std::to_string(::getpid()) + ".0");
        write_file_atomically(stale, bytes("stale"));
        write_file_atomically(scratch.path / "f", bytes("new"));
        CHECK(text(scratch.path / "f") == "new");
        CHECK(text(stale) == "stale");
    }
#endif
}
