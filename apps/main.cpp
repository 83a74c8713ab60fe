// The perch command line: finds the subcommand, runs it, turns errors into one line on stderr and
// an exit code.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <exception>
#include <new>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/interrupt.h>
#include <perch/core/kernels/table.h>
#include <perch/core/suggest.h>

#include "commands.h"
#include "config.h"

using namespace perch;

namespace {

/// "perch", "perch train", "perch data fetch": as far as the command line got.
std::string command_path(const CLI::App& app) {
  std::string path = "perch";
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    path += " " + at->get_name();
  }
  return path;
}

const CLI::App& innermost(const CLI::App& app) {
  return app.get_subcommands().empty() ? app : innermost(*app.get_subcommands().front());
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// What CLI11 objected to, in perch's words.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& at = innermost(app);
  const std::string path = command_path(app);
  const auto extras = app.remaining(true);
  const auto option = std::find_if(extras.begin(), extras.end(),
                                   [](const auto& word) { return word.starts_with("-"); });
  if (option != extras.end()) {
    return fmt::format("unknown option {} (nearest: {}); see {} --help", *option,
                       nearest(option->substr(0, option->find('=')), option_names(at)), path);
  }
  const auto commands = command_names(at);
  if (!commands.empty()) {
    return extras.empty()
               ? fmt::format("a command is missing; choose one of {}", fmt::join(commands, ", "))
               : fmt::format("unknown command '{}'; choose one of {}", extras.front(),
                             choices(extras.front(), commands));
  }
  if (!extras.empty()) {
    return fmt::format("unexpected argument '{}'; see {} --help", extras.front(), path);
  }
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  return fmt::format("{}; see {} --help", message, path);
}

int complain(const std::string& path, std::string message, ErrorCode code) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fputs(fmt::format("{}: {}\n", path, message).c_str(), stderr);
  return static_cast<int>(code);
}

/// Options may then be in a file.
bool is_configured(int argc, char** argv) {
  return std::any_of(argv + 1, argv + argc, [](const std::string& word) {
    return word.starts_with("--config") || word.starts_with("--set") || word.ends_with(".toml");
  });
}

void run(const Command& command, Output& output) {
  if (command.config == nullptr) return command.run(output);
  try {
    command.config->read();
    command.config->apply();
    throw_if_interrupted();  // as it may have come while files were read
    command.run(output);
  } catch (const Error& error) {
    throw command.config->placed(error);
  }
}

int run(const CLI::App& app, const std::vector<Command>& commands, bool json,
        std::optional<InterruptOnSignals>& signals) {
#ifndef __OPTIMIZE__
  fmt::print(stderr,
             "perch: warning: built without optimisation, many times slower; configure "
             "with -DCMAKE_BUILD_TYPE=Release\n");
#endif
  const std::string path = command_path(app);
  try {
    kernels::active();  // a wrong PERCH_FORCE_ARCH shows here rather than in some layer's name
    Output output(json);
    for (const auto& command : commands) {
      if (!command.app->parsed()) continue;
      if (!command.heeds_signals) signals.reset();
      throw_if_interrupted();
      run(command, output);
    }
    return 0;
  } catch (const Error& error) {
    return complain(path, error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return complain(path, "out of memory; try a smaller --batch-size or fewer images",
                    ErrorCode::failure);
  } catch (const std::exception& error) {
    return complain(path, error.what(), ErrorCode::failure);
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Before all else: a signal while options and files are read is heeded, too.
  std::optional<InterruptOnSignals> signals(std::in_place);
  CLI::App app("Trains neural networks with quantization in the loop.", "perch");
  app.footer(
      "Example:\n  perch train temp_net --data datasets/cifar10_mini --per-channel\n"
      "Each command has a --help of its own.");
  app.set_version_flag("--version", "perch " PERCH_VERSION);
  app.require_subcommand(1);
  std::vector<Command> commands = {add_train(app),   add_quantize(app),  add_evaluate(app),
                                   add_analyze(app), add_compare(app),   add_report(app),
                                   add_inspect(app), add_convert(app),   add_predict(app),
                                   add_doctor(app),  add_completion(app)};
  for (auto& command : add_data(app)) commands.push_back(std::move(command));
  for (auto& command : add_runs(app)) commands.push_back(std::move(command));
  for (auto& command : add_config(app)) commands.push_back(std::move(command));
  bool json = false;
  for (const auto& command : commands) {
    command.app->add_flag("--json", json, "Results as one JSON object per line on stdout");
    if (command.config != nullptr && is_configured(argc, argv)) {
      command.config->relax_requirements();
    }
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    return complain(command_path(app), explain(app, error), ErrorCode::usage);
  }
  return run(app, commands, json, signals);
}
