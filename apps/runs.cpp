// perch runs, perch runs diff: the runs that train and quantize left, listed and compared.
#include <filesystem>
#include <memory>
#include <system_error>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/io/run_reader.h>

#include "commands.h"
#include "run_table.h"

using namespace perch;
namespace fs = std::filesystem;

namespace {

struct RunsFlags {
  std::string folder = "models/runs", a, b;
};

/// A folder of runs, or one with such a folder.
fs::path folder_of_runs(const std::string& given) {
  std::error_code ignored;
  const fs::path inner = fs::path(given) / "runs";
  return fs::is_directory(inner, ignored) ? inner : fs::path(given);
}

void list(const RunsFlags& flags, Output& output) {
  const fs::path folder = folder_of_runs(flags.folder);
  std::vector<RunEntry> entries;
  std::size_t broken = 0;
  for (const fs::path& path : io::run_folders(folder)) {
    RunEntry& entry = entries.emplace_back();
    entry.path = path;
    try {
      entry.report = io::read_run(path);
    } catch (const Error& error) {
      entry.broken = error.what();
      ++broken;
    }
    output.event(to_json(entry));
  }
  output.event({{"event", "result"},
                {"folder", folder.string()},
                {"runs", entries.size()},
                {"unreadable", broken}});
  output.text(entries.empty() ? fmt::format("no runs in {}\n", folder.string())
                              : run_table(entries));
}

void diff(const RunsFlags& flags, Output& output) {
  const fs::path folder = folder_of_runs(flags.folder);
  const io::RunReport a = io::read_run(io::find_run(folder, flags.a));
  const io::RunReport b = io::read_run(io::find_run(folder, flags.b));
  const RunDifference difference = difference_of(a, b);
  output.event(to_json(a, b, difference));
  output.text(difference_text(a, b, difference));
}

}  // namespace

std::vector<Command> add_runs(CLI::App& parent) {
  auto flags = std::make_shared<RunsFlags>();
  CLI::App* const runs =
      parent.add_subcommand("runs", "Lists and compares the runs that train and quantize left");
  runs->footer(
      "Examples:\n  perch runs\n  perch runs other_models --json\n"
      "  perch runs diff 3fa9c1 81b20e");
  runs->add_option("DIR", flags->folder, "What train or quantize had as --save or --run-dir")
      ->type_name("DIR")
      ->capture_default_str();
  CLI::App* const two =
      runs->add_subcommand("diff", "Which settings of two runs differ, and what came of each");
  two->footer(
      "Examples:\n  perch runs diff 3fa9c1 81b20e\n"
      "  perch runs diff 3fa9c1 81b20e --in other_models --json");
  two->add_option("A", flags->a, "A run's id, another part of its folder's name, or its path")
      ->type_name("RUN")
      ->required();
  two->add_option("B", flags->b, "The other one")->type_name("RUN")->required();
  two->add_option("--in", flags->folder, "Where the runs are")
      ->type_name("DIR")
      ->capture_default_str();
  return {{runs,
           [flags, two](Output& output) {
             if (!two->parsed()) list(*flags, output);
           }},
          {two, [flags](Output& output) { diff(*flags, output); }}};
}
