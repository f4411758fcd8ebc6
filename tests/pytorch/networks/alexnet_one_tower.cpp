#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include <ctnn/data/loader.hpp>
#include <ctnn/io/native.hpp>
#include <ctnn/models/alexnet_one_tower.hpp>
#include <ctnn/train/evaluate.hpp>

#include "pytorch/run.hpp"

using Net = ctnn::AlexNetOneTower<1000, 224, 0.0>;

/// Logits of the picture in picture.safetensors into pictured.safetensors, by what `alexnet predict --shorter-side 256`
/// does for a native file of the weights.
static void look_at_picture(const std::filesystem::path& folder) {
    {
        ctnn::Model<Net> model;
        ctnn::load_weights(folder / "weights.safetensors", model);
        ctnn::save_native(folder / "weights.native", model, {"AlexNetOneTower<>", ctnn::imagenet_normalization(), {}});
    }
    const ctnn::MappedModel<Net> model{folder / "weights.native"};
    const auto bytes = ctnn::read_file(folder / "picture.safetensors");
    const ctnn::SafetensorsFile file = ctnn::parse_safetensors(bytes, "picture.safetensors");
    const ctnn::TensorView& picture = *file.find("picture");
    ctnn::Dataset set;
    set.shape = {3, static_cast<int>(picture.shape[1]), static_cast<int>(picture.shape[2])};
    set.pixels.resize(picture.data.size());
    picture.copy_to(set.pixels);
    set.labels = {0};
    set.class_names = {"unknown"};
    set.normalization = model.info().normalization;
    ctnn::BatchLoader loader{
        set, {0}, {.batch_size = 1, .shuffle = false, .shape = Net::input_shape, .shorter_side = 256}};
    ctnn::Workspace<ctnn::Inference<Net>> workspace{1};
    ctnn::predict(model.view(), loader, workspace, {}, [&](const ctnn::MiniBatch&, std::span<const float> logits) {
        const std::vector<ctnn::TensorView> tensors{ctnn::tensor_view("pictured", {1, Net::classes}, logits)};
        ctnn::save_safetensors(folder / "pictured.safetensors", tensors);
        return true;
    });
}

void alexnet_one_tower(const std::filesystem::path& folder);
void alexnet_one_tower(const std::filesystem::path& folder) {
    pytorch::run<Net>(folder);
    look_at_picture(folder);
}
