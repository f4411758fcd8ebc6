// Convolutions and linear layers as text, in the notation of oneDNN's benchdnn, read at compile time or at run time.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include <ctnn/core/text.hpp>

#include "kernels/kernels.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// A problem, or the sentence that says what is wrong with its text.
struct ParsedProblem {
    Problem problem{};
    Sentence error{};
};

namespace detail {

/// Sizes by key; -1 where the text has none.
struct ProblemSizes {
    static constexpr int most = 999'999, digits = 6;
    static constexpr std::array<std::string_view, 14> keys{"mb", "g",  "ic", "ih", "iw", "oc", "oh",
                                                           "ow", "kh", "kw", "sh", "sw", "ph", "pw"};
    bool winograd = false;
    std::array<int, keys.size()> values{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

    static constexpr std::size_t place(std::string_view key) {
        return static_cast<std::size_t>(std::find(keys.begin(), keys.end(), key) - keys.begin());
    }
    [[nodiscard]] constexpr int get(std::string_view key, int otherwise) const {
        return values[place(key)] < 0 ? otherwise : values[place(key)];
    }
};

/// Reads "key number" pairs with or without _ between them, up to a name: n and whatever follows.
constexpr Sentence read_sizes(std::string_view text, ProblemSizes& sizes) {
    Sentence error;
    std::size_t i = 0;
    const auto run = [&](char first, char last) {
        const std::size_t begin = i;
        while (i < text.size() && text[i] >= first && text[i] <= last) { ++i; }
        return text.substr(begin, i - begin);
    };
    while (i < text.size() && error.empty()) {
        if (text[i] == '_') {
            ++i;
            continue;
        }
        const std::string_view key = run('a', 'z');
        if (key.starts_with('n')) { break; }
        if (key == "winograd") {
            sizes.winograd = true;
            continue;
        }
        const std::string_view digits = run('0', '9');
        const std::size_t place = ProblemSizes::place(key);
        if (place == ProblemSizes::keys.size()) {
            error << "found '" << (key.empty() ? text.substr(i) : key) << "', expected one of";
            for (const std::string_view known : ProblemSizes::keys) { error << " " << known; }
        } else if (digits.empty() || std::ssize(digits) > ProblemSizes::digits) {
            error << "expected a number of 1 to " << ProblemSizes::digits << " digits behind " << key;
        } else if (sizes.values[place] >= 0) {
            error << "found " << key << " twice, expected it once";
        } else {
            sizes.values[place] = 0;
            for (const char c : digits) { sizes.values[place] = 10 * sizes.values[place] + (c - '0'); }
        }
    }
    return error;
}

/// The keys of one axis.
struct AxisKeys {
    std::string_view extent, stride, padding, output;
};

/// One axis over `size` pixels. What is not given is as on the `other` axis, but padding follows from an output that
/// is.
constexpr Axis read_axis(const ProblemSizes& sizes, const AxisKeys& keys, int size, Axis other) {
    Axis axis{sizes.get(keys.extent, other.extent), sizes.get(keys.stride, other.stride), other.padding};
    if (const std::int64_t output = sizes.get(keys.output, 0); output > 0) {
        const std::int64_t missing = (output - 1) * axis.stride + axis.extent - size;
        axis.padding = static_cast<int>(std::clamp<std::int64_t>((missing + 1) / 2, 0, ProblemSizes::most));
    }
    axis.padding = sizes.get(keys.padding, axis.padding);
    return axis;
}

}  // namespace detail

/// Reads for example "mb128ic64ih8oc128kh3ph1". Of mb, ic and oc none may be missing; g, ih, kh and sh are 1 and ph is
/// 0 by default, or what oh asks for; iw, kw, sw and pw are by default what the height's are. benchdnn says by an
/// option what the word winograd says here.
constexpr ParsedProblem parse_problem(std::string_view text) {
    detail::ProblemSizes sizes;
    ParsedProblem result{{}, detail::read_sizes(text, sizes)};
    if (!result.error.empty()) { return result; }
    for (const std::string_view key : {"mb", "g", "ic", "ih", "iw", "oc", "oh", "ow", "kh", "kw", "sh", "sw"}) {
        const bool needed = key == "mb" || key == "ic" || key == "oc";
        if (sizes.get(key, needed ? 0 : 1) == 0) {
            result.error << "expected " << key << " of at least 1";
            return result;
        }
    }
    const int height = sizes.get("ih", 1), width = sizes.get("iw", height);
    const Shape in{sizes.get("ic", 1), height, width};
    const Axis y = detail::read_axis(sizes, {"kh", "sh", "ph", "oh"}, height, {});
    const Axis x = detail::read_axis(sizes, {"kw", "sw", "pw", "ow"}, width, y);
    const Window window{y, x};
    const Shape out = window.output(in, sizes.get("oc", 1));
    const int groups = sizes.get("g", 1);
    if (out.height < 1 || out.width < 1) {
        result.error << "the kernel, " << y.extent << "x" << x.extent << ", is larger than the padded input";
    } else if (in.channels % groups != 0 || out.channels % groups != 0) {
        result.error << "found " << groups << " groups, expected a divisor of ic and oc";
    } else if (const int asked = sizes.get("oh", out.height); asked != out.height) {
        result.error << "found oh" << asked << ", expected oh" << out.height << " by the other sizes";
    } else if (const int wide = sizes.get("ow", out.width); wide != out.width) {
        result.error << "found ow" << wide << ", expected ow" << out.width << " by the other sizes";
    } else if (sizes.winograd && (groups != 1 || (y.extent != 3 && y.extent != 5) || x.extent != y.extent ||
                                  y.stride != 1 || x.stride != 1)) {
        result.error << "winograd needs a kernel of 3x3 or 5x5 without stride and groups";
    }
    result.problem = {{in, out, groups, window}, sizes.get("mb", 1), sizes.winograd};
    return result;
}

/// The shortest text that reads as this problem.
std::string problem_text(const Problem& problem);

}  // namespace ctnn::inline CTNN_ISA::bench
