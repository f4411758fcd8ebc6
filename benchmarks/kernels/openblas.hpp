// OpenBLAS on a linear layer: the matrix products as PyTorch asks for them, weights [out][in].
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <cblas.h>
#include <fmt/format.h>

#include <ctnn/core/arena.hpp>
#include <ctnn/core/random.hpp>

#include "kernels/peers.hpp"
#include "measure.hpp"

namespace ctnn::inline CTNN_ISA::bench {

/// One direction of one linear layer.
class OpenBlas final : public Peer {
  public:
    static constexpr std::string_view library = "OpenBLAS";
    /// Its version, the kernels that it chose, and whose threads it runs on.
    static std::string version() {
        const std::string_view text = openblas_get_config();  // "OpenBLAS 0.3.21 NO_LAPACKE ..."
        const std::string_view behind = text.starts_with("OpenBLAS ") ? text.substr(9) : text;
        return fmt::format("{} ({}, {})", behind.substr(0, behind.find(' ')), openblas_get_corename(),
                           own_threads()                                    ? "pthreads"
                           : openblas_get_parallel() == OPENBLAS_SEQUENTIAL ? "sequential"
                                                                            : "OpenMP");
    }

    OpenBlas(const Problem& problem, Direction direction, int threads)
        : samples_{problem.samples},
          in_{problem.dims.in.channels},
          out_{problem.dims.out.channels},
          direction_{direction},
          threads_{threads},
          other_(size(waking, waking)),
          woken_(size(waking, waking)),
          x_(size(samples_, in_)),
          weights_(size(out_, in_)),
          y_(size(samples_, out_)) {
        fill(x_, 1);
        fill(weights_, 2);
        fill(y_, 3);
    }

    [[nodiscard]] std::string_view name() const override { return library; }
    double time() override {
        openblas_set_num_threads(threads_);
        if (threads_ == 1 || !own_threads()) {
            return seconds_of([&] { run(); });
        }
        // Its threads and those of OpenMP must not spin beside each other. A product of other matrices wakes its own,
        // as bursts of multiply-adds do with OpenMP's.
        wait_until_idle();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, waking, waking, waking, 1.0f, other_.data(), waking,
                    other_.data(), waking, 0.0f, woken_.data(), waking);
        const double seconds = seconds_of([&] { run(); });
        wait_until_idle();
        return seconds;
    }

  private:
    static constexpr int waking = 128;  // rows and columns that are enough for all threads

    static bool own_threads() { return openblas_get_parallel() == OPENBLAS_THREAD; }
    static std::size_t size(int rows, int columns) {
        return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
    }
    static void fill(AlignedArray<float>& array, std::uint32_t item) {
        Random random{8, Stream::test, item};
        for (float& v : array) { v = random.uniform(-1.0f, 1.0f); }
    }

    void run() {
        const auto rows = CblasRowMajor;
        const auto as_is = CblasNoTrans, turned = CblasTrans;
        float *x = x_.data(), *w = weights_.data(), *y = y_.data();
        if (direction_ == Direction::forward && samples_ == 1) {
            cblas_sgemv(rows, as_is, out_, in_, 1.0f, w, in_, x, 1, 0.0f, y, 1);
        } else if (direction_ == Direction::forward) {  // y = x · wᵀ
            cblas_sgemm(rows, as_is, turned, samples_, out_, in_, 1.0f, x, in_, w, in_, 0.0f, y, out_);
        } else if (direction_ == Direction::backward_data) {  // dx = dy · w
            cblas_sgemm(rows, as_is, as_is, samples_, in_, out_, 1.0f, y, out_, w, in_, 0.0f, x, in_);
        } else {  // dw = dyᵀ · x
            cblas_sgemm(rows, turned, as_is, out_, in_, samples_, 1.0f, y, out_, x, in_, 0.0f, w, in_);
        }
    }

    int samples_, in_, out_;
    Direction direction_;
    int threads_;
    AlignedArray<float> other_, woken_, x_, weights_, y_;
};

}  // namespace ctnn::inline CTNN_ISA::bench
