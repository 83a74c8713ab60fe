#include "run_settings.h"

#include <algorithm>
#include <map>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace perch;

namespace {

bool is_given(const CLI::App& command, const char* name) {
  const CLI::Option* const option = command.get_option_no_throw(name);
  return option != nullptr && option->count() > 0;
}

/// A setting that pairs of flags stand for.
struct Pair {
  const char *setting, *usual, *flag, *value, *usual_flag;
};
constexpr Pair pairs[] = {
    {"granularity", "per_channel", "--per-tensor", "per_tensor", "--per-channel"},
    {"symmetry", "asymmetric", "--symmetric", "symmetric", "--asymmetric"},
    {"range", "full", "--narrow-range", "narrow", "--full-range"}};

std::string name_of(const CLI::Option& option) {
  std::string name = option.get_single_name();
  std::ranges::replace(name, '-', '_');
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

io::RunValue value_of(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return option.count() > 0;
  if (option.count() == 0) return io::run_value(option.get_default_str());
  const char separator = option.get_delimiter() == '\0' ? ' ' : option.get_delimiter();
  return io::run_value(fmt::format("{}", fmt::join(option.results(), std::string(1, separator))));
}

}  // namespace

std::vector<io::RunSetting> run_settings(const CLI::App& command,
                                         const std::vector<io::RunSetting>& resolved) {
  // With these, the flags say nothing.
  const CLI::Option* const quantizer = command.get_option("--quantizer");
  const bool none = quantizer->count() > 0 && quantizer->results().front() == "none";
  const bool elsewhere =
      none || is_given(command, "--quant-config") || is_given(command, "--scheme");
  std::vector<io::RunSetting> settings;
  for (const CLI::Option* option : command.get_options()) {
    io::RunSetting setting{name_of(*option), value_of(*option), option->count() == 0,
                           option->get_group()};
    if (setting.name == "help" || setting.name == "json") continue;
    bool merged = false;
    for (const Pair& pair : pairs) {
      if (option->check_name(pair.usual_flag)) merged = true;
      if (!option->check_name(pair.flag)) continue;
      setting.name = pair.setting;
      setting.value = std::string(option->count() > 0 ? pair.value : pair.usual);
      setting.is_default = option->count() == 0 && !is_given(command, pair.usual_flag);
    }
    if (merged) continue;
    if (setting.is_default) {
      for (const io::RunSetting& known : resolved) {
        if (known.name == setting.name) setting.value = known.value;
      }
      const auto* const text = std::get_if<std::string>(&setting.value);
      const bool empty = text != nullptr && text->empty();
      const bool quantizes = setting.group == "Quantization";
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
