// A trainer as a file: everything that an unbroken run would still know, in one safetensors file of its own.
#pragma once

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string>
#include <type_traits>
#include <vector>

#include <ctnn/io/json_parser.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/trainer.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

/// The text of a setting that reads back as the same: a double with the fewest digits, a bool as 0 or 1, an
/// enumeration by its name.
template <class N>
std::string exact(N value) {
    if constexpr (std::is_same_v<N, double>) {
        return shortest(value);
    } else if constexpr (std::is_enum_v<N>) {
        return std::string{name(value)};
    } else {
        return std::to_string(value);
    }
}

inline SafetensorsMetadata trainer_metadata(const TrainerSettings& settings, const TrainerProgress& progress) {
    SafetensorsMetadata metadata{{"format", "ctnn trainer 1"},
                                 {"epoch", exact(progress.epoch)},
                                 {"batch", exact(progress.batch)},
                                 {"step", exact(progress.step)},
                                 {"epoch_loss_sum", exact(progress.loss.loss_sum)},
                                 {"epoch_correct", exact(progress.loss.correct)},
                                 {"epoch_count", exact(progress.loss.count)},
                                 {"loss", "cross_entropy"},
                                 {"optimizer", "sgd"}};
    for_each_setting(settings, [&](const char* key, auto value) { metadata.emplace_back(key, exact(value)); });
    return metadata;
}

/// Reads metadata by key, with one clear error for what is missing or no number.
struct MetadataReader {
    const SafetensorsFile& file;

    [[nodiscard]] const std::string& text(const char* key) const {
        const std::string* value = file.find_metadata(key);
        if (value == nullptr) {
            throw FileError(file.source + ": no metadata '" + key + "'; expected a trainer's state");
        }
        return *value;
    }
    template <class N>
    void read(const char* key, N& to) const {
        const std::string& value = text(key);
        N number{};
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (error != std::errc{} || end != value.data() + value.size()) {
            throw FileError(file.source + ": metadata '" + key + "' is '" + value + "'; expected a number");
        }
        to = number;
    }
    void read(const char* key, bool& to) const {
        int number = 0;
        read(key, number);
        to = number != 0;
    }
    template <class Enum>
        requires std::is_enum_v<Enum>
    void read(const char* key, Enum& to) const {
        try {
            parse_name(text(key), to);
        } catch (const ArgumentError& error) { throw FileError(file.source + ": " + error.what()); }
    }
    void expect(const char* key, const std::string& expected) const {
        if (text(key) != expected) {
            throw FileError(file.source + ": metadata '" + key + "' is '" + text(key) + "'; expected '" + expected +
                            "'");
        }
    }
};

}  // namespace detail

/// A loader's settings as `further` metadata for save_trainer and load_trainer: they decide a run's numbers too.
inline SafetensorsMetadata loader_metadata(const LoaderOptions& options) {
    return {{"loader_batch_size", detail::exact(options.batch_size)},
            {"loader_seed", detail::exact(options.seed)},
            {"shuffle", detail::exact(options.shuffle)},
            {"augment", detail::exact(options.augment)},
            {"crop_padding", detail::exact(options.crop_padding)},
            {"flip", detail::exact(options.flip)},
            {"drop_last", detail::exact(options.drop_last)}};
}

/// Writes parameters, running statistics, velocity, progress and all settings of a trainer, atomically, and `further`
/// settings of the caller's, such as the loader's. The bytes hold no time, path or number of threads. Throws FileError.
template <Network Net, class T>
void save_trainer(const std::filesystem::path& path, const Trainer<Net, T>& trainer,
                  const SafetensorsMetadata& further = {}) {
    StateDict<Net, T> state;
    state.add_arena(trainer.model().parameters().span());
    state.add_buffers(trainer.model().buffers());
    state.add_arena(trainer.velocity().span(), "velocity.");
    SafetensorsMetadata metadata = detail::trainer_metadata(trainer.settings(), trainer.progress());
    metadata.insert(metadata.end(), further.begin(), further.end());
    save_safetensors(path, state.views(), metadata);
}

/// The settings in a file that save_trainer wrote: a trainer made with them, restored by load_trainer and fed by a
/// loader of the same options goes on as if it had never stopped. The number of threads is not among them. Throws
/// FileError.
inline TrainerSettings load_trainer_settings(const std::filesystem::path& path) {
    const std::vector<std::byte> bytes = read_file(path);
    const SafetensorsFile file = parse_safetensors(bytes, path.string());
    const detail::MetadataReader reader{file};
    reader.expect("format", "ctnn trainer 1");
    reader.expect("loss", "cross_entropy");
    reader.expect("optimizer", "sgd");
    TrainerSettings s;
    for_each_setting(s, [&](const char* key, auto& value) { reader.read(key, value); });
    return s;
}

/// Restores what save_trainer wrote into a trainer of the same network and settings, and with the same `further`
/// settings. Throws FileError, naming the first difference, and then changes nothing.
template <Network Net, class T>
void load_trainer(const std::filesystem::path& path, Trainer<Net, T>& trainer,
                  const SafetensorsMetadata& further = {}) {
    using State = StateDict<Net, T>;
    const std::vector<std::byte> bytes = read_file(path);
    const SafetensorsFile file = parse_safetensors(bytes, path.string());
    const detail::MetadataReader reader{file};
    reader.expect("format", "ctnn trainer 1");
    State::check_arena(file);
    State::check_buffers(file);
    State::check_arena(file, "velocity.");
    State::check_known(file, "velocity.");
    TrainerProgress progress;
    reader.read("epoch", progress.epoch);
    reader.read("batch", progress.batch);
    reader.read("step", progress.step);
    reader.read("epoch_loss_sum", progress.loss.loss_sum);
    reader.read("epoch_correct", progress.loss.correct);
    reader.read("epoch_count", progress.loss.count);
    for (const auto& [key, value] : detail::trainer_metadata(trainer.settings(), progress)) {
        reader.expect(key.c_str(), value);
    }
    for (const auto& [key, value] : further) { reader.expect(key.c_str(), value); }
    State::read_arena(file, trainer.model().parameters().span());
    State::read_buffers(file, trainer.model().buffers());
    State::read_arena(file, trainer.velocity().span(), "velocity.");
    trainer.resume_at(progress);
}

}  // namespace ctnn::inline CTNN_ISA
