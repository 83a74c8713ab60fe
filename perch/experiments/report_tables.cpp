#include <algorithm>

#include <fmt/format.h>

#include <perch/experiments/html.h>
#include <perch/experiments/report_parts.h>

namespace perch::experiments {

using html::escaped;

std::string contrast_section(const Results& results, const Findings& findings) {
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

std::string cell_section(const Results& results) {
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

}  // namespace perch::experiments
