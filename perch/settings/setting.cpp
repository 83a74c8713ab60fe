#include <algorithm>
#include <charconv>
#include <cstdint>
#include <sstream>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/settings/setting.h>

namespace perch {
namespace {

constexpr std::array<FlagSetting, 4> all_flag_settings = {
    {{"granularity",
      "One weight range per kernel, or per output channel",
      {{{"per_channel", "--per-channel"}, {"per_tensor", "--per-tensor"}}}},
     {"symmetry",
      "Weight ranges as they are, or symmetric about 0",
      {{{"asymmetric", "--asymmetric"}, {"symmetric", "--symmetric"}}}},
     {"range",
      "Weight levels 0 .. 2^bits - 1, or 1 .. 2^bits - 1",
      {{{"full", "--full-range"}, {"narrow", "--narrow-range"}}}},
     {"levels",
      "symmetry and range in one",
      {{{"asymmetric_full", "--asymmetric", "--full-range"},
        {"symmetric_narrow", "--symmetric", "--narrow-range"}}}}}};

template <class Number>
bool reads_as(const std::string& text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end;
}

std::string objection_to_one(const SettingKey& key, const std::string& value) {
  switch (key.kind) {
    case SettingKind::flag:
      if (value != "true" && value != "false") return "must be true or false";
      break;
    case SettingKind::integer:
      if (!reads_as<std::int64_t>(value)) return "must be a whole number";
      break;
    case SettingKind::number:
      if (!reads_as<double>(value)) return "must be a number";
      break;
    case SettingKind::word:
      if (std::ranges::find(key.words, value) == key.words.end()) {
        return "must be one of " + choices(value, key.words);
      }
      break;
    case SettingKind::text:
      break;
  }
  return {};
}

}  // namespace

const SettingKey* find_key(std::span<const SettingKey> keys, const std::string& name) {
  const auto found = std::ranges::find(keys, name, &SettingKey::name);
  return found == keys.end() ? nullptr : &*found;
}

std::vector<std::string> names_of(std::span<const SettingKey> keys) {
  std::vector<std::string> names;
  for (const SettingKey& key : keys) names.push_back(key.name);
  return names;
}

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) parts.push_back(word);
  return parts;
}

std::string option_of(std::string name) {
  std::ranges::replace(name, '_', '-');
  return "--" + name;
}

std::span<const FlagSetting> flag_settings() {
  return all_flag_settings;
}

const FlagSetting* find_flag_setting(const std::string& name) {
  const auto found = std::ranges::find(all_flag_settings, name, &FlagSetting::name);
  return found == all_flag_settings.end() ? nullptr : &*found;
}

SettingKey key_of(const FlagSetting& setting) {
  SettingKey key{.name = setting.name,
                 .kind = SettingKind::word,
                 .quantization = true,
                 .description = setting.description,
                 .usual = setting.values.front().value};
  for (const FlagSetting::Value& value : setting.values) key.words.emplace_back(value.value);
  return key;
}

std::vector<std::string> flags_of(const FlagSetting& setting, const std::string& value) {
  std::vector<std::string> flags;
  for (const FlagSetting::Value& each : setting.values) {
    if (each.value != value) continue;
    flags.emplace_back(each.flag);
    if (each.second_flag != nullptr) flags.emplace_back(each.second_flag);
  }
  return flags;
}

std::string objection(const SettingKey& key, const std::string& value) {
  if (key.count == SettingCount::one) return objection_to_one(key, value);
  for (const std::string& part : parts_of(value)) {
    if (std::string found = objection_to_one(key, part); !found.empty()) return found;
  }
  return value.empty() ? "has no values" : "";
}

void append_options(std::vector<std::string>& to, const SettingKey& key, const std::string& value) {
  if (const FlagSetting* const setting = find_flag_setting(key.name)) {
    const std::vector<std::string> flags = flags_of(*setting, value);
    to.insert(to.end(), flags.begin(), flags.end());
    return;
  }
  if (key.kind == SettingKind::flag && value == "false") return;
  to.push_back(option_of(key.name));
  if (key.kind == SettingKind::flag) return;
  if (key.count != SettingCount::words) {
    to.push_back(value);
    return;
  }
  for (std::string& part : parts_of(value)) to.push_back(std::move(part));
}

}  // namespace perch
