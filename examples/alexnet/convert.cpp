#include "convert.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/io/idx.hpp>
#include <ctnn/io/weights.hpp>

#include "data.hpp"
#include "interrupt.hpp"
#include "networks.hpp"
#include "other_file.hpp"

namespace alexnet {

namespace {

namespace fs = std::filesystem;

constexpr const char* convert_examples = R"(Examples:
  alexnet convert --dataset cifar10 --data-dir datasets/cifar10 --to-idx datasets/idx
  alexnet convert --weights runs/alexnet32-cifar10/best.safetensors --to-hex alexnet_weights --numbered
  alexnet convert --from-hex alexnet_weights --to-weights alexnet32.safetensors --model alexnet32
  alexnet convert --weights runs/alexnet32-cifar10/best.safetensors --to-native alexnet32.native

IDX files are those of ML Odyssey: train_batch_1_images.idx and so on, 10000 images each and of rank 4 (magic 2052), with
labels beside them, test_batch_images.idx, and the classes' names in class_names.txt. Hex files are ML Odyssey's too: a
file per tensor, whose names are PyTorch's or, with --numbered, conv1_kernel, conv1_bias, ..., fc1_weights. A native file
is taken wherever a safetensors file is, without being read first; it is for this version of alexnet alone, so keep the
other one, or get it back by --weights alexnet32.native --to-weights alexnet32.safetensors.)";

struct ConvertRequest {
    std::string dataset, data_dir, model;
    fs::path weights, to_idx, to_hex, from_hex, to_weights, to_native;
    bool numbered = false;
};

/// Images [first, first + count) as two files.
void write_batch(const fs::path& directory, const std::string& name, const ctnn::Dataset& set, std::size_t first,
                 std::size_t count) {
    ctnn::write_idx_images(directory / (name + "_images.idx"), directory / (name + "_labels.idx"), set, first, count);
}

void to_idx(const ConvertRequest& request, Terminal& terminal) {
    const std::string data_dir = request.data_dir.empty() ? default_data_dir(request.dataset) : request.data_dir;
    const ctnn::TrainTest data = open_data(request.dataset, data_dir);
    for (const std::string& name : data.train.class_names) {
        if (name.empty() || name.find('\n') != name.npos || std::string_view{" \t\r"}.find(name.back()) != name.npos) {
            throw ctnn::FileError(
                fmt::format("{}: found the class '{}', expected a name that a line of "
                            "class_names.txt can hold: not empty, and without a blank at its end",
                            data_title(request.dataset, data_dir), name));
        }
    }
    const fs::path& directory = request.to_idx;
    std::error_code error;
    const bool is_new = fs::create_directories(directory, error);
    if (!error && !fs::is_empty(directory, error) && !error) {
        throw ctnn::FileError(directory.string() + ": found files in it, expected a new or an empty folder");
    }
    if (error) { throw ctnn::FileError(directory.string() + ": cannot create the folder: " + error.message()); }

    constexpr std::size_t most = 10'000;
    std::size_t batch = 0;
    try {
        std::string names;
        for (const std::string& name : data.train.class_names) { names += name + "\n"; }
        ctnn::write_file_atomically(directory / "class_names.txt", std::as_bytes(std::span{names}));
        for (std::size_t first = 0; first < data.train.size(); first += most) {
            write_batch(directory, fmt::format("train_batch_{}", ++batch), data.train, first,
                        std::min(most, data.train.size() - first));
        }
        // The last, without which nobody takes the others for a data set.
        write_batch(directory, "test_batch", data.test, 0, data.test.size());
    } catch (...) {
        // All that is in it: it was empty.
        for (const fs::directory_entry& entry : fs::directory_iterator{directory, error}) { fs::remove(entry, error); }
        if (is_new) { fs::remove(directory, error); }
        throw;
    }
    terminal.result(fmt::format("{}: {} training images in {} file{} and {} test images in {}",
                                data_title(request.dataset, data_dir), data.train.size(), batch, batch == 1 ? "" : "s",
                                data.test.size(), directory.string()));
}

void to_hex(const ConvertRequest& request, Terminal& terminal) {
    const NetworkEntry& entry = find_network(request.model, request.weights, watched_model_info(request.weights));
    entry.conversions.to_hex(request.weights, request.to_hex,
                             request.numbered ? ctnn::HexNames::numbered : ctnn::HexNames::parameters);
    terminal.result(
        fmt::format("{} of {} in hex files in {}", entry.type, request.weights.string(), request.to_hex.string()));
}

void from_hex(const ConvertRequest& request, Terminal& terminal) {
    const NetworkEntry& entry = find_network(request.model);
    entry.conversions.from_hex(request.from_hex, request.to_weights, {std::string{entry.type}, {}, {}});
    terminal.result(fmt::format("{} of {} in {}", entry.type, request.from_hex.string(), request.to_weights.string()));
}

/// Between safetensors and native files.
void copy(const ConvertRequest& request, Terminal& terminal) {
    const bool native = !request.to_native.empty();
    const fs::path& to = native ? request.to_native : request.to_weights;
    require_other_file(native ? "--to-native" : "--to-weights", to, "--weights", request.weights);
    const NetworkEntry& entry = find_network(request.model, request.weights, watched_model_info(request.weights));
    entry.conversions.copy(request.weights, to, native, entry.type);
    terminal.result(fmt::format("{} of {} in {}", entry.type, request.weights.string(), to.string()));
}

void convert(const ConvertRequest& request, Terminal& terminal) {
    if (!request.to_idx.empty()) { return to_idx(request, terminal); }
    if (!request.from_hex.empty()) { return from_hex(request, terminal); }
    if (request.weights.empty()) { throw ctnn::ArgumentError("--to-weights requires --weights or --from-hex"); }
    request.to_hex.empty() ? copy(request, terminal) : to_hex(request, terminal);
}

}  // namespace

