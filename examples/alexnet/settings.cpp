#include "settings.hpp"

#include <type_traits>

#include <ctnn/core/error.hpp>

namespace alexnet {

namespace {

template <class Settings, class F>
void for_each_run_setting(Settings& s, F&& f) {
    f("model", s.model);
    f("dataset", s.dataset);
    f("data_dir", s.data_dir);
    f("augment", s.augment);
    f("val_size", s.val_size);
    f("limit_train", s.limit_train);
    ctnn::for_each_setting(s.trainer, f);
}

}  // namespace

ctnn::Json to_json(const RunSettings& settings) {
    ctnn::Json::Object object;
    for_each_run_setting(settings, [&](const char* key, const auto& value) {
        if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(value)>>) {
            object.emplace_back(key, name(value));
        } else {
            object.emplace_back(key, value);
        }
    });
    return object;
}

RunSettings run_settings(const ctnn::Json& json, std::string_view place) {
    RunSettings settings;
    for_each_run_setting(settings, [&](const char* key, auto& value) {
        using Value = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_enum_v<Value>) {
            try {
                parse_name(json.field<std::string>(key, place), value);
            } catch (const ctnn::ArgumentError& error) {
                throw ctnn::FileError(std::string{place} + ": " + error.what());
            }
        } else {
            value = json.field<Value>(key, place);
        }
    });
    return settings;
}

}  // namespace alexnet
