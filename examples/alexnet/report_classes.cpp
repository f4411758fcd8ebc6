#include "report_classes.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "html.hpp"
#include "pictures.hpp"
#include "report_parts.hpp"

namespace alexnet {

namespace {

constexpr int many_classes = 20;  // more than these are no table to be read

/// What the test says, with the classes' names.
class Classes {
  public:
    explicit Classes(const Examination& test)
        : test_{test}, named_{static_cast<int>(test.class_names.size())}, recall_{test.metrics.recall()} {
        for (int truth = 0; truth < named_; ++truth) {
            std::int64_t samples = 0, elsewhere = 0;
            for (int guess = 0; guess < test.metrics.classes(); ++guess) {
                const std::int64_t count = test.metrics.confusion(truth, guess);
                samples += count;
                elsewhere += guess < named_ ? 0 : count;
            }
            samples_.push_back(samples);
            elsewhere_.push_back(elsewhere);
        }
    }

    [[nodiscard]] int count() const { return named_; }

    [[nodiscard]] std::string name(int c) const {
        return c < named_ ? escape_html(test_.class_names[static_cast<std::size_t>(c)]) : fmt::format("class {}", c);
    }

    /// Truths down, guesses across, and a column for outputs without a name where there were guesses at them.
    void add_matrix(std::string& out) const {
        const bool other = std::ranges::any_of(elsewhere_, [](std::int64_t n) { return n > 0; });
        out +=
            "<figure><figcaption>Confusion matrix: true classes in rows, guesses in columns. The stronger the "
            "colour, the larger the share of its row.</figcaption>\n<div class=\"wide\"><table class=\"confusion\">"
            "<thead><tr><td></td>";
        for (int guess = 0; guess < named_; ++guess) { add_guess_heading(out, name(guess)); }
        if (other) { add_guess_heading(out, "no class"); }
        out += "</tr></thead>\n<tbody>\n";
        for (int truth = 0; truth < named_; ++truth) {
            out += fmt::format("<tr><th scope=\"row\">{}</th>", name(truth));
            for (int guess = 0; guess < named_; ++guess) {
                add_cell(out, truth, test_.metrics.confusion(truth, guess), name(guess));
            }
            if (other) { add_cell(out, truth, elsewhere_[static_cast<std::size_t>(truth)], "no class"); }
            out += "</tr>\n";
        }
        out += "</tbody></table></div></figure>\n";
    }

    void add_matrix_picture(std::string& out) const {
        const ctnn::Image picture = confusion_picture(test_.metrics, named_);
        out += fmt::format(
            "<figure><figcaption>Confusion matrix of {} classes: true ones from top to bottom, guesses "
            "from left to right. The darker, the larger the share of its row.</figcaption>\n{}</figure>\n",
            named_, html_image(picture.view(), picture.shape.width <= 320 ? 2 : 1, "confusion matrix"));
    }

    void add_frequent_mistakes(std::string& out, std::size_t most) const {
        std::vector<Pair> pairs;
        for (int truth = 0; truth < named_; ++truth) {
            for (int guess = 0; guess < test_.metrics.classes(); ++guess) {
                const std::int64_t count = test_.metrics.confusion(truth, guess);
                if (truth != guess && count > 0) { pairs.push_back({count, truth, guess}); }
            }
        }
        std::ranges::sort(pairs, {}, [](const Pair& pair) { return std::tuple{-pair.count, pair.truth, pair.guess}; });
        pairs.resize(std::min(pairs.size(), most));
        HtmlTable table{
            out, {{"True class", false}, {"Taken for", false}, {"Images"}, {"Share"}}, "The most frequent mistakes"};
        for (const Pair& pair : pairs) {
            table.row(
                {name(pair.truth), name(pair.guess), grouped(pair.count), percent(share(pair.truth, pair.count))});
        }
    }

