#include <algorithm>

#include <fmt/format.h>

#include <perch/experiments/charts.h>
#include <perch/experiments/html.h>
#include <perch/experiments/report.h>
#include <perch/experiments/report_parts.h>

namespace perch::experiments {
namespace {

using html::escaped;

const char* const page_style = R"css(
:root{color-scheme:light dark;--page:#fff;--text:#1c1c1c;--rule:#c8c8c8;--shade:#f0eeea;
--link:#004b8d;--c0:#0067a8;--c1:#b34700;--c2:#00735a;--c3:#93487c;--c4:#6d5a00;--c5:#4d4d4d}
@media screen and (prefers-color-scheme:dark){:root{--page:#161616;--text:#ececec;--rule:#4a4a4a;
--shade:#2a2825;--link:#8ec5ff;--c0:#5ab6ef;--c1:#f0a24a;--c2:#3bcb9f;--c3:#e39ac8;--c4:#e6d84a;
--c5:#bdbdbd}}
@media print{:root{color-scheme:light;--page:#fff;--text:#000}details{display:none}
figure,tr{break-inside:avoid}}
.wide+.charts{margin-top:1.5rem}.more{margin-top:1.2rem}.more>.charts{margin-top:1rem}summary{cursor:pointer}
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
  const std::string title = question.empty() ? network_names(experiment)
                                             : fmt::format("Does {} make a difference for {}?",
                                                           question, network_names(experiment));
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
             "name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<link "
             "rel=\"icon\" "
             "href=\"data:,\">\n<title>{0}</title>\n<style>{1}{2}</style></head>\n<body><main>\n"
             "<h1>{0}</h1>\n<p class=\"answer\">{3}</p>\n",
             escaped(title), page_style, charts::style, escaped(findings.answer)) +
         warnings(results) + accuracy_section(results, findings) +
         contrast_section(results, findings) + kernel_sections(results) +
         course_sections(results, findings) + layer_section(results) + cell_section(results) +
         reproduction(results) + "</main></body></html>\n";
}

}  // namespace perch::experiments
