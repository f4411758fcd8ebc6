// Any text as run.json. Settings that are read can be written and read again, and give a trainer that says whether it
// can be; and as metrics.csv's reader, which a folder is opened with, takes them.
#include "settings.hpp"

#include <ctnn/io/json_parser.hpp>
#include <ctnn/train/trainer.hpp>

#include "fuzz.hpp"
#include "network.hpp"
#include "run_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::MemoryFile file{fuzz::as_bytes(data, size)};
    alexnet::RunSettings settings;
    if (!fuzz::accepted([&] { settings = alexnet::RunFolder::read_settings_of(file.path()); })) { return 0; }

    const ctnn::Json json = alexnet::to_json(settings);
    const ctnn::Json again = alexnet::to_json(alexnet::run_settings(json, "written"));
    fuzz::require(ctnn::write_json(json) == ctnn::write_json(again), "settings stay");
    if (settings.trainer.batch_size > 1000) { return 0; }
    try {
        ctnn::Model<fuzz::Net> model;
        const ctnn::Trainer<fuzz::Net> trainer{model, settings.trainer, 1};
    } catch (const ctnn::ArgumentError&) {}
    return 0;
}
