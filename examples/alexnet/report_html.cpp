#include "report_html.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <ctnn/data/loader_options.hpp>
#include <ctnn/train/schedule.hpp>
#include <ctnn/train/settings.hpp>

#include "charts.hpp"
#include "data.hpp"
#include "html.hpp"
#include "network_text.hpp"
#include "report_classes.hpp"
#include "report_parts.hpp"

namespace alexnet {

namespace {

using Figures = std::vector<std::pair<std::string, std::string>>;

void add_figures(std::string& out, const Figures& figures) {
    out += "<dl class=\"figures\">\n";
    for (const auto& [name, value] : figures) {
        out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, value);
    }
    out += "</dl>\n";
}

std::string rate_text(double y) { return fmt::format("{:.0f} images/s", y); }

void add_curves(std::string& out, const RunReport& run) {
    const std::string eval{evaluated_on(run)};
    const auto best = static_cast<std::size_t>(&best_of(run) - run.folder.rows().data());
    std::vector<Series> loss{series_of(run, "training", 0, &EpochRow::train_loss),
                             series_of(run, eval, 1, &EpochRow::eval_loss)},
        accuracy{series_of(run, "training", 0, &EpochRow::train_accuracy, 100),
                 series_of(run, eval, 1, &EpochRow::eval_accuracy, 100)};
    for (Series& series : loss) { series.dashed = series.look == 0; }
    for (Series& series : accuracy) { series.dashed = series.look == 0; }
    loss[1].best = accuracy[1].best = best;
    out += section("curves", "Curves");
    out += "<div class=\"charts\">\n";
    out += html_chart({"Loss", "epoch", four_digits, std::move(loss)});
    out += html_chart({"Accuracy, %", "epoch", percent_text, std::move(accuracy)});
    out += html_chart({"Learning rate at the end of the epoch",
                       "epoch",
                       five_significant,
                       {series_of(run, "learning rate", 2, &EpochRow::lr)}});
    out += html_chart({"Images a second in training",
                       "epoch",
                       rate_text,
                       {series_of(run, "speed", 3, &EpochRow::images_per_second)}});
    out += "</div>\n";
    out += fmt::format(
        "<p class=\"note\">The ring is the epoch with the highest {} accuracy, whose weights are best.safetensors. "
        "Training "
        "figures are means over an epoch’s steps, of a network that was still changing, on images as they were "
        "augmented and with the loss that was minimised. Point at a mark for its numbers.</p>\n",
        eval);
    out += section_end;
}

void add_filters(std::string& out, const ctnn::Image& filters) {
    out += section("filters", "First layer");
    out += fmt::format(
        "<figure class=\"filters\">{}<figcaption>The filters of the first convolution, as the network’s "
        "paper shows its own: grey is 0, and a filter’s largest weight is black or white.</figcaption>"
        "</figure>\n",
        html_image(filters.view(), filters.shape.width < 300 ? 2 : 1,
                   "the filters of the first convolution, side by side"));
    out += section_end;
}

void add_network(std::string& out, const NetworkEntry& network, int batch, int threads) {
    const NetworkInfo info = network.info();
    out += section("network", "Network");
    {
        HtmlTable table{out,
                        {{"Layer"}, {"Stage"}, {"Type", false}, {"Output", false}, {"Parameters"}, {"Multiply-adds"}},
                        fmt::format("{} on input {}; the layers of a stage run as one", network.type,
                                    shape_text(info.layers[0].in.shape))};
        for (std::size_t i = 0; i < info.layers.size(); ++i) {
            const ctnn::LayerInfo& layer = info.layers[i];
            table.row({std::to_string(i), std::to_string(info.stage_of(i)), layer_title(layer),
                       shape_text(layer.out.shape), grouped(layer.parameter_count()), grouped(layer.multiply_adds)});
        }
        table.row({"sum", "", "", "", grouped(info.parameters), grouped(info.multiply_adds)}, "sum");
    }
    HtmlTable table{
        out,
        {{"Memory plan", false}, {"Bytes an image"}, {"A thread"}, {"Fixed"}, {"In all"}, {"MiB"}},
        fmt::format("Memory for a batch of {} on {} thread{}, besides {} bytes of parameters, which training "
                    "holds three times: with gradients and velocity",
                    batch, threads, threads == 1 ? "" : "s", grouped(static_cast<std::int64_t>(info.parameter_bytes)))};
    for (const auto& [name, plan] : {std::pair{"training", info.training}, std::pair{"inference", info.inference}}) {
        const std::size_t bytes = plan.total(batch, threads);
        const auto number = [](std::size_t n) { return grouped(static_cast<std::int64_t>(n)); };
        table.row({name, number(plan.sample), number(plan.thread), number(plan.fixed), number(bytes),
                   fmt::format("{:.1f}", mib(bytes))});
    }
}

void add_epochs(std::string& out, const RunReport& run) {
    const std::string_view eval = evaluated_on(run);
    out += section("epochs", "Epochs and time");
    const bool many = run.folder.rows().size() > 40;
    if (many) { out += "<details><summary>All epochs</summary>\n"; }
    {
        HtmlTable table{out,
                        {{"Epoch"},
                         {"Learning rate"},
                         {"Training loss"},
                         {"Training accuracy"},
                         {fmt::format("{} loss", eval == "test" ? "Test" : "Validation")},
                         {fmt::format("{} accuracy", eval == "test" ? "Test" : "Validation")},
                         {"Images/s"},
                         {"Seconds"}}};
        for (const EpochRow& row : run.folder.rows()) {
            table.row({std::to_string(row.epoch), five_significant(row.lr), four_digits(row.train_loss),
                       percent(row.train_accuracy), four_digits(row.eval_loss), percent(row.eval_accuracy),
                       fmt::format("{:.0f}", row.images_per_second), fmt::format("{:.1f}", row.seconds)},
                      &row == &best_of(run) ? "best" : "");
        }
        table.row({"all", "", "", "", "", "", fmt::format("{:.0f}", images_per_second(run)),
                   fmt::format("{:.1f}", seconds_of(run))},
                  "sum");
    }
    if (many) { out += "</details>\n"; }
    out += "<p class=\"note\">Seconds are those of the training steps; evaluation and writing files come on top.</p>\n";
    out += section_end;
}

/// The keys of the loader's settings, and of the trainer's.
std::pair<std::set<std::string>, std::set<std::string>> setting_keys(const RunSettings& settings) {
    std::pair<std::set<std::string>, std::set<std::string>> keys;
    ctnn::for_each_setting(settings.loader, [&](const char* key, const auto&) { keys.first.insert(key); });
    ctnn::for_each_setting(settings.trainer, [&](const char* key, const auto&) { keys.second.insert(key); });
    return keys;
}

/// False for a setting of another kind of schedule.
bool counts(std::string_view key, ctnn::ScheduleKind kind) {
    using enum ctnn::ScheduleKind;
    static const std::map<std::string_view, std::set<ctnn::ScheduleKind>> kinds{
        {"step_size", {step}},
        {"milestones", {multi_step}},
        {"gamma", {step, multi_step}},
        {"power", {polynomial}},
        {"final_lr_fraction", {linear, cosine, polynomial}},
        {"pct_start", {one_cycle}},
        {"div_factor", {one_cycle}},
        {"final_div_factor", {one_cycle}},
        {"anneal", {one_cycle}},
    };
    const auto of = kinds.find(key);
    return of == kinds.end() || of->second.contains(kind);
}

void add_settings(std::string& out, const RunReport& run) {
    const auto [loader, trainer] = setting_keys(run.settings);
    const ctnn::Json json = to_json(run.settings);
    ctnn::Json::Object parts[3];  // the run's own, the images', the training's
    for (const auto& member : json.get<ctnn::Json::Object>("settings")) {
        if (!counts(member.first, run.settings.trainer.schedule.kind)) { continue; }
        parts[trainer.contains(member.first) ? 2 : loader.contains(member.first) ? 1 : 0].push_back(member);
    }
    parts[0].insert(parts[0].end(), run.about.begin(), run.about.end());
    out += section("settings", "Settings");
    out += "<div class=\"thirds\">\n";
    for (const auto& [title, part] :
         {std::pair{"Run and program", &parts[0]}, std::pair{"Images", &parts[1]}, std::pair{"Training", &parts[2]}}) {
        HtmlTable table{out, {{title, false}, {"", false}}};
        for (const auto& [key, value] : *part) { table.row({escape_html(key), json_html(value)}); }
    }
    out += "</div>\n";
    out += section_end;
}

}  // namespace

