#include "images.hpp"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <jerror.h>
#include <jpeglib.h>
#include <png.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/io/json.hpp>

namespace alexnet {

namespace {

using Bytes = std::span<const std::byte>;

[[noreturn]] void fail(const std::string& source, std::string_view found, std::string_view expected) {
    throw ctnn::FileError(fmt::format("{}: found {}, expected {}", source, found, expected));
}

constexpr std::uint64_t most_pixels = 1u << 28;

/// Refuses a size that a header names, before memory is asked for.
void require_size(std::uint64_t width, std::uint64_t height, const std::string& source) {
    if (width < 1 || height < 1 || width > most_pixels || height > most_pixels || width * height > most_pixels) {
        fail(source, fmt::format("{}x{} pixels", width, height), fmt::format("1 to {} in all", most_pixels));
    }
}

/// Refuses a file that has fewer bytes than its pixels take, however well they are compressed: readers would ask for
/// all the memory, and some paint what is missing grey, for as long as it takes.
void require_bytes(std::size_t found, std::uint64_t least, std::string_view kind, std::uint64_t width,
                   std::uint64_t height, const std::string& source) {
    if (found < least) {
        fail(source, fmt::format("a damaged {} (of {}x{} pixels in {} bytes)", kind, width, height, found),
             "a whole one");
    }
}

void size_image(ctnn::Image& out, std::uint64_t width, std::uint64_t height) {
    out.resize({3, static_cast<int>(height), static_cast<int>(width)});
}

/// Spreads pixels of `step` bytes, the first three of which are R, G, B, over the planes.
void separate(std::span<const std::uint8_t> pixels, std::size_t step, std::size_t first, ctnn::Image& out) {
    for (int c = 0; c < 3; ++c) {
        std::uint8_t* to = out.plane(c).data() + first;
        for (auto i = static_cast<std::size_t>(c); i < pixels.size(); i += step) { *to++ = pixels[i]; }
    }
}

/// How libpng and libjpeg give up, and why: longjmp, over nothing that has a destructor.
struct CodecErrors {
    std::jmp_buf leave;
    std::array<char, JMSG_LENGTH_MAX> reason;
};

/// Calls one of them; false, with a reason, where it gave up.
template <class F>
bool attempt(CodecErrors& errors, F f) {
    if (setjmp(errors.leave) != 0) { return false; }  // NOLINT(cert-err52-cpp): the libraries' way
    f();
    return true;
}

// ---- PNG

/// Where a file is read, and how its reader is left.
struct PngFile {
    Bytes rest;
    CodecErrors errors;
};

extern "C" void read_png(png_structp png, png_bytep to, std::size_t count) {
    auto& file = *static_cast<PngFile*>(png_get_io_ptr(png));
    if (count > file.rest.size()) { png_error(png, "it ends too early"); }
    std::memcpy(to, file.rest.data(), count);
    file.rest = file.rest.subspan(count);
}

extern "C" [[noreturn]] void leave_png(png_structp png, png_const_charp reason) {
    auto& errors = static_cast<PngFile*>(png_get_error_ptr(png))->errors;
    std::snprintf(errors.reason.data(), errors.reason.size(), "%s", reason);
    std::longjmp(errors.leave, 1);
}

extern "C" void pass_over_png(png_structp, png_const_charp) {}

/// As PIL reads them, which is not libpng's simple way: samples as they are stored, whatever gamma and colours the file
/// claims, of 16 bits the higher 8, and alpha taken away without blending.
void decode_png(Bytes bytes, const std::string& source, ctnn::Image& out) {
    PngFile file{bytes, {}};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &file, leave_png, pass_over_png);
    png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
    const struct Release {
        png_structp& png;
        png_infop& info;
        ~Release() { png_destroy_read_struct(&png, &info, nullptr); }
    } release{png, info};
    if (info == nullptr) { throw std::bad_alloc{}; }
    const auto check = [&](bool good) {
        if (!good) { fail(source, fmt::format("a damaged PNG ({})", file.errors.reason.data()), "a whole one"); }
    };
    png_set_chunk_cache_max(png, 1);  // none: texts, which unpack to megabytes each, are passed over
    check(attempt(file.errors, [&] {
        png_set_read_fn(png, &file, read_png);
        png_read_info(png, info);
    }));
    const std::size_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    require_size(width, height, source);
    // Deflate makes 1032 bytes of one at most.
    require_bytes(bytes.size(), png_get_rowbytes(png, info) * height / 1032, "PNG", width, height, source);
    size_image(out, width, height);
    std::vector<std::uint8_t> pixels(3 * width * height);
    std::vector<std::uint8_t*> rows;
    for (std::size_t y = 0; y < height; ++y) { rows.push_back(pixels.data() + 3 * width * y); }
    check(attempt(file.errors, [&] {
        png_set_expand(png);  // palettes, and less than 8 bits
        png_set_strip_16(png);
        png_set_strip_alpha(png);
        png_set_gray_to_rgb(png);
        png_set_interlace_handling(png);
        png_read_update_info(png, info);
        png_read_image(png, rows.data());
        png_read_end(png, nullptr);
    }));
    separate(pixels, 3, 0, out);
}

// ---- JPEG

/// libjpeg's errors, of which it knows the first member.
struct JpegErrors {
    jpeg_error_mgr manager;
    CodecErrors errors;
};

[[noreturn]] void leave_jpeg(j_common_ptr jpeg) {
    CodecErrors& errors = reinterpret_cast<JpegErrors*>(jpeg->err)->errors;
    jpeg->err->format_message(jpeg, errors.reason.data());
    std::longjmp(errors.leave, 1);
}

/// A file that ends too early is only a warning to libjpeg, which paints what is missing grey. Other warnings are
/// about oddities that every reader takes.
void watch_jpeg(j_common_ptr jpeg, int level) {
    if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF) { leave_jpeg(jpeg); }
}

