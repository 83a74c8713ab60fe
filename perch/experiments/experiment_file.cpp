#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <perch/core/check.h>
#include <perch/experiments/experiment_file.h>

namespace perch::experiments {
namespace {

std::int64_t whole_number(const ConfigEntry& entry, const std::string& text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);  // the schema saw that it is one
  if (number < 0) refuse(entry, fmt::format("\"{}\" is {}, must not be negative", entry.key, text));
  return number;
}

/// A list of seeds, or how many from 0 on.
std::vector<std::int64_t> seeds_of(const ConfigEntry& entry) {
  std::vector<std::int64_t> seeds;
  for (const std::string& text : entry.values) seeds.push_back(whole_number(entry, text));
  if (entry.is_list) return seeds;
  const std::int64_t count = seeds.front();
  if (count > most_cells) {
    refuse(entry, fmt::format("{} seeds are too many; give at most {}", count, most_cells));
  }
  seeds.clear();
  for (std::int64_t seed = 0; seed < count; ++seed) seeds.push_back(seed);
  return seeds;
}

/// As TOML has it: a list of several, text in quotes.
std::string written(const SettingKey* key, const std::string& value) {
  if (key != nullptr && key->count != SettingCount::one) {
    std::string items;
    const SettingKey item{.name = key->name, .kind = key->kind};
    for (const std::string& part : parts_of(value)) {
      items += (items.empty() ? "" : ", ") + written(&item, part);
    }
    return "[" + items + "]";
  }
  const bool quoted =
      key == nullptr || key->kind == SettingKind::word || key->kind == SettingKind::text;
  return quoted ? nlohmann::json(value).dump() : value;
}

std::string lines(const Settings& settings, const std::vector<SettingKey>& keys) {
  std::string text;
  for (const auto& [name, value] : settings) {
    text += fmt::format("{} = {}\n", name, written(find_key(keys, name), value));
  }
  return text;
}

}  // namespace

ConfigSchema experiment_schema(const Vocabulary& vocabulary) {
  ConfigTable top{.name = "",
                  .description = "For every command that has the option",
                  .keys = {{.name = "question",
                            .description = "The axis whose values are compared; default: "
                                           "granularity, else the first"},
                           {.name = "seeds",
                            .kind = SettingKind::integer,
                            .count = SettingCount::commas,
                            .description = "How many seeds each setting of a comparison has, or a "
                                           "list of them; default: 4"}}};
  top.keys.insert(top.keys.end(), vocabulary.train.begin(), vocabulary.train.end());
  if (find_key(top.keys, "model") == nullptr) {
    top.keys.insert(top.keys.begin(), {.name = "model", .description = "Which network"});
  }
  ConfigTable train{.name = "train",
                    .description = "perch train, and every cell of a comparison",
                    .keys = cell_keys(vocabulary)};
  for (const SettingKey& key : vocabulary.train) {
    if (find_key(train.keys, key.name) == nullptr) train.keys.push_back(key);
  }
  ConfigTable start{.name = "float",
                    .description = "The float model that a seed's cells begin with",
                    .keys = start_keys(vocabulary)};
  start.keys.insert(
      start.keys.begin(),
      {.name = "epochs", .kind = SettingKind::integer, .description = "Those that it is trained"});
  return {std::move(top),
          {.name = "grid",
           .description = "The axes of a comparison, in their order, each with its values",
           .keys = axis_keys(vocabulary),
           .axes = true},
          std::move(train),
          std::move(start)};
}

Experiment experiment_from(std::span<const ConfigEntry> entries, const Vocabulary& vocabulary) {
  Experiment experiment;
  const std::vector<SettingKey> of_cells = cell_keys(vocabulary);
  Settings of_all;
  for (const ConfigEntry& entry : entries) {
    const bool top = entry.table.empty();
    if (entry.table == "grid") {
      put(experiment.grid, {entry.key, entry.values});
    } else if (entry.table == "float") {
      if (entry.key == "epochs") {
        experiment.float_epochs = whole_number(entry, entry.values.front());
      } else {
        put(experiment.start, {entry.key, entry.value()});
      }
    } else if (top && entry.key == "model") {
      experiment.model = entry.value();
    } else if ((top || entry.table == "compare") && entry.key == "question") {
      experiment.question = entry.value();
    } else if ((top || entry.table == "compare") && entry.key == "seeds") {
      experiment.seeds = seeds_of(entry);
    } else if (top || entry.table == "train") {
      const SettingKey* const key = find_key(of_cells, entry.key);
      if (key == nullptr) continue;
      // A run's configuration has every setting; those at their defaults make no other cells.
      const bool of_file = top && entry.in_file;
      if (of_file && entry.value() == key->usual) continue;
      put(of_file ? of_all : experiment.train, {entry.key, entry.value()});
    }
  }
  for (const Setting& setting : of_all) {
    if (find(experiment.train, setting.name) == nullptr) experiment.train.push_back(setting);
  }
  return experiment;
}

std::string experiment_text(const Experiment& experiment, const Vocabulary& vocabulary) {
  const std::vector<SettingKey> keys = axis_keys(vocabulary);
  std::string text;
  if (!experiment.model.empty()) {
    text += fmt::format("model = {}\n", written(nullptr, experiment.model));
  }
  if (!experiment.question.empty()) {
    text += fmt::format("question = {}\n", written(nullptr, experiment.question));
  }
  text += fmt::format("seeds = [{}]\n", fmt::join(experiment.seeds, ", "));
  text += "\n[grid]\n";
  for (const Axis& axis : experiment.grid) {
    std::vector<std::string> values;
    for (const std::string& value : axis.values) {
      values.push_back(written(find_key(keys, axis.name), value));
    }
    text += fmt::format("{} = [{}]\n", axis.name, fmt::join(values, ", "));
  }
  if (!experiment.train.empty()) text += "\n[train]\n" + lines(experiment.train, keys);
  if (has_start(experiment)) text += "\n[float]\n";
  if (experiment.float_epochs > 0) text += fmt::format("epochs = {}\n", experiment.float_epochs);
  if (has_start(experiment)) text += lines(experiment.start, start_keys(vocabulary));
  return text;
}

Experiment read_experiment(const std::filesystem::path& file, const Vocabulary& vocabulary) {
  return experiment_from(read_config(file, experiment_schema(vocabulary)), vocabulary);
}

}  // namespace perch::experiments
