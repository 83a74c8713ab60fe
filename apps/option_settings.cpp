#include "option_settings.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <CLI/CLI.hpp>

using namespace perch;

namespace {

constexpr std::array of_one_call = {"help", "json", "config", "set", "dry_run", "yes"};

SettingKind kind_of(const CLI::Option& option, const std::vector<std::string>& words) {
  const std::string type = option.get_type_name();
  if (is_flag(option)) return SettingKind::flag;
  if (type == "N" || type.starts_with("N,")) return SettingKind::integer;
  if (type == "X" || type == "SHARE" || type == "MIN MAX") return SettingKind::number;
  const auto parts = static_cast<std::size_t>(std::ranges::count(type, '|')) + 1;
  return words.size() == parts ? SettingKind::word : SettingKind::text;
}

/// Null unless the option is a flag of a pair.
const FlagSetting* pair_of(const CLI::Option& option) {
  for (const FlagSetting& setting : flag_settings()) {
    for (const FlagSetting::Value& value : setting.values) {
      if (option.check_name(value.flag)) return &setting;
    }
  }
  return nullptr;
}

}  // namespace

bool is_flag(const CLI::Option& option) {
  return option.get_items_expected_max() == 0;
}

SettingCount count_of(const CLI::Option& option) {
  if (option.get_delimiter() != '\0') return SettingCount::commas;
  return option.get_expected_max() > 1 ? SettingCount::words : SettingCount::one;
}

std::string setting_name(const CLI::Option& option) {
  std::string name = option.get_single_name();
  std::ranges::replace(name, '-', '_');
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::string pair_or_setting_name(const CLI::Option& option) {
  const FlagSetting* const pair = pair_of(option);
  return pair == nullptr ? setting_name(option) : pair->name;
}

std::vector<std::string> words_of(const CLI::Option& option) {
  std::vector<std::string> words;
  std::string word;
  const std::string type = option.get_type_name() + "|";
  if (std::ranges::count(type, '|') < 2) return words;
  for (const char c : type) {
    if (c != '|') {
      word += c;
    } else {
      const bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char x) {
        return std::islower(x) != 0 || std::isdigit(x) != 0 || x == '_';
      });
      if (plain) words.push_back(word);
      word.clear();
    }
  }
  return words;
}

bool is_of_one_call(const std::string& setting) {
  return std::ranges::find(of_one_call, setting) != of_one_call.end();
}

std::vector<SettingKey> setting_keys(const CLI::App& command) {
  std::vector<SettingKey> keys;
  bool has_pairs = false;
  for (const CLI::Option* const option : command.get_options()) {
    const std::string name = setting_name(*option);
    if (is_of_one_call(name)) continue;
    if (pair_of(*option) != nullptr) {
      if (!has_pairs) {
        for (const FlagSetting& setting : flag_settings()) keys.push_back(key_of(setting));
      }
      has_pairs = true;
      continue;
    }
    std::vector<std::string> words = words_of(*option);
    const SettingKind kind = kind_of(*option, words);
    if (kind != SettingKind::word) words.clear();
    const std::string group = option->get_group();
    keys.push_back({.name = name,
                    .kind = kind,
                    .count = count_of(*option),
                    .words = std::move(words),
                    .quantization = group == quantization_group || group == schedule_group ||
                                    name == "calibrate",  // of ranges
                    .description = option->get_description(),
                    .usual = kind == SettingKind::flag ? "false" : option->get_default_str()});
  }
  return keys;
}
