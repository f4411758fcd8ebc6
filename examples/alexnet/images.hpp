// Image files as bytes in planes R, G, B: PNG by libpng, JPEG by libjpeg, PPM and PGM by a few lines of our own; and
// PNG to write.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <ctnn/core/shape.hpp>
#include <ctnn/data/image.hpp>

namespace alexnet {

/// Whether a file's name ends in .png, .jpg, .jpeg, .ppm or .pgm, in capitals or not.
bool has_image_name(const std::filesystem::path& path);

/// Decodes a file's bytes, of whichever format their first ones say, into 3 planes; grey images have three equal ones,
/// CMYK becomes RGB, transparency is dropped, and 16 bits are reduced to 8. Throws FileError that names `source` for
/// what is none of the formats, is damaged or cut short, or has no or too many pixels.
void decode_image(std::span<const std::byte> bytes, const std::string& source, ctnn::Image& out);

/// Reads and decodes a file. Throws FileError.
void read_image(const std::filesystem::path& path, ctnn::Image& out);

/// How a loader brings images to a network's input: whole, or where that is not 0 to a shorter side, of which the
/// middle is taken.
struct ImageFit {
    ctnn::Shape input;
    int shorter_side = 0;
};

/// Throws FileError that names `source` for an image of which the loader, which resizes columns first and then rows,
/// would make more pixels than a file may have.
void require_resizable(ctnn::Shape image, const ImageFit& fit, const std::string& source);

/// The bytes of a PNG file, grey or RGB for 1 or 3 channels. Throws ArgumentError for other images.
std::vector<std::byte> encode_png(const ctnn::ImageView& image);

}  // namespace alexnet
