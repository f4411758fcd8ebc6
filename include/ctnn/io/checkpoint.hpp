// A trainer as a file: everything that an unbroken run would still know, in one safetensors file of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <ctnn/io/json_parser.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/trainer.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline constexpr const char* trainer_format = "ctnn trainer 2";

inline SafetensorsMetadata trainer_metadata(const TrainerSettings& settings, const TrainerProgress& progress) {
    SafetensorsMetadata metadata{{"format", trainer_format},
                                 {"epoch", setting_text(progress.epoch)},
                                 {"batch", setting_text(progress.batch)},
                                 {"step", setting_text(progress.step)},
                                 {"epoch_loss_sum", setting_text(progress.loss.loss_sum)},
                                 {"epoch_correct", setting_text(progress.loss.correct)},
                                 {"epoch_count", setting_text(progress.loss.count)},
                                 {"epoch_weight", setting_text(progress.loss.weight)},
                                 {"skipped", setting_text(progress.skipped)},
                                 {"epoch_skipped", setting_text(progress.epoch_skipped)},
                                 {"skipped_in_a_row", setting_text(progress.skipped_in_a_row)}};
    for_each_setting(settings,
                     [&](const char* key, const auto& value) { metadata.emplace_back(key, setting_text(value)); });
    return metadata;
}

/// Reads metadata by key, with one clear error for what is missing or no number.
struct MetadataReader {
    const SafetensorsFile& file;

    [[nodiscard]] const std::string& text(const char* key) const {
        const std::string* value = file.find_metadata(key);
        if (value == nullptr) {
            raise<FileError>({file.source, ": no metadata '", key, "'; expected a trainer's state"});
        }
        return *value;
    }
    template <class Value>
    void read(const char* key, Value& to) const {
        if (lacks(key)) { return; }
#if defined(__cpp_exceptions)
        try {
            parse_setting(text(key), to);
        } catch (const ArgumentError& error) {
            raise<FileError>({file.source, ": metadata '", key, "': ", error.what()});
        }
#else
        parse_setting(text(key), to);
#endif
    }
    template <class Count>
    void read_count(const char* key, Count& to) const {
        read(key, to);
        require_count(to, joined({file.source, ": metadata '", key, "'"}));
    }
    /// A later key, in a file from before there was it.
    [[nodiscard]] bool lacks(const char* key) const { return is_later_key(key) && file.find_metadata(key) == nullptr; }
    void expect(const char* key, const std::string& expected) const {
        if (text(key) != expected) {
            raise<FileError>({file.source, ": metadata '", key, "' is '", text(key), "'; expected '", expected, "'"});
        }
    }
};

}  // namespace detail

/// A loader's settings as `further` metadata for save_trainer and load_trainer: they decide a run's numbers too.
inline SafetensorsMetadata loader_metadata(const LoaderOptions& options) {
    SafetensorsMetadata metadata;
    for_each_setting(options, [&](const char* key, auto value) { metadata.emplace_back(key, setting_text(value)); });
    return metadata;
}

namespace detail {

/// Names in a trainer's file: the optimizer's arenas and the averaged model lie under prefixes.
template <Network Net, class T>
struct TrainerPrefixes {
    std::vector<std::string> states, arenas{""}, buffers{""};

    template <class Comm>
    explicit TrainerPrefixes(const Trainer<Net, T, Comm>& trainer) {
        for (const std::string_view name : trainer.optimizer().names()) { states.push_back(std::string{name} + "."); }
        arenas.insert(arenas.end(), states.begin(), states.end());
        if (trainer.settings().ema_decay > 0.0) {
            arenas.emplace_back("ema.");
            buffers.emplace_back("ema.");
        }
    }
};

}  // namespace detail

/// Writes parameters, running statistics, the optimizer's state, the averaged model, progress and all settings of a
/// trainer, atomically, and `further` settings of the caller's, such as the loader's. The bytes hold no time, path
/// or number of threads. Throws FileError.
template <Network Net, class T, class Comm>
void save_trainer(const std::filesystem::path& path, const Trainer<Net, T, Comm>& trainer,
                  const SafetensorsMetadata& further = {}) {
    const detail::TrainerPrefixes<Net, T> prefixes{trainer};
    StateDict<Net, T> state;
    state.add_arena(trainer.model().parameters().span());
    state.add_buffers(trainer.model().buffers());
    for (std::size_t i = 0; i < prefixes.states.size(); ++i) {
        state.add_arena(trainer.optimizer().arenas()[i].span(), prefixes.states[i]);
    }
    if (trainer.settings().ema_decay > 0.0) {
        state.add_arena(trainer.averaged().parameters().span(), "ema.");
        state.add_buffers(trainer.averaged().buffers(), "ema.");
    }
    SafetensorsMetadata metadata = detail::trainer_metadata(trainer.settings(), trainer.progress());
    // Only where a tensor has been frozen: most runs have none.
    if (const auto& frozen = trainer.optimizer().frozen_steps();
        std::any_of(frozen.begin(), frozen.end(), [](std::int64_t n) { return n != 0; })) {
        metadata.emplace_back("frozen_steps", setting_text(std::vector<std::int64_t>(frozen.begin(), frozen.end())));
    }
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
    reader.expect("format", detail::trainer_format);
    TrainerSettings s;
    for_each_setting(s, [&](const char* key, auto& value) { reader.read(key, value); });
    return s;
}

