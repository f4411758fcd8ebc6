// Linked with a program that is to do without operator new: whoever calls it ends the program.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

[[noreturn]] void end() {
    std::fputs("operator new was called\n", stderr);
    std::abort();
}

}  // namespace

// The array forms of the standard library come through these.
void* operator new(std::size_t) { end(); }
void* operator new(std::size_t, std::align_val_t) { end(); }
void operator delete(void*) noexcept {}
void operator delete(void*, std::size_t) noexcept {}
void operator delete(void*, std::align_val_t) noexcept {}
void operator delete(void*, std::size_t, std::align_val_t) noexcept {}
