// The subcommands: each adds itself to the command line and says how it runs.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "json_output.h"

namespace CLI {
class App;
}
class Config;

struct Command {
  CLI::App* app;
  std::function<void(Output&)> run;
  /// Of commands that others run: refuses what the flags say wrong, before anything is read.
  std::function<void()> check = {};
  /// Of commands that take a configuration.
  std::shared_ptr<Config> config = nullptr;
  /// Ends in good order by SIGINT and SIGTERM (see interrupt.h); others are just ended by them.
  bool heeds_signals = false;
};

Command add_train(CLI::App& parent);
Command add_evaluate(CLI::App& parent);
Command add_analyze(CLI::App& parent);
Command add_compare(CLI::App& parent);
Command add_quantize(CLI::App& parent);
Command add_report(CLI::App& parent);
Command add_convert(CLI::App& parent);
Command add_inspect(CLI::App& parent);
Command add_predict(CLI::App& parent);
Command add_completion(CLI::App& parent);
/// config check, config show, config schema
std::vector<Command> add_config(CLI::App& parent);
Command add_doctor(CLI::App& parent);
/// data fetch, data verify
std::vector<Command> add_data(CLI::App& parent);
/// runs, runs diff
std::vector<Command> add_runs(CLI::App& parent);
