// What a person sees: lines, a table, a line that is drawn over itself while something runs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ctnn/train/loss.hpp>

namespace alexnet {

enum class Colour { none, dim, bold, green, red };

/// Lines go to standard output; the transient line goes to standard error, and only where that is a terminal. Colour
/// appears on terminals alone, and never where NO_COLOR is set (https://no-color.org) or TERM is "dumb".
class Terminal {
  public:
    explicit Terminal(bool quiet = false);

    /// A line that --quiet leaves out.
    void line(std::string_view text, Colour colour = Colour::none);
    /// A line that is always printed.
    void result(std::string_view text, Colour colour = Colour::none);
    /// "alexnet: text" on standard error.
    void error(std::string_view text);

    /// Replaces the transient line, cut at the terminal's width; nothing where there is none to draw on.
    void transient(std::string_view text);
    void clear_transient();
    [[nodiscard]] bool draws() const { return draws_; }
    /// Columns that a transient line may fill; 0 where there is none to draw on.
    [[nodiscard]] std::size_t width() const;
    [[nodiscard]] bool quiet() const { return quiet_; }

  private:
    bool quiet_, draws_;
    bool drawn_ = false;
};

/// The bar over one epoch: share done, rate, loss, accuracy, time left for the whole run. On a terminal it is redrawn
/// ten times a second at most; elsewhere a plain line appears every half minute.
class EpochBar {
  public:
    using Clock = std::chrono::steady_clock;

    /// `samples` in an epoch; an epoch that was begun before may have `done` of them.
    EpochBar(Terminal& terminal, int epoch, int epochs, std::int64_t samples, std::int64_t done);
    ~EpochBar() { terminal_.clear_transient(); }
    EpochBar(const EpochBar&) = delete;
    EpochBar& operator=(const EpochBar&) = delete;

    /// With the losses of the epoch's samples so far.
    void update(const ctnn::LossSum& loss);
    [[nodiscard]] double seconds() const;
    /// Since this bar began.
    [[nodiscard]] double images_per_second() const;

  private:
    [[nodiscard]] std::string text(const ctnn::LossSum& loss) const;

    Terminal& terminal_;
    int epoch_, epochs_;
    std::int64_t samples_, first_, done_;
    Clock::time_point start_ = Clock::now(), drawn_ = start_;
};

/// "7:40", or "1:02:03" from an hour on.
std::string duration(double seconds);

}  // namespace alexnet
