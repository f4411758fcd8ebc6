#include "validators.hpp"

#include <charconv>
#include <string>
#include <system_error>

#include <fmt/format.h>

namespace alexnet {

CLI::Validator at_least(std::int64_t least, const char* name) {
    return {[least](const std::string& text) {
                std::int64_t value = 0;
                const char* const end = text.data() + text.size();
                const auto [read, error] = std::from_chars(text.data(), end, value);
                const bool good = error == std::errc{} && read == end && value >= least;
                return good ? "" : fmt::format("found {}, expected a whole number from {} on", text, least);
            },
            name};
}

CLI::Validator within(double least, double most) {
    return {[least, most](const std::string& text) {
                double value = 0;
                const bool good = CLI::detail::lexical_cast(text, value) && value >= least && value <= most;
                return good ? "" : fmt::format("found {}, expected a number from {} to {}", text, least, most);
            },
            fmt::format("FLOAT in [{} - {}]", least, most)};
}

}  // namespace alexnet
