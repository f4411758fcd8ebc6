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

/// The shortest text that reads back as the same number.
inline std::string exact(double value) {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    return {text, end};
}

inline SafetensorsMetadata trainer_metadata(const TrainerSettings& s, const TrainerProgress& p) {
    const auto number = [](auto x) { return std::to_string(x); };
    return {{"format", "ctnn trainer 1"},
            {"epoch", number(p.epoch)},
            {"batch", number(p.batch)},
            {"step", number(p.step)},
            {"seed", number(s.seed)},
            {"batch_size", number(s.batch_size)},
            {"loss", "cross_entropy"},
            {"label_smoothing", exact(s.loss.label_smoothing)},
            {"optimizer", "sgd"},
            {"momentum", exact(s.optimizer.momentum)},
            {"nesterov", number(static_cast<int>(s.optimizer.nesterov))},
            {"weight_decay", exact(s.optimizer.weight_decay)},
            {"decay_biases_and_norms", number(static_cast<int>(s.optimizer.decay_biases_and_norms))},
            {"clip_norm", exact(s.optimizer.clip_norm)},
            {"schedule", std::string{name(s.schedule.kind)}},
            {"lr", exact(s.schedule.lr)},
            {"epochs", number(s.schedule.epochs)},
            {"warmup_epochs", exact(s.schedule.warmup_epochs)},
            {"step_size", number(s.schedule.step_size)},
            {"gamma", exact(s.schedule.gamma)},
            {"power", exact(s.schedule.power)},
            {"final_lr_fraction", exact(s.schedule.final_lr_fraction)},
            {"pct_start", exact(s.schedule.pct_start)},
            {"div_factor", exact(s.schedule.div_factor)},
            {"final_div_factor", exact(s.schedule.final_div_factor)},
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

/// Writes parameters, running statistics, velocity, progress and all settings of a trainer, atomically. The bytes hold
/// no time, path or number of threads. Throws FileError.
template <Network Net, class T>
void save_trainer(const std::filesystem::path& path, const Trainer<Net, T>& trainer) {
    StateDict<Net, T> state;
    state.add_arena(trainer.model().parameters().span());
    state.add_buffers(trainer.model().buffers());
    state.add_arena(trainer.velocity().span(), "velocity.");
    save_safetensors(path, state.views(), detail::trainer_metadata(trainer.settings(), trainer.progress()));
}

/// The settings in a file that save_trainer wrote: a trainer made with them and restored by load_trainer goes on as if
/// it had never stopped. The number of threads is not among them. Throws FileError.
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

/// Restores what save_trainer wrote into a trainer of the same network and settings. Throws FileError and changes
/// nothing when the file is of another network or incomplete.
template <Network Net, class T>
void load_trainer(const std::filesystem::path& path, Trainer<Net, T>& trainer) {
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
    State::read_arena(file, trainer.model().parameters().span());
    State::read_buffers(file, trainer.model().buffers());
    State::read_arena(file, trainer.velocity().span(), "velocity.");
    trainer.resume_at(progress);
}

}  // namespace ctnn::inline CTNN_ISA
