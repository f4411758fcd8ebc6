#include "networks.hpp"

#include <string>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>

namespace alexnet {

std::size_t NetworkInfo::stage_of(std::size_t layer) const {
    std::size_t stage = 0;
    while (stage + 1 < stages.size() && layer >= stages[stage + 1].first) { ++stage; }
    return stage;
}

void refuse_outputs(const std::filesystem::path& weights, const std::string& tensor) {
    throw ctnn::FileError(fmt::format("{}: found outputs that are not finite, expected numbers; {}", weights.string(),
                                      tensor.empty() ? "every tensor is" : "the first tensor that is not: " + tensor));
}

const NetworkEntry& find_network(std::string_view name) {
    std::string known;
    for (const NetworkEntry& entry : networks()) {
        if (entry.name == name || entry.type == name) { return entry; }
        (known += known.empty() ? "" : ", ") += entry.name;
    }
    throw ctnn::ArgumentError("unknown model '" + std::string{name} + "', expected one of " + known);
}

const NetworkEntry& find_network(const std::string& model, const std::filesystem::path& weights,
                                 const ctnn::ModelInfo& info) {
    const std::string& name = model.empty() ? info.model : model;
    if (name.empty()) {
        throw ctnn::ArgumentError(weights.string() + ": found no model's name in the file; say it by --model");
    }
    try {
        return find_network(name);
    } catch (const ctnn::ArgumentError& error) { throw ctnn::ArgumentError(weights.string() + ": " + error.what()); }
}

}  // namespace alexnet
