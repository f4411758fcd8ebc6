#include "export.hpp"

#include <filesystem>
#include <memory>
#include <string>

#include <fmt/format.h>

#include <ctnn/io/weights.hpp>

#include "networks.hpp"

namespace alexnet {

namespace {

constexpr const char* examples = R"(Examples:
  alexnet export --weights runs/small-cifar10/best.safetensors --header small.hpp --name small

A program that includes small.hpp and <ctnn/ctnn.hpp> has the model as small::view<ctnn::SmallAlexNet>(), and
small::mean, small::standard_deviation and small::class_names. It reads no file.)";

struct Request {
    std::filesystem::path weights, header;
    std::string model, name = "weights";
};

}  // namespace

std::function<bool(Terminal&)> add_export_command(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("export", "Writes weights as a C++ header.");
    command.footer(examples);
    const auto request = std::make_shared<Request>();
    command.add_option("--weights", request->weights, "a safetensors or native file")->required();
    command.add_option("--header", request->header, "the header to write")->required();
    command.add_option("--model", request->model, "the network (as the file says)");
    command.add_option("--name", request->name, "the namespace of what it declares")->capture_default_str();

    return [&command, request](Terminal& terminal) {
        if (!command.parsed()) { return false; }
        const NetworkEntry& entry =
            find_network(request->model, request->weights, ctnn::load_model_info(request->weights));
        entry.conversions.to_header(request->weights, request->header, request->name);
        terminal.result(fmt::format("{} of {} as {}::view<ctnn::{}>() in {}", entry.type, request->weights.string(),
                                    request->name, entry.type, request->header.string()));
        return true;
    };
}

}  // namespace alexnet
