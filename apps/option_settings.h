// A command's options as settings: what configuration files, experiments and shells know of them.
#pragma once

#include <string>
#include <vector>

#include <perch/settings/setting.h>

namespace CLI {
class App;
class Option;
}  // namespace CLI

/// "weight_bits" of --weight-bits, "model" of MODEL.
std::string setting_name(const CLI::Option& option);

/// The same, but of a flag of a pair what the pair is about: "granularity" of --per-tensor.
std::string pair_or_setting_name(const CLI::Option& option);

/// Takes no value.
bool is_flag(const CLI::Option& option);
perch::SettingCount count_of(const CLI::Option& option);

/// The words of "adam|adamw|sgd"; placeholders, in capitals, are none.
std::vector<std::string> words_of(const CLI::Option& option);

/// Heading of the options that say what is quantized how, and of those that say when.
constexpr const char* quantization_group = "Quantization";
constexpr const char* schedule_group = "Quantization in training";

/// --help, --json, --config, --set, --dry-run and --yes, which no file sets.
bool is_of_one_call(const std::string& setting);

/// Every option that a file may set. Pairs of flags are one setting: granularity, symmetry, range,
/// and levels.
std::vector<perch::SettingKey> setting_keys(const CLI::App& command);
