#include "settings.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>

namespace alexnet {

namespace {

/// Whether JSON has that type, too.
template <class Value>
constexpr bool as_it_is = ctnn::is_number_setting<Value> || std::is_same_v<Value, std::string>;

/// Whether run.json has not always had this key, the program's own or the library's: where it is missing, the run had
/// its default.
bool is_later_key(std::string_view key) { return key == "limit_test" || ctnn::is_later_key(key); }

}  // namespace

ctnn::Json to_json(const RunSettings& settings) {
    ctnn::Json::Object object;
    for_each_run_setting(settings, [&](const char* key, const auto& value) {
        if constexpr (as_it_is<std::remove_cvref_t<decltype(value)>>) {
            object.emplace_back(key, value);
        } else {
            object.emplace_back(key, ctnn::setting_text(value));
        }
    });
    return object;
}

RunSettings run_settings(const ctnn::Json& json, std::string_view place) {
    RunSettings settings;
    for_each_run_setting(settings, [&](const char* key, auto& value) {
        using Value = std::remove_cvref_t<decltype(value)>;
        if (is_later_key(key) && json.find(key) == nullptr) { return; }
        if constexpr (as_it_is<Value>) {
            value = json.field<Value>(key, place);
        } else {
            try {
                ctnn::parse_setting(json.field<std::string>(key, place), value);
            } catch (const ctnn::ArgumentError& error) {
                throw ctnn::FileError(std::string{place} + ": " + key + ": " + error.what());
            }
        }
    });
    const auto require_in = [&](const char* key, std::int64_t value, std::int64_t most) {
        if (value < 0 || value > most) {
            throw ctnn::FileError(fmt::format("{}: key \"{}\": found {}, expected 0 to {}", place, key, value, most));
        }
    };
    constexpr std::int64_t most_images = std::int64_t{1} << 32;
    require_in("val_size", settings.val_size, most_images);
    require_in("limit_train", settings.limit_train, most_images);
    require_in("limit_test", settings.limit_test, most_images);
    require_in("test_shift", settings.test_shift, std::numeric_limits<int>::max());
    require_in("patience", settings.patience, std::numeric_limits<int>::max());
    return settings;
}

}  // namespace alexnet
