// Trainings by several ranks, which are threads here: the same steps as one process makes, whatever their number.
#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/data/synthetic.hpp>
#include <ctnn/io/checkpoint.hpp>
#include <ctnn/layers/conv2d.hpp>
#include <ctnn/layers/dropout.hpp>
#include <ctnn/layers/flatten.hpp>
#include <ctnn/layers/linear.hpp>
#include <ctnn/layers/pooling.hpp>
#include <ctnn/train/evaluate.hpp>
#include <ctnn/train/trainer.hpp>
#endif

#include "distributed/steps.hpp"
#include "scratch.hpp"

namespace {

using namespace ctnn;
using namespace distributed_test;

/// What the ranks of a test have in common.
struct Team {
    std::barrier<> all;
    std::vector<std::byte*> data;

    explicit Team(int ranks) : all{ranks}, data(static_cast<std::size_t>(ranks)) {}
};

/// A thread's end of it. Sums are complete when they are started.
class Rank {
  public:
    Rank(Team& team, int rank) : team_{team}, rank_{rank} {}
    [[nodiscard]] int rank() const { return rank_; }
    [[nodiscard]] int size() const { return static_cast<int>(team_.data.size()); }
    template <class T>
    void all_reduce(std::span<T> values) {
        std::vector<T> sum(values.size());
        meet(values.data(), [&] {
            for (const std::byte* other : team_.data) {
                if (other == nullptr) { continue; }
                for (std::size_t i = 0; i < sum.size(); ++i) { sum[i] += reinterpret_cast<const T*>(other)[i]; }
            }
        });
        std::ranges::copy(sum, values.begin());
        ++sums_;
    }
    template <class T>
    void start_all_reduce(std::span<T> values) {
        all_reduce(values);
    }
    void finish() {}
    void broadcast(std::span<std::byte> bytes, int root) {
        std::vector<std::byte> copy(bytes.size());
        meet(bytes.data(),
             [&] { std::copy_n(team_.data[static_cast<std::size_t>(root)], bytes.size(), copy.begin()); });
        std::ranges::copy(copy, bytes.begin());
    }
    void barrier() { team_.all.arrive_and_wait(); }
    [[nodiscard]] int sums() const { return sums_; }

  private:
    template <class F>
    void meet(void* mine, F&& read) {
        team_.data[static_cast<std::size_t>(rank_)] = static_cast<std::byte*>(mine);
        barrier();
        read();
        barrier();
    }

    Team& team_;
    int rank_, sums_ = 0;
};
static_assert(distributed::Communicator<Rank>);

/// Calls f(rank) on every rank at the same time; what one throws comes out.
template <class F>
void on_ranks(int ranks, F&& f) {
    Team team{ranks};
    std::vector<std::exception_ptr> errors(static_cast<std::size_t>(ranks));
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks; ++r) {
        threads.emplace_back([&, r] {
            Rank rank{team, r};
            try {
                f(rank);
            } catch (...) { errors[static_cast<std::size_t>(r)] = std::current_exception(); }
            team.data[static_cast<std::size_t>(r)] = nullptr;  // others may still wait for this one
            team.all.arrive_and_drop();
        });
    }
    for (std::thread& thread : threads) { thread.join(); }
    for (const std::exception_ptr& error : errors) {
        if (error) { std::rethrow_exception(error); }
    }
}

/// What three steps come to on each of several ranks.
template <class Net, class T>
std::vector<std::vector<double>> by_ranks(int ranks, const TrainerSettings& settings, const Samples<T>& samples,
                                          bool with_ids) {
    std::vector<std::vector<double>> all(static_cast<std::size_t>(ranks));
    on_ranks(ranks, [&](Rank& rank) {
        all[static_cast<std::size_t>(rank.rank())] = steps_of_rank<Net>(rank, settings, samples, with_ids);
    });
    return all;
}
template <class Net, class T>
void check_equal_to_one(const TrainerSettings& settings, std::size_t n, double allowed) {
    const Samples<T> samples{n};
    for (const bool with_ids : {true, false}) {
        const std::vector<double> expected = steps_alone<Net>(settings, samples, with_ids);
        for (const int ranks : {1, 2, 3, 4}) {
            CAPTURE(with_ids, ranks, n, settings.micro_batch);
            const auto found = by_ranks<Net, T>(ranks, settings, samples, with_ids);
            for (const auto& rank : found) { CHECK(rank == found[0]); }
            CHECK(distance(found[0], expected) < allowed * static_cast<double>(std::numeric_limits<T>::epsilon()));
        }
    }
}

}  // namespace

