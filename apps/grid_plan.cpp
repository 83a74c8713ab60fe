#include "grid_plan.h"

#include <algorithm>
#include <set>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/check.h>
#include <perch/datasets/sha256.h>

#include "commands.h"

using namespace perch;
using namespace perch::experiments;

namespace {

/// Refuses what the command would refuse, without running it.
void check_command(const Arguments& command, const std::string& label) {
  CLI::App app;
  const std::vector<Command> commands = {add_train(app), add_quantize(app)};
  std::vector<std::string> words(command.rbegin(), command.rend());  // CLI11 takes them backwards
  try {
    app.parse(words);
    for (const Command& parsed : commands) {
      if (parsed.app->parsed()) parsed.check();
    }
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    std::ranges::replace(message, '\n', ' ');
    fail(ErrorCode::usage, "cell {}: {}", label, message);
  } catch (const Error& error) {
    fail(error.code(), "cell {}: {}", label, error.what());
  }
}

/// The order in which options were said makes no other command.
Arguments in_one_order(const Arguments& command) {
  std::vector<Arguments> options(1);
  for (const std::string& word : command) {
    if (word.starts_with("--")) options.emplace_back();
    options.back().push_back(word);
  }
  std::ranges::sort(options.begin() + 1, options.end());
  Arguments sorted;
  for (const Arguments& option : options) {
    sorted.insert(sorted.end(), option.begin(), option.end());
  }
  return sorted;
}

/// Twelve hexadecimal digits.
std::string digest_of(const Arguments& command, const std::string& data_checksum) {
  return datasets::sha256_of(
             fmt::format("{} {} {}", PERCH_VERSION, data_checksum, fmt::join(command, " ")))
      .substr(0, 12);
}

}  // namespace

GridPlan plan_of(const Experiment& experiment, const Vocabulary& vocabulary, const RuleFiles& rules,
                 const StartFiles& files, const std::string& data_checksum) {
  GridPlan plan;
  std::set<std::string> starts;
  std::set<Arguments> cells;
  for (const Cell& cell : cells_of(experiment)) {
    const std::string label = label_of(experiment, cell);
    StartPlan start;
    start.probe = start_command(experiment, cell, vocabulary);
    Arguments origin;  // of the start, in one order
    if (!begins_with_float(experiment, cell)) {
      start.id.clear();
    } else if (files.any()) {
      start.file = files.of(cell.seed);
      origin = {"file", files.digest(cell.seed)};
      start.id = fmt::format("{}-{}", files.name(cell.seed), digest_of(origin, data_checksum));
    } else if (experiment.float_epochs > 0) {
      start.command = start.probe;
      origin = in_one_order(start.command);
      start.id = fmt::format("s{}-{}", cell.seed, digest_of(origin, data_checksum));
    }
    const std::string from = start.id.empty() ? "" : start_file;
    const Arguments command = cell_command(experiment, cell, vocabulary, from);
    CellPlan planned{"", "", cell, start.id, rules.stored(command), {}};
    planned.probe = planned.trains() ? rules.given(cell_command(experiment, cell, vocabulary, ""))
                                     : start.probe;
    Arguments whole = in_one_order(planned.command);
    whole.insert(whole.end(), origin.begin(), origin.end());
    // Settings of training make no cells of quantization after it.
    if (!cells.insert(whole).second) continue;
    planned.digest = digest_of(whole, data_checksum);
    planned.id = label + "-" + planned.digest;
    check_command(rules.given(command), label);
    if (!start.id.empty() && starts.insert(start.id).second) {
      if (!start.command.empty()) check_command(start.command, label + ", float start");
      plan.starts.push_back(std::move(start));
    }
    plan.cells.push_back(std::move(planned));
  }
  return plan;
}
