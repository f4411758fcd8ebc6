#include "run_folder.hpp"

#include <algorithm>
#include <charconv>
#include <span>
#include <sstream>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include <ctnn/core/error.hpp>
#include <ctnn/io/file.hpp>
#include <ctnn/io/json_parser.hpp>

namespace alexnet {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view csv_header =
    "epoch,lr,train_loss,train_accuracy,eval_loss,eval_accuracy,images_per_second,seconds";
constexpr std::string_view csv_header_with_skipped =
    "epoch,lr,train_loss,train_accuracy,eval_loss,eval_accuracy,skipped,images_per_second,seconds";

std::string read_text(const fs::path& path) {
    const auto bytes = ctnn::read_file(path);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_text(const fs::path& path, std::string_view text) {
    ctnn::write_file_atomically(path, std::as_bytes(std::span{text}));
}

[[noreturn]] void refuse_to_make(const fs::path& path, const std::error_code& error) {
    throw ctnn::FileError(path.string() + ": cannot create the folder: " + error.message());
}

/// Reads a row, or says what is wrong with it.
EpochRow parse_row(std::string_view line, const std::string& place, int epoch, bool with_skipped) {
    EpochRow row{};
    const char* at = line.data();
    const char* const end = at + line.size();
    bool good = true;
    const auto read = [&](auto& to, char before) {
        if (before != '\0') { good = good && at != end && *at++ == before; }
        const auto result = std::from_chars(at, end, to);
        good = good && result.ec == std::errc{};
        at = result.ptr;
    };
    read(row.epoch, '\0');
    for (double* value : {&row.lr, &row.train_loss, &row.train_accuracy, &row.eval_loss, &row.eval_accuracy}) {
        read(*value, ',');
    }
    if (with_skipped) { read(row.skipped, ','); }
    for (double* value : {&row.images_per_second, &row.seconds}) { read(*value, ','); }
    // The best epoch is chosen by the one, and the other is added up. An epoch of skipped steps has no accuracy.
    good = good && row.eval_accuracy >= 0 && row.eval_accuracy <= 1 && row.seconds >= 0 && row.seconds < 1e15;
    if (!good || at != end || row.epoch != epoch) {
        throw ctnn::FileError(fmt::format("{}: found {}, expected epoch {} and {} numbers", place,
                                          ctnn::detail::shown(line), epoch, with_skipped ? "eight" : "seven"));
    }
    return row;
}

}  // namespace

RunFolder RunFolder::create(const fs::path& path) {
    RunFolder folder{path};
    std::error_code error;
    folder.made_ = fs::create_directories(path, error);
    if (error) { refuse_to_make(path, error); }
    folder.lock_ = FolderLock{path};
    for (const fs::path& file : folder.files()) {
        if (fs::exists(file, error)) {
            throw ctnn::FileError(
                fmt::format("{}: found there already, expected a folder without a run; go on with "
                            "this one by --resume {}, or choose another by --out",
                            file.string(), path.string()));
        }
    }
    return folder;
}

RunFolder RunFolder::create_named(const RunSettings& settings) {
    const fs::path runs{"runs"};
    const std::string name = settings.model + "-" + settings.dataset;
    std::error_code error;
    fs::create_directories(runs, error);
    if (error) { refuse_to_make(runs, error); }
    for (int n = 1;; ++n) {
        RunFolder folder{runs / (n == 1 ? name : name + "-" + std::to_string(n))};
        folder.made_ = fs::create_directory(folder.path(), error);  // of several processes one makes it
        if (error && error != std::errc::file_exists) { refuse_to_make(folder.path(), error); }
        if (folder.made_) {
            folder.lock_ = FolderLock{folder.path()};
            return folder;
        }
    }
}

RunFolder RunFolder::open(const fs::path& path) {
    RunFolder folder{path};
    folder.lock_ = FolderLock{path};
    return folder;
}

void RunFolder::begin(const RunSettings& settings, ctnn::Json::Object about) {
    remove_temporaries();
    about.emplace_back("settings", to_json(settings));
    write_text(this->settings(), ctnn::write_json(about, 2) + "\n");
    write_rows();
}

bool RunFolder::has_begun() const {
    std::error_code ignored;
    const auto is_there = [&](const fs::path& file) { return fs::exists(file, ignored); };
    if (is_there(state()) || is_there(last()) || is_there(best()) || is_there(report())) { return true; }
    if (!is_there(table())) { return false; }
    const std::string text = read_text(table());
    const std::size_t header = text.find('\n');
    return header != std::string::npos && header + 1 < text.size();
}

void RunFolder::go_on(int epochs) {
    remove_temporaries();
    read_rows(epochs);
    write_rows();  // what keeps the folder from being written shows now, and not behind an epoch
}

RunFolder RunFolder::of_another_rank() {
    RunFolder folder{{}};
    folder.writes_ = false;
    return folder;
}

void RunFolder::share(Ranks& ranks) {
    path_ = ranks.text_of_first(path_.string());
    static_assert(std::is_trivially_copyable_v<EpochRow>);
    std::size_t rows = rows_.size();
    ranks.broadcast(std::as_writable_bytes(std::span{&rows, 1}), 0);
    rows_.resize(rows);
    ranks.broadcast(std::as_writable_bytes(std::span{rows_}), 0);
}

void RunFolder::discard() const {
    if (!writes_) { return; }
    std::error_code ignored;
    for (const fs::path& file : files()) { fs::remove(file, ignored); }
    if (made_) { fs::remove(path_, ignored); }  // unless something else is in it
}

void RunFolder::remove_temporaries() const {
    std::vector<fs::path> left;
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator{path_, ignored}) {
        for (const fs::path& file : files()) {
            if (entry.path().string().starts_with(file.string() + ".tmp")) { left.push_back(entry.path()); }
        }
    }
    for (const fs::path& file : left) { fs::remove(file, ignored); }
}

