// What readers say of files that they refuse.
#pragma once

#include <string>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/error.hpp>
#endif

/// The one line of f()'s FileError behind `prefix`, with which it begins; empty where f() returns.
template <class F>
std::string refusal_of(const std::string& prefix, F&& f) {
    try {
        f();
    } catch (const ctnn::FileError& error) {
        const std::string message = error.what();
        CHECK(message.starts_with(prefix));
        CHECK(message.find('\n') == std::string::npos);
        return message.substr(prefix.size());
    }
    return {};
}
