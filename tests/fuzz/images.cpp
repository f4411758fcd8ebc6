// Any bytes as a PNG, JPEG or PPM file. What is read is a whole image, which can be written as PNG and read again.
#include "images.hpp"

#include <ctnn/data/image.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ctnn::Image image;
    if (!fuzz::accepted([&] { alexnet::decode_image(fuzz::as_bytes(data, size), "input", image); })) { return 0; }
    fuzz::require(image.shape.channels == 3 && image.shape.height > 0 && image.shape.width > 0,
                  "an image has three planes and pixels");
    if (image.shape.size() > 1 << 16) { return 0; }  // packing more takes too long

    ctnn::Image again;
    alexnet::decode_image(alexnet::encode_png(image.view()), "written", again);
    fuzz::require(std::ranges::equal(image.pixels, again.pixels), "pixels stay");
    return 0;
}
