// perch config: what a configuration file holds, and what may be in one.
#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/check.h>
#include <perch/experiments/experiment_file.h>
#include <perch/io/run_config.h>
#include <perch/settings/json_schema.h>

#include "commands.h"
#include "compare_flags.h"
#include "config.h"
#include "flags.h"
#include "option_settings.h"
#include "run_settings.h"

using namespace perch;

namespace {

const std::vector<std::string> configured = {"train", "compare", "quantize", "analyze"};

struct ConfigFlags {
  std::string file, command;
  std::vector<std::string> set;
};

std::vector<ConfigEntry> entries_of(const ConfigFlags& flags) {
  const ConfigSchema schema = config_schema();
  std::vector<ConfigEntry> entries;
  if (!flags.file.empty()) entries = read_config(flags.file, schema);
  for (const std::string& text : flags.set) entries.push_back(parse_assignment(text, schema));
  return entries;
}

/// One of the configured commands, as if called with a file, whose entries are known.
class Call {
 public:
  Call(const std::string& command, const ConfigFlags& flags,
       const std::vector<ConfigEntry>& entries)
      : commands_{add_train(app_), add_quantize(app_), add_analyze(app_), add_compare(app_)} {
    command_ = &*std::ranges::find_if(
        commands_, [&](const Command& each) { return each.app->get_name() == command; });
    command_->config->relax_requirements();
    std::vector<std::string> words = {command};
    // What is a setting of every training needs no network to be looked at.
    if (command == "compare") {
      PERCH_CHECK(flags.file.empty() || flags.file.ends_with(".toml"),
                  "{}: perch compare takes files whose names end in .toml; rename it", flags.file);
      words.push_back(flags.file.empty() ? "temp_net" : flags.file);
      if (!says(entries, "out", command)) words.insert(words.end(), {"--out", "OUT"});
    } else {
      if (!flags.file.empty()) words.insert(words.end(), {"--config", flags.file});
      if (!says(entries, "model", command))
        words.push_back(command == "train" ? "temp_net" : "MODEL.h5");
    }
    for (const std::string& text : flags.set) words.insert(words.end(), {"--set", text});
    std::ranges::reverse(words);  // CLI11 takes them backwards
    app_.parse(words);
    command_->config->read();
    command_->config->apply();
  }

  void check() const {
    try {
      command_->check();
    } catch (const Error& error) {
      throw command_->config->placed(error);
    }
  }

  /// Every option with its value, where that is from and what it means.
  std::string text() const {
    const CLI::App& app = *command_->app;
    if (app.get_name() == "compare") {
      const auto vocabulary = vocabulary_of_commands();
      experiments::Experiment experiment =
          experiments::experiment_from(command_->config->entries(), vocabulary);
      if (models_of(experiment).empty()) experiment.model = "temp_net";
      return experiments::experiment_text(experiment, vocabulary) + own_table();
    }
    const std::vector<SettingKey> keys = setting_keys(app);
    std::vector<io::RunSetting> settings = run_settings(app, {});
    for (io::RunSetting& setting : settings) {
      const SettingKey& key = *find_key(keys, setting.name);
      setting.description = key.description;
      if (!key.words.empty()) {
        setting.description += fmt::format(": {}", fmt::join(key.words, ", "));
      }
      if (const ConfigEntry* const source = command_->config->source_of(setting.name)) {
        setting.is_default = false;
        setting.origin = source->origin;
      }
    }
    const std::string name = app.get_name();
    return io::run_config_text("perch " + name, settings, name == "train" ? "" : name);
  }

 private:
  /// What the command needs, and has to be there to look at the rest.
  static bool says(const std::vector<ConfigEntry>& entries, const std::string& key,
                   const std::string& command) {
    return std::ranges::any_of(entries, [&](const ConfigEntry& entry) {
      const bool at_the_top = command == "train" && entry.table.empty();
      return entry.key == key && (at_the_top || entry.table == command);
    });
  }

