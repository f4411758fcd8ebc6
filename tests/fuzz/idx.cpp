// Any bytes as a file of IDX, which is written as the same bytes; and as images with their labels.
#include <vector>

#include <ctnn/io/idx.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) { return 0; }
    // The first bytes say where images end and labels begin.
    const auto bytes = fuzz::as_bytes(data, size).subspan(2);
    const std::size_t cut = std::min(std::size_t{data[0]} << 8 | data[1], bytes.size());
    ctnn::IdxArray images, labels;
    if (!fuzz::accepted([&] { images = ctnn::parse_idx(bytes.first(cut), "images"); })) { return 0; }
    const auto header = ctnn::detail::idx_header(images.type, images.dims);
    fuzz::require(std::ranges::equal(header, bytes.first(header.size())), "a header stays");
    fuzz::require(header.size() + images.bytes.size() == cut, "no byte is lost");

    ctnn::Dataset set;
    if (!fuzz::accepted([&] {
            labels = ctnn::parse_idx(bytes.subspan(cut), "labels");
            set.class_names = ctnn::numbered_classes({&labels, 1});
            ctnn::append_idx(set, images, labels);
        })) {
        fuzz::require(set.size() == 0 && set.pixels.empty(), "a set that was not read is empty");
        return 0;
    }
    fuzz::require(set.pixels.size() == set.size() * static_cast<std::size_t>(set.shape.size()), "pixels are whole");
    return 0;
}