/// From cyan, magenta, yellow and black, all inverted as Adobe writes them and every file of this kind has them, to R,
/// G, B, as PIL does it.
void cmyk_to_rgb(std::span<const std::uint8_t> cmyk, std::span<std::uint8_t> rgb) {
    for (std::size_t i = 0; i < rgb.size(); ++i) {
        const int ink = 255 - cmyk[i / 3 * 4 + i % 3], light = cmyk[i / 3 * 4 + 3], product = ink * light + 128;
        rgb[i] = static_cast<std::uint8_t>(light - (((product >> 8) + product) >> 8));
    }
}

void decode_jpeg(Bytes bytes, const std::string& source, ctnn::Image& out) {
    JpegErrors jpeg_errors{};
    CodecErrors& errors = jpeg_errors.errors;
    jpeg_decompress_struct jpeg{};
    jpeg.err = jpeg_std_error(&jpeg_errors.manager);
    jpeg_errors.manager.error_exit = leave_jpeg;
    jpeg_errors.manager.emit_message = watch_jpeg;
    const struct Release {
        jpeg_decompress_struct& jpeg;
        ~Release() { jpeg_destroy_decompress(&jpeg); }
    } release{jpeg};
    const auto check = [&](bool good) {
        if (!good) { fail(source, fmt::format("a damaged JPEG ({})", errors.reason.data()), "a whole one"); }
    };
    check(attempt(errors, [&] {
        jpeg_create_decompress(&jpeg);
        jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
        jpeg_read_header(&jpeg, TRUE);
    }));
    require_size(jpeg.image_width, jpeg.image_height, source);
    // Every block of 64 pixels takes a bit or more of Huffman's codes, and of arithmetic ones as little as one likes.
    if (!jpeg.arith_code) {
        require_bytes(bytes.size(), std::uint64_t{jpeg.image_width} * jpeg.image_height / 512, "JPEG", jpeg.image_width,
                      jpeg.image_height, source);
    }
    size_image(out, jpeg.image_width, jpeg.image_height);
    const bool cmyk = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
    jpeg.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    check(attempt(errors, [&] { jpeg_start_decompress(&jpeg); }));
    std::vector<std::uint8_t> row(3 * std::size_t{jpeg.image_width}), inks(cmyk ? row.size() / 3 * 4 : 0);
    for (std::size_t y = 0; y < jpeg.image_height; ++y) {
        check(attempt(errors, [&] {
            unsigned char* to = cmyk ? inks.data() : row.data();
            jpeg_read_scanlines(&jpeg, &to, 1);
        }));
        if (cmyk) { cmyk_to_rgb(inks, row); }
        separate(row, 3, y * jpeg.image_width, out);
    }
    check(attempt(errors, [&] { jpeg_finish_decompress(&jpeg); }));
}

// ---- PPM and PGM (netpbm's "raw" formats)

constexpr std::string_view space = " \t\r\n\v\f", digits = "0123456789";

[[noreturn]] void fail_header(const std::string& source) {
    fail(source, "a damaged PPM or PGM header", "width, height and largest value");
}

/// The number at the front, behind white space and comments; both are taken away.
std::uint64_t next_number(std::string_view& text, const std::string& source) {
    while (!text.empty() && (space.find(text[0]) != std::string_view::npos || text[0] == '#')) {
        text.remove_prefix(text[0] == '#' ? std::min(text.find('\n'), text.size()) : 1);
    }
    std::uint64_t number = 0;
    std::size_t count = 0;
    for (; count < text.size() && count < 10 && digits.find(text[count]) != std::string_view::npos; ++count) {
        number = 10 * number + static_cast<std::uint64_t>(text[count] - '0');
    }
    if (count == 0) { fail_header(source); }
    text.remove_prefix(count);
    return number;
}

