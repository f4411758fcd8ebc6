// The checks of one random network, called by the program that run.py builds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <vector>

#include <fmt/format.h>

#include <ctnn/io/weights.hpp>
#include <ctnn/layers/activations.hpp>
#include <ctnn/layers/batch_norm2d.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/local_response_norm.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/network/run.hpp>
#include <ctnn/testing/gradient_check.hpp>

namespace random_networks {

/// Prints what the gradient checker found, and says at the end what failed. Where it met a value too near a kink to
/// step past it by smaller steps, it gets parameters and an input of another seed, a few times at most.
template <class Net, ctnn::Fusion F>
void differences(std::uint64_t seed, int samples) {
    ctnn::GradientReport r;
    for (std::uint64_t draw = 0; draw < 4; ++draw) {
        r = ctnn::check_gradients<Net, F>({.samples = samples, .seed = seed + (draw << 32), .threads = 2});
        if (!r.failure.ends_with("crossed a kink")) { break; }
    }
    fmt::print("{} {} {} {} {}\n", r.checked, r.significant, r.redrawn, r.worst, r.failure);
    std::fflush(stdout);
}

/// One inference and one training pass in float with each number of threads, written to SEED_THREADS.safetensors. Model
/// and batch are those of SEED_weights.safetensors and SEED_batch.safetensors where these are there, else drawn.
template <class Net>
void passes(std::uint64_t seed, int samples, const std::filesystem::path& folder) {
    using namespace ctnn;
    const auto path = [&](auto what) { return folder / fmt::format("{}_{}.safetensors", seed, what); };
    for (const int threads : {1, 2, 3}) {
        Model<Net> model{Seed{seed}};
        std::vector<float> input(static_cast<std::size_t>(samples * Net::input_shape.size()));
        std::vector<float> coefficients(static_cast<std::size_t>(samples * Net::output_shape.size()));
        if (std::filesystem::exists(path("weights"))) {
            load_weights(path("weights"), model);
            const auto bytes = read_file(path("batch"));
            const SafetensorsFile file = parse_safetensors(bytes, "batch");
            file.find("input")->copy_to(input);
            file.find("coefficients")->copy_to(coefficients);
        } else {
            Random random{seed, Stream::test};
            for (float& v : input) { v = static_cast<float>(random.normal()); }
            for (float& v : coefficients) { v = static_cast<float>(random.normal()); }
        }

        Workspace<Inference<Net>> inference{samples, threads};
        const auto kept = [](std::span<const float> values) {
            return std::vector<float>(values.begin(), values.end());
        };
        const auto evaluated = kept(forward(model.view(), input.data(), samples, inference));
        const auto alone = kept(forward(model.view(), input.data(), 1, inference));  // its rows are shared out
        Workspace<Training<Net, float, Fusion::full, InputGradient::yes>> training{samples, threads};
        const auto output = kept(forward(model, input.data(), samples, training, {.seed = seed}));
        std::ranges::copy(coefficients, training.output_gradient(samples).begin());
        Parameters<Net> gradients;
        backward(model, input.data(), samples, training, gradients);

        StateDict<Net, float> state;
        state.add_arena(gradients.span(), "gradient.");
        state.add_buffers(model.buffers(), "after.");
        std::vector<TensorView> tensors{state.views().begin(), state.views().end()};
        const auto add = [&](const char* name, std::int64_t n, Shape shape, std::span<const float> values) {
            tensors.push_back(tensor_view(name, {n, shape.height, shape.width, shape.channels}, values));
        };
        add("evaluated", samples, Net::output_shape, evaluated);
        add("alone", 1, Net::output_shape, alone);
        add("output", samples, Net::output_shape, output);
        add("gradient of input", samples, Net::input_shape, training.input_gradient(samples));
        save_safetensors(path(threads), tensors);
    }
}

template <class Net>
void check(std::uint64_t seed, int samples, const std::filesystem::path& folder) {
    differences<Net, ctnn::Fusion::full>(seed, samples);
    differences<Net, ctnn::Fusion::none>(seed, samples);
    passes<Net>(seed, samples, folder);
}

}  // namespace random_networks
