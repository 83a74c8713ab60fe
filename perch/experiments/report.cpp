#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/experiments/charts.h>
#include <perch/experiments/html.h>
#include <perch/experiments/report.h>

namespace perch::experiments {
namespace {

using html::escaped;

// More charts of a kind than these are for programs to draw, from results.json.
constexpr std::size_t most_charts = 24;

const char* const page_style = R"css(
:root{color-scheme:light dark;--page:#fff;--text:#1c1c1c;--rule:#c8c8c8;--shade:#f0eeea;
--link:#004b8d;--c0:#0067a8;--c1:#b34700;--c2:#00735a;--c3:#93487c;--c4:#6d5a00;--c5:#4d4d4d}
@media (prefers-color-scheme:dark){:root{--page:#161616;--text:#ececec;--rule:#4a4a4a;
--shade:#2a2825;--link:#8ec5ff;--c0:#5ab6ef;--c1:#f0a24a;--c2:#3bcb9f;--c3:#e39ac8;--c4:#e6d84a;
--c5:#bdbdbd}}
@media print{:root{color-scheme:light;--page:#fff;--text:#000}details{display:none}
figure,tr{break-inside:avoid}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1100px;padding:1rem;background:var(--page);color:var(--text);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.25rem;margin-top:2.2rem}
.answer{font-size:1.15rem;background:var(--shade);border-left:5px solid var(--c0);padding:.7rem 1rem}
a{color:var(--link)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,430px),1fr));gap:1.8rem}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;
overflow-wrap:normal}
.many{min-width:max(100%,700px)}
caption{text-align:left;font-weight:600;padding-bottom:.3rem}
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--rule);
vertical-align:top}
tbody th{font-weight:400}
code{font-family:ui-monospace,monospace;font-size:.9em}
pre{white-space:pre-wrap;background:var(--shade);padding:.7rem}
)css";

std::vector<std::string> varied_axes(const Experiment& experiment) {
  std::vector<std::string> names;
  for (const Axis& axis : experiment.grid) {
    if (axis.values.size() > 1) names.push_back(axis.name);
  }
  return names;
}

const Axis* axis_of(const Experiment& experiment, const std::string& name) {
  const auto found = std::ranges::find(experiment.grid, name, &Axis::name);
  return found == experiment.grid.end() || found->values.size() < 2 ? nullptr : &*found;
}

/// The settings of the given axes.
Settings part(const Settings& settings, const std::vector<std::string>& names) {
  Settings result;
  for (const Setting& setting : settings) {
    if (std::ranges::find(names, setting.name) != names.end()) result.push_back(setting);
  }
  return result;
}

/// How the axes are laid out in charts: along x, as lines, and as a chart each.
struct Facets {
  const Axis* x;
  std::string lines;
  std::vector<std::string> charts;
};

Facets facets_of(const Experiment& experiment) {
  const std::string question = question_of(experiment);
  Facets facets{axis_of(experiment, "weight_bits"), question, {}};
  if (facets.x == nullptr || question == "weight_bits") {
    facets.x = axis_of(experiment, question);
    facets.lines.clear();
  }
  for (const std::string& name : varied_axes(experiment)) {
    if (name != facets.lines && (facets.x == nullptr || name != facets.x->name)) {
      facets.charts.push_back(name);
    }
  }
  return facets;
}

/// Distinct values of some axes, in the order in which groups have them.
std::vector<Settings> distinct(const Findings& findings, const std::vector<std::string>& names) {
  std::vector<Settings> all;
  for (const Group& group : findings.groups) {
    Settings settings = part(group.settings, names);
    if (std::ranges::find(all, settings) == all.end()) all.push_back(std::move(settings));
  }
  return all;
}

std::string title_of(const Settings& settings, const std::string& otherwise) {
  return settings.empty() ? otherwise : to_string(settings);
}

std::string more_of(std::size_t count) {
  return count <= most_charts
             ? ""
             : fmt::format("<p>{} more are not drawn; results.json has their numbers.</p>\n",
                           count - most_charts);
}

