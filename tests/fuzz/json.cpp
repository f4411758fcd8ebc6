// Any text as JSON. What is read can be written and read again, with and without indentation.
#include <ctnn/io/json.hpp>
#include <ctnn/io/json_parser.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ctnn::Json json;
    if (!fuzz::accepted([&] { json = ctnn::parse_json({reinterpret_cast<const char*>(data), size}, "input"); })) {
        return 0;
    }
    const std::string text = ctnn::write_json(json);
    fuzz::require(ctnn::write_json(ctnn::parse_json(text, "written")) == text, "a value stays");
    fuzz::require(ctnn::write_json(ctnn::parse_json(ctnn::write_json(json, 2), "indented")) == text,
                  "indentation changes nothing");
    return 0;
}