    void add_recalls(std::string& out) const {
        HtmlTable table{out,
                        {{"Class", false}, {"Images"}, {"Recall"}, {"", false}, {"Most often taken for", false}},
                        "Recall: the share of a class’s images that were recognised"};
        for (int truth = 0; truth < named_; ++truth) {
            const auto c = static_cast<std::size_t>(truth);
            table.row({name(truth), grouped(samples_[c]), percent(recall_[c]),
                       fmt::format("<span class=\"bar\" style=\"--s:{:.4f}\"></span>",
                                   std::isfinite(recall_[c]) ? recall_[c] : 0.0),
                       most_often(truth)});
        }
    }

  private:
    struct Pair {
        std::int64_t count;
        int truth, guess;
    };

    [[nodiscard]] double share(int truth, std::int64_t count) const {
        const std::int64_t samples = samples_[static_cast<std::size_t>(truth)];
        return samples > 0 ? static_cast<double>(count) / static_cast<double>(samples) : 0;
    }
    /// "dog (25)"
    [[nodiscard]] std::string most_often(int truth) const {
        Pair most{0, truth, 0};
        for (int guess = 0; guess < test_.metrics.classes(); ++guess) {
            const std::int64_t count = test_.metrics.confusion(truth, guess);
            if (guess != truth && count > most.count) { most = {count, truth, guess}; }
        }
        return most.count > 0 ? fmt::format("{} ({})", name(most.guess), grouped(most.count)) : "–";
    }
    static void add_guess_heading(std::string& out, std::string_view name) {
        out += fmt::format("<th scope=\"col\"><span>{}</span></th>", name);
    }
    void add_cell(std::string& out, int truth, std::int64_t count, std::string_view guess) const {
        // As in the picture, by the square root, so that rare mistakes show.
        const double part = share(truth, count), depth = std::sqrt(part);
        out += fmt::format("<td{} style=\"--s:{:.3f}\" title=\"{} taken for {}: {} of {} ({})\">{}</td>",
                           depth > 0.5 ? " class=\"deep\"" : "", depth, name(truth), guess, count,
                           samples_[static_cast<std::size_t>(truth)], percent(part), count);
    }

    const Examination& test_;
    int named_;
    std::vector<double> recall_;
    std::vector<std::int64_t> samples_, elsewhere_;  // of a class; guesses at outputs without a name
};

}  // namespace

void add_classes(std::string& out, const Examination& test) {
    const Classes classes{test};
    out += section("classes", "Classes");
    if (classes.count() <= many_classes) {
        out += "<div class=\"pair\">\n";
        classes.add_matrix(out);
        out += "<div>\n";
        classes.add_recalls(out);
        out += "</div></div>\n";
    } else {
        out += "<div class=\"pair\">\n";
        classes.add_matrix_picture(out);
        out += "<div>\n";
        classes.add_frequent_mistakes(out, many_classes);
        out += "</div></div>\n<details><summary>Recall of every class</summary>\n";
        classes.add_recalls(out);
        out += "</details>\n";
    }
    out += section_end;
}

void add_mistakes(std::string& out, const Examination& test) {
    const Classes classes{test};
    out += section("mistakes", "The most confident mistakes");
    if (test.mistakes.empty()) { out += "<p>There are none: every test image was recognised.</p>\n"; }
    out += "<div class=\"mistakes\">\n";
    for (const auto& [id, truth, guess, probability, picture] : test.mistakes) {
        const int zoom = std::max(1, 96 / std::max(picture.shape.height, picture.shape.width));
        out += fmt::format(
            "<figure>{}<figcaption><strong>{}</strong><br>is: {}<br><span class=\"quiet\">{}, no. "
            "{}</span></figcaption>"
            "</figure>\n",
            html_image(picture.view(), zoom, fmt::format("test image {}", id)), classes.name(static_cast<int>(guess)),
            classes.name(static_cast<int>(truth)), percent(probability), id);
    }
    out +=
        "</div>\n<p class=\"note\">The guess, the true class, the probability that the guess was given, and the "
        "image’s number in the test set, counted from 0.</p>\n";
    out += section_end;
}

}  // namespace alexnet