std::string accuracy_charts(const Results& results, const Findings& findings) {
  const Facets facets = facets_of(results.experiment);
  if (facets.x == nullptr) return "";
  const auto charts = distinct(findings, facets.charts);
  std::string text =
      "<h2 id=\"accuracy\">Accuracy</h2>\n<p>Mean test accuracy after the last "
      "epoch, with the 95 % interval over seeds.</p>\n<div class=\"charts\">\n";
  for (std::size_t i = 0; i < std::min(charts.size(), most_charts); ++i) {
    charts::LineChart chart{title_of(charts[i], results.experiment.model),
                            facets.x->name,
                            "test accuracy, %",
                            facets.x->values,
                            {}};
    for (const Group& group : findings.groups) {
      if (!group.summary || part(group.settings, facets.charts) != charts[i]) continue;
      const std::string name = facets.lines.empty() ? "" : *find(group.settings, facets.lines);
      auto series = std::ranges::find(chart.series, name, &charts::Series::name);
      if (series == chart.series.end()) {
        chart.series.push_back({name, {}});
        series = std::prev(chart.series.end());
      }
      const auto x = std::ranges::find(facets.x->values, *find(group.settings, facets.x->name));
      series->points.push_back({static_cast<double>(x - facets.x->values.begin()),
                                group.summary->mean, group.summary->half_width});
    }
    if (!chart.series.empty()) text += charts::figure(chart);
  }
  return text + "</div>\n" + more_of(charts.size());
}

using OfEpoch = std::optional<double> (*)(const EpochRecord&);

/// Means over seeds by epoch, a line for each value of the question's axis.
std::string course_charts(const Results& results, const Findings& findings, const char* heading,
                          const char* y_label, OfEpoch value) {
  const std::string question = question_of(results.experiment);
  std::vector<std::string> names = varied_axes(results.experiment);
  std::erase(names, question);
  std::string figures;
  const auto charts = distinct(findings, names);
  std::size_t drawn = 0;
  for (const Settings& settings : charts) {
    charts::LineChart chart{title_of(settings, results.experiment.model), "epoch", y_label, {}, {}};
    std::map<std::string, std::map<std::size_t, std::vector<double>>> by_line;
    std::vector<std::string> order;
    for (const CellResult& cell : results.cells) {
      if (part(cell.cell.settings, names) != settings) continue;
      const std::string line = question.empty() ? "" : *find(cell.cell.settings, question);
      for (std::size_t epoch = 0; epoch < cell.epochs.size(); ++epoch) {
        const auto found = value(cell.epochs[epoch]);
        if (!found) continue;
        if (std::ranges::find(order, line) == order.end()) order.push_back(line);
        by_line[line][epoch].push_back(100.0 * *found);
      }
    }
    for (const std::string& line : order) {
      charts::Series& series = chart.series.emplace_back();
      series.name = line;
      for (const auto& [epoch, values] : by_line[line]) {
        series.points.push_back(
            {static_cast<double>(epoch + 1), statistics::summarise(values).mean, std::nullopt});
      }
    }
    const bool course = std::ranges::any_of(
        chart.series, [](const charts::Series& series) { return series.points.size() > 1; });
    if (course && ++drawn <= most_charts) figures += charts::figure(chart);
  }
  if (figures.empty()) return "";
  return fmt::format("<h2>{}</h2>\n<p>Means over seeds.</p>\n<div class=\"charts\">\n{}</div>\n{}",
                     heading, figures, more_of(drawn));
}

bool of_granularity(const CellResult& cell, const std::string& name) {
  const std::string* const found = find(cell.cell.settings, "granularity");
  return found != nullptr && *found == name;
}

/// Cells of one seed that differ in granularity alone, of the fewest bits; per channel alone where
/// there is no such pair.
struct RangePair {
  const CellResult *channels = nullptr, *tensor = nullptr;
};

bool has_channels(const CellResult& cell) {
  return std::ranges::any_of(cell.layers,
                             [](const LayerRecord& layer) { return layer.ranges.size() > 1; });
}

RangePair range_pair(const Results& results) {
  RangePair best;
  const auto bits = [](const CellResult& cell) {
    const std::string* const found = find(cell.cell.settings, "weight_bits");
    return found == nullptr ? 8 : std::atoi(found->c_str());
  };
  for (const CellResult& cell : results.cells) {
    if (cell.failed() || !has_channels(cell)) continue;
    RangePair pair{&cell, nullptr};
    for (const CellResult& other : results.cells) {
      if (other.failed() || other.cell.seed != cell.cell.seed ||
          !of_granularity(other, "per_tensor")) {
        continue;
      }
      Settings same = other.cell.settings;
      for (Setting& setting : same) {
        if (setting.name == "granularity") setting.value = "per_channel";
      }
      if (same == cell.cell.settings) pair.tensor = &other;
    }
    const bool better =
        best.channels == nullptr || (pair.tensor != nullptr && best.tensor == nullptr) ||
        ((pair.tensor != nullptr) == (best.tensor != nullptr) && bits(cell) < bits(*best.channels));
    if (better) best = pair;
  }
  return best;
}

