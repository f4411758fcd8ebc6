// Any bytes as records of CIFAR-100, and as its names of classes.
#include <ctnn/io/cifar.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const fuzz::MemoryFile input{fuzz::as_bytes(data, size)};
    const auto layout = ctnn::detail::cifar100_layout();
    fuzz::accepted([&] {
        auto file = ctnn::detail::open_cifar(layout, input.path(), 1 + size / 10'000);
        const ctnn::Dataset set = ctnn::detail::read_cifar(layout, {&file, 1}, ctnn::cifar100_class_names());
        fuzz::require(set.size() * ctnn::detail::cifar_pixels == set.pixels.size(), "pixels are whole");
        for (const auto label : set.labels) { fuzz::require(label < 100, "labels have a name"); }
    });
    fuzz::accepted([&] {
        for (const std::string& name : ctnn::detail::read_names(input.path())) {
            fuzz::require(!name.empty() && name.find('\n') == std::string::npos, "a name is a line");
        }
    });
    return 0;
}
