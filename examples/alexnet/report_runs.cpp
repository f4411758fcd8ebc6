// Runs beside each other.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "charts.hpp"
#include "html.hpp"
#include "report_html.hpp"
#include "report_parts.hpp"

namespace alexnet {

namespace {

/// A row for every setting, and for what else run.json says, in which runs differ.
void add_differences(std::string& out, std::span<const RunReport> runs, const std::vector<std::string>& names) {
    std::vector<ctnn::Json::Object> all;
    std::vector<std::string> keys;
    for (const RunReport& run : runs) {
        const ctnn::Json json = to_json(run.settings);
        ctnn::Json::Object& object = all.emplace_back(json.get<ctnn::Json::Object>("settings"));
        object.insert(object.end(), run.about.begin(), run.about.end());
        for (const auto& [key, value] : object) {
            if (std::ranges::find(keys, key) == keys.end()) { keys.push_back(key); }
        }
    }
    std::vector<HtmlTable::Column> columns{{"Setting", false}};
    for (const std::string& name : names) { columns.push_back({name, false}); }
    std::vector<std::vector<std::string>> rows;
    for (const std::string& key : keys) {
        std::vector<std::string> cells{escape_html(key)};
        for (const ctnn::Json::Object& object : all) {
            const auto at = std::ranges::find(object, key, &ctnn::Json::Object::value_type::first);
            cells.push_back(at == object.end() ? "–" : json_html(at->second));
        }
        if (std::ranges::any_of(cells.begin() + 2, cells.end(), [&](const auto& cell) { return cell != cells[1]; })) {
            rows.push_back(std::move(cells));
        }
    }
    out += section("settings", "Settings that differ");
    if (rows.empty()) {
        out += "<p>None: the runs have the same settings.</p>\n";
    } else {
        HtmlTable table{out, columns};
        for (const auto& cells : rows) { table.row(cells); }
    }
    out += section_end;
}

/// Names of folders, or where two have the same one, paths.
std::vector<std::string> names_of(std::span<const RunReport> runs) {
    std::vector<std::string> names;
    std::set<std::string> different;
    for (const RunReport& run : runs) { different.insert(run.name); }
    for (const RunReport& run : runs) {
        names.push_back(different.size() == runs.size() ? run.name : run.folder.path().string());
    }
    return names;
}

}  // namespace

std::string html_of_runs(std::span<const RunReport> runs) {
    const std::vector<std::string> names = names_of(runs);
    const bool validated = std::ranges::any_of(runs, [](const RunReport& run) { return evaluated_on(run) != "test"; });
    const char* const accuracy_title =
        validated ? "Test or validation accuracy by time, %" : "Test accuracy by time, %";
    Chart loss{"Loss", "epoch", four_digits, {}}, accuracy{"Accuracy, %", "epoch", percent_text, {}},
        by_time{accuracy_title, "minutes of training", percent_text, {}},
        lr{"Learning rate", "epoch", five_significant, {}};
    std::vector<std::string> headings;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const RunReport& run = runs[i];
        const auto add = [&](Chart& chart, std::string_view what, double EpochRow::* member, double times,
                             bool dashed) {
            Series series = series_of(run, fmt::format("{}, {}", names[i], what), i, member, times);
            series.dashed = dashed;
            chart.series.push_back(std::move(series));
        };
        const std::string_view eval = evaluated_on(run);
        add(loss, "training", &EpochRow::train_loss, 1, true);
        add(loss, eval, &EpochRow::eval_loss, 1, false);
        add(accuracy, "training", &EpochRow::train_accuracy, 100, true);
        add(accuracy, eval, &EpochRow::eval_accuracy, 100, false);
        add(by_time, eval, &EpochRow::eval_accuracy, 100, false);
        double minutes = 0;
        for (std::size_t k = 0; k < run.folder.rows().size(); ++k) {
            by_time.series.back().x[k] = minutes += run.folder.rows()[k].seconds / 60;
        }
        lr.series.push_back(series_of(run, names[i], i, &EpochRow::lr));
        headings.push_back(html_swatch(i, false) + escape_html(names[i]));
    }

    std::string out = page_begin(fmt::format("{} runs", runs.size()));
    out += fmt::format("<header><h1>{} runs</h1>\n", runs.size());
    {
        HtmlTable table{out,
                        {{"Run", false},
                         {"Network", false},
                         {"Parameters"},
                         {"Epochs"},
                         {"Best epoch"},
                         {"Accuracy"},
                         {"Loss"},
                         {"Measured on", false},
                         {"Training accuracy"},
                         {"Images/s"},
                         {"Time"}}};
        const auto leader =
            std::ranges::max_element(runs, {}, [](const RunReport& run) { return best_of(run).eval_accuracy; });
        for (std::size_t i = 0; i < runs.size(); ++i) {
            const RunReport& run = runs[i];
            const EpochRow& best = best_of(run);
            table.row({headings[i], escape_html(network_name(run)),
                       run.network != nullptr ? grouped(run.network->info().parameters) : "–",
                       std::to_string(last_of(run).epoch), std::to_string(best.epoch), percent(best.eval_accuracy),
                       four_digits(best.eval_loss), std::string{evaluated_on(run)}, percent(best.train_accuracy),
                       grouped(std::llround(images_per_second(run))), duration(seconds_of(run))},
                      &run == &*leader ? "best" : "");
        }
    }
    out +=
        "<p class=\"note\">Accuracies and losses are those of the best epoch. Images/s and time are those of the "
        "training steps.</p>\n</header>\n<main>\n";
    out += section("curves", "Curves");
    out += "<div class=\"charts\">\n";
    for (const Chart* const chart : {&loss, &accuracy, &by_time, &lr}) { out += html_chart(*chart); }
    out += "</div>\n<p class=\"note\">Point at a mark for its numbers.</p>\n";
    out += section_end;
    add_differences(out, runs, headings);
    return out += page_end();
}

}  // namespace alexnet
