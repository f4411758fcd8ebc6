#include "machine.hpp"

#include <fstream>
#include <string_view>
#include <thread>

#include <fmt/format.h>

#include <ctnn/kernels/simd.hpp>

namespace ctnn::inline CTNN_ISA::bench {

namespace {

std::string ctnn_version() { return fmt::format("{}.{}.{}", version.major, version.minor, version.patch); }

std::string compiler() {
#if defined(__clang__)
    return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#elif defined(__GNUC__)
    return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#else
    return "an unknown compiler";
#endif
}

/// Words once, whatever blanks CMake left between them.
std::string flags() {
    std::string words;
    for (const char c : std::string_view{CTNN_BENCH_FLAGS}) {
        if (c != ' ' || (!words.empty() && words.back() != ' ')) { words += c; }
    }
    while (!words.empty() && words.back() == ' ') { words.pop_back(); }
    return words;
}

/// As Linux names it, with the family, which tells generations apart where a virtual machine's name does not.
std::string processor() {
    std::string name = "unknown", family;
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line) && !line.empty();) {
        const std::size_t colon = line.find(": ");
        if (colon == std::string::npos) { continue; }
        if (line.starts_with("model name")) { name = line.substr(colon + 2); }
        if (line.starts_with("cpu family")) { family = fmt::format(", family {}", line.substr(colon + 2)); }
    }
    return name + family;
}

}  // namespace

std::string program_facts() { return fmt::format("ctnn {}, {} at {}, {}", ctnn_version(), compiler(), flags(), isa); }

Json::Object machine_facts() {
    return {{"processor", processor()},
            {"cores", std::thread::hardware_concurrency()},
            {"compiler", compiler()},
            {"flags", flags()},
            {"isa", isa},
            {"vector_floats", Vec<float>::width},
            {"ctnn", ctnn_version()}};
}

}  // namespace ctnn::inline CTNN_ISA::bench
