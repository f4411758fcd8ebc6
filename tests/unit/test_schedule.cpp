// Learning-rate schedules against PyTorch's, their warmup, names and limits.
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <variant>

#include <catch2/catch.hpp>

#ifdef CTNN_SINGLE_HEADER
#include <ctnn/ctnn.hpp>
#else
#include <ctnn/core/error.hpp>
#include <ctnn/train/lars_recipes.hpp>
#include <ctnn/train/schedule.hpp>
#endif

namespace {

using ctnn::Schedule;
using ctnn::ScheduleKind;

constexpr std::array kinds{ScheduleKind::constant, ScheduleKind::step,   ScheduleKind::multi_step,
                           ScheduleKind::linear,   ScheduleKind::cosine, ScheduleKind::polynomial,
                           ScheduleKind::one_cycle};

struct Golden {
    Schedule schedule;
    std::array<double, 9> lr;
};

// o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4); s = make(o)
// for i in range(9): print('%.17g' % o.param_groups[0]['lr']); o.step(); s.step()             # PyTorch 1.13, make =
//   StepLR(o, 3, 0.1); MultiStepLR(o, [2, 5, 5], 0.5); LinearLR(o, 1.0, 0.25, 8); CosineAnnealingLR(o, 8,
//   eta_min=0.04); PolynomialLR(o, 8, 2.0); OneCycleLR(o, 0.4, total_steps=9, pct_start=(0.3 * 8 + 1) / 9,
//   anneal_strategy=a, cycle_momentum=False)
// with a = 'cos' and 'linear'. OneCycleLR ends its phases at pct_start·total_steps − 1 and total_steps − 1: these
// arguments put them at 0.3·8 and 8.
const std::array golden{
    Golden{{.kind = ScheduleKind::step, .lr = 0.4, .epochs = 8, .step_size = 3},
           {0.40000000000000002, 0.40000000000000002, 0.40000000000000002, 0.040000000000000008, 0.040000000000000008,
            0.040000000000000008, 0.004000000000000001, 0.004000000000000001, 0.004000000000000001}},
    Golden{{.kind = ScheduleKind::multi_step, .lr = 0.4, .epochs = 8, .milestones = {2, 5, 5}, .gamma = 0.5},
           {0.40000000000000002, 0.40000000000000002, 0.20000000000000001, 0.20000000000000001, 0.20000000000000001,
            0.050000000000000003, 0.050000000000000003, 0.050000000000000003, 0.050000000000000003}},
    Golden{{.kind = ScheduleKind::linear, .lr = 0.4, .epochs = 8, .final_lr_fraction = 0.25},
           {0.40000000000000002, 0.36250000000000004, 0.32500000000000007, 0.28750000000000003, 0.25,
            0.21249999999999999, 0.17499999999999999, 0.13749999999999998, 0.099999999999999992}},
    Golden{{.kind = ScheduleKind::cosine, .lr = 0.4, .epochs = 8, .final_lr_fraction = 0.1},
           {0.40000000000000002, 0.38629831585203162, 0.34727922061357852, 0.28888301782571618, 0.22,
            0.15111698217428385, 0.092720779386421454, 0.053701684147968387, 0.040000000000000001}},
    Golden{{.kind = ScheduleKind::polynomial, .lr = 0.4, .epochs = 8},
           {0.40000000000000002, 0.30625000000000002, 0.22500000000000001, 0.15625000000000003, 0.10000000000000003,
            0.056250000000000022, 0.025000000000000008, 0.0062500000000000021, 0}},
    Golden{{.kind = ScheduleKind::one_cycle, .lr = 0.4, .epochs = 8},
           {0.016000000000000014, 0.15830674334031603, 0.37427687752661226, 0.38877671095500926, 0.32469826157990522,
            0.22239360564908064, 0.11322439928347969, 0.030656637533702562, 1.5999999999999999e-06}},
    Golden{{.kind = ScheduleKind::one_cycle, .lr = 0.4, .epochs = 8, .anneal = ctnn::Anneal::linear},
           {0.016, 0.17599999999999999, 0.33600000000000002, 0.3571430285714286, 0.28571474285714282,
            0.21428645714285713, 0.14285817142857143, 0.071429885714285712, 1.5999999999904979e-06}},
};

}  // namespace

TEST_CASE("schedules equal PyTorch's", "[schedule]") {
    for (const auto& [schedule, lr] : golden) {
        for (std::size_t epoch = 0; epoch < lr.size(); ++epoch) {
            CAPTURE(std::string{ctnn::name(schedule.kind)}, epoch);
            // PyTorch multiplies from epoch to epoch, which costs roundings of the initial rate.
            CHECK(schedule.at(static_cast<double>(epoch)) == Approx(lr[epoch]).epsilon(1e-12).margin(1e-15));
        }
        CHECK(schedule.at(1000.0) == schedule.at(8.0));  // held at the end
    }
    CHECK(Schedule{.lr = 0.4, .epochs = 8}.at(5.5) == 0.4);
    CHECK(Schedule{.lr = 0.4, .epochs = 8}.at(-0.5) == 0.4);  // as at the beginning
}

