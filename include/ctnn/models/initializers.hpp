// How the family's weights begin, where its authors do not take PyTorch's defaults.
#pragma once

#include <ctnn/core/options.hpp>

namespace ctnn::inline CTNN_ISA::detail {

using HeUniform = WeightInit<InitKind::he_uniform>;
using XavierUniform = WeightInit<InitKind::xavier_uniform>;
using SmallNormal = WeightInit<InitKind::normal, 0.01>;  ///< Krizhevsky 2012, section 5
using Identity = WeightInit<InitKind::dirac>;
using ZeroBias = BiasInit<InitKind::zeros>;
using OneBias = BiasInit<InitKind::constant, 1.0>;

}  // namespace ctnn::inline CTNN_ISA::detail
