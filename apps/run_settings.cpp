#include "run_settings.h"

#include <algorithm>
#include <cstdlib>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/parallel.h>

#include "flags.h"
#include "option_settings.h"

using namespace perch;

namespace {

bool is_given(const CLI::App& command, const char* name) {
  const CLI::Option* const option = command.get_option_no_throw(name);
  return option != nullptr && option->count() > 0;
}

/// A number stays text where the option takes text: a run called 007 is not called 7.
io::RunValue value_of(const CLI::Option& option, const std::vector<SettingKey>& keys) {
  if (is_flag(option)) return option.count() > 0;
  const SettingKey* const key = find_key(keys, setting_name(option));
  const std::string word = option.count() == 0
                               ? option.get_default_str()
                               : fmt::format("{}", fmt::join(option.results(), ","));
  if (key != nullptr && key->kind == SettingKind::text) return word;
  return io::run_value(word);
}

}  // namespace

std::vector<io::RunSetting> run_settings(const CLI::App& command,
                                         const std::vector<io::RunSetting>& resolved) {
  // With these, the flags say nothing.
  const CLI::Option* const quantizer = command.get_option("--quantizer");
  const bool none = quantizer->count() > 0 && quantizer->results().front() == "none";
  const bool elsewhere =
      none || is_given(command, "--quant-config") || is_given(command, "--scheme");
  const std::vector<SettingKey> keys = setting_keys(command);
  std::vector<io::RunSetting> settings;
  for (const CLI::Option* option : command.get_options()) {
    io::RunSetting setting{setting_name(*option), value_of(*option, keys), option->count() == 0,
                           option->get_group()};
    if (is_of_one_call(setting.name)) continue;
    if (setting.group == schedule_group && command.get_name() != "train") continue;
    bool merged = false;
    for (const FlagSetting& pair : flag_settings()) {
      const auto& [usual, other] = pair.values;
      if (usual.second_flag != nullptr) continue;  // stands for two pairs
      if (option->check_name(usual.flag)) merged = true;
      if (!option->check_name(other.flag)) continue;
      setting.name = pair.name;
      setting.value = std::string(option->count() > 0 ? other.value : usual.value);
      setting.is_default = option->count() == 0 && !is_given(command, usual.flag);
    }
    if (merged) continue;
    if (setting.is_default) {
      for (const io::RunSetting& known : resolved) {
        if (known.name == setting.name) setting.value = known.value;
      }
      const auto* const text = std::get_if<std::string>(&setting.value);
      const bool empty = text != nullptr && text->empty();
      const bool quantizes = setting.group.starts_with(quantization_group);
      const bool not_said = elsewhere && quantizes;
      if (empty || not_said) setting.value = {};
    }
    settings.push_back(std::move(setting));
  }
  // Options are added in an order that does not keep groups together.
  std::vector<std::string> groups;
  for (const io::RunSetting& setting : settings) {
    if (std::ranges::find(groups, setting.group) == groups.end()) groups.push_back(setting.group);
  }
  std::ranges::stable_sort(settings, {}, [&](const io::RunSetting& setting) {
    return std::ranges::find(groups, setting.group) - groups.begin();
  });
  return settings;
}

std::vector<io::RunSetting> common_settings(const std::string& stem, InputScale scale,
                                            const QuantizeFlags& quantize) {
  const char* const data = std::getenv("PERCH_DATA_DIR");
  std::vector<io::RunSetting> settings = {{"name", stem},
                                          {"data", std::string(data == nullptr ? "" : data)},
                                          {"input_scale", std::string(scale_name(scale))},
                                          {"threads", std::int64_t{thread_count()}},
                                          {"integer_forward", integer_forward_name()}};
  const auto more = quantize.resolved();
  settings.insert(settings.end(), more.begin(), more.end());
  return settings;
}
