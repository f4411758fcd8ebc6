#include "train_setup.hpp"

#include <algorithm>
#include <span>
#include <type_traits>

#include <fmt/format.h>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/io/json_parser.hpp>

#include "evaluation.hpp"
#include "run_folder.hpp"
#include "utf8.hpp"

namespace alexnet {

RunSettings settings_of(const TrainRequest& request, Ranks& ranks) {
    // Before anything else that ranks do together: these decide what.
    ranks.require_same({{"--resume", request.resume.empty() ? "not given" : "given"},
                        {"--stop-after", std::to_string(request.stop_after)}});
    if (request.resume.empty()) { return request.settings; }
    if (ranks.alone()) { return RunFolder::read_settings(request.resume); }
    std::string text;
    if (ranks.first()) { text = ctnn::write_json(to_json(RunFolder::read_settings(request.resume))); }
    const std::string place = "settings of the first rank";
    return run_settings(ctnn::parse_json(ranks.text_of_first(text), place), place);
}

ctnn::Json::Object about_run(const NetworkEntry& entry, int threads, int ranks, std::size_t images) {
    const auto [major, minor, patch] = ctnn::version;
#if defined(__clang__)
    const char* compiler = "Clang " __clang_version__;
#else
    const char* compiler = "GCC " __VERSION__;
#endif
    return {{"ctnn", fmt::format("{}.{}.{}", major, minor, patch)},
            {"compiler", compiler},
            {"isa", ctnn::isa},
            {"threads", threads},
            {"ranks", ranks},
            {"network", entry.type},
            {"train_images", images}};
}

ctnn::LoaderOptions loader_options(const RunSettings& settings, ctnn::Shape shape, int workers, const Ranks& ranks) {
    ctnn::LoaderOptions options = settings.loader;
    options.batch_size = settings.trainer.batch_size;
    options.seed = settings.trainer.seed;
    options.shape = shape;
    options.workers = workers;
    options.rank = ranks.rank();
    options.ranks = ranks.size();
    return options;
}

Sources open_for(const NetworkEntry& entry, const RunSettings& settings, const std::string& data_dir) {
    Sources images =
        open_sources(settings.dataset, data_dir, {entry.input, settings.loader.shorter_side}, settings.limit_test);
    const std::string title = data_title(settings.dataset, data_dir);
    require_outputs(entry, *images.train, title);
    require_normalization(images.train->normalization(), entry.input.channels, title);
    // The files of weights keep the names.
    const std::vector<std::string>& names = images.train->class_names();
    for (std::size_t c = 0; c < names.size(); ++c) {
        if (ctnn::detail::utf8_prefix(names[c]) < names[c].size()) {
            throw ctnn::FileError(fmt::format("{}: class {}: found the name {}, expected UTF-8", title, c,
                                              ctnn::detail::shown(utf8(names[c]))));
        }
    }
    return images;
}

std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> split(const RunSettings& settings, std::size_t size) {
    if (settings.val_size >= static_cast<std::int64_t>(size)) {
        throw ctnn::ArgumentError(
            fmt::format("--val-size is {}, expected less than the {} training images", settings.val_size, size));
    }
    auto parts = ctnn::split_by_index(size, static_cast<std::size_t>(settings.val_size));
    if (settings.limit_train > 0) {
        parts.first.resize(std::min(parts.first.size(), static_cast<std::size_t>(settings.limit_train)));
    }
    return parts;
}

void require_same_training(Ranks& ranks, const RunSettings& settings, const Sources& data) {
    if (ranks.alone()) { return; }
    std::vector<std::pair<std::string, std::string>> facts{{"the program's fingerprint", program_fingerprint()}};
    for_each_run_setting(settings, [&](const std::string& key, const auto& value) {
        if (key == "data_dir") { return; }  // machines may have their data in different places
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, std::string>) {
            facts.emplace_back("the setting " + key, value);
        } else {
            facts.emplace_back("the setting " + key, ctnn::setting_text(value));
        }
    });
    facts.emplace_back("the number of training images", std::to_string(data.train->size()));
    facts.emplace_back("the number of test images", std::to_string(data.test->size()));
    facts.emplace_back("the number of classes", std::to_string(data.train->class_names().size()));
    for (const std::string& name : data.train->class_names()) { facts.emplace_back("the name of a class", name); }
    for (const auto& [name, images] : {std::pair{"training", data.train.get()}, std::pair{"test", data.test.get()}}) {
        std::vector<std::uint16_t> labels(images->size());
        for (std::size_t i = 0; i < labels.size(); ++i) { labels[i] = images->label(i); }
        facts.emplace_back(fmt::format("the fingerprint of the {} labels", name),
                           fingerprint(std::as_bytes(std::span{labels})));
    }
    ranks.require_same(facts);
}

}  // namespace alexnet