TEST_CASE("the step schedule drops at whole epochs, the smooth ones move with every step", "[schedule]") {
    const Schedule step{.kind = ScheduleKind::step, .lr = 0.01, .epochs = 100};  // by 0.1 every 30 epochs
    constexpr int steps_per_epoch = 391;
    for (const int epoch : {1, 29, 30, 59, 60, 89, 90, 99}) {
        CAPTURE(epoch);
        const double expected = 0.01 * std::pow(0.1, epoch / 30);
        CHECK(step.at(static_cast<double>(epoch * steps_per_epoch) / steps_per_epoch) == Approx(expected));
        CHECK(step.at(static_cast<double>(epoch * steps_per_epoch + 390) / steps_per_epoch) == Approx(expected));
    }
    for (const auto kind : {ScheduleKind::linear, ScheduleKind::cosine, ScheduleKind::polynomial}) {
        const Schedule s{.kind = kind, .lr = 1.0, .epochs = 10};
        for (int i = 0; i < 1000; ++i) { CHECK(s.at(0.01 * (i + 1)) < s.at(0.01 * i)); }
        CHECK(s.at(10.0) == Approx(0.0).margin(1e-15));
    }
}

TEST_CASE("warmup rises linearly from 0 and meets every schedule", "[schedule]") {
    for (const auto kind : kinds) {
        CAPTURE(std::string{ctnn::name(kind)});
        const Schedule s{
            .kind = kind, .lr = 0.8, .epochs = 10, .warmup_epochs = 2.5, .step_size = 4, .milestones = {4, 8}};
        const double peak = kind == ScheduleKind::one_cycle ? 0.8 / 25 : 0.8;
        CHECK(s.at(0.0) == 0.0);
        CHECK(s.at(-1.0) == 0.0);
        CHECK(s.at(0.5) == Approx(peak * 0.2));
        CHECK(s.at(2.0) == Approx(peak * 0.8));
        CHECK(s.at(2.5) == Approx(peak));

        Schedule higher = s;
        higher.initial_lr_fraction = 0.2;
        CHECK(higher.at(0.0) == Approx(peak * 0.2));
        CHECK(higher.at(2.0) == Approx(peak * 0.84));
        CHECK(higher.at(2.5) == s.at(2.5));
        CHECK(higher.at(7.0) == s.at(7.0));

        // Behind it the schedule runs over what is left; steps keep their epochs.
        Schedule rest{.kind = kind, .lr = 0.8, .epochs = 15};
        for (const double epoch : {2.5, 3.0, 3.9, 4.0, 7.9, 8.0, 9.75, 10.0}) {
            CAPTURE(epoch);
            const bool steps = kind == ScheduleKind::step || kind == ScheduleKind::multi_step;
            const double expected = steps ? 0.8 * std::pow(0.1, std::floor(epoch / 4)) : rest.at((epoch - 2.5) * 2);
            CHECK(s.at(epoch) == Approx(expected).margin(1e-15));
        }
    }
    // A warmup longer than a step: both factors apply.
    const Schedule s{.kind = ScheduleKind::step, .lr = 1.0, .epochs = 10, .warmup_epochs = 4, .step_size = 1};
    CHECK(s.at(2.0) == Approx(0.5 * 0.01));
}

TEST_CASE("one-cycle with no rise or no fall has no division by zero", "[schedule]") {
    Schedule s{.kind = ScheduleKind::one_cycle, .lr = 1.0, .epochs = 2, .pct_start = 0.0};
    CHECK(s.at(0.0) == 1.0);
    CHECK(s.at(2.0) == Approx(1.0 / 25 / 1e4));
    s.pct_start = 1.0;
    CHECK(s.at(0.0) == Approx(1.0 / 25));
    CHECK(s.at(2.0) == 1.0);
}

