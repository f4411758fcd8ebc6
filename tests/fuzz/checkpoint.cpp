// Any bytes as a trainer's file. What is refused changes no parameter; a trainer that was restored can train.
#include <vector>

#include <ctnn/data/loader.hpp>
#include <ctnn/io/checkpoint.hpp>
#include <ctnn/train/trainer.hpp>

#include "fuzz.hpp"
#include "network.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const ctnn::Model<fuzz::Net> before{ctnn::Seed{1}};
    static const ctnn::TrainerSettings settings{.schedule = {.epochs = 2}, .batch_size = 2};
    static const ctnn::Dataset set{
        {1, 3, 3}, std::vector<std::uint8_t>(8 * 9, 100), {0, 1, 0, 1, 0, 1, 0, 1}, {"a", "b"}, {{0}, {1}}};
    static const ctnn::DatasetSource images{set};
    ctnn::Model<fuzz::Net> model = before;
    ctnn::Trainer<fuzz::Net> trainer{model, settings, 1};
    const fuzz::MemoryFile file{fuzz::as_bytes(data, size)};
    if (!fuzz::accepted([&] { ctnn::load_trainer(file.path(), trainer); })) {
        fuzz::require(fuzz::same(model, before), "a model that was not restored is as it was");
        fuzz::require(trainer.progress().step == 0, "a trainer that was not restored is at its beginning");
        return 0;
    }
    ctnn::BatchLoader loader{images, ctnn::all_indices(images.size()), {.batch_size = 2, .shape = {1, 3, 3}}};
    try {
        trainer.train_epoch(loader);
    } catch (const ctnn::NumericError&) {   // weights may be any
    } catch (const ctnn::ArgumentError&) {  // and so may the place in the epoch
    }
    return 0;
}
