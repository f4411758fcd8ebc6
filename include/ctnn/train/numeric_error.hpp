// The search for the place where a number first stopped being finite, and the error that names it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <fmt/format.h>

#include <ctnn/core/config.hpp>
#include <ctnn/core/error.hpp>
#include <ctnn/kernels/squares.hpp>
#include <ctnn/network/model.hpp>
#include <ctnn/network/workspace.hpp>
#include <ctnn/train/optimizer_state.hpp>

namespace ctnn::inline CTNN_ISA {

namespace detail {

[[noreturn]] inline void throw_not_finite(std::int64_t step, const char* what, const std::string& where) {
    raise(NumericError(fmt::format("step {}: the {} is not finite; {}", std::to_string(step), what, where)));
}

/// The name of the first tensor with a number that is not finite, or nothing.
template <Network Net, class T>
std::string first_not_finite(const Parameters<Net, T>& arena, int threads) {
    for (const ParameterSlot& slot : ParameterLayout<Net>::slots) {
        if (!all_finite<T>(tensor_of(arena, slot), threads)) { return std::string{slot.name.view()}; }
    }
    return {};
}

/// Observes a forward pass. Where it searches, it remembers the first stage whose output is not finite; one type for
/// both, so that one instantiation of forward serves the step and the search behind a failed one.
template <class PlanType>
class FiniteWatch {
  public:
    using T = typename PlanType::value_type;

    FiniteWatch(Workspace<PlanType>& workspace, int samples, bool search)
        : workspace_{workspace}, samples_{samples}, search_{search} {}

    void operator()(int stage) {
        if (!search_ || broken_ >= 0) { return; }
        const auto s = static_cast<std::size_t>(stage);
        const auto n = static_cast<std::size_t>(samples_ * PlanType::StageList::at(s).out.size());
        if (!all_finite<T>(std::span<const T>{workspace_.at(s, Slot::output), n}, workspace_.threads())) {
            broken_ = stage;
        }
    }

    /// In words.
    [[nodiscard]] std::string found() const {
        if (broken_ < 0) { return "every layer's output is"; }
        const StageSpec& stage = PlanType::StageList::at(static_cast<std::size_t>(broken_));
        return fmt::format("the first output that is not: layer {}, {}{}", stage.begin,
                           PlanType::Net::description.layers[stage.begin].type,
                           stage.end > stage.begin + 1 ? fmt::format(", to layer {}", stage.end - 1) : "");
    }

  private:
    Workspace<PlanType>& workspace_;
    int samples_;
    bool search_;
    int broken_ = -1;
};

}  // namespace detail

}  // namespace ctnn::inline CTNN_ISA
