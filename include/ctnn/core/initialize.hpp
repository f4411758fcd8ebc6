// Initial values of parameters, one number at a time, so that the caller chooses stream, order and threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/core/init.hpp>
#include <ctnn/core/layer.hpp>
#include <ctnn/core/random.hpp>

namespace ctnn::inline CTNN_ISA {

/// The next value of a tensor with this initialiser; formulas at InitKind. Uniform ones lie in [−bound, bound).
/// Constant kinds draw nothing from the stream. Throws ArgumentError where the formula needs a fan that is not
/// positive. In one copy, or compilers inline the generator of random numbers into every loop over a tensor.
CTNN_ONE_COPY inline double init_value(const Init& init, std::int64_t fan_in, std::int64_t fan_out, Random& stream) {
    const auto inverse = [](std::int64_t fan) {
        if (fan < 1) { raise<ArgumentError>({"initialiser: the fan is ", fan, ", expected at least 1"}); }
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
        case InitKind::dirac:
        case InitKind::pytorch_default: return uniform(std::sqrt(inverse(fan_in)));
    }
    raise<ArgumentError>({"initialiser: unknown kind ", static_cast<int>(init.kind)});
}

/// InitKind::dirac, once all values are drawn: torch.nn.init.dirac_ on the first `in` filters of each group, so that a
/// deep network begins as one that passes its input on (Jordan 2024, arXiv:2404.00498, section 3.1).
template <class T>
void place_identity(const WeightDims& d, T* weights) {
    for (int g = 0; g < d.groups; ++g) {
        for (int o = 0; o < std::min(d.in, d.out); ++o) {
            for (int i = 0; i < d.in; ++i) {
                for (int y = 0; y < d.kernel_y; ++y) {
                    for (int x = 0; x < d.kernel_x; ++x) {
                        const bool one = i == o && y == d.kernel_y / 2 && x == d.kernel_x / 2;
                        weights[d.stored_offset(g, o, i, y, x)] = one ? T{1} : T{};
                    }
                }
            }
        }
    }
}

}  // namespace ctnn::inline CTNN_ISA
