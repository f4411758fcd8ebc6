// Names of files and classes are bytes; what others read must be UTF-8.
#pragma once

#include <string>
#include <string_view>

#include <ctnn/io/json.hpp>

namespace alexnet {

/// The text with U+FFFD for every byte that is not UTF-8.
inline std::string utf8(std::string_view text) {
    std::string out;
    for (std::size_t good = 0; (good = ctnn::detail::utf8_prefix(text)) < text.size(); text.remove_prefix(good + 1)) {
        (out += text.substr(0, good)) += "\xEF\xBF\xBD";
    }
    return out += text;
}

}  // namespace alexnet
