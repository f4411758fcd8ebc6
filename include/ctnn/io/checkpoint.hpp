// A trainer as a file: everything that an unbroken run would still know, in one safetensors file of its own.
#pragma once

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ctnn/io/json_parser.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/trainer.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

inline SafetensorsMetadata trainer_metadata(const TrainerSettings& s, const TrainerProgress& p) {
    const auto number = [](auto x) { return std::to_string(x); };
    return {{"format", "ctnn trainer 1"},
            {"epoch", number(p.epoch)},
            {"batch", number(p.batch)},
            {"step", number(p.step)},
            {"seed", number(s.seed)},
            {"batch_size", number(s.batch_size)},
            {"loss", "cross_entropy"},
            {"label_smoothing", shortest(s.loss.label_smoothing)},
            {"optimizer", "sgd"},
            {"momentum", shortest(s.optimizer.momentum)},
            {"nesterov", number(static_cast<int>(s.optimizer.nesterov))},
            {"weight_decay", shortest(s.optimizer.weight_decay)},
            {"decay_biases_and_norms", number(static_cast<int>(s.optimizer.decay_biases_and_norms))},
            {"clip_norm", shortest(s.optimizer.clip_norm)},
            {"schedule", std::string{name(s.schedule.kind)}},
            {"lr", shortest(s.schedule.lr)},
            {"epochs", number(s.schedule.epochs)},
            {"warmup_epochs", shortest(s.schedule.warmup_epochs)},
            {"step_size", number(s.schedule.step_size)},
            {"gamma", shortest(s.schedule.gamma)},
            {"power", shortest(s.schedule.power)},
            {"final_lr_fraction", shortest(s.schedule.final_lr_fraction)},
            {"pct_start", shortest(s.schedule.pct_start)},
            {"div_factor", shortest(s.schedule.div_factor)},
            {"final_div_factor", shortest(s.schedule.final_div_factor)},
            {"anneal", s.schedule.anneal == Anneal::cosine ? "cosine" : "linear"}};
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
    const auto number = [](auto x) { return std::to_string(x); };
    return {{"loader_batch_size", number(options.batch_size)},
            {"loader_seed", number(options.seed)},
            {"shuffle", number(static_cast<int>(options.shuffle))},
            {"augment", number(static_cast<int>(options.augment))},
            {"crop_padding", number(options.crop_padding)},
            {"flip", number(static_cast<int>(options.flip))},
            {"drop_last", number(static_cast<int>(options.drop_last))}};
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
    reader.read("seed", s.seed);
    reader.read("batch_size", s.batch_size);
    reader.read("label_smoothing", s.loss.label_smoothing);
    reader.read("momentum", s.optimizer.momentum);
    reader.read("nesterov", s.optimizer.nesterov);
    reader.read("weight_decay", s.optimizer.weight_decay);
    reader.read("decay_biases_and_norms", s.optimizer.decay_biases_and_norms);
    reader.read("clip_norm", s.optimizer.clip_norm);
    try {
        s.schedule.kind = parse_schedule(reader.text("schedule"));
    } catch (const ArgumentError& error) { throw FileError(file.source + ": " + error.what()); }
    reader.read("lr", s.schedule.lr);
    reader.read("epochs", s.schedule.epochs);
    reader.read("warmup_epochs", s.schedule.warmup_epochs);
    reader.read("step_size", s.schedule.step_size);
    reader.read("gamma", s.schedule.gamma);
    reader.read("power", s.schedule.power);
    reader.read("final_lr_fraction", s.schedule.final_lr_fraction);
    reader.read("pct_start", s.schedule.pct_start);
    reader.read("div_factor", s.schedule.div_factor);
    reader.read("final_div_factor", s.schedule.final_div_factor);
    s.schedule.anneal = reader.text("anneal") == "linear" ? Anneal::linear : Anneal::cosine;
    if (s.schedule.anneal == Anneal::cosine) { reader.expect("anneal", "cosine"); }
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
