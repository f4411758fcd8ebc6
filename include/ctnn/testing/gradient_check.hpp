// Gradients against central differences in double: for the library's own tests, and for authors of layers of their own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <ctnn/core/layout.hpp>
#include <ctnn/core/random.hpp>
#include <ctnn/network/run.hpp>

namespace ctnn::inline CTNN_ISA {

/// How much check_gradients does. Each tensor is checked along whole random directions, which see every element, and at
/// single elements, which tell where an error is.
struct GradientCheck {
    int samples = 3;
    int directions = 2, entries = 4;  ///< per parameter tensor and for the input
    /// Relative to the derivative, or to the one that a random direction would have. Central differences in double are
    /// good to about 1e-8 here: the rest is margin.
    double tolerance = 1e-6;
    std::uint64_t seed = 1;
    int threads = default_threads();
};

/// What check_gradients found.
struct GradientReport {
    int checked = 0;      ///< derivatives compared
    int significant = 0;  ///< of these, well above the rounding of the differences
    int redrawn = 0;      ///< draws given up because the step crossed a kink
    double worst = 0;     ///< largest error, as a share of what was allowed
    std::string failure;  ///< empty, or a line that names the tensor and the numbers

    [[nodiscard]] bool passed() const { return failure.empty(); }
};

namespace detail {

/// One check of a network: a random model and input, and L = Σ c·y with random c, whose gradient is c.
template <Network Net, Fusion F>
class GradientChecker {
    using Plan = Training<Net, double, F, InputGradient::yes>;
    using Layout = ParameterLayout<Net>;
    static constexpr double epsilon = std::numeric_limits<double>::epsilon();
    static constexpr int tries = 6;

    /// Some elements of an array, their values before any step, and their gradients.
    struct Variable {
        std::string_view name;
        double* values;
        std::vector<std::int64_t> places;
        std::vector<double> original, gradient;
    };

  public:
    explicit GradientChecker(const GradientCheck& settings)
        : settings_{settings},
          model_{Seed{settings.seed}},
          workspace_{settings.samples, settings.threads},
          input_(static_cast<std::size_t>(settings.samples * Net::input_shape.size())),
          coefficients_(static_cast<std::size_t>(settings.samples * Net::output_shape.size())) {
        Random random{settings.seed, Stream::test};
        for (double& v : input_) { v = random.normal(); }
        for (double& v : coefficients_) { v = random.normal(); }
        // Zero biases would put a ReLU whose inputs are padding onto its kink.
        for (const ParameterSlot& slot : Layout::slots) {
            if (slot.spec.decays) { continue; }
            slot.spec.dims.for_canonical(
                [&](std::int64_t at) { model_.parameters().data()[slot.offset + at] += 0.1 * random.normal(); });
        }
    }

    GradientReport run() {
        Parameters<Net, double> gradients = analytic();
        const auto zero = [](double g) { return g == 0; };
        if (std::all_of(gradients.span().begin(), gradients.span().end(), zero) &&
            std::all_of(input_gradient_.begin(), input_gradient_.end(), zero)) {
            fail("all gradients are zero");
            return report_;
        }
        for (const ParameterSlot& slot : Layout::slots) {
            Variable v{slot.name.view(), model_.parameters().data() + slot.offset, {}, {}, {}};
            slot.spec.dims.for_canonical([&](std::int64_t at) {
                v.places.push_back(at);
                v.gradient.push_back(gradients.data()[slot.offset + at]);
            });
            check(v);
        }
        Variable v{"input", input_.data(), {}, {}, input_gradient_};
        for (std::size_t i = 0; i < input_.size(); ++i) { v.places.push_back(static_cast<std::int64_t>(i)); }
        check(v);
        if (report_.significant == 0) {
            fail("no derivative is larger than rounding");
        } else if (report_.redrawn > 2 * report_.checked) {
            fail(fmt::format("{} draws crossed a kink, only {} did not", report_.redrawn, report_.checked));
        }
        return report_;
    }

  private:
    /// Gradients by backward, into arrays full of NaN: what is not written, or added to, stays NaN.
    Parameters<Net, double> analytic() {
        Parameters<Net, double> gradients;
        for (const ParameterSlot& slot : Layout::slots) {
            slot.spec.dims.for_canonical([&](std::int64_t at) {
                gradients.data()[slot.offset + at] = std::numeric_limits<double>::quiet_NaN();
            });
        }
        std::fill(workspace_.bytes().begin(), workspace_.bytes().end(), std::byte{0xFF});
        forward(model_, input_.data(), settings_.samples, workspace_, key());
        std::copy(coefficients_.begin(), coefficients_.end(), workspace_.output_gradient(settings_.samples).begin());
        backward(model_, input_.data(), settings_.samples, workspace_, gradients);
        const auto dx = workspace_.input_gradient(settings_.samples);
        input_gradient_.assign(dx.begin(), dx.end());
        return gradients;
    }

    [[nodiscard]] RandomKey key() const { return {settings_.seed, 1, nullptr}; }

