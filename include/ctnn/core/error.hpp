// The exceptions of ctnn. Every message is one line that names the place, what was found and what was expected.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

/// Base of everything ctnn throws at run time. `what()` is one line without a trailing newline.
class Error : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A file that cannot be read or written: missing, truncated, malformed, disk full. Names the path.
class FileError : public Error {
    using Error::Error;
};

/// A setting or an argument outside its range. Names the argument, its value and the range.
class ArgumentError : public Error {
    using Error::Error;
};

/// A number that is not finite where training or inference needs one. Names the step and the tensor.
class NumericError : public Error {
    using Error::Error;
};

/// Throws `error`; all of ctnn's errors come through here. A program without exceptions (-fno-exceptions) ends here
/// instead: with the same line on stderr, by std::abort. Cold, as a throw is, so that messages are not put together
/// in the middle of what is hot.
template <class E>
[[noreturn, gnu::cold]] void raise(const E& error) {
#if defined(__cpp_exceptions)
    throw error;
#else
    std::fprintf(stderr, "error: %s\n", error.what());
    std::abort();
#endif
}

}  // namespace ctnn::inline CTNN_ISA