std::function<bool(Terminal&)> add_convert_command(CLI::App& app) {
    CLI::App& command =
        *app.add_subcommand("convert", "Turns data sets into IDX files, weights into hex or native files and back.");
    command.footer(convert_examples);
    const auto request = std::make_shared<ConvertRequest>();
    ConvertRequest& r = *request;
    CLI::App& goals = *command.add_option_group("Output", "what to write; one of them");
    CLI::Option* const idx = goals.add_option("--to-idx", r.to_idx, "a new folder for IDX files");
    CLI::Option* const hex = goals.add_option("--to-hex", r.to_hex, "a folder for hex files of weights");
    CLI::Option* const safetensors = goals.add_option("--to-weights", r.to_weights, "a safetensors file");
    CLI::Option* const native = goals.add_option("--to-native", r.to_native, "a file of weights that is used in place");
    goals.require_option(1);

    CLI::Option* const dataset =
        command.add_option("--dataset", r.dataset, "the images")->check(CLI::IsMember(dataset_names))->needs(idx);
    command.add_option("--data-dir", r.data_dir, "their folder (datasets/DATASET)")->needs(idx);
    CLI::Option* const weights = command.add_option("--weights", r.weights, "a safetensors or native file");
    CLI::Option* const from = command.add_option("--from-hex", r.from_hex, "a folder of hex files")->needs(safetensors);
    CLI::Option* const model = command.add_option("--model", r.model, "the network (as the file of weights says)");
    command.add_flag("--numbered", r.numbered, "name hex files as ML Odyssey does")->needs(hex);
    idx->needs(dataset);
    hex->needs(weights);
    native->needs(weights);
    weights->excludes(idx)->excludes(from);
    from->needs(model);
    model->excludes(idx);

    return [&command, request](Terminal& terminal) {
        if (!command.parsed()) { return false; }
        convert(*request, terminal);
        return true;
    };
}

}  // namespace alexnet
