// Any text as a file for --config: it becomes options of train or one error.
#include <CLI/CLI.hpp>

#include "fuzz.hpp"
#include "options.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::MemoryFile file{fuzz::as_bytes(data, size)};
    CLI::App app;
    CLI::App& train = *app.add_subcommand("train");
    alexnet::RunOptions options{train};
    const std::string path = file.path().string();
    fuzz::accepted([&] {
        options.read_config({"train", "--config", path});
        try {
            train.parse({path, "--config"});  // the last one comes first
            (void)options.settings();
        } catch (const CLI::Error&) {  // which the tool prints
        } catch (const ctnn::ArgumentError&) {}
    });
    return 0;
}
