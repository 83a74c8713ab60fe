#include "config.h"

#include <algorithm>
#include <set>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <perch/experiments/experiment_file.h>

#include "commands.h"
#include "compare_flags.h"
#include "option_settings.h"

using namespace perch;

namespace {

using Names = std::set<std::string>;

/// Ways to say the same, each with its options: one of a higher place leaves out the others of
/// lower ones.
const std::vector<std::vector<Names>> alternatives = {
    {{"quantizer"}, {"scheme"}, {"quant_config"}},
    {{"data"}, {"images", "labels", "test_images", "test_labels"}},
    {{"run_dir"}, {"no_run_dir"}},
    {{"weight_bits"}, {"bits_schedule"}},
    {{"per_tensor", "per_channel"}, {"group_size"}},
    {{"per_channel"}, {"per_tensor"}},
    {{"symmetric"}, {"asymmetric"}},
    {{"narrow_range"}, {"full_range"}}};
// What a scheme leaves open; n_bit the bits too.
const Names beside_scheme = {"fold_batch_norm", "integer_bias"},
            beside_n_bit = {"weight_bits", "activation_bits"};

/// Options that lower places may not say any more.
class Closed {
 public:
  explicit Closed(const CLI::App& command) : command_(command) {}

  bool has(const CLI::Option& option) const { return names_.contains(setting_name(option)); }

  /// A flag that is off: it excludes nothing.
  void close_alone(const CLI::Option& option) { names_.insert(setting_name(option)); }

  void close(const CLI::Option& option, const std::string& value) {
    const std::string name = setting_name(option);
    names_.insert(name);
    for (const std::vector<Names>& ways : alternatives) {
      const auto said = [&](const Names& way) { return way.contains(name); };
      if (std::ranges::none_of(ways, said)) continue;
      for (const Names& way : ways) {
        if (!said(way)) names_.insert(way.begin(), way.end());
      }
    }
    const bool none = name == "quantizer" && value == "none";
    if (!none && name != "scheme" && name != "quant_config") return;
    for (const CLI::Option* const other : command_.get_options()) {
      const std::string group = other->get_group(), other_name = setting_name(*other);
      const bool of_n_bit = value == "n_bit" && beside_n_bit.contains(other_name);
      if (name == "scheme" && (of_n_bit || beside_scheme.contains(other_name))) continue;
      if (group == quantization_group || (none && group == schedule_group) ||
          (none && other_name == "calibrate")) {
        names_.insert(other_name);
      }
    }
  }

 private:
  const CLI::App& command_;
  Names names_;
};

CLI::Option* find_option(CLI::App& command, const std::string& name) {
  for (CLI::Option* const option : command.get_options([](const CLI::Option*) { return true; })) {
    if (setting_name(*option) == name) return option;
  }
  return nullptr;
}

std::vector<SettingKey> some_of(const std::vector<SettingKey>& keys, const Names& names) {
  std::vector<SettingKey> found;
  std::ranges::copy_if(keys, std::back_inserter(found),
                       [&](const SettingKey& key) { return names.contains(key.name); });
  return found;
}

}  // namespace

ConfigSchema config_schema() {
  CLI::App app;
  const Command quantize = add_quantize(app), analyze = add_analyze(app),
                compare = add_compare(app);
  ConfigSchema schema = experiments::experiment_schema(vocabulary_of_commands());
  schema.front().description =
      "A configuration of perch. Keys above the tables are options of perch train; the other "
      "commands take those that they have, too";
  schema.push_back(
      {.name = "quantize", .description = "perch quantize", .keys = setting_keys(*quantize.app)});
  schema.push_back(
      {.name = "analyze", .description = "perch analyze", .keys = setting_keys(*analyze.app)});
  ConfigTable of_compare{
      .name = "compare",
      .description = "perch compare",
      .keys = some_of(setting_keys(*compare.app), {"out", "data", "jobs", "quiet"})};
  for (const SettingKey& key : some_of(schema.front().keys, {"question", "seeds"})) {
    of_compare.keys.push_back(key);
  }
  schema.push_back(std::move(of_compare));
  return schema;
}

