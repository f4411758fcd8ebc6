// What a training needs before it begins: its settings, its images, and the agreement of all ranks on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ctnn/data/loader_options.hpp>
#include <ctnn/io/json.hpp>

#include "commands.hpp"
#include "data.hpp"
#include "networks.hpp"
#include "ranks.hpp"
#include "settings.hpp"

namespace alexnet {

/// Of a resumed run those that the first rank finds in its folder, which the others need not see; else those asked for.
RunSettings settings_of(const TrainRequest& request, Ranks& ranks);

/// What run.json says beside the settings.
ctnn::Json::Object about_run(const NetworkEntry& entry, int threads, int ranks, std::size_t images);

/// Of a rank's training batches.
ctnn::LoaderOptions loader_options(const RunSettings& settings, ctnn::Shape shape, int workers, const Ranks& ranks);

/// The images. Throws ctnn::Error for whatever a run would else fail by only behind its first epoch: nothing to test
/// on, more classes than the network has outputs, names of classes that no file can keep.
Sources open_for(const NetworkEntry& entry, const RunSettings& settings, const std::string& data_dir);

/// Which samples of the training set train, and which validate.
std::pair<std::vector<std::uint32_t>, std::vector<std::uint32_t>> split(const RunSettings& settings, std::size_t size);

/// Throws ctnn::Error that names the first thing in which a rank differs from the first one: program, settings, data.
void require_same_training(Ranks& ranks, const RunSettings& settings, const Sources& data);

}  // namespace alexnet
