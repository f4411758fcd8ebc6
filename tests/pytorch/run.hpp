// One forward and backward pass of a network, from files that PyTorch wrote to a file that it can read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include <ctnn/io/weights.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/train/loss.hpp>

namespace pytorch {

/// Reads weights.safetensors and batch.safetensors (images, channels last; labels) from `folder`; writes
/// back.safetensors, the same weights, and result.safetensors: logits and gradients of a training pass, and logits of
/// an inference in front of it.
template <class Net>
void run(const std::filesystem::path& folder) {
    ctnn::Model<Net> model;
    ctnn::load_weights(folder / "weights.safetensors", model);
    ctnn::save_weights(folder / "back.safetensors", model, {});
    const auto bytes = ctnn::read_file(folder / "batch.safetensors");
    const ctnn::SafetensorsFile file = ctnn::parse_safetensors(bytes, "batch.safetensors");
    std::vector<float> images(file.find("images")->data.size() / sizeof(float));
    file.find("images")->copy_to(images);
    std::vector<std::int32_t> labels(file.find("labels")->data.size() / sizeof(std::int32_t));
    file.find("labels")->copy_to(labels);
    const int samples = static_cast<int>(labels.size());

    const auto kept = [](std::span<const float> values) { return std::vector<float>(values.begin(), values.end()); };
    ctnn::Workspace<ctnn::Inference<Net>> inference{samples};
    const std::vector<float> evaluated = kept(ctnn::forward(model.view(), images.data(), samples, inference));
    ctnn::Workspace<ctnn::Training<Net>> training{samples};
    const std::vector<float> logits = kept(ctnn::forward(model, images.data(), samples, training, {}));
    ctnn::cross_entropy<float>({}, logits, labels, Net::classes, training.output_gradient(samples));
    ctnn::Parameters<Net> gradients;
    ctnn::backward(model, images.data(), samples, training, gradients);

    ctnn::StateDict<Net, float> state;
    state.add_arena(gradients.span(), "gradient.");
    std::vector<ctnn::TensorView> tensors{state.views().begin(), state.views().end()};
    const std::vector<std::int64_t> shape{samples, Net::classes};
    tensors.push_back(ctnn::tensor_view("evaluated", shape, evaluated));
    tensors.push_back(ctnn::tensor_view("logits", shape, logits));
    ctnn::save_safetensors(folder / "result.safetensors", tensors);
}

}  // namespace pytorch
