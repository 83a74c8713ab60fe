// Configuration files: TOML whose tables and keys a schema names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <perch/settings/setting.h>

namespace perch {

struct ConfigTable {
  std::string name;  ///< empty: the keys above the first table
  std::string description;
  std::vector<SettingKey> keys;
  bool axes = false;  ///< each key has a list of values for the one that it would have elsewhere
};
using ConfigSchema = std::vector<ConfigTable>;

/// Null when there is none of that name.
const ConfigTable* find_table(const ConfigSchema& schema, const std::string& name);

/// What was said of one key.
struct ConfigEntry {
  std::string table, key;
  std::vector<std::string> values;  ///< one; several of keys that take them and of axes
  bool is_list = false;             ///< as which it was written, even with one value; commas too
  std::string origin;               ///< "perch.toml, line 7", "--set epochs=3"
  bool in_file = true;

  /// With commas between several.
  std::string value() const;
};

/// In the order in which they stand there. Throws Error(missing_input), and Error(bad_data) naming
/// file and line for what is not TOML, tables and keys that the schema does not have (with the
/// nearest one) and values that they do not take.
std::vector<ConfigEntry> read_config(const std::filesystem::path& file, const ConfigSchema& schema);

/// "KEY=VALUE" or "TABLE.KEY=VALUE", several values with commas between them. Throws Error(usage).
ConfigEntry parse_assignment(const std::string& text, const ConfigSchema& schema);

/// Throws what is wrong with an entry's value, for those who find out later than the schema.
[[noreturn]] void refuse(const ConfigEntry& entry, const std::string& why);

}  // namespace perch