TEST_CASE("names of schedules go both ways", "[schedule]") {
    for (const auto kind : kinds) {
        ScheduleKind found{};
        ctnn::parse_name(ctnn::name(kind), found);
        CHECK(found == kind);
    }
    ScheduleKind kind = ScheduleKind::step;
    CHECK_THROWS_AS(ctnn::parse_name("Cosine", kind), ctnn::ArgumentError);
    CHECK_THROWS_WITH(
        ctnn::parse_name("cosin", kind),
        "unknown schedule 'cosin', expected one of constant, step, multi-step, linear, cosine, polynomial, one-cycle");
    CHECK(kind == ScheduleKind::step);
    ctnn::parse_name("one-cycle", kind);
    CHECK(kind == ScheduleKind::one_cycle);
    ctnn::Anneal anneal{};
    ctnn::parse_name("linear", anneal);
    CHECK(anneal == ctnn::Anneal::linear);
    CHECK_THROWS_AS(ctnn::parse_name("cubic", anneal), ctnn::ArgumentError);
}

TEST_CASE("a schedule refuses settings outside their range", "[schedule]") {
    const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
    CHECK_NOTHROW(Schedule{}.validate());
    for (const auto& [schedule, lr] : golden) { CHECK_NOTHROW(schedule.validate()); }
    CHECK_THROWS_WITH((Schedule{.epochs = 5, .warmup_epochs = 5}.validate()),
                      "schedule: warmup_epochs is 5, expected at least 0 and below epochs");
    for (const Schedule& bad : {
             Schedule{.lr = -0.1},
             Schedule{.lr = nan},
             Schedule{.lr = infinity},
             Schedule{.epochs = 0},
             Schedule{.epochs = 2, .warmup_epochs = -1},
             Schedule{.epochs = 2, .warmup_epochs = nan},
             Schedule{.initial_lr_fraction = 1.1},
             Schedule{.initial_lr_fraction = nan},
             Schedule{.step_size = 0},
             Schedule{.milestones = {30, 0}},
             Schedule{.gamma = 0},
             Schedule{.gamma = nan},
             Schedule{.power = 0},
             Schedule{.final_lr_fraction = -0.1},
             Schedule{.final_lr_fraction = 1.1},
             Schedule{.pct_start = -0.1},
             Schedule{.pct_start = 1.1},
             Schedule{.div_factor = 0},
             Schedule{.final_div_factor = infinity},
         }) {
        CHECK_THROWS_AS(bad.validate(), ctnn::ArgumentError);
    }
}

TEST_CASE("linear with warmup is airbench's triangle", "[schedule]") {
    // From a fifth of the peak to the peak over the first 23 %, then linearly to 7 %.
    const Schedule s{.kind = ScheduleKind::linear,
                     .lr = 2.0,
                     .epochs = 10,
                     .warmup_epochs = 2.3,
                     .initial_lr_fraction = 0.2,
                     .final_lr_fraction = 0.07};
    // numpy.interp(t, [0, 2.3, 10], [0.2, 1, 0.07]) * 2
    constexpr std::array<std::array<double, 2>, 5> expected{
        {{0.0, 0.4}, {1.15, 1.2}, {2.3, 2.0}, {6.15, 1.07}, {10.0, 0.14}}};
    for (const auto& [epoch, lr] : expected) { CHECK(s.at(epoch) == Approx(lr)); }
}

TEST_CASE("rates for large batches", "[schedule]") {
    using namespace ctnn;
    CHECK(scaled_lr(0.1, 1024) == Approx(0.4));
    CHECK(scaled_lr(0.1, 64, 128) == Approx(0.05));

    CHECK(lars_hyperparameters(4096, true).base_lr == 0.02);
    CHECK(lars_hyperparameters(4096, true).warmup_epochs == 5);
    CHECK(lars_hyperparameters(16384, true).epochs == 100);
    CHECK(lars_hyperparameters(16385, true).epochs == 200);
    CHECK(lars_hyperparameters(4096, false).base_lr == 0.01);
    CHECK(lars_hyperparameters(4096, false).warmup_epochs == 2);
    CHECK(lars_hyperparameters(4096, false).warning.empty());
    CHECK_FALSE(lars_hyperparameters(4097, false).warning.empty());
    CHECK(lars_hyperparameters(32768, true).warning.empty());

    const TrainerSettings paper = lars_paper_recipe(16384, true);
    CHECK_NOTHROW(paper.validate());
    CHECK(paper.batch_size == 16384);
    CHECK(paper.schedule.at(5.0) == 23.0);
    CHECK(paper.schedule.at(52.5) == Approx(23.0 / 4));  // half-way behind the warmup, power 2
    CHECK(lars_paper_recipe(16384, false).schedule.at(2.0) == 14.0);
    const auto& lars = std::get<Lars>(paper.optimizer);
    CHECK(lars.momentum == 0.9);
    CHECK(lars.weight_decay == 5e-4);
    CHECK(lars.trust_coefficient == 1e-3);
    CHECK(lars.lr_in_velocity);
    CHECK_THROWS_WITH(lars_paper_recipe(1024, true), Catch::Contains("batches of 1024, expected one of 512, 4096"));
}
