// Any bytes as weights, in safetensors or native. What is refused changes nothing; what is loaded can be written and
// loaded again.
#include <cstring>

#include <ctnn/io/native.hpp>
#include <ctnn/io/weights.hpp>

#include "fuzz.hpp"
#include "network.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const ctnn::Model<fuzz::Net> before{ctnn::Seed{1}};
    ctnn::Model<fuzz::Net> model = before;
    const fuzz::MemoryFile file{fuzz::as_bytes(data, size)};
    const bool loaded = fuzz::accepted([&] { ctnn::load_weights(file.path(), model); });
    fuzz::accepted([&] {
        const ctnn::MappedModel<fuzz::Net> mapped{file.path()};
        fuzz::require(loaded, "what can be mapped can be loaded");
        for (const ctnn::ParameterSlot& slot : ctnn::ParameterLayout<fuzz::Net>::slots) {
            slot.spec.dims.for_canonical([&](std::int64_t at) {
                const float* const a = mapped.view().parameters + slot.offset + at;
                const float* const b = model.parameters().data() + slot.offset + at;
                fuzz::require(std::memcmp(a, b, sizeof(float)) == 0, "a mapped number is the loaded one");
            });
        }
    });
    if (!loaded) {
        fuzz::require(fuzz::same(model, before), "a model that was not loaded is as it was");
        return 0;
    }
    ctnn::StateDict<fuzz::Net, float> state;
    state.add_arena(model.parameters().span());
    state.add_buffers(model.buffers());
    const fuzz::MemoryFile written{ctnn::write_safetensors(state.views())};
    ctnn::Model<fuzz::Net> again;
    ctnn::load_weights(written.path(), again);
    fuzz::require(fuzz::same(model, again), "a model stays");
    return 0;
}
