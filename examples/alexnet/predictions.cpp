#include "predictions.hpp"

#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <ctnn/io/file.hpp>
#include <ctnn/io/json.hpp>

#include "utf8.hpp"

namespace alexnet {

namespace {

class Table final : public PredictionWriter {
  public:
    Table(Terminal& terminal, std::size_t file_width, std::size_t class_width)
        : terminal_{terminal}, file_width_{file_width}, class_width_{class_width} {}
    void add(std::string_view file, std::span<const Guess> guesses) override {
        if (first_) {
            terminal_.line(fmt::format("{:<{}}  {:<{}}  probability", "file", file_width_, "class", class_width_),
                           Colour::dim);
        }
        first_ = false;
        for (const Guess& guess : guesses) {
            terminal_.line(fmt::format("{:<{}}  {:<{}}  {:9.2f} %", file, file_width_, guess.name, class_width_,
                                       100 * guess.probability));
            file = "";
        }
    }
    void add_unreadable(std::string_view /*file*/, std::string_view /*reason*/) override {}

  private:
    Terminal& terminal_;
    std::size_t file_width_, class_width_;
    bool first_ = true;
};

/// A text that grows batch by batch, into a file or standard output.
class TextWriter : public PredictionWriter {
  public:
    TextWriter(const std::filesystem::path& path, Terminal& terminal) : terminal_{terminal} {
        if (path == "-") { return; }
        ctnn::detail::expect_regular_file(path);
        // The file behind a link is what is meant, as with /dev/stdout, not the link.
        std::error_code ignored;
        const std::filesystem::path target = std::filesystem::canonical(path, ignored);
        file_.emplace(target.empty() ? path : target);
    }
    void flush() override {
        if (file_) {
            file_->write(std::as_bytes(std::span{text_}));
        } else {
            terminal_.write(text_);
        }
        text_.clear();
    }
    void finish() override {
        flush();
        if (file_) { file_->commit(); }
    }

  protected:
    std::string text_;

  private:
    Terminal& terminal_;
    std::optional<ctnn::detail::TemporaryFile> file_;
};

class JsonText final : public TextWriter {
  public:
    JsonText(const std::filesystem::path& path, Terminal& terminal, std::string_view model, std::string_view weights)
        : TextWriter{path, terminal} {
        text_ = fmt::format("{{\"model\":{},\"weights\":{},\"images\":[", ctnn::write_json(model),
                            ctnn::write_json(utf8(weights)));
    }
    void add(std::string_view file, std::span<const Guess> guesses) override {
        ctnn::Json::Array predictions;
        for (const Guess& guess : guesses) {
            predictions.emplace_back(ctnn::Json::Object{
                {"class", utf8(guess.name)}, {"index", guess.index}, {"probability", guess.probability}});
        }
        add({{"file", utf8(file)}, {"predictions", std::move(predictions)}});
    }
    void add_unreadable(std::string_view file, std::string_view reason) override {
        add({{"file", utf8(file)}, {"error", utf8(reason)}});
    }
    void finish() override {
        text_ += "\n]}\n";
        TextWriter::finish();
    }

  private:
    void add(ctnn::Json::Object image) {
        text_ += first_ ? "\n" : ",\n";
        text_ += ctnn::write_json(std::move(image));
        first_ = false;
    }

    bool first_ = true;
};

std::string csv(std::string_view field) {
    if (field.find_first_of(",\"\r\n") == std::string_view::npos) { return std::string{field}; }
    std::string out{'"'};
    for (const char c : field) { out.append(c == '"' ? 2 : 1, c); }
    return out += '"';
}

class CsvText final : public TextWriter {
  public:
    CsvText(const std::filesystem::path& path, Terminal& terminal) : TextWriter{path, terminal} {
        text_ = "file,rank,class,index,probability\n";
    }
    void add(std::string_view file, std::span<const Guess> guesses) override {
        const std::string first = csv(file);
        for (std::size_t i = 0; i < guesses.size(); ++i) {
            text_ += fmt::format("{},{},{},{},{}\n", first, i + 1, csv(guesses[i].name), guesses[i].index,
                                 guesses[i].probability);
        }
    }
    void add_unreadable(std::string_view /*file*/, std::string_view /*reason*/) override {}
};

}  // namespace

std::unique_ptr<PredictionWriter> table_writer(Terminal& terminal, std::size_t file_width, std::size_t class_width) {
    return std::make_unique<Table>(terminal, file_width, class_width);
}

std::unique_ptr<PredictionWriter> json_writer(const std::filesystem::path& path, Terminal& terminal,
                                              std::string_view model, std::string_view weights) {
    return std::make_unique<JsonText>(path, terminal, model, weights);
}

std::unique_ptr<PredictionWriter> csv_writer(const std::filesystem::path& path, Terminal& terminal) {
    return std::make_unique<CsvText>(path, terminal);
}

}  // namespace alexnet
