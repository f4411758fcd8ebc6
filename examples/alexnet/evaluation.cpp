#include "evaluation.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/data/normalize.hpp>
#include <ctnn/io/json.hpp>

namespace alexnet {

ctnn::LoaderOptions evaluation_options(const RunSettings& settings, ctnn::Shape shape, int workers, int rank,
                                       int ranks) {
    return {.batch_size = settings.trainer.pass_size(ranks) * ranks,
            .shuffle = false,
            .shape = shape,
            .shorter_side = settings.loader.shorter_side,
            .workers = workers,
            .rank = rank,
            .ranks = ranks};
}

void require_outputs(const NetworkEntry& entry, const ctnn::ImageSource& images, const std::string& title) {
    const std::size_t classes = images.class_names().size();
    if (classes > static_cast<std::size_t>(entry.classes)) {
        throw ctnn::ArgumentError(
            fmt::format("{}: found {} classes, expected at most the {} outputs of {}; see alexnet info --all", title,
                        classes, entry.classes, entry.type));
    }
}

void require_normalization(const ctnn::Normalization& normalization, int channels, const std::string& place) {
    try {
        static_cast<void>(ctnn::ByteTable{normalization, channels});
    } catch (const ctnn::ArgumentError& error) { throw ctnn::ArgumentError(place + ": " + error.what()); }
}

void require_same_classes(const std::filesystem::path& weights, const ctnn::ModelInfo& info,
                          const ctnn::ImageSource& images, const std::string& title) {
    if (info.class_names.empty()) { return; }
    const auto [found, expected] = std::ranges::mismatch(info.class_names, images.class_names());
    if (found == info.class_names.end() && expected == images.class_names().end()) { return; }
    const auto shown = [](const auto& names, auto at) { return at == names.end() ? "none" : ctnn::detail::shown(*at); };
    throw ctnn::ArgumentError(
        fmt::format("{}: class {}: found {}, expected {} as in {}; name the file's images by --dataset or --data-dir",
                    weights.string(), found - info.class_names.begin(), shown(info.class_names, found),
                    shown(images.class_names(), expected), title));
}

}  // namespace alexnet