TEMPLATE_TEST_CASE("distributed: ranks make the steps of one process", "[distributed]", float, double) {
    const std::vector<TrainerSettings> cases = distributed_test::cases();
    for (std::size_t c = 0; c < cases.size(); ++c) {
        CAPTURE(c);
        check_equal_to_one<Plain, TestType>(cases[c], 13, 200);
        check_equal_to_one<WithNorms, TestType>(cases[c], 13, 1000);
        check_equal_to_one<Flat, TestType>(cases[c], 13, 200);
    }
}

TEST_CASE("distributed: a gradient that the test could miss is not zero", "[distributed]") {
    const Samples<double> samples{13};
    Model<WithNorms, double> model{Seed{1}};
    const std::vector<double> before{model.parameters().span().begin(), model.parameters().span().end()};
    Trainer<WithNorms, double> trainer{model, settings_for(13), 1};
    samples.step(trainer, {0, 13}, true);
    for (const ParameterSlot& slot : ParameterLayout<WithNorms>::slots) {
        CAPTURE(slot.name.view());
        if (slot.name.view() == "0.bias" || slot.name.view() == "4.bias") { continue; }  // batch norm takes them out
        CHECK(std::sqrt(sum_of_squares<double>(tensor_of(trainer.gradients(), slot), 1)) > 1e-3);
    }
    // A share taken twice, or left out, is no rounding.
    Trainer<WithNorms, double> other{model, settings_for(13), 1};
    std::ranges::copy(before, model.parameters().span().begin());
    const StepResult fewer = samples.step(other, {0, 12}, true);
    CHECK(distance(numbers_of(other, fewer), steps_alone<WithNorms>(settings_for(13), samples, true)) > 1e-3);
}

TEST_CASE("distributed: in micro-batches, and with shares that are empty", "[distributed]") {
    for (const int micro_batch : {1, 2, 3}) {
        TrainerSettings settings = settings_for(13, Lars{.trust_coefficient = 0.1});
        settings.micro_batch = micro_batch;
        check_equal_to_one<Plain, double>(settings, 13, 200);
        check_equal_to_one<Plain, double>(settings, 5, 200);
        check_equal_to_one<Plain, double>(settings, 3, 200);
        check_equal_to_one<Plain, double>(settings, 1, 200);
    }
}

TEST_CASE("distributed: without synchronisation batch norm takes each rank's samples", "[distributed]") {
    TrainerSettings settings = settings_for(8);
    settings.sync_batch_norm = false;
    const Samples<double> samples{8};
    // Two ranks are two passes of one process, but for the running statistics: the mean of what the ranks came to.
    const auto found = by_ranks<WithNorms, double>(2, settings, samples, true);
    CHECK(found[0] == found[1]);
    settings.micro_batch = 4;
    const std::vector<double> passes = steps_of_rank<WithNorms>(distributed::alone, settings, samples, true);
    const std::size_t parameters = 5 + Parameters<WithNorms>::size;
    const auto first = [&](const std::vector<double>& all) {
        return std::vector<double>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(parameters));
    };
    CHECK(distance(first(found[0]), first(passes)) < 1e-12);
    settings.micro_batch = 0;
    CHECK(distance(first(found[0]), first(steps_alone<WithNorms>(settings, samples, true))) > 1e-3);
    // One step of each rank alone, from the same beginning.
    const auto running = [&](Shard own) {
        Model<WithNorms, double> model{Seed{1}};
        Trainer<WithNorms, double> trainer{model, settings, 1};
        samples.step(trainer, own, true);
        return std::vector<double>{model.buffers().span().begin(), model.buffers().span().end()};
    };
    const std::vector<double> left = running({0, 4}), right = running({4, 8});
    on_ranks(2, [&](Rank& rank) {
        Model<WithNorms, double> model{Seed{1}};
        Trainer<WithNorms, double, Rank> trainer{model, settings, 1, rank};
        samples.step(trainer, shard_of(8, rank.rank(), 2), true);
        for (std::size_t i = 0; i < left.size(); ++i) {
            if (std::abs(model.buffers().span()[i] - (left[i] + right[i]) / 2) > 1e-12) {
                throw Error("running statistic " + std::to_string(i) + " is not the mean");
            }
        }
    });
}

