#include "networks.hpp"

#include <string>

#include <ctnn/core/error.hpp>

namespace alexnet {

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
