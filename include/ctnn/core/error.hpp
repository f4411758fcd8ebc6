// The exceptions of ctnn. Every message is one line that names the place, what was found and what was expected.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

#include <ctnn/core/config.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// The lowest `digits` hexadecimal digits of a number.
inline std::string hex(std::uint64_t number, std::size_t digits) {
    std::string text(digits, '0');
    for (auto at = text.rbegin(); at != text.rend(); ++at, number >>= 4) { *at = "0123456789abcdef"[number & 15]; }
    return text;
}

/// Control characters, which names from files can have, as JSON escapes them.
CTNN_ONE_COPY inline std::string one_line(std::string_view text) {
    std::string line;
    line.reserve(text.size());
    for (const char c : text) {
        const auto code = static_cast<unsigned char>(c);
        if (code < 0x20 || code == 0x7F) {
            line.append("\\u").append(hex(code, 4));
        } else {
            line.push_back(c);
        }
    }
    return line;
}

/// The same of a message, without the middle of one that quotes a file's megabytes.
CTNN_ONE_COPY inline std::string message_line(std::string_view text) {
    constexpr std::size_t end = 4096;  // a path and what was found
    if (text.size() <= 2 * end) { return one_line(text); }
    return one_line(text.substr(0, end)) + " ... " + one_line(text.substr(text.size() - end));
}

}  // namespace detail

/// Base of everything ctnn throws at run time. `what()` is one line without control characters, of kilobytes at most,
/// whatever was found.
class Error : public std::runtime_error {
  public:
    explicit Error(const std::string& message) : std::runtime_error{detail::message_line(message)} {}
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

/// A piece of a message: text that outlives the message's making, or a number in its shortest form. Overloads instead
/// of templates, which cost compilers much for every message.
class MessagePart {
  public:
    MessagePart(std::string_view text) : text_{text} {}
    MessagePart(const std::string& text) : text_{text} {}
    MessagePart(const char* text) : text_{text} {}
    MessagePart(int number) : MessagePart(static_cast<long long>(number)) {}
    MessagePart(long number) : MessagePart(static_cast<long long>(number)) {}
    MessagePart(long long number) : kind_{Kind::integer}, integer_{number} {}
    MessagePart(unsigned number) : MessagePart(static_cast<unsigned long long>(number)) {}
    MessagePart(unsigned long number) : MessagePart(static_cast<unsigned long long>(number)) {}
    MessagePart(unsigned long long number) : kind_{Kind::natural}, natural_{number} {}
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

/// The parts in a row. In one copy, because text put together where it is needed makes much of a program's code.
CTNN_ONE_COPY inline std::string joined(std::initializer_list<MessagePart> parts) {
    std::string message;
    for (const MessagePart& part : parts) { part.append_to(message); }
    return message;
}

}  // namespace detail

/// Throws an E whose message is made of the parts: raise<ArgumentError>({"found ", n, " samples, expected ", m}).
template <class E>
[[noreturn, gnu::cold]] CTNN_ONE_COPY void raise(std::initializer_list<detail::MessagePart> parts) {
    raise(E{detail::joined(parts)});
}

}  // namespace ctnn::inline CTNN_ISA
