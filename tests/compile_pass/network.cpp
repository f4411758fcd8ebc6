// A right network compiles where the wrong ones of ../compile_fail do not.
#include <ctnn/models/small_alexnet.hpp>

using namespace ctnn;

struct Small : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<3>, Padding<1>>, ReLU, MaxPool2d<Kernel<2>, Stride<2>>,
                          Flatten, Linear<10>> {};
static_assert(Small::parameter_count == 4 * 3 * 3 * 3 + 4 + 10 * 4 * 4 * 4 + 10);
