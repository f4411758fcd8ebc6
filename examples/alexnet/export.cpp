#include "export.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/weights.hpp>

#include "interrupt.hpp"
#include "networks.hpp"
#include "other_file.hpp"

namespace alexnet {

namespace {

constexpr const char* export_examples = R"(Examples:
  alexnet export --weights runs/small-cifar10/best.safetensors --header small.hpp --name small

A program that includes small.hpp and <ctnn/ctnn.hpp> has the model as small::view<ctnn::SmallAlexNet>(), and
small::mean, small::standard_deviation and small::class_names. It reads no file.)";

struct ExportRequest {
    std::filesystem::path weights, header;
    std::string model, name = "weights";
};

/// C++20's, with those that stand for operators.
constexpr std::array<std::string_view, 92> keywords{
    "alignas",     "alignof",   "and",        "and_eq",    "asm",      "auto",         "bitand",
    "bitor",       "bool",      "break",      "case",      "catch",    "char",         "char8_t",
    "char16_t",    "char32_t",  "class",      "compl",     "concept",  "const",        "consteval",
    "constexpr",   "constinit", "const_cast", "continue",  "co_await", "co_return",    "co_yield",
    "decltype",    "default",   "delete",     "do",        "double",   "dynamic_cast", "else",
    "enum",        "explicit",  "export",     "extern",    "false",    "float",        "for",
    "friend",      "goto",      "if",         "inline",    "int",      "long",         "mutable",
    "namespace",   "new",       "noexcept",   "not",       "not_eq",   "nullptr",      "operator",
    "or",          "or_eq",     "private",    "protected", "public",   "register",     "reinterpret_cast",
    "requires",    "return",    "short",      "signed",    "sizeof",   "static",       "static_assert",
    "static_cast", "struct",    "switch",     "template",  "this",     "thread_local", "throw",
    "true",        "try",       "typedef",    "typeid",    "typename", "union",        "unsigned",
    "using",       "virtual",   "void",       "volatile",  "wchar_t",  "while",        "xor",
    "xor_eq"};

/// The library looks at the letters alone.
void require_no_keyword(const std::string& name) {
    if (std::ranges::find(keywords, name) != keywords.end()) {
        throw ctnn::ArgumentError(fmt::format("--name: found {}, a keyword of C++, expected another name", name));
    }
}

}  // namespace

std::function<bool(Terminal&)> add_export_command(CLI::App& app) {
    CLI::App& command = *app.add_subcommand("export", "Writes weights as a C++ header.");
    command.footer(export_examples);
    const auto request = std::make_shared<ExportRequest>();
    command.add_option("--weights", request->weights, "a safetensors or native file")->required();
    command.add_option("--header", request->header, "the header to write")->required();
    command.add_option("--model", request->model, "the network (as the file says)");
    command.add_option("--name", request->name, "the namespace of what it declares")->capture_default_str();

    return [&command, request](Terminal& terminal) {
        if (!command.parsed()) { return false; }
        require_other_file("--header", request->header, "--weights", request->weights);
        require_no_keyword(request->name);
        const NetworkEntry& entry =
            find_network(request->model, request->weights, watched_model_info(request->weights));
        entry.conversions.to_header(request->weights, request->header, request->name);
        terminal.result(fmt::format("{} of {} as {}::view<ctnn::{}>() in {}", entry.type, request->weights.string(),
                                    request->name, entry.type, request->header.string()));
        return true;
    };
}

}  // namespace alexnet
