// Writes what the fuzz targets begin with, a folder each: good files as the library and its tool write them.
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <jpeglib.h>
#include <zlib.h>

#include <ctnn/data/dataset.hpp>
#include <ctnn/io/checkpoint.hpp>
#include <ctnn/io/hex_weights.hpp>
#include <ctnn/io/idx.hpp>
#include <ctnn/io/json.hpp>
#include <ctnn/io/native.hpp>
#include <ctnn/io/weights.hpp>
#include <ctnn/train/trainer.hpp>

#include "images.hpp"
#include "network.hpp"
#include "settings.hpp"

namespace {

namespace fs = std::filesystem;

class Corpus {
  public:
    explicit Corpus(fs::path root) : root_{std::move(root)} {}

    [[nodiscard]] fs::path file(const std::string& target, const std::string& name) const {
        fs::create_directories(root_ / target);
        return root_ / target / name;
    }
    void add(const std::string& target, const std::string& name, std::span<const std::byte> bytes) const {
        ctnn::write_file_atomically(file(target, name), bytes);
    }
    void add(const std::string& target, const std::string& name, std::string_view text) const {
        add(target, name, std::as_bytes(std::span{text}));
    }

  private:
    fs::path root_;
};

std::vector<std::byte> joined(std::span<const std::byte> a, std::span<const std::byte> b) {
    const std::size_t cut = a.size();
    std::vector<std::byte> all{static_cast<std::byte>(cut >> 8), static_cast<std::byte>(cut)};
    all.insert(all.end(), a.begin(), a.end());
    all.insert(all.end(), b.begin(), b.end());
    return all;
}

std::vector<std::byte> jpeg(const ctnn::Image& image) {
    jpeg_compress_struct info{};
    jpeg_error_mgr errors{};
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char* buffer = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &buffer, &size);
    info.image_width = static_cast<JDIMENSION>(image.shape.width);
    info.image_height = static_cast<JDIMENSION>(image.shape.height);
    info.input_components = 1;
    info.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&info);
    jpeg_start_compress(&info, TRUE);
    for (int y = 0; y < image.shape.height; ++y) {
        auto* row = const_cast<JSAMPROW>(image.view().row(0, y));
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    const auto bytes = std::as_bytes(std::span{buffer, size});
    std::vector<std::byte> result{bytes.begin(), bytes.end()};
    std::free(buffer);
    return result;
}

void write(const Corpus& corpus) {
    ctnn::Model<fuzz::Net> model{ctnn::Seed{1}};
    const fs::path weights = corpus.file("weights", "good");
    ctnn::save_weights(weights, model, {"Net", {{0.5F}, {0.25F}}, {"cat", "dog \"1\""}});
    corpus.add("safetensors", "weights", ctnn::read_file(weights));
    ctnn::save_native(corpus.file("weights", "native"), model, {"Net", {{0.5F}, {0.25F}}, {"cat", "dog"}});

    const ctnn::TrainerSettings settings{.schedule = {.epochs = 2}, .batch_size = 2};
    const ctnn::Trainer<fuzz::Net> trainer{model, settings, 1};
    ctnn::save_trainer(corpus.file("checkpoint", "good"), trainer);

    const std::vector<float> numbers{0, -1.5F, 1e30F, 1e-40F, 3, 4};
    corpus.add("hex", "good", ctnn::detail::hex_text("w", ctnn::tensor_view("w", {2, 3}, numbers)));

    const ctnn::Dataset set{{3, 2, 2}, std::vector<std::uint8_t>(36, 7), {0, 2, 1}, {"a", "b", "c"}, {}};
    ctnn::write_idx_images(corpus.file("idx", "images"), corpus.file("idx", "labels"), set, 0, 3);
    corpus.add("idx", "good",
               joined(ctnn::read_file(corpus.file("idx", "images")), ctnn::read_file(corpus.file("idx", "labels"))));
    ctnn::write_idx<float>(corpus.file("idx", "floats"), std::vector<std::uint32_t>{2, 3}, numbers);

    corpus.add("cifar", "record", std::string(3074, '\1'));
    corpus.add("cifar", "names", "cat\r\n\n  dog \n");

    corpus.add("json", "all", R"({"a":[1,-2.5e-3,true,false,null,"\u00e9\ud83d\ude00\n"],"b":{"c":[]}})");

    ctnn::Image image{{3, 7, 9}};
    for (std::size_t i = 0; i < image.pixels.size(); ++i) { image.pixels[i] = static_cast<std::uint8_t>(i * 37); }
    corpus.add("images", "good.png", alexnet::encode_png(image.view()));
    corpus.add("images", "good.jpg", jpeg(image));
    corpus.add("images", "good.ppm", "P6\n# c\n2 1 255\nabcdef");
    corpus.add("images", "good.pgm", "P5 2 1 255\nab");

    const std::string text = "some text, some text, some text";
    std::string packed(200, '\0');
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    corpus.add("gzip", "good", packed);
    corpus.add("gzip", "plain", text);

    corpus.add("settings", "good",
               ctnn::write_json(ctnn::Json::Object{{"settings", alexnet::to_json(alexnet::RunSettings{})}}, 2));
    corpus.add("config", "good",
               "# a run\nmodel = \"small\"\nepochs = 3\nlr = 1e-2\nnesterov = false\n"
               "lr-scales = \"Linear=0.05\"\nclass-weights = [1, 2.5]\n");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: fuzz_make_corpus DIR\n");
        return 2;
    }
    try {
        write(Corpus{argv[1]});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
