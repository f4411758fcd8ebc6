// A program that is compiled for more than every processor has, and says so where it is run on another. The global
// object stands for those of libraries: its constructor uses vectors before main.
#include <array>
#include <cstdio>

#include <ctnn/core/processor.hpp>

namespace {

volatile float one = 1.0F;

struct Ones {
    std::array<float, 64> values{};
    Ones() {
        for (float& value : values) { value = one; }
    }
};
const Ones ones;

}  // namespace

[[gnu::constructor(101)]] static void before_everything() { ctnn::require_processor(); }

int main() {
    float sum = 0;
    for (const float value : ones.values) { sum += value; }
    std::printf("%g\n", static_cast<double>(sum));
}