std::array<fs::path, 6> RunFolder::files() const { return {settings(), table(), state(), last(), best(), report()}; }

RunSettings RunFolder::read_settings_of(const fs::path& file) {
    const std::string place = file.string();
    const ctnn::Json json = ctnn::parse_json(read_text(place), place);
    return run_settings(json.field<ctnn::Json::Object>("settings", place), place + ": key \"settings\"");
}

ctnn::Json::Object RunFolder::read_about() const {
    const std::string place = settings().string();
    const ctnn::Json json = ctnn::parse_json(read_text(place), place);
    auto about = json.get<ctnn::Json::Object>(place);
    std::erase_if(about, [](const auto& member) { return member.first == "settings"; });
    return about;
}

RunFolder RunFolder::look_at(const fs::path& path) {
    RunFolder folder{path};
    std::error_code ignored;
    if (!fs::exists(folder.settings(), ignored)) {
        throw ctnn::FileError(path.string() + ": found no run.json there, expected the folder of a run");
    }
    folder.read_rows(std::nullopt);
    return folder;
}

void RunFolder::read_rows(std::optional<int> epochs) {
    const std::string place = table().string();
    std::istringstream text{read_text(place)};
    std::string line;
    std::getline(text, line);
    const bool with_skipped = line == csv_header_with_skipped;
    if (line != csv_header && !with_skipped) {
        throw ctnn::FileError(fmt::format("{}: line 1: found {}, expected {}", place, ctnn::detail::shown(line),
                                          ctnn::detail::shown(csv_header)));
    }
    for (int epoch = 1; !epochs || epoch <= *epochs; ++epoch) {
        const std::string at = fmt::format("{}: line {}", place, epoch + 1);
        if (!std::getline(text, line)) {
            if (!epochs) { return; }
            throw ctnn::FileError(fmt::format("{}: found the end of the file, expected epochs up to {}", at, *epochs));
        }
        rows_.push_back(parse_row(line, at, epoch, with_skipped));
    }
}

void RunFolder::add(const EpochRow& row) {
    rows_.push_back(row);
    write_rows();
}

void RunFolder::write_rows() const {
    if (!writes_) { return; }
    const bool with_skipped = std::ranges::any_of(rows_, [](const EpochRow& r) { return r.skipped > 0; });
    std::string text{with_skipped ? csv_header_with_skipped : csv_header};
    for (const EpochRow& r : rows_) {
        text += fmt::format("\n{},{},{},{},{},{},{}{:.1f},{:.3f}", r.epoch, r.lr, r.train_loss, r.train_accuracy,
                            r.eval_loss, r.eval_accuracy, with_skipped ? fmt::format("{},", r.skipped) : "",
                            r.images_per_second, r.seconds);
    }
    write_text(table(), text + "\n");
}

const EpochRow* RunFolder::best_row() const {
    const auto best = std::ranges::max_element(rows_, {}, &EpochRow::eval_accuracy);
    return best == rows_.end() ? nullptr : &*best;
}

}  // namespace alexnet