TEST_CASE("distributed: loaders share out batches that do not depend on the ranks", "[distributed]") {
    const Dataset data = make_synthetic(50, 1, 4).train;
    LoaderOptions options{.batch_size = 16, .seed = 9, .augment = true};
    for (const double mixup : {0.0, 0.4}) {
        options.mixup = mixup;
        BatchLoader whole{data, all_indices(data.size()), options};
        for (const int ranks : {2, 3, 4}) {
            std::vector<std::unique_ptr<BatchLoader>> shares;
            for (int r = 0; r < ranks; ++r) {
                options.rank = r;
                options.ranks = ranks;
                shares.push_back(std::make_unique<BatchLoader>(data, all_indices(data.size()), options));
                shares.back()->start_epoch(1);
                CHECK(shares.back()->samples() == whole.samples());
            }
            options.rank = 0;
            options.ranks = 1;
            whole.start_epoch(1);
            while (const MiniBatch* batch = whole.next()) {
                std::vector<float> images;
                std::vector<std::int32_t> labels, second;
                std::vector<std::uint32_t> ids;
                for (const auto& share : shares) {
                    const MiniBatch& part = *share->next();
                    CHECK(part.mix == batch->mix);
                    images.insert(images.end(), part.images.begin(), part.images.end());
                    labels.insert(labels.end(), part.labels.begin(), part.labels.end());
                    second.insert(second.end(), part.second_labels.begin(), part.second_labels.end());
                    ids.insert(ids.end(), part.ids.begin(), part.ids.end());
                }
                CHECK(std::ranges::equal(images, batch->images));
                CHECK(std::ranges::equal(labels, batch->labels));
                CHECK(std::ranges::equal(second, batch->second_labels));
                CHECK(std::ranges::equal(ids, batch->ids));
            }
            for (const auto& share : shares) { CHECK(share->next() == nullptr); }
        }
    }
}

namespace {

struct Net32 : Sequential<Input<3, 32, 32>, Conv2d<8, Kernel<5>, Stride<3>>, ReLU, MaxPool2d<Kernel<2>>, Flatten,
                          Dropout<0.5>, Linear<10>> {};

/// Two epochs of 50 samples, the last batch of 2, and what the model then makes of them. Resumed behind `first` epochs
/// by other ranks.
std::vector<double> epochs(int ranks, int first = 0, int ranks_before = 1) {
    const Dataset data = make_synthetic(50, 1, 4).train;
    const Scratch scratch;
    std::vector<double> numbers;
    const auto part = [&](int on, int begin, int end) {
        on_ranks(on, [&](Rank& rank) {
            TrainerSettings settings = settings_for(16);
            settings.schedule = {.lr = 0.05, .epochs = 2};
            Model<Net32, float> model{Seed{1}};
            Trainer<Net32, float, Rank> trainer{model, settings, 1, rank};
            if (begin > 0 && rank.rank() == 0) { load_trainer(scratch / "state", trainer); }
            trainer.synchronize();
            LoaderOptions options{.batch_size = 16, .seed = 9, .augment = true, .mixup = 0.2};
            options.rank = rank.rank();
            options.ranks = on;
            BatchLoader loader{data, all_indices(data.size()), options};
            StepResult result;
            while (trainer.progress().epoch < end) { result = trainer.train_epoch(loader); }
            if (rank.rank() == 0) { save_trainer(scratch / "state", trainer); }
            options.mixup = 0;
            BatchLoader test{data, all_indices(data.size()), options};
            Workspace<Inference<Net32>> workspace{16, 1};
            Metrics metrics = evaluate(model.view(), test, workspace);
            metrics.all_reduce(rank);
            if (rank.rank() == on - 1) {
                numbers = numbers_of(trainer, result);
                numbers.push_back(metrics.mean_loss());
                numbers.push_back(static_cast<double>(metrics.samples()));
                numbers.push_back(static_cast<double>(trainer.progress().step));
            }
        });
    };
    if (first > 0) { part(ranks_before, 0, first); }
    part(ranks, first, 2);
    return numbers;
}

}  // namespace

TEST_CASE("distributed: epochs, evaluation and resumption by another number of ranks", "[distributed]") {
    const std::vector<double> one = epochs(1);
    CHECK(one.at(one.size() - 2) == 50);
    CHECK(one.back() == 8);
    for (const int ranks : {2, 3, 4}) {
        CAPTURE(ranks);
        CHECK(distance(epochs(ranks), one) < 1e-4);
        CHECK(distance(epochs(ranks, 1, 5 - ranks), one) < 1e-4);
    }
}

TEST_CASE("distributed: what is not finite on one rank is skipped, or refused, by all", "[distributed]") {
    Samples<float> samples{12};
    samples.images[7 * 3 * 8 * 8 + 5] = std::numeric_limits<float>::quiet_NaN();
    TrainerSettings settings = settings_for(12);
    settings.skip_nonfinite = 1;
    std::vector<std::string> errors(3);
    on_ranks(3, [&](Rank& rank) {
        Model<WithNorms> model{Seed{1}};
        const Parameters<WithNorms> before = model.parameters();
        const Buffers<WithNorms> buffers = model.buffers();
        Trainer<WithNorms, float, Rank> trainer{model, settings, 1, rank};
        const Shard own = shard_of(12, rank.rank(), 3);
        const bool skipped = samples.step(trainer, own, true).skipped == 1;
        std::string& error = errors[static_cast<std::size_t>(rank.rank())];
        try {
            samples.step(trainer, own, true);
        } catch (const NumericError& e) { error = e.what(); }
        if (!skipped || trainer.progress().step != 1) { error += "; not skipped first"; }
        if (!std::ranges::equal(before.span(), model.parameters().span()) ||
            !std::ranges::equal(buffers.span(), model.buffers().span())) {
            error += "; moved";
        }
    });
    CHECK_THAT(errors[1], Catch::StartsWith("step 1: the loss is not finite; rank 1: the input is not: image 3 of the "
                                            "batch (id ") &&
                              Catch::Contains("channel 2, row 0, column 1 is NaN"));
    CHECK(errors[0] == errors[1]);
    CHECK(errors[2] == errors[1]);
    for (const std::string& error : errors) {
        CHECK_THAT(error, !Catch::Contains("moved") && !Catch::Contains("not skipped"));
    }
}