std::string range_charts(const Results& results) {
  const RangePair pair = range_pair(results);
  if (pair.channels == nullptr) return "";
  std::string text = fmt::format(
      "<h2>What one range for all channels wastes</h2>\n<p>Bars: the range of each output channel, "
      "from {}. Dashed: the one range {}. What lies between a bar and the dashes are levels that "
      "this channel never uses.</p>\n<div class=\"charts\">\n",
      escaped(pair.channels->id),
      pair.tensor != nullptr ? "of " + escaped(pair.tensor->id)
                             : std::string("that would hold them all"));
  std::size_t drawn = 0;
  for (const LayerRecord& layer : pair.channels->layers) {
    if (layer.ranges.size() < 2) continue;
    if (++drawn > most_charts) continue;
    charts::RangeChart chart{layer.name + ", " + layer.kind, {}, {0.0, 0.0}};
    for (const auto& range : layer.ranges) {
      chart.channels.push_back({range.min, range.max});
      chart.whole.low = std::min(chart.whole.low, range.min);
      chart.whole.high = std::max(chart.whole.high, range.max);
    }
    if (pair.tensor != nullptr) {
      const auto same = std::ranges::find(pair.tensor->layers, layer.name, &LayerRecord::name);
      if (same != pair.tensor->layers.end() && same->ranges.size() == 1) {
        chart.whole = {same->ranges[0].min, same->ranges[0].max};
      }
    }
    if (chart.whole.high > chart.whole.low) text += charts::figure(chart);
  }
  return text + "</div>\n" + more_of(drawn);
}

std::string in_words(const std::optional<double>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "";
}

/// Of the cells that the ranges were drawn from.
std::string layer_table(const Results& results) {
  RangePair pair = range_pair(results);
  if (pair.channels == nullptr) {
    for (const CellResult& cell : results.cells) {
      if (!cell.failed() && !cell.layers.empty()) pair.channels = &cell;
    }
  }
  if (pair.channels == nullptr) return "";
  html::Table table{"Signal to quantization noise of weights and outputs, in dB", {"layer"}, {}};
  std::vector<const CellResult*> cells = {pair.channels};
  if (pair.tensor != nullptr) cells.insert(cells.begin(), pair.tensor);
  for (const CellResult* cell : cells) {
    const std::string* const name = find(cell->cell.settings, "granularity");
    for (const char* const what : {"weights", "outputs", "clipped"}) {
      table.head.push_back(fmt::format("{} {}", name == nullptr ? "" : *name, what));
    }
  }
  for (const LayerRecord& layer : pair.channels->layers) {
    std::vector<std::string> row = {escaped(layer.name + " (" + layer.kind + ")")};
    for (const CellResult* cell : cells) {
      const auto same = std::ranges::find(cell->layers, layer.name, &LayerRecord::name);
      if (same == cell->layers.end()) {
        row.insert(row.end(), 3, "");
        continue;
      }
      row.push_back(in_words(same->weight_sqnr_db, "{:.1f}"));
      row.push_back(in_words(same->activation_sqnr_db, "{:.1f}"));
      row.push_back(same->clipped ? fmt::format("{:.2f} %", 100.0 * *same->clipped) : "");
    }
    table.rows.push_back(std::move(row));
  }
  std::string ids;
  for (const CellResult* cell : cells) ids += (ids.empty() ? "" : " and ") + cell->id;
  return fmt::format("<h2>Layer by layer</h2>\n<p>Cells: {}. Measured on 256 images.</p>\n{}",
                     escaped(ids), html::table(table));
}

std::string contrast_table(const Results& results, const Findings& findings) {
  if (findings.contrasts.empty()) return "";
  html::Table table{"Pairs on the same seed and the same start",
                    {"settings", "verdict", "compared", "difference, points",
                     "right by one of them only", "McNemar's exact p"},
                    {}};
  const auto axes = varied_axes(results.experiment);
  for (const Contrast& contrast : findings.contrasts) {
    std::string counts, ps;
    for (const Pair& pair : contrast.pairs) {
      counts += fmt::format("{}{} : {}", counts.empty() ? "" : "<br>", pair.discordant.first_only,
                            pair.discordant.second_only);
      ps += fmt::format("{}{}", ps.empty() ? "" : "<br>",
                        pair.p < 0.001 ? "&lt; 0.001" : fmt::format("{:.3f}", pair.p));
    }
    const auto& s = contrast.differences;
    table.rows.push_back(
        {escaped(title_of(part(contrast.others, axes), "all")), escaped(contrast.verdict),
         escaped(contrast.first + " : " + contrast.second),
         fmt::format("{:+.2f}", s.mean) + in_words(s.half_width, " ± {:.2f}"), counts, ps});
  }
  return "<h2>Differences</h2>\n<p>Second less first, mean and 95 % interval over seeds (Student's "
         "t of the pairs); image by image for each seed: how many images only the first, and only "
         "the second, tells right.</p>\n" +
         html::table(table);
}

