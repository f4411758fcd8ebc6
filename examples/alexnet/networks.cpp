#include "networks.hpp"

#include <array>
#include <string>

#include <ctnn/core/error.hpp>

namespace alexnet {

std::span<const NetworkEntry> networks() {
    static const std::array entries{small_network(), small_winograd_network(), alexnet32_network()};
    return entries;
}

const NetworkEntry& find_network(std::string_view name) {
    std::string known;
    for (const NetworkEntry& entry : networks()) {
        if (entry.name == name || entry.type == name) { return entry; }
        (known += known.empty() ? "" : ", ") += entry.name;
    }
    throw ctnn::ArgumentError("unknown model '" + std::string{name} + "', expected one of " + known);
}

}  // namespace alexnet
