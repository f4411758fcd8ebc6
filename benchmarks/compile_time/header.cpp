// What the compile-time figures set apart: the single header alone, of which nothing is used.
#include <ctnn/ctnn.hpp>
