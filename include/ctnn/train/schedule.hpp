// Learning-rate schedules as pure functions of the progress of training, by PyTorch's formulas.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>

namespace ctnn::inline CTNN_ISA {

/// The schedules; factors of the learning rate, p = progress from 0 after warmup to 1 at the end.
enum class ScheduleKind {
    constant,    ///< 1
    step,        ///< gamma^⌊epoch / step_size⌋: StepLR
    multi_step,  ///< gamma^(number of milestones reached): MultiStepLR
    linear,      ///< 1 − p
    cosine,      ///< (1 + cos πp) / 2: CosineAnnealingLR with T_max = epochs
    polynomial,  ///< (1 − p)^power: PolynomialLR; power 2 is that of You, Gitman and Ginsburg 2017 (LARS)
    one_cycle,   ///< up from 1 / div_factor to 1, down to 1 / (div_factor · final_div_factor): OneCycleLR
};

/// How one-cycle moves between its rates.
enum class Anneal { cosine, linear };

namespace detail {
inline constexpr std::array<std::pair<std::string_view, ScheduleKind>, 7> schedule_names{{
    {"constant", ScheduleKind::constant},
    {"step", ScheduleKind::step},
    {"multi-step", ScheduleKind::multi_step},
    {"linear", ScheduleKind::linear},
    {"cosine", ScheduleKind::cosine},
    {"polynomial", ScheduleKind::polynomial},
    {"one-cycle", ScheduleKind::one_cycle},
}};
inline constexpr std::array<std::pair<std::string_view, Anneal>, 2> anneal_names{{
    {"cosine", Anneal::cosine},
    {"linear", Anneal::linear},
}};

template <class Names, class Enum>
constexpr std::string_view name_of(const Names& names, Enum value) {
    for (const auto& [text, known] : names) {
        if (known == value) { return text; }
    }
    return "unknown";
}
template <class Names>
auto named(const Names& names, std::string_view what, std::string_view text) {
    std::string valid;
    for (const auto& [known, value] : names) {
        if (known == text) { return value; }
        (valid += valid.empty() ? "" : ", ") += known;
    }
    raise<ArgumentError>({"unknown ", what, " '", text, "', expected one of ", valid});
}
}  // namespace detail

/// The name by which files and command lines know it: "one-cycle".
constexpr std::string_view name(ScheduleKind kind) { return detail::name_of(detail::schedule_names, kind); }
constexpr std::string_view name(Anneal anneal) { return detail::name_of(detail::anneal_names, anneal); }

/// Reads a name. Throws ArgumentError that lists the valid ones.
inline void parse_name(std::string_view text, ScheduleKind& to) {
    to = detail::named(detail::schedule_names, "schedule", text);
}
inline void parse_name(std::string_view text, Anneal& to) { to = detail::named(detail::anneal_names, "anneal", text); }

/// A schedule and its settings; those of other kinds are ignored. With warmup the rate rises linearly to the peak
/// and multiplies the schedule: step and multi-step count their epochs from the start of training, the others begin
/// where warmup ends.
struct Schedule {
    ScheduleKind kind = ScheduleKind::constant;
    double lr = 0.01;  ///< the peak
    int epochs = 1;
    double warmup_epochs = 0.0;        ///< below epochs
    double initial_lr_fraction = 0.0;  ///< warmup begins at this share of lr
    int step_size = 30;                ///< step: epochs between drops
    std::vector<int> milestones{};     ///< multi-step: the epochs at which the rate drops
    double gamma = 0.1;                ///< step, multi-step: factor of each drop
    double power = 2.0;                ///< polynomial
    double final_lr_fraction = 0.0;    ///< linear, cosine, polynomial: they end at this share of lr, as with eta_min
    double pct_start = 0.3;            ///< one-cycle: share of progress that rises
    double div_factor = 25.0;          ///< one-cycle: begins at lr / div_factor
    double final_div_factor = 1e4;     ///< one-cycle: ends at that / final_div_factor
    Anneal anneal = Anneal::cosine;    ///< one-cycle

