// What a person sees: lines, a table, a line that is drawn over itself while something runs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ctnn/core/error.hpp>
#include <ctnn/train/loss.hpp>

namespace alexnet {

/// Nobody reads standard output any more, as behind `| head`.
class ClosedPipe : public ctnn::FileError {
    using FileError::FileError;
};

/// Standard streams that are closed are opened such that they refuse to be used: the next file to be opened would be
/// given their number, and get the lines that are meant for them. To be called first of all.
void occupy_standard_streams();

enum class Colour { none, dim, bold, green, red };

/// Lines go to standard output; the transient line goes to standard error, and only where that is a terminal. Colour
/// appears on terminals alone, and never where NO_COLOR is set (https://no-color.org) or TERM is "dumb". Standard
/// output that cannot be written is a FileError, a ClosedPipe where nobody reads it; nothing depends on standard error.
/// Names of classes and files are others' words: control characters in lines and errors are escaped.
class Terminal {
  public:
    /// `mute`: of a rank that is not the first, whose lines would be the first one's again. Errors remain.
    explicit Terminal(bool quiet = false, bool mute = false);

    /// A line that --quiet leaves out.
    void line(std::string_view text, Colour colour = Colour::none);
    /// A line that is always printed.
    void result(std::string_view text, Colour colour = Colour::none);
    /// Bytes for standard output, at once.
    void write(std::string_view bytes);
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
    bool quiet_, mute_, draws_;
    bool drawn_ = false;
};

/// A bar over images: share done, rate, whatever else is told, time left. On a terminal it is redrawn ten times a
/// second at most; elsewhere a plain line appears every half minute.
class ProgressBar {
  public:
    using Clock = std::chrono::steady_clock;

    /// `images` in all, `done` of which may have been done before; `later` ones have bars of their own.
    ProgressBar(Terminal& terminal, std::string title, std::int64_t images, std::int64_t done = 0,
                std::int64_t later = 0);
    ~ProgressBar() { terminal_.clear_transient(); }
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void update(std::int64_t done, std::string_view further = "");
    [[nodiscard]] double seconds() const;
    /// Since this bar began.
    [[nodiscard]] double images_per_second() const;

  private:
    struct Mark {
        Clock::time_point time;
        std::int64_t done;
    };
    [[nodiscard]] std::string text(std::string_view further) const;
    /// Over the last ten to twenty seconds, so that a machine that slept is not held against the rest of the run.
    [[nodiscard]] double recent_images_per_second() const;

    Terminal& terminal_;
    std::string title_;
    std::int64_t images_, first_, done_, later_;
    Clock::time_point start_ = Clock::now(), drawn_ = start_;
    Mark before_{start_, done_}, last_ = before_;
};

/// The bar over one epoch, with loss, accuracy, and the time left for the whole run.
class EpochBar : public ProgressBar {
  public:
    /// `samples` in an epoch; an epoch that was begun before may have `done` of them.
    EpochBar(Terminal& terminal, int epoch, int epochs, std::int64_t samples, std::int64_t done);

    /// With the losses of the epoch's samples so far.
    void update(const ctnn::LossSum& loss);
};

/// "7:40", or "1:02:03" from an hour on.
std::string duration(double seconds);

}  // namespace alexnet
