// Initial values of parameters, one number at a time, so that the caller chooses stream, order and threads.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/init.hpp>
#include <ctnn/core/random.hpp>

namespace ctnn::inline CTNN_ISA {

/// The next value of a tensor with this initialiser; formulas at InitKind. Uniform ones lie in [−bound, bound).
/// Constant kinds draw nothing from the stream. Throws ArgumentError where the formula needs a fan that is not
/// positive.
inline double init_value(const Init& init, std::int64_t fan_in, std::int64_t fan_out, Random& stream) {
    const auto inverse = [](std::int64_t fan) {
        if (fan < 1) {
            raise(ArgumentError("initialiser: the fan is " + std::to_string(fan) + ", expected at least 1"));
        }
        return 1.0 / static_cast<double>(fan);
    };
    const auto uniform = [&](double bound) { return bound * (2.0 * static_cast<double>(stream.uniform()) - 1.0); };
    switch (init.kind) {
        case InitKind::zeros: return 0.0;
        case InitKind::ones: return 1.0;
        case InitKind::constant: return init.value;
        case InitKind::normal: return init.value * stream.normal();
        case InitKind::he_uniform: return uniform(std::sqrt(6.0 * inverse(fan_in)));
        case InitKind::he_normal: return std::sqrt(2.0 * inverse(fan_in)) * stream.normal();
        case InitKind::xavier_uniform: return uniform(std::sqrt(6.0 * inverse(fan_in + fan_out)));
        case InitKind::xavier_normal: return std::sqrt(2.0 * inverse(fan_in + fan_out)) * stream.normal();
        case InitKind::pytorch_default: return uniform(std::sqrt(inverse(fan_in)));
    }
    raise(ArgumentError("initialiser: unknown kind " + std::to_string(static_cast<int>(init.kind))));
}

}  // namespace ctnn::inline CTNN_ISA