    /// The rate at a point of training in epochs, fractions included: step / steps_per_epoch, so that every step has
    /// its own. Held at its last value from `epochs` on. One-cycle reaches its end at `epochs`; PyTorch's counts
    /// steps and reaches it one step earlier.
    [[nodiscard]] double at(double epoch) const {
        epoch = std::clamp(epoch, 0.0, static_cast<double>(epochs));
        const double warm = epoch < warmup_epochs ? epoch / warmup_epochs : 1.0;
        const double ramp = initial_lr_fraction + (1.0 - initial_lr_fraction) * warm;
        return lr * ramp * factor(epoch);
    }

    /// Throws ArgumentError that names the first setting outside its range.
    void validate() const {
        const auto require = [](bool good, std::string_view what, double value, std::string_view range) {
            if (!good) { raise<ArgumentError>({"schedule: ", what, " is ", value, ", expected ", range}); }
        };
        const auto positive = [](double x) { return std::isfinite(x) && x > 0.0; };
        require(std::isfinite(lr) && lr >= 0.0, "lr", lr, "a finite number, at least 0");
        require(epochs >= 1, "epochs", epochs, "at least 1");
        require(warmup_epochs >= 0.0 && warmup_epochs < epochs, "warmup_epochs", warmup_epochs,
                "at least 0 and below epochs");
        require(initial_lr_fraction >= 0.0 && initial_lr_fraction <= 1.0, "initial_lr_fraction", initial_lr_fraction,
                "0 to 1");
        require(step_size >= 1, "step_size", step_size, "at least 1");
        for (const int milestone : milestones) { require(milestone >= 1, "a milestone", milestone, "at least 1"); }
        require(positive(gamma), "gamma", gamma, "above 0");
        require(positive(power), "power", power, "above 0");
        require(final_lr_fraction >= 0.0 && final_lr_fraction <= 1.0, "final_lr_fraction", final_lr_fraction, "0 to 1");
        require(pct_start >= 0.0 && pct_start <= 1.0, "pct_start", pct_start, "0 to 1");
        require(positive(div_factor), "div_factor", div_factor, "above 0");
        require(positive(final_div_factor), "final_div_factor", final_div_factor, "above 0");
    }

  private:
    [[nodiscard]] double factor(double epoch) const {
        const double p = std::max(epoch - warmup_epochs, 0.0) / (epochs - warmup_epochs);
        const auto falling = [&](double x) { return final_lr_fraction + (1.0 - final_lr_fraction) * x; };
        switch (kind) {
            case ScheduleKind::constant: break;
            case ScheduleKind::step: return std::pow(gamma, std::floor(epoch / step_size));
            case ScheduleKind::multi_step: {
                const auto reached = [&](int milestone) { return milestone <= epoch; };
                return std::pow(gamma,
                                static_cast<double>(std::count_if(milestones.begin(), milestones.end(), reached)));
            }
            case ScheduleKind::linear: return falling(1.0 - p);
            case ScheduleKind::cosine: return falling(cosine(p));
            case ScheduleKind::polynomial: return falling(std::pow(1.0 - p, power));
            case ScheduleKind::one_cycle: {
                const double first = 1.0 / div_factor;
                if (p < pct_start) { return between(first, 1.0, p / pct_start); }
                return between(1.0, first / final_div_factor,
                               pct_start < 1.0 ? (p - pct_start) / (1.0 - pct_start) : 0.0);
            }
        }
        return 1.0;
    }
    /// Half a cosine wave from 1 at p = 0 to 0 at p = 1.
    static double cosine(double p) { return 0.5 * (1.0 + std::cos(std::numbers::pi * p)); }
    [[nodiscard]] double between(double from, double to, double p) const {
        return to + (from - to) * (anneal == Anneal::cosine ? cosine(p) : 1.0 - p);
    }
};

/// The linear scaling rule (Goyal et al. 2017): a rate that was found for `reference` samples a step, for `batch`.
constexpr double scaled_lr(double base, int batch, int reference = 256) { return base * batch / reference; }

}  // namespace ctnn::inline CTNN_ISA
