// config.toml of a run: every setting with the value that was in effect.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace perch::io {

/// Nothing, where a setting has no value.
using RunValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;
/// A word as the number that it is, else as text.
RunValue run_value(const std::string& word);
std::string to_string(const RunValue& value);

struct RunSetting {
  std::string name;
  RunValue value;
  bool is_default = false;
  std::string group = {};  ///< heading in the file; settings of a group stand together
  std::string description = {}, origin = {};  ///< comments above and behind; empty: none
};

/// A line for each setting, with a comment where it is the default; without a value it is all
/// comment. In [table], where that is not empty.
std::string run_config_text(std::string_view title, const std::vector<RunSetting>& settings,
                            std::string_view table = {});
/// The settings that have a value, those of tables too. `file` is named where the text is wrong:
/// Error(bad_data).
std::vector<RunSetting> parse_run_config(std::string_view text, const std::string& file);

}  // namespace perch::io
