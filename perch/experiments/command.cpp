#include <algorithm>
#include <cstdint>
#include <set>

#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/experiments/command.h>

namespace perch::experiments {
namespace {

constexpr const char *method = "method", *file = "file", *start_of_cell = "start";
const std::vector<std::string> methods = {"qat", "ptq"}, starts = {"float", "fresh"};
// What makes the network and what it sees, for the float start too.
const std::vector<std::string> network_settings = {"width", "shortcut", "input_scale"};
// What compare says itself.
const std::vector<std::string> reserved = {
    "model",      "seed",        "from",          "save",    "name",  "data",    "images",
    "labels",     "test_images", "test_labels",   "threads", "quiet", "profile", "run_dir",
    "no_run_dir", "resume",      "resume_anyway", "keep",    "best"};

bool among(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

SettingKey method_key() {
  return {.name = method,
          .kind = SettingKind::word,
          .words = methods,
          .description = "Trained with quantizers, or quantized after training",
          .usual = "qat"};
}

SettingKey start_key() {
  return {.name = start_of_cell,
          .kind = SettingKind::word,
          .words = starts,
          .description = "A cell begins with the float model, or with fresh weights",
          .usual = "float"};
}

void check_value(const Setting& setting, const std::vector<SettingKey>& keys) {
  const SettingKey* const key = find_key(keys, setting.name);
  PERCH_CHECK(key != nullptr, "unknown setting \"{}\"; the nearest is \"{}\"", setting.name,
              nearest(setting.name, names_of(keys)));
  const std::string why = objection(*key, setting.value);
  PERCH_CHECK(why.empty(), "{} is \"{}\", {}", setting.name, setting.value, why);
}

void check_start(const Experiment& experiment, const Vocabulary& vocabulary) {
  const bool given = start_file_of(experiment) != nullptr;
  PERCH_CHECK(!given || models_of(experiment).size() == 1,
              "the float start's file is of one network, the axis \"model\" has {}; leave it out",
              models_of(experiment).size());
  PERCH_CHECK(!given || experiment.float_epochs == 0,
              "float epochs train the start and a float file is it; leave one out");
  for (const Setting& setting : experiment.start) {
    check_value(setting, start_keys(vocabulary));
    if (setting.name == file) continue;
    PERCH_CHECK(!given, "float {} has no effect on a model that is given as a file; leave it out",
                setting.name);
    PERCH_CHECK(experiment.float_epochs > 0,
                "float {} has no effect without a float start; set its epochs (--float-epochs)",
                setting.name);
  }
}

/// Adds what a setting is on the command line; nothing for those that the command does not have.
void add(Arguments& to, const Setting& setting, const std::vector<SettingKey>& keys) {
  if (setting.name == "model") return;  // no option, but what the command is about
  const SettingKey* const key = find_key(keys, setting.name);
  if (key != nullptr) append_options(to, *key, setting.value);
}

/// The cell's settings over those of every cell.
Settings merged(const Experiment& experiment, const Cell& cell) {
  Settings all;
  for (const Setting& setting : experiment.train) {
    if (find(cell.settings, setting.name) == nullptr) all.push_back(setting);
  }
  all.insert(all.end(), cell.settings.begin(), cell.settings.end());
  return all;
}

std::string method_of(const Experiment& experiment, const Cell& cell) {
  const std::string* const found = setting_of(experiment, cell, method);
  return found == nullptr ? "qat" : *found;
}

}  // namespace

std::vector<SettingKey> cell_keys(const Vocabulary& vocabulary) {
  std::vector<SettingKey> keys = {method_key(), start_key()};
  for (const auto* const options : {&vocabulary.train, &vocabulary.quantize}) {
    for (const SettingKey& key : *options) {
      if (!among(reserved, key.name) && find_key(keys, key.name) == nullptr) keys.push_back(key);
    }
  }
  return keys;
}

std::vector<SettingKey> axis_keys(const Vocabulary& vocabulary) {
  std::vector<SettingKey> keys = cell_keys(vocabulary);
  const SettingKey* const model = find_key(vocabulary.train, "model");
  keys.push_back(model != nullptr ? *model : SettingKey{.name = "model"});
  return keys;
}

std::vector<SettingKey> start_keys(const Vocabulary& vocabulary) {
  std::vector<SettingKey> keys = {
      {.name = file,
       .description = "A float model that is there already; {seed} stands for the seed"}};
  for (const SettingKey& key : vocabulary.train) {
    const bool trains = !key.quantization && key.name != "epochs";
    if (trains && !among(reserved, key.name)) keys.push_back(key);
  }
  return keys;
}

void check(const Experiment& experiment, const Vocabulary& vocabulary) {
  const std::vector<SettingKey> known = cell_keys(vocabulary), of_axes = axis_keys(vocabulary);
  PERCH_CHECK(!experiment.seeds.empty(),
              "seeds are none, so there are no cells; give at least one");
  for (const Axis& axis : experiment.grid) {
    PERCH_CHECK(!axis.values.empty(),
                "the axis \"{}\" has no values, so the grid has no cells; give it one at least",
                axis.name);
    for (const std::string& value : axis.values) {
      check_value({axis.name, value}, of_axes);
      PERCH_CHECK(std::ranges::count(axis.values, value) == 1,
                  "the axis \"{}\" has the value {} twice; leave one out", axis.name, value);
    }
    PERCH_CHECK(std::ranges::count(experiment.grid, axis.name, &Axis::name) == 1,
                "the axis \"{}\" is there twice; leave one out", axis.name);
  }
  for (const Setting& setting : experiment.train) check_value(setting, known);
  PERCH_CHECK(experiment.float_epochs >= 0, "float epochs are {}, must not be negative",
              experiment.float_epochs);
  check_start(experiment, vocabulary);
  auto cells = static_cast<std::int64_t>(experiment.seeds.size());
  for (const Axis& axis : experiment.grid) {
    if (cells <= most_cells) cells *= static_cast<std::int64_t>(axis.values.size());
  }
  PERCH_CHECK(cells <= most_cells, "the grid has more than {} cells; give fewer values or seeds",
              most_cells);
  std::set<std::int64_t> seeds;
  for (const std::int64_t seed : experiment.seeds) {
    PERCH_CHECK(seeds.insert(seed).second, "seeds have {} twice; leave one out", seed);
  }
  const bool has_ptq = among(values_of(experiment, method), "ptq");
  PERCH_CHECK(!has_ptq || has_start(experiment),
              "method ptq quantizes a trained float model; set the start's epochs "
              "(--float-epochs) or its file (float.file)");
  PERCH_CHECK(values_of(experiment, start_of_cell).empty() || has_start(experiment),
              "start has no effect without a float start; set its epochs (--float-epochs) or its "
              "file (float.file)");
  const auto check_effect = [&](const std::string& name) {
    PERCH_CHECK(has_ptq || find_key(vocabulary.quantize, name) == nullptr ||
                    find_key(vocabulary.train, name) != nullptr,
                "{} is of quantization after training, and no cell has the method ptq; leave it "
                "out or add that (--methods)",
                name);
  };
  for (const Axis& axis : experiment.grid) check_effect(axis.name);
  for (const Setting& setting : experiment.train) check_effect(setting.name);
  question_of(experiment);
}

std::optional<std::string> option_in(const Arguments& command, const std::string& option) {
  const auto found = std::ranges::find(command, option);
  if (found == command.end() || found + 1 == command.end()) return std::nullopt;
  return *(found + 1);
}

bool quantizes(const Arguments& command) {
  return option_in(command, "--quantizer") != "none";
}

Arguments start_command(const Experiment& experiment, const Cell& cell,
                        const Vocabulary& vocabulary) {
  Arguments command = {
      "train",  model_of(experiment, cell), "--quantizer", "none",
      "--seed", std::to_string(cell.seed),  "--epochs",    std::to_string(experiment.float_epochs)};
  for (const Setting& setting : experiment.start) add(command, setting, vocabulary.train);
  for (const Setting& setting : merged(experiment, cell)) {
    if (among(network_settings, setting.name) && find(experiment.start, setting.name) == nullptr) {
      add(command, setting, vocabulary.train);
    }
  }
  return command;
}

Arguments cell_command(const Experiment& experiment, const Cell& cell, const Vocabulary& vocabulary,
                       const std::string& start) {
  const bool trains = method_of(experiment, cell) != "ptq";
  PERCH_CHECK(trains || begins_with_float(experiment, cell),
              "cell {}: method ptq quantizes the float model, which start fresh leaves out; leave "
              "one of them out",
              label_of(experiment, cell));
  Arguments command =
      trains ? Arguments{"train", model_of(experiment, cell)} : Arguments{"quantize", start};
  if (trains) {
    command.insert(command.end(), {"--seed", std::to_string(cell.seed)});
    if (!start.empty()) command.insert(command.end(), {"--from", start});
  }
  const auto& options = trains ? vocabulary.train : vocabulary.quantize;
  for (const Setting& setting : merged(experiment, cell)) add(command, setting, options);
  return command;
}

}  // namespace perch::experiments