/// Restores what save_trainer wrote into a trainer of the same network and settings, and with the same `further`
/// settings. Throws FileError, naming the first difference, and then changes nothing.
template <Network Net, class T, class Comm>
void load_trainer(const std::filesystem::path& path, Trainer<Net, T, Comm>& trainer,
                  const SafetensorsMetadata& further = {}) {
    using State = StateDict<Net, T>;
    const std::vector<std::byte> bytes = read_file(path);
    const SafetensorsFile file = parse_safetensors(bytes, path.string());
    const detail::MetadataReader reader{file};
    reader.expect("format", detail::trainer_format);
    State::check_arena(file);  // before the settings: another network says more than another rate
    State::check_buffers(file);
    TrainerProgress progress;
    reader.read_count("epoch", progress.epoch);
    reader.read_count("batch", progress.batch);
    reader.read_count("step", progress.step);
    reader.read("epoch_loss_sum", progress.loss.loss_sum);
    reader.read_count("epoch_correct", progress.loss.correct);
    reader.read_count("epoch_count", progress.loss.count);
    reader.read("epoch_weight", progress.loss.weight);
    reader.read_count("skipped", progress.skipped);
    reader.read_count("epoch_skipped", progress.epoch_skipped);
    reader.read_count("skipped_in_a_row", progress.skipped_in_a_row);
    if (progress.skipped > progress.step) {
        raise<FileError>({file.source, ": metadata 'skipped': found ", progress.skipped, ", expected at most the ",
                          progress.step, " steps in all"});
    }
    std::vector<std::int64_t> frozen;
    if (file.find_metadata("frozen_steps") != nullptr) { reader.read("frozen_steps", frozen); }
    frozen.resize(frozen.empty() ? ParameterLayout<Net>::tensors : frozen.size());
    if (frozen.size() != ParameterLayout<Net>::tensors) {
        raise<FileError>({file.source, ": metadata 'frozen_steps': found ", frozen.size(), " numbers, expected ",
                          ParameterLayout<Net>::tensors, ", one a tensor"});
    }
    for (const std::int64_t steps : frozen) {
        if (const std::int64_t most = progress.step - progress.skipped; steps < 0 || steps > most) {
            raise<FileError>({file.source, ": metadata 'frozen_steps': found ", steps, ", expected 0 to ", most});
        }
    }
    const SafetensorsMetadata first = detail::trainer_metadata({}, {});
    for (const auto& setting : detail::trainer_metadata(trainer.settings(), progress)) {
        if (reader.lacks(setting.first.c_str()) && std::count(first.begin(), first.end(), setting) != 0) { continue; }
        reader.expect(setting.first.c_str(), setting.second);
    }
    const SafetensorsMetadata defaults = loader_metadata({});
    for (const auto& setting : further) {
        // A file from before the loader had an option was written with its default.
        if (file.find_metadata(setting.first) == nullptr &&
            std::count(defaults.begin(), defaults.end(), setting) != 0) {
            continue;
        }
        reader.expect(setting.first.c_str(), setting.second);
    }
    const detail::TrainerPrefixes<Net, T> prefixes{trainer};
    for (const std::string& prefix : prefixes.arenas) { State::check_arena(file, prefix); }
    for (const std::string& prefix : prefixes.buffers) { State::check_buffers(file, prefix); }
    State::check_known(file, prefixes.arenas, prefixes.buffers);

    State::read_arena(file, trainer.model().parameters().span());
    State::read_buffers(file, trainer.model().buffers());
    for (std::size_t i = 0; i < prefixes.states.size(); ++i) {
        State::read_arena(file, trainer.optimizer().arenas()[i].span(), prefixes.states[i]);
    }
    if (trainer.average()) {
        State::read_arena(file, trainer.average()->parameters().span(), "ema.");
        State::read_buffers(file, trainer.average()->buffers(), "ema.");
    }
    std::copy(frozen.begin(), frozen.end(), trainer.optimizer().frozen_steps().begin());
    trainer.resume_at(progress);
}

}  // namespace ctnn::inline CTNN_ISA