namespace {

/// Neither batch norm nor a tanh that would take in what is too large.
struct Bare : Sequential<Input<3, 8, 8>, Conv2d<6, Kernel<3>>, ReLU, Flatten, Linear<5>> {};

}  // namespace

TEST_CASE("distributed: the rank whose loss overflows says where", "[distributed]") {
    Samples<float> samples{12};
    samples.images[7 * 3 * 8 * 8 + 5] = std::numeric_limits<float>::max();
    std::vector<std::string> errors(3);
    on_ranks(3, [&](Rank& rank) {
        Model<Bare> model{Seed{1}};
        for (float& weight : model.parameters().span()) { weight *= 100; }
        Trainer<Bare, float, Rank> trainer{model, settings_for(12), 1, rank};
        try {
            samples.step(trainer, shard_of(12, rank.rank(), 3), true);
        } catch (const NumericError& e) { errors[static_cast<std::size_t>(rank.rank())] = e.what(); }
    });
    CHECK_THAT(errors[1], Catch::StartsWith("step 0: the loss is not finite; rank 1: the first output that is not: "
                                            "layer 0, Conv2d"));
    CHECK(errors[0] == errors[1]);
    CHECK(errors[2] == errors[1]);
}

namespace {

/// Batch norm on a map of one pixel, of which one sample has no variance.
struct OnePixel : Sequential<Input<3, 8, 8>, Conv2d<6, Kernel<8>>, BatchNorm2d<>, ReLU, Flatten, Linear<5>> {};

}  // namespace

TEST_CASE("distributed: a rank may have a single value where all together have more", "[distributed]") {
    const Samples<double> samples{3};
    const std::vector<double> expected = steps_alone<OnePixel>(settings_for(3), samples, true);
    for (const int ranks : {2, 3}) {
        const auto found = by_ranks<OnePixel>(ranks, settings_for(3), samples, true);
        CHECK(found[0] == found[1]);
        CHECK(distance(found[0], expected) < 1e-12);
    }
}

TEST_CASE("distributed: what does not fit is refused", "[distributed]") {
    const Samples<float> samples{8};
    const auto error_of = [&](int ranks, int batch, auto&& f) {
        TrainerSettings settings = settings_for(batch);
        std::string error;
        on_ranks(ranks, [&](Rank& rank) {
            Model<WithNorms> model{Seed{1}};
            try {
                Trainer<WithNorms, float, Rank> trainer{model, settings, 1, rank};
                f(trainer, rank);
            } catch (const ArgumentError& e) {
                if (rank.rank() == 0) { error = e.what(); }
            }
        });
        return error;
    };
    const auto nothing = [](auto&, Rank&) {};
    CHECK(error_of(3, 2, nothing) ==
          "synchronised batch norm: a batch of 2 samples in 1 passes on each of 3 ranks, expected at least one sample "
          "in each; change the batch size");
    CHECK(error_of(2, 8, [&](auto& trainer, Rank& rank) {
              samples.step(trainer, rank.rank() == 0 ? Shard{0, 5} : Shard{5, 8}, true);
          }) == "a share of 5 of a batch of 8 samples; expected 4 on rank 0 of 2");
    CHECK(error_of(2, 8, [&](auto& trainer, Rank&) { samples.step(trainer, {0, 5}, true); }) ==
          "a batch of 10 samples; expected 1 to 8, the trainer's batch size");
    const Dataset data = make_synthetic(50, 1, 4).train;
    BatchLoader loader{data, all_indices(50), {.batch_size = 8, .rank = 1, .ranks = 2}};
    Model<Net32> model;
    Trainer<Net32> trainer{model, settings_for(8), 1};
    CHECK_THROWS_WITH(trainer.train_epoch(loader),
                      "batch loader: batches are those of rank 1 of 2, expected rank 0 of 1");
    CHECK_THROWS_WITH((BatchLoader{data, all_indices(50), {.batch_size = 8, .rank = 2, .ranks = 2}}),
                      "batch loader: rank is 2, expected 0 to 1");
}
