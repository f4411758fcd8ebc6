#include "image_folder.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/data/transforms.hpp>

namespace alexnet {

namespace {

namespace fs = std::filesystem;

/// Throws FileError for a link to a folder on the way to it, which has no end.
void require_no_circle(const fs::directory_entry& entry) {
    std::error_code ignored;
    if (!entry.is_symlink(ignored) || !entry.is_directory(ignored)) { return; }
    for (fs::path above = entry.path(); !above.empty() && above != above.parent_path();) {
        above = above.parent_path();
        if (fs::equivalent(above, entry.path(), ignored)) {
            throw ctnn::FileError(entry.path().string() +
                                  ": found a link to a folder that it lies in, expected another");
        }
    }
}

/// What `Iterator` meets in a folder, if it is wanted, in the order of paths: the system's own order is any. Links are
/// followed, but not in a circle. Nothing is met below a folder whose name begins with a dot.
template <class Iterator, class Wanted>
std::vector<fs::path> sorted_entries(const fs::path& folder, Wanted&& wanted) {
    std::vector<fs::path> paths;
    std::error_code error;
    const auto links = fs::directory_options::follow_directory_symlink;
    for (Iterator at{folder, links, error}, end; !error && at != end; at.increment(error)) {
        if (at->path().filename().string().starts_with('.')) {
            if constexpr (requires { at.disable_recursion_pending(); }) { at.disable_recursion_pending(); }
            continue;
        }
        require_no_circle(*at);
        if (wanted(*at)) { paths.push_back(at->path()); }
    }
    if (error) { throw ctnn::FileError(folder.string() + ": cannot read the folder: " + error.message()); }
    std::ranges::sort(paths);
    return paths;
}

/// A file, or a link to one. A link to nothing counts, too: whoever reads it says so.
bool is_image(const fs::directory_entry& entry) {
    std::error_code ignored;
    return has_image_name(entry.path()) && (entry.is_regular_file(ignored) || !entry.exists(ignored));
}

/// Image `number` of the `count` of a class.
struct Place {
    std::size_t label, number, count;

    /// In the order of (number + 0.5) / count, of equal ones in that of the classes.
    bool operator<(const Place& other) const {
        const std::uint64_t left = (2 * number + 1) * other.count, right = (2 * other.number + 1) * count;
        return left != right ? left < right : label < other.label;
    }
};

}  // namespace

std::vector<fs::path> list_images(const fs::path& folder) {
    auto images = sorted_entries<fs::recursive_directory_iterator>(folder, is_image);
    if (images.empty()) {
        throw ctnn::FileError(folder.string() + ": found no image, expected .png, .jpg, .jpeg, .ppm or .pgm files");
    }
    return images;
}

ImageFolder::ImageFolder(const fs::path& root, const ImageFit& fit) : fit_{fit} {
    const auto folders = sorted_entries<fs::directory_iterator>(root, [](const fs::directory_entry& entry) {
        std::error_code ignored;
        return entry.is_directory(ignored);
    });
    if (folders.empty() || folders.size() > std::numeric_limits<std::uint16_t>::max()) {
        throw ctnn::FileError(
            fmt::format("{}: found {} folders, expected one per class", root.string(), folders.size()));
    }
    std::vector<std::vector<fs::path>> images;  // of each class
    std::vector<Place> places;
    for (const fs::path& folder : folders) {
        const auto& found = images.emplace_back(list_images(folder));
        for (std::size_t i = 0; i < found.size(); ++i) { places.push_back({class_names_.size(), i, found.size()}); }
        class_names_.push_back(folder.filename().string());
    }
    std::ranges::sort(places, std::less{});
    for (const Place& place : places) {
        paths_.push_back(std::move(images[place.label][place.number]));
        labels_.push_back(static_cast<std::uint16_t>(place.label));
    }
}

ctnn::ImageView ImageFolder::read(std::size_t i, ctnn::Image& scratch) const {
    read_image(paths_[i], scratch);
    require_resizable(scratch.shape, fit_, paths_[i].string());
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