  /// [compare], of what is said there.
  std::string own_table() const {
    const CLI::App& app = *command_->app;
    std::vector<io::RunSetting> settings;
    for (const SettingKey& key : setting_keys(app)) {
      const ConfigEntry* const source = command_->config->source_of(key.name);
      if (source == nullptr) continue;
      const std::string value = source->value();
      settings.push_back({key.name, key.kind == SettingKind::flag ? io::RunValue(value == "true")
                                                                  : io::RunValue(value)});
    }
    if (settings.empty()) return "";
    return "\n" + io::run_config_text("Of this comparison alone", settings, app.get_name());
  }

  CLI::App app_;
  std::vector<Command> commands_;
  Command* command_ = nullptr;
};

/// Those whose settings the entries have.
std::vector<std::string> commands_of(const std::vector<ConfigEntry>& entries) {
  const auto has_table = [&](const std::string& table) {
    return std::ranges::find(entries, table, &ConfigEntry::table) != entries.end();
  };
  const auto is_model = [](const ConfigEntry& entry) {
    return entry.table.empty() && entry.key == "model";
  };
  std::vector<std::string> commands;
  const bool grid = has_table("grid");
  if (!grid && (has_table("") || has_table("train"))) commands.emplace_back("train");
  const bool compared = has_table("compare") || has_table("float");
  if (grid || (compared && std::ranges::any_of(entries, is_model))) {
    commands.emplace_back("compare");
  }
  for (const char* const command : {"quantize", "analyze"}) {
    if (has_table(command)) commands.emplace_back(command);
  }
  return commands;
}

void check_file(const ConfigFlags& flags, Output& output) {
  const std::vector<ConfigEntry> entries = entries_of(flags);
  const std::vector<std::string> commands = commands_of(entries);
  for (const std::string& command : commands) Call(command, flags, entries).check();
  output.event({{"event", "result"},
                {"file", flags.file},
                {"settings", entries.size()},
                {"commands", commands}});
  output.text(
      fmt::format("{}: {} settings, no errors; checked as {} would\n", flags.file, entries.size(),
                  commands.empty() ? "nothing" : fmt::format("{}", fmt::join(commands, ", "))));
}

void show(const ConfigFlags& flags, Output& output) {
  const std::vector<ConfigEntry> entries = entries_of(flags);
  std::string command = flags.command;
  if (command.empty()) {
    const auto commands = commands_of(entries);
    command = commands.empty() ? "train" : commands.front();
  }
  check_choice("--for", command, configured);
  const Call call(command, flags, entries);
  call.check();
  const std::string text = call.text();
  output.event({{"event", "result"}, {"command", command}, {"config", text}});
  output.text(text);
}

}  // namespace

std::vector<Command> add_config(CLI::App& parent) {
  auto flags = std::make_shared<ConfigFlags>();
  CLI::App* const app = parent.add_subcommand(
      "config", "Configuration files: what is in one, what may be in one, whether it is right");
  app->require_subcommand(1);
  app->footer(
      "Examples:\n  perch config show > perch.toml\n  perch config check perch.toml\n"
      "  perch config schema > perch.schema.json");
  CLI::App* const check =
      app->add_subcommand("check", "Check every key and value as the commands would");
  check->footer("Example:\n  perch config check examples/granularity.toml");
  check->add_option("FILE", flags->file, "Configuration")->type_name("FILE.toml")->required();
  add_set(*check, flags->set);

  CLI::App* const shown = app->add_subcommand(
      "show", "Print every setting, with its value, where that is from and what it means");
  shown->footer(
      "Examples:\n  perch config show\n  perch config show perch.toml --for quantize --set "
      "weight_bits=4");
  shown->add_option("FILE", flags->file, "Configuration; default: none, all defaults")
      ->type_name("FILE.toml");
  shown->add_option("--for", flags->command, "Whose settings; default: what the file is for")
      ->type_name(fmt::format("{}", fmt::join(configured, "|")));
  add_set(*shown, flags->set);

  CLI::App* const schema =
      app->add_subcommand("schema", "Print a JSON Schema, by which editors complete and check");
  schema->footer("Example:\n  perch config schema > perch.schema.json");
  return {{check, [flags](Output& output) { check_file(*flags, output); }},
          {shown, [flags](Output& output) { show(*flags, output); }},
          {schema, [](Output& output) {
             const std::string text = json_schema(config_schema(), "perch " PERCH_VERSION);
             output.event({{"event", "result"}, {"schema", Json::parse(text)}});
             output.text(text);
           }}};
}
