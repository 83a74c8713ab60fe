// Settings: a command's options by name, as configuration files and experiments say them.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

namespace perch {

enum class SettingKind {
  flag,     ///< true or false
  integer,  ///< a whole number
  number,
  word,  ///< one of SettingKey::words
  text   ///< anything, also a number
};

/// How many values a setting takes, and how its option takes them.
enum class SettingCount {
  one,
  words,  ///< several, each a word of its own: --weight-range -1 1
  commas  ///< several with commas in one word: --bits-schedule 8,4
};

struct SettingKey {
  std::string name;  ///< with underscores
  SettingKind kind = SettingKind::text;
  SettingCount count = SettingCount::one;
  std::vector<std::string> words = {};  ///< of kind word
  bool quantization = false;            ///< what a float network does without
  std::string description = {};
  std::string usual = {};  ///< what it is unless said; empty: nothing, or not to be said in short
};

/// Null when there is none of that name.
const SettingKey* find_key(std::span<const SettingKey> keys, const std::string& name);
std::vector<std::string> names_of(std::span<const SettingKey> keys);
/// What stands between commas.
std::vector<std::string> parts_of(const std::string& text);
/// "weight_bits" as "--weight-bits".
std::string option_of(std::string name);

/// A setting of which each value is a flag or two.
struct FlagSetting {
  struct Value {
    const char *value, *flag, *second_flag = nullptr;
  };
  const char *name, *description;
  std::array<Value, 2> values;  ///< the first is the usual one
};
/// granularity, symmetry, range, and levels, which is the last two in one.
std::span<const FlagSetting> flag_settings();
const FlagSetting* find_flag_setting(const std::string& name);
SettingKey key_of(const FlagSetting& setting);
/// "--symmetric", "--narrow-range" of the value symmetric_narrow.
std::vector<std::string> flags_of(const FlagSetting& setting, const std::string& value);

/// Why `value` is none for `key` ("must be a whole number"); empty: it is one.
std::string objection(const SettingKey& key, const std::string& value);

/// What a setting is on the command line, behind what is there: "--weight-bits 8", "--augment",
/// "--symmetric --narrow-range". `value` has commas between several. Nothing for a flag that is
/// "false".
void append_options(std::vector<std::string>& to, const SettingKey& key, const std::string& value);

}  // namespace perch
