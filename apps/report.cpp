// perch report: an experiment's report from its stored results.
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/experiments/findings.h>

#include "commands.h"
#include "experiment_folder.h"

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

Command add_report(CLI::App& parent) {
  auto folder = std::make_shared<std::string>();
  CLI::App* app = parent.add_subcommand("report", "Rebuild an experiment's report and tables");
  app->footer("Example:\n  perch report experiments/granularity");
  app->add_option("DIR", *folder, "Folder that compare wrote")->type_name("DIR")->required();
  return {app, [folder](Output& output) {
            const Results results = read_results(*folder);
            write_reports(*folder, results);
            const Findings findings = findings_of(results);
            const fs::path file = fs::path(*folder) / "report.html";
            output.event({{"event", "result"},
                          {"cells", results.cells.size()},
                          {"all_cells", results.all_cells},
                          {"answer", findings.answer},
                          {"report", file.string()}});
            output.text(fmt::format("{}\n{} of {} cells; report: {}\n", findings.answer,
                                    results.cells.size(), results.all_cells, file.string()));
          }};
}
