// Trains by 1, 2 and 4 threads, and once more, and says in one line whether bits are equal; writes the numbers to a
// file. Built with CTNN_OTHER_STEPS, another function of steps.hpp's, it goes by turns with that one.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "steps.hpp"
#ifdef CTNN_OTHER_STEPS
Steps CTNN_OTHER_STEPS(int threads);
#endif

namespace {

bool same_bits(const Steps& a, const Steps& b) {
    return a.numbers.size() == b.numbers.size() &&
           std::memcmp(a.numbers.data(), b.numbers.data(), a.numbers.size() * sizeof(float)) == 0;
}

bool write(const std::string& path, const Steps& steps) {
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) { return false; }
    const bool whole =
        std::fwrite(steps.numbers.data(), sizeof(float), steps.numbers.size(), file) == steps.numbers.size();
    return std::fclose(file) == 0 && whole;
}

int report(Steps (*train)(int), const std::string& path) {
    const Steps first = train(1);
    bool same = true;
    for (const int threads : {2, 4, 1}) { same = same_bits(first, train(threads)) && same; }
    std::printf("%s %.9g %s\n", first.isa.c_str(), first.loss, same ? "same" : "different");
    return write(path, first) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) { return 2; }
    const std::string path = argv[1];
#ifdef CTNN_OTHER_STEPS
    const Steps before = CTNN_STEPS(2);
    if (report(CTNN_OTHER_STEPS, path + ".other") != 0) { return 1; }
    if (!same_bits(before, CTNN_STEPS(2))) { return 3; }
#endif
    return report(CTNN_STEPS, path);
}
