// Any bytes as a safetensors file. What is read can be written and read again.
#include <vector>

#include <ctnn/io/safetensors.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ctnn::SafetensorsFile file;
    if (!fuzz::accepted([&] { file = ctnn::parse_safetensors(fuzz::as_bytes(data, size), "input"); })) { return 0; }

    const std::vector<std::byte> written = ctnn::write_safetensors(file.tensors, file.metadata);
    const ctnn::SafetensorsFile again = ctnn::parse_safetensors(written, "written");
    fuzz::require(again.metadata == file.metadata, "metadata stay");
    fuzz::require(again.tensors.size() == file.tensors.size(), "tensors stay");
    for (const ctnn::TensorView& tensor : file.tensors) {
        const ctnn::TensorView* const same = again.find(tensor.name);
        fuzz::require(same != nullptr && same->dtype == tensor.dtype && same->shape == tensor.shape &&
                          std::ranges::equal(same->data, tensor.data),
                      "a tensor stays");
    }
    return 0;
}