    /// L, and the sum of its terms' sizes, which bounds its rounding.
    double loss() {
        const auto y = forward(model_, input_.data(), settings_.samples, workspace_, key());
        double sum = 0;
        size_ = 0;
        for (std::size_t i = 0; i < coefficients_.size(); ++i) {
            sum += coefficients_[i] * y[i];
            size_ += std::abs(coefficients_[i] * y[i]);
        }
        return sum;
    }

    void check(Variable& v) {
        double squares = 0, gradient_squares = 0;
        for (std::size_t i = 0; i < v.places.size(); ++i) {
            if (!std::isfinite(v.gradient[i])) {
                fail(fmt::format("{}[{}]: the gradient is {}: never written, or added to what was there before", v.name,
                                 i, v.gradient[i]));
                return;
            }
            v.original.push_back(v.values[v.places[i]]);
            squares += v.original[i] * v.original[i];
            gradient_squares += v.gradient[i] * v.gradient[i];
        }
        // Steps follow the tensor's own scale; a typical derivative is the gradient's norm.
        const auto count = static_cast<double>(v.places.size());
        const double unit = squares > 0 ? std::sqrt(squares / count) : 1.0;
        for (int i = 0; i < settings_.directions; ++i) { differences(v, 1e-6 * unit, std::sqrt(gradient_squares), -1); }
        Random random{settings_.seed, Stream::test, draws_};
        for (int i = 0; i < settings_.entries; ++i) {
            const auto entry = static_cast<std::int64_t>(random.below(static_cast<std::uint32_t>(v.places.size())));
            differences(v, 1e-4 * unit, std::sqrt(gradient_squares / count), entry);
        }
    }

    /// One derivative: at `entry`, or with −1 along a direction of random signs. `typical` is its likely size.
    void differences(Variable& v, double step, double typical, std::int64_t entry) {
        for (int i = 0; i < tries; ++i, step /= 2) {
            const std::uint64_t draw = ++draws_;
            const auto sign = [&, random = Random{settings_.seed, Stream::test, draw}, n = std::uint32_t{0}]() mutable {
                return random.at(n++) < 0x80000000u ? -1.0 : 1.0;
            };
            const auto moved_loss = [&](double h) {
                auto next = sign;
                for_moved(v, entry, [&](std::size_t j) { v.values[v.places[j]] = v.original[j] + h * next(); });
                const double value = loss();
                for_moved(v, entry, [&](std::size_t j) { v.values[v.places[j]] = v.original[j]; });
                return value;
            };
            const double whole = (moved_loss(step) - moved_loss(-step)) / (2 * step);
            const double half = (moved_loss(step / 2) - moved_loss(-step / 2)) / step;
            double expected = 0;
            auto next = sign;
            for_moved(v, entry, [&](std::size_t j) { expected += v.gradient[j] * next(); });

            const double rounding = 100 * epsilon * size_ / step;
            const double scale = std::max({std::abs(half), std::abs(expected), typical});
            const double allowed = settings_.tolerance * scale + rounding;
            // Between smooth points the two differences agree, whether the gradient is right or wrong.
            if (std::abs(whole - half) > allowed) {
                ++report_.redrawn;
                if (entry >= 0) { entry = (entry + 1) % static_cast<std::int64_t>(v.places.size()); }
                continue;
            }
            ++report_.checked;
            report_.significant += std::abs(half) > 100 * rounding ? 1 : 0;
            const double error = std::abs(half - expected) / allowed;
            report_.worst = std::max(report_.worst, error);
            if (!(error <= 1)) {
                fail(fmt::format("{}{}: backward gives {:.9g}, differences {:.9g}", v.name,
                                 entry < 0 ? ", a direction" : fmt::format("[{}]", entry), expected, half));
            }
            return;
        }
        fail(fmt::format("{}: {} steps in turn crossed a kink", v.name, tries));
    }

    template <class Do>
    static void for_moved(const Variable& v, std::int64_t entry, Do&& f) {
        if (entry >= 0) {
            f(static_cast<std::size_t>(entry));
            return;
        }
        for (std::size_t i = 0; i < v.places.size(); ++i) { f(i); }
    }

    void fail(const std::string& what) {
        if (report_.failure.empty()) { report_.failure = what; }
    }

    GradientCheck settings_;
    Model<Net, double> model_;
    Workspace<Plan> workspace_;
    std::vector<double> input_, coefficients_, input_gradient_;
    double size_ = 0;
    std::uint64_t draws_ = 0;
    GradientReport report_;
};

}  // namespace detail

/// Compares backward with central differences for every parameter tensor and the input of a network, in double, in
/// training mode. A step that crosses a kink of ReLU or max pooling gives itself away, because differences over it and
/// over half of it disagree; it is drawn anew and smaller, a few times at most. Fails when a gradient is wrong, all are
/// zero, some element is never written, or nearly all draws were given up.
///
///     struct Net : Sequential<Input<3, 8, 8>, Conv2d<4, Kernel<3>>, Swish> {};
///     const GradientReport report = check_gradients<Net>();
///     if (!report.passed()) { std::puts(report.failure.c_str()); }
template <Network Net, Fusion F = Fusion::full>
GradientReport check_gradients(const GradientCheck& settings = {}) {
    return detail::GradientChecker<Net, F>{settings}.run();
}

}  // namespace ctnn::inline CTNN_ISA