void add_set(CLI::App& command, std::vector<std::string>& set) {
  command
      .add_option("--set", set,
                  "A setting that goes before the file's, as KEY=VALUE or TABLE.KEY=VALUE")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void Config::add_to_command_line() {
  command_
      .add_option("--config", file_,
                  "Settings for what is not on the command line (docs/configuration.md)")
      ->type_name("FILE.toml");
  add_set(command_, set_);
}

void Config::add_to_command_line(const std::string& file) {
  argument_ = &file;
  add_set(command_, set_);
}

void Config::relax_requirements() {
  required_ =
      command_.get_options([](const CLI::Option* option) { return option->get_required(); });
  for (CLI::Option* const option : required_) option->required(false);
}

void Config::read() {
  std::string file = file_;
  if (argument_ != nullptr && argument_->ends_with(".toml")) file = *argument_;
  if (file.empty() && set_.empty()) return;
  const ConfigSchema schema = config_schema();
  if (!file.empty()) entries_ = read_config(file, schema);
  for (const std::string& text : set_) entries_.push_back(parse_assignment(text, schema));
}

bool Config::takes(const ConfigEntry& entry, const CLI::Option& option) const {
  const std::string command = command_.get_name(), group = option.get_group();
  if (entry.table == command) return true;
  if (!entry.table.empty()) return false;
  if (command == "train") return true;
  // Their MODEL is a file; and a name is that of one model.
  if (entry.key == "model" || entry.key == "name") return false;
  if (command == "quantize") return group != schedule_group;
  if (command == "analyze") return !group.starts_with(quantization_group);
  return entry.key == "data";  // compare: the rest is of its cells
}

std::vector<Config::Given> Config::given_by(const ConfigEntry& entry) const {
  std::vector<Given> given;
  if (const FlagSetting* const setting = find_flag_setting(entry.key)) {
    for (const std::string& flag : flags_of(*setting, entry.value())) {
      if (CLI::Option* const option = command_.get_option_no_throw(flag)) {
        given.push_back({option, {"true"}, &entry});
      }
    }
    return given;
  }
  CLI::Option* const option = find_option(command_, entry.key);
  if (option == nullptr) return given;
  given.push_back({option, {}, &entry});
  // What is the default anyway need not be said, and might be refused where it has no effect.
  if (entry.value() == option->get_default_str()) return given;
  if (is_flag(*option)) {
    if (entry.value() == "true") given.back().results = {"true"};
  } else if (count_of(*option) == SettingCount::words) {
    given.back().results = entry.values;
  } else {
    given.back().results = {entry.value()};
  }
  return given;
}

void Config::apply() {
  Closed closed(command_);
  const auto value_of = [](const CLI::Option& option) {
    return option.results().empty() ? std::string() : option.results().front();
  };
  for (const CLI::Option* const option : command_.get_options()) {
    if (option->count() > 0) closed.close(*option, value_of(*option));
  }
  for (const bool in_file : {false, true}) {
    for (const bool own_table : {true, false}) {
      std::vector<Given> layer;
      for (const ConfigEntry& entry : entries_) {
        if (entry.in_file != in_file || entry.table.empty() == own_table) continue;
        for (Given& given : given_by(entry)) {
          if (!takes(entry, *given.option) || closed.has(*given.option)) continue;
          // The last --set counts, of a pair's flags too.
          std::erase_if(layer, [&](const Given& other) {
            return other.option == given.option ||
                   (other.entry != &entry && other.entry->key == entry.key);
          });
          layer.push_back(std::move(given));
        }
      }
      for (const Given& given : layer) {
        if (!given.results.empty()) {
          given.option->add_result(given.results);
          try {
            given.option->run_callback();
          } catch (const CLI::ParseError& error) {
            refuse(*given.entry, error.what());
          }
        }
      }
      for (const Given& given : layer) {
        const bool off = given.results.empty() && is_flag(*given.option);
        off ? closed.close_alone(*given.option)
            : closed.close(*given.option, value_of(*given.option));
        applied_.push_back(given);
      }
    }
  }
  for (const CLI::Option* const option : required_) {
    PERCH_CHECK(option->count() > 0,
                "{} is required, on the command line or as \"{}\" in the file; see perch {} --help",
                option->get_name(), setting_name(*option), command_.get_name());
  }
}

Error Config::placed(const Error& error) const {
  const std::string message = error.what();
  if (error.code() != ErrorCode::usage) return error;
  const auto about = [&](const std::string& option) {
    const std::size_t at = message.find(option), end = at + option.size();
    return at != std::string::npos &&
           (end >= message.size() || (message[end] != '-' && std::isalnum(message[end]) == 0));
  };
  const auto at = [&](const ConfigEntry& entry) {
    return Error(entry.in_file ? ErrorCode::bad_data : ErrorCode::usage,
                 fmt::format("{}: {}", entry.origin, message));
  };
  for (const Given& given : applied_) {
    if (about(given.option->get_name())) return at(*given.entry);
  }
  // Of a comparison's cells. --set comes last and counts.
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    const bool of_cells =
        command_.get_name() == "compare" && entry->table != "quantize" && entry->table != "analyze";
    const std::string name =
        entry->table == "float" ? "float " + entry->key : option_of(entry->key);
    // What compare alone knows is no option there: question, method, an axis.
    const bool named = message.starts_with(entry->key + " ") ||
                       (entry->table == "grid" && about(fmt::format("axis \"{}\"", entry->key)));
    if (of_cells && (named || about(name))) return at(*entry);
  }
  return error;
}

const ConfigEntry* Config::source_of(const std::string& setting) const {
  for (const Given& given : applied_) {
    if (pair_or_setting_name(*given.option) == setting) return given.entry;
  }
  return nullptr;
}
