// What the pages of reports have in common.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ctnn/io/json.hpp>

#include "charts.hpp"
#include "report.hpp"
#include "run_folder.hpp"

namespace alexnet {

/// "81.23 %", or a dash for what is no number.
std::string percent(double share);
std::string four_digits(double x);
std::string five_significant(double x);
/// "81.23 %" of 81.23.
std::string percent_text(double percents);

/// A value of run.json as HTML.
std::string json_html(const ctnn::Json& value);

/// What rows call "eval": "validation" or "test".
std::string_view evaluated_on(const RunReport& run);
std::string_view network_name(const RunReport& run);
const EpochRow& best_of(const RunReport& run);
const EpochRow& last_of(const RunReport& run);
/// Of all epochs.
double seconds_of(const RunReport& run);
double images_per_second(const RunReport& run);

/// A column of the run's rows, `times` as large, over the epochs.
Series series_of(const RunReport& run, std::string name, std::size_t look, double EpochRow::* member, double times = 1);

/// Up to and with the body's tag, and from the end of main on. Texts are escaped here.
std::string page_begin(std::string_view title);
std::string page_end();
/// A section with its heading, to be filled and closed by section_end.
std::string section(std::string_view id, std::string_view title);
inline constexpr std::string_view section_end = "</section>\n";

}  // namespace alexnet
