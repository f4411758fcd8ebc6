// Any bytes as weights, in safetensors or native. What is refused changes nothing; what is loaded can be written and
// loaded again.
#include <ctnn/io/weights.hpp>

#include "fuzz.hpp"
#include "network.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const ctnn::Model<fuzz::Net> before{ctnn::Seed{1}};
    ctnn::Model<fuzz::Net> model = before;
    const fuzz::MemoryFile file{fuzz::as_bytes(data, size)};
    fuzz::accepted([&] {
        const ctnn::MappedModel<fuzz::Net> mapped{file.path()};
        const ctnn::ModelView<fuzz::Net> view = mapped.view();
        float sum = 0;  // so that every number is read
        for (const float x : std::span{view.parameters, ctnn::Parameters<fuzz::Net>::size}) { sum += x; }
        fuzz::require(sum == sum || sum != sum, "numbers can be read");
    });
    if (!fuzz::accepted([&] { ctnn::load_weights(file.path(), model); })) {
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
