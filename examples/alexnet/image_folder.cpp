#include "image_folder.hpp"

#include <algorithm>
#include <limits>
#include <system_error>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/data/transforms.hpp>

#include "images.hpp"

namespace alexnet {

namespace {

namespace fs = std::filesystem;

/// What `Iterator` meets in a folder, if it is wanted, in the order of paths: the system's own order is any.
template <class Iterator, class Wanted>
std::vector<fs::path> sorted_entries(const fs::path& folder, Wanted&& wanted) {
    std::vector<fs::path> paths;
    std::error_code error;
    for (Iterator at{folder, error}, end; !error && at != end; at.increment(error)) {
        if (!at->path().filename().string().starts_with('.') && wanted(*at)) { paths.push_back(at->path()); }
    }
    if (error) { throw ctnn::FileError(folder.string() + ": cannot read the folder: " + error.message()); }
    std::ranges::sort(paths);
    return paths;
}

}  // namespace

std::vector<fs::path> list_images(const fs::path& folder) {
    auto images = sorted_entries<fs::recursive_directory_iterator>(
        folder, [](const fs::directory_entry& entry) { return has_image_name(entry.path()); });
    if (images.empty()) {
        throw ctnn::FileError(folder.string() + ": found no image, expected .png, .jpg, .jpeg, .ppm or .pgm files");
    }
    return images;
}

ImageFolder::ImageFolder(const fs::path& root) {
    const auto folders = sorted_entries<fs::directory_iterator>(
        root, [](const fs::directory_entry& entry) { return entry.is_directory(); });
    if (folders.empty() || folders.size() > std::numeric_limits<std::uint16_t>::max()) {
        throw ctnn::FileError(
            fmt::format("{}: found {} folders, expected one per class", root.string(), folders.size()));
    }
    for (const fs::path& folder : folders) {
        const auto images = list_images(folder);
        paths_.insert(paths_.end(), images.begin(), images.end());
        labels_.resize(paths_.size(), static_cast<std::uint16_t>(class_names_.size()));
        class_names_.push_back(folder.filename().string());
    }
}

ctnn::ImageView ImageFolder::read(std::size_t i, ctnn::Image& scratch) const {
    read_image(paths_[i], scratch);
    return scratch.view();
}

ctnn::Dataset load_images(const ImageFolder& folder, ctnn::Shape shape) {
    ctnn::Dataset set{shape, {}, {}, folder.class_names(), folder.normalization()};
    set.pixels.reserve(folder.size() * static_cast<std::size_t>(shape.size()));
    ctnn::BilinearResizer resize;
    ctnn::Image scratch, resized;
    for (std::size_t i = 0; i < folder.size(); ++i) {
        resize(folder.read(i, scratch), shape.height, shape.width, resized);
        set.pixels.insert(set.pixels.end(), resized.pixels.begin(), resized.pixels.end());
        set.labels.push_back(folder.label(i));
    }
    return set;
}

}  // namespace alexnet
