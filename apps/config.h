// Configuration: what a file and --set say for the options that the command line leaves open.
// Precedence: defaults, file, --set, flags.
#pragma once

#include <string>
#include <vector>

#include <perch/core/check.h>
#include <perch/settings/config_file.h>

namespace CLI {
class App;
class Option;
}  // namespace CLI

/// The options of train above the tables; [train], [quantize], [analyze], [compare], [grid] and
/// [float].
perch::ConfigSchema config_schema();

/// --set, as often as wanted.
void add_set(CLI::App& command, std::vector<std::string>& set);

class Config {
 public:
  /// `command` is the subcommand whose options are meant; its name is its table's.
  explicit Config(CLI::App& command) : command_(command) {}

  /// --config FILE.toml and --set.
  void add_to_command_line();
  /// --set alone, for a command whose argument `file` may be the file: where it ends in .toml.
  void add_to_command_line(const std::string& file);

  /// With a file, options need not be on the command line: to be called ahead of parsing.
  void relax_requirements();

  /// Reads the file, if there is one, then --set. Throws as read_config() and parse_assignment()
  /// do.
  void read();
  /// What read() found, --set last.
  const std::vector<perch::ConfigEntry>& entries() const { return entries_; }

  /// Gives each option that the command line leaves open what the entries say: [command] before the
  /// keys above the tables, of which it takes those that it has. What excludes each other (such as
  /// quantizer and scheme) is left out of the lower places. Throws Error(usage) or Error(bad_data)
  /// for values that are none, and Error(usage) for what is required and nowhere.
  void apply();

  /// An error that names an option which an entry has set, with the entry's place.
  perch::Error placed(const perch::Error& error) const;
  /// Where a setting's value is from; null: from the command line, or the default.
  const perch::ConfigEntry* source_of(const std::string& setting) const;

 private:
  struct Given {
    CLI::Option* option;
    std::vector<std::string> results;  ///< none: the flag is off, or the default was said
    const perch::ConfigEntry* entry;
  };
  bool takes(const perch::ConfigEntry& entry, const CLI::Option& option) const;
  std::vector<Given> given_by(const perch::ConfigEntry& entry) const;

  CLI::App& command_;
  std::string file_;
  const std::string* argument_ = nullptr;  ///< in the place of file_
  std::vector<std::string> set_;
  std::vector<CLI::Option*> required_;
  std::vector<perch::ConfigEntry> entries_;
  std::vector<Given> applied_;
};
