#include "terminal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <ctnn/io/file.hpp>

namespace alexnet {

namespace {

bool is_terminal(int descriptor) {
    const char* term = std::getenv("TERM");
    return ::isatty(descriptor) == 1 && !(term != nullptr && std::string_view{term} == "dumb");
}

std::string painted(std::string_view text, Colour colour, int descriptor) {
    const char* no_color = std::getenv("NO_COLOR");
    const bool plain = colour == Colour::none || !is_terminal(descriptor) || (no_color != nullptr && *no_color != '\0');
    if (plain) { return std::string{text}; }
    const int code = colour == Colour::dim ? 2 : colour == Colour::bold ? 1 : colour == Colour::green ? 32 : 31;
    return fmt::format("\033[{}m{}\033[0m", code, text);
}

/// What standard error does not take is lost, which is no reason to end a training, or to throw while one ends.
void write_error(std::string_view text) { static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr)); }

}  // namespace

void occupy_standard_streams() {
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(descriptor, F_GETFD) == -1) {
            ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);  // gets the least free number: this
        }
    }
}

Terminal::Terminal(bool quiet, bool mute)
    : quiet_{quiet}, mute_{mute}, draws_{!quiet && !mute && is_terminal(STDERR_FILENO)} {}

void Terminal::line(std::string_view text, Colour colour) {
    if (!quiet_) { result(text, colour); }
}

void Terminal::result(std::string_view text, Colour colour) {
    write(painted(ctnn::detail::one_line(std::string{text}), colour, STDOUT_FILENO) + "\n");
}

void Terminal::write(std::string_view bytes) {
    if (mute_) { return; }
    clear_transient();
    // Past stdio, which forgets what a terminal did not take; and at once, because a log is followed while it grows.
    while (!bytes.empty()) {
        const auto count = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (count > 0) { bytes.remove_prefix(static_cast<std::size_t>(count)); }
        const int code = errno;
        if (count < 0 && code == EAGAIN) {  // whoever shares it made it so
            pollfd output{STDOUT_FILENO, POLLOUT, 0};
            ::poll(&output, 1, -1);
        } else if (count < 0 && code != EINTR) {
            const ctnn::FileError error = ctnn::detail::file_error("standard output", "write", code);
            if (code == EPIPE) { throw ClosedPipe{error.what()}; }
            throw error;
        }
    }
}

void Terminal::error(std::string_view text) {
    clear_transient();
    write_error(fmt::format("{} {}\n", painted("alexnet:", Colour::red, STDERR_FILENO),
                            ctnn::detail::one_line(std::string{text})));
}

void Terminal::transient(std::string_view text) {
    if (!draws_) { return; }
    write_error(fmt::format("\r{}\033[K", text.substr(0, width())));
    drawn_ = true;
}

std::size_t Terminal::width() const {
    winsize size{};
    if (!draws_) { return 0; }
    // The last column stays free: some terminals wrap when it is written.
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1u : 79;
}

void Terminal::clear_transient() {
    if (drawn_) { write_error("\r\033[K"); }
    drawn_ = false;
}

ProgressBar::ProgressBar(Terminal& terminal, std::string title, std::int64_t images, std::int64_t done,
                         std::int64_t later)
    : terminal_{terminal}, title_{std::move(title)}, images_{images}, first_{done}, done_{done}, later_{later} {}

void ProgressBar::update(std::int64_t done, std::string_view further) {
    done_ = done;
    const std::chrono::duration<double> since = Clock::now() - drawn_;
    if (since.count() < (terminal_.draws() ? 0.1 : 30.0) && done_ < images_) { return; }
    drawn_ = Clock::now();
    if (drawn_ - last_.time >= std::chrono::seconds{10}) { before_ = std::exchange(last_, {drawn_, done_}); }
    if (terminal_.draws()) {
        terminal_.transient(text(further));
    } else if (done_ < images_) {
        terminal_.line(text(further));
    }
}

double ProgressBar::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

double ProgressBar::images_per_second() const {
    return static_cast<double>(done_ - first_) / std::max(seconds(), 1e-9);
}

double ProgressBar::recent_images_per_second() const {
    const std::chrono::duration<double> since = drawn_ - before_.time;
    return static_cast<double>(done_ - before_.done) / std::max(since.count(), 1e-9);
}

std::string ProgressBar::text(std::string_view further) const {
    const double share = static_cast<double>(done_) / static_cast<double>(images_);
    const auto left = static_cast<double>(images_ - done_ + later_);
    const double rate = recent_images_per_second();
    const std::string numbers = fmt::format("{:3.0f} %  {:4.0f} images/s  {}left {}", 100 * share, rate, further,
                                            duration(left / std::max(rate, 1e-9)));
    // What the line has left over is the bar's.
    const std::size_t taken = title_.size() + numbers.size() + std::string_view{" [] "}.size();
    const std::size_t room = terminal_.width() > taken + 4 ? std::min<std::size_t>(terminal_.width() - taken, 40) : 0;
    if (room == 0) { return fmt::format("{} {}", title_, numbers); }
    const std::string full(static_cast<std::size_t>(share * static_cast<double>(room)), '#');
    return fmt::format("{} [{:.<{}}] {}", title_, full, room, numbers);
}

EpochBar::EpochBar(Terminal& terminal, int epoch, int epochs, std::int64_t samples, std::int64_t done)
    : ProgressBar{terminal, fmt::format("epoch {}/{}", epoch, epochs), samples, done, samples * (epochs - epoch)} {}

void EpochBar::update(const ctnn::LossSum& loss) {
    ProgressBar::update(loss.count, fmt::format("loss {:.4f}  acc {:5.2f} %  ", loss.mean(), 100 * loss.accuracy()));
}

std::string duration(double seconds) {
    const auto s = static_cast<std::int64_t>(seconds + 0.5);
    return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                    : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace alexnet