std::string cell_table(const Results& results) {
  html::Table table{"All cells", {"cell", "seed"}, {}};
  const auto axes = varied_axes(results.experiment);
  for (const std::string& name : axes) table.head.push_back(name);
  for (const char* name : {"test accuracy", "float start", "model", "time", "speed", "files"}) {
    table.head.emplace_back(name);
  }
  for (const CellResult& cell : results.cells) {
    std::vector<std::string> row = {escaped(cell.id), std::to_string(cell.cell.seed)};
    for (const Setting& setting : part(cell.cell.settings, axes)) {
      row.push_back(escaped(setting.value));
    }
    row.push_back(cell.failed() ? "failed: " + escaped(cell.failure)
                                : fmt::format("{:.2f} %", 100.0 * cell.accuracy));
    row.push_back(cell.start_accuracy ? fmt::format("{:.2f} %", 100.0 * *cell.start_accuracy) : "");
    row.push_back(fmt::format("{:.0f} kB", static_cast<double>(cell.model_bytes) / 1000.0));
    row.push_back(fmt::format("{:.1f} s", cell.seconds));
    row.push_back(
        cell.images_per_second > 0.0 ? fmt::format("{:.0f} images/s", cell.images_per_second) : "");
    std::string files = fmt::format("<a href=\"cells/{}/\">folder</a>", escaped(cell.id));
    if (!cell.run.empty()) {
      files += fmt::format(", <a href=\"{}/\">run</a>", escaped(cell.run));
    }
    row.push_back(std::move(files));
    table.rows.push_back(std::move(row));
  }
  return "<h2 id=\"cells\">Cells</h2>\n" + html::table(table);
}

std::string reproduction(const Results& results) {
  const Provenance& p = results.provenance;
  std::string commands;
  for (const CellResult& cell : results.cells) {
    commands += fmt::format("{}\n", escaped(cell.command));
  }
  return fmt::format(
      "<h2>How to do it again</h2>\n<pre><code>{}</code></pre>\n"
      "<p>perch {}, {}, on {} ({}), {} at once with {} threads each. Data: {} training and {} test "
      "images, checksum <code>{}</code>.</p>\n"
      "<details><summary>The cells' commands, to be run in this folder</summary>"
      "<pre><code>{}</code></pre></details>\n",
      escaped(p.command), escaped(p.version), escaped(p.compiler), escaped(p.cpu),
      escaped(p.instruction_set), p.side_by_side, p.threads, p.train_images, p.test_images,
      escaped(p.data_checksum), commands);
}

std::string warnings(const Results& results) {
  const auto failed = std::ranges::count_if(results.cells, &CellResult::failed);
  const auto run = static_cast<std::int64_t>(results.cells.size());
  std::string text;
  if (run < results.all_cells) {
    text +=
        fmt::format("<p><strong>{} of {} cells have run.</strong></p>\n", run, results.all_cells);
  }
  if (failed > 0) {
    text += fmt::format("<p><strong>{} cell{} failed</strong>; <a href=\"#cells\">why</a>.</p>\n",
                        failed, failed == 1 ? "" : "s");
  }
  return text;
}

}  // namespace

std::string report_html(const Results& results, const Findings& findings) {
  const Experiment& experiment = results.experiment;
  const std::string question = question_of(experiment);
  const std::string title = question.empty() ? experiment.model
                                             : fmt::format("Does {} make a difference for {}?",
                                                           question, experiment.model);
  const OfEpoch accuracy = [](const EpochRecord& epoch) {
    return epoch.val_accuracy ? epoch.val_accuracy : std::optional(epoch.accuracy);
  };
  const OfEpoch oscillating = [](const EpochRecord& epoch) { return epoch.oscillating; };
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
             "name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<link "
             "rel=\"icon\" "
             "href=\"data:,\">\n<title>{0}</title>\n<style>{1}{2}</style></head>\n<body><main>\n"
             "<h1>{0}</h1>\n<p class=\"answer\">{3}</p>\n",
             escaped(title), page_style, charts::style, escaped(findings.answer)) +
         warnings(results) + accuracy_charts(results, findings) +
         contrast_table(results, findings) + range_charts(results) +
         course_charts(results, findings, "Training", "validation accuracy, %", accuracy) +
         course_charts(results, findings, "Oscillating weights", "share of weights, %",
                       oscillating) +
         layer_table(results) + cell_table(results) + reproduction(results) +
         "</main></body></html>\n";
}

}  // namespace perch::experiments
