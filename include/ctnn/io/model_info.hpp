// What a file says of its model beside the numbers, as metadata of safetensors.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ctnn/data/dataset.hpp>
#include <ctnn/io/json.hpp>
#include <ctnn/io/json_parser.hpp>
#include <ctnn/io/mapped_file.hpp>
#include <ctnn/io/safetensors.hpp>

namespace ctnn::inline CTNN_ISA {

/// What evaluating needs besides numbers; kept in a file's metadata.
struct ModelInfo {
    std::string model;  ///< a name, such as "SmallAlexNet"
    Normalization normalization;
    std::vector<std::string> class_names;
    bool operator==(const ModelInfo&) const = default;
};

namespace detail {

inline std::string to_json(std::span<const float> numbers) {
    Json::Array array;
    for (const float x : numbers) { array.emplace_back(static_cast<double>(x)); }
    return write_json(Json{std::move(array)});
}

inline SafetensorsMetadata info_metadata(const ModelInfo& info) {
    Json::Array names;
    for (const std::string& name : info.class_names) { names.emplace_back(name); }
    return {{"model", info.model},
            {"mean", to_json(info.normalization.mean)},
            {"std", to_json(info.normalization.std)},
            {"classes", write_json(Json{std::move(names)})}};
}

inline ModelInfo read_info(const SafetensorsFile& file) {
    ModelInfo info;
    const auto for_each = [&](const char* key, auto&& take) {
        const std::string* const text = file.find_metadata(key);
        if (text == nullptr) { return; }
        const std::string place = joined({file.source, ": metadata '", key, "'"});
        const Json json = parse_json(*text, place);
        for (const Json& x : json.template get<Json::Array>(place)) { take(x, place); }
    };
    const auto floats = [&](const char* key) {
        std::vector<float> values;
        for_each(key, [&](const Json& x, const std::string& place) {
            values.push_back(static_cast<float>(x.template get<double>(place)));
        });
        return values;
    };
    if (const std::string* name = file.find_metadata("model")) { info.model = *name; }
    info.normalization = {floats("mean"), floats("std")};
    for_each("classes", [&](const Json& x, const std::string& place) {
        info.class_names.push_back(x.template get<std::string>(place));
    });
    return info;
}

}  // namespace detail

/// What a file says of its model: enough to choose the network's type before load_weights or MappedModel. Empty where
/// the file says nothing, as those of PyTorch. Of a large file little more than the header is read. Throws FileError.
inline ModelInfo load_model_info(const std::filesystem::path& path) {
    const MappedFile file{path};
    return detail::read_info(parse_safetensors(file.bytes(), path.string()));
}

}  // namespace ctnn::inline CTNN_ISA
