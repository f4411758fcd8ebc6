// The exceptions of ctnn. Every message is one line that names the place, what was found and what was expected.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

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

namespace detail {

/// A piece of a message: text that outlives the message's making, or a number in its shortest form.
class MessagePart {
  public:
    template <std::convertible_to<std::string_view> Text>
    MessagePart(const Text& text) : text_{text} {}
    template <std::signed_integral Number>
    MessagePart(Number number) : kind_{Kind::integer}, integer_{number} {}
    template <std::unsigned_integral Number>
    MessagePart(Number number) : kind_{Kind::natural}, natural_{number} {}
    MessagePart(float number) : kind_{Kind::single}, real_{number} {}
    MessagePart(double number) : kind_{Kind::real}, real_{number} {}
    MessagePart(char) = delete;  // text or a number?
    MessagePart(bool) = delete;

    void append_to(std::string& message) const {
        char digits[32];
        char* const last = digits + sizeof(digits);
        char* end = digits;
        switch (kind_) {
            case Kind::text: message.append(text_); break;
            case Kind::integer: end = std::to_chars(digits, last, integer_).ptr; break;
            case Kind::natural: end = std::to_chars(digits, last, natural_).ptr; break;
            case Kind::single: end = std::to_chars(digits, last, static_cast<float>(real_)).ptr; break;
            case Kind::real: end = std::to_chars(digits, last, real_).ptr; break;
        }
        message.append(digits, end);
    }

  private:
    enum class Kind : char { text, integer, natural, single, real };
    Kind kind_ = Kind::text;
    std::string_view text_;
    union {
        std::int64_t integer_ = 0;
        std::uint64_t natural_;
        double real_;
    };
};

}  // namespace detail

/// Throws an E whose message is made of the parts: raise<ArgumentError>({"found ", n, " samples, expected ", m}). In
/// one copy, because messages put together where they are thrown make much of a program's code.
template <class E>
[[noreturn, gnu::cold]] CTNN_ONE_COPY void raise(std::initializer_list<detail::MessagePart> parts) {
    std::string message;
    for (const detail::MessagePart& part : parts) { part.append_to(message); }
    raise(E{message});
}

}  // namespace ctnn::inline CTNN_ISA