std::string html_of_run(const RunReport& run) {
    const EpochRow &best = best_of(run), &last = last_of(run);
    const std::string_view eval = evaluated_on(run);
    std::string out = page_begin(fmt::format("{}: {}", run.name, network_name(run)));
    const std::string images = run.test ? run.test->images : data_title(run.settings.dataset, run.settings.data_dir);
    out += fmt::format("<header><h1>{}</h1>\n<p>{} on {}; run in {}</p>\n", escape_html(run.name),
                       escape_html(network_name(run)), escape_html(images), escape_html(run.folder.path().string()));
    Figures figures;
    if (run.test) {
        figures.emplace_back("Test accuracy", percent(run.test->metrics.accuracy()));
        figures.emplace_back("Test loss", four_digits(run.test->metrics.mean_loss()));
        if (run.test->class_names.size() > 5) { figures.emplace_back("Top-5", percent(run.test->metrics.top5())); }
    }
    if (!run.test || eval != "test") {
        figures.emplace_back(fmt::format("Best {} accuracy", eval), percent(best.eval_accuracy));
    }
    figures.emplace_back("Best epoch", fmt::format("{} of {}", best.epoch, last.epoch));
    figures.emplace_back("Training time", duration(seconds_of(run)));
    figures.emplace_back("Images a second", grouped(std::llround(images_per_second(run))));
    if (run.network != nullptr) { figures.emplace_back("Parameters", grouped(run.network->info().parameters)); }
    add_figures(out, figures);
    if (last.epoch < run.settings.trainer.schedule.epochs) {
        out += fmt::format("<p class=\"missing\">The run has {} of its {} epochs.</p>\n", last.epoch,
                           run.settings.trainer.schedule.epochs);
    }
    for (const std::string& reason : run.missing) {
        out += fmt::format("<p class=\"missing\">Something is left out: {}</p>\n", escape_html(reason));
    }
    out += "</header>\n<main>\n";

    add_curves(out, run);
    if (run.test) {
        add_classes(out, *run.test);
        add_mistakes(out, *run.test);
    }
    if (run.filters) { add_filters(out, *run.filters); }
    add_epochs(out, run);
    if (run.network != nullptr) {
        const ctnn::Json about{run.about};
        add_network(out, *run.network, run.settings.trainer.pass_size(),
                    about.field<int>("threads", run.folder.settings().string()));
        out += section_end;
    }
    add_settings(out, run);
    return out += page_end();
}

}  // namespace alexnet