void decode_netpbm(Bytes bytes, const std::string& source, ctnn::Image& out) {
    std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    const std::size_t channels = text[1] == '6' ? 3 : 1;
    text.remove_prefix(2);
    const std::uint64_t width = next_number(text, source), height = next_number(text, source);
    const std::uint64_t largest = next_number(text, source);
    if (largest < 1 || largest > 255) { fail(source, fmt::format("the largest value {}", largest), "1 to 255"); }
    require_size(width, height, source);
    const std::size_t pixels = width * height;
    if (text.size() != 1 + channels * pixels) {
        fail(source, fmt::format("{} bytes behind the header", text.size()),
             fmt::format("{}, white space included, for {}x{} pixels", 1 + channels * pixels, width, height));
    }
    if (space.find(text[0]) == std::string_view::npos) { fail_header(source); }
    text.remove_prefix(1);
    size_image(out, width, height);
    for (std::size_t c = 0; c < 3; ++c) {
        std::uint8_t* to = out.plane(static_cast<int>(c)).data();
        for (std::size_t i = 0; i < pixels; ++i) {
            const std::uint64_t value = static_cast<unsigned char>(text[i * channels + c % channels]);
            if (value > largest) {
                fail(source, fmt::format("the value {}", value), fmt::format("at most {}", largest));
            }
            *to++ = static_cast<std::uint8_t>((value * 255 + largest / 2) / largest);
        }
    }
}

}  // namespace

bool has_image_name(const std::filesystem::path& path) {
    constexpr std::array<std::string_view, 5> known{".png", ".jpg", ".jpeg", ".ppm", ".pgm"};
    std::string extension = path.extension().string();
    for (char& c : extension) { c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
    return std::ranges::find(known, extension) != known.end();
}

void decode_image(Bytes bytes, const std::string& source, ctnn::Image& out) {
    const auto begins_with = [&](std::string_view magic) {
        return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
    };
    if (begins_with("\x89PNG\r\n\x1a\n")) { return decode_png(bytes, source, out); }
    if (begins_with("\xFF\xD8\xFF")) { return decode_jpeg(bytes, source, out); }
    if (begins_with("P6") || begins_with("P5")) { return decode_netpbm(bytes, source, out); }
    const std::string_view start{reinterpret_cast<const char*>(bytes.data()), std::min<std::size_t>(bytes.size(), 8)};
    std::string shown;
    for (const char c : start) { shown += fmt::format("{:02x} ", static_cast<unsigned char>(c)); }
    fail(source, shown.empty() ? "no bytes" : "a file that begins with " + shown.substr(0, shown.size() - 1),
         "a PNG, JPEG, PPM (P6) or PGM (P5) image");
}

void read_image(const std::filesystem::path& path, ctnn::Image& out) {
    decode_image(ctnn::read_file(path), path.string(), out);
}

void require_resizable(ctnn::Shape image, const ImageFit& fit, const std::string& source) {
    const double side = fit.shorter_side, shorter = std::min(image.height, image.width);
    const double height = fit.shorter_side > 0 ? side * (image.height / shorter) : fit.input.height;
    const double width = fit.shorter_side > 0 ? side * (image.width / shorter) : fit.input.width;
    if (std::max<double>(image.height, height) * width > static_cast<double>(most_pixels)) {
        fail(source, fmt::format("{}x{} pixels", image.width, image.height),
             fmt::format("at most {} in all while it is resized", most_pixels));
    }
}

std::vector<std::byte> encode_png(const ctnn::ImageView& image) {
    const auto [channels, height, width] = image.shape;
    if ((channels != 1 && channels != 3) || height < 1 || width < 1) {
        throw ctnn::ArgumentError(
            fmt::format("PNG: {} channels of {}x{} pixels, expected 1 or 3 of at least 1x1", channels, width, height));
    }
    std::vector<std::uint8_t> pixels;
    pixels.reserve(static_cast<std::size_t>(image.shape.size()));
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (int c = 0; c < channels; ++c) { pixels.push_back(image.row(c, y)[x]); }
        }
    }
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = static_cast<png_uint_32>(width);
    png.height = static_cast<png_uint_32>(height);
    png.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
    std::vector<std::byte> bytes(size);
    if (png_image_write_to_memory(&png, bytes.data(), &size, 0, pixels.data(), 0, nullptr) == 0) {
        throw ctnn::ArgumentError(fmt::format("PNG: {}", png.message));
    }
    bytes.resize(size);
    return bytes;
}

}  // namespace alexnet
