#include <algorithm>
#include <array>
#include <sstream>

#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/experiments/command.h>

namespace perch::experiments {
namespace {

struct Word {
  const char *value, *option, *second_option = nullptr;
};
/// Settings of which each value is an option or two of its own.
struct Choice {
  const char* name;
  std::array<Word, 2> words;
};
constexpr std::array<Choice, 4> option_choices = {
    {{"granularity", {{{"per_tensor", "--per-tensor"}, {"per_channel", "--per-channel"}}}},
     {"symmetry", {{{"asymmetric", "--asymmetric"}, {"symmetric", "--symmetric"}}}},
     {"range", {{{"full", "--full-range"}, {"narrow", "--narrow-range"}}}},
     {"levels",
      {{{"asymmetric_full", "--asymmetric", "--full-range"},
        {"symmetric_narrow", "--symmetric", "--narrow-range"}}}}}};
constexpr const char* method = "method";
const std::vector<std::string> methods = {"qat", "ptq"};
// What makes the network and what it sees, for the float start too.
const std::vector<std::string> network_settings = {"width", "input_scale"};
// What compare says itself.
const std::vector<std::string> reserved = {
    "per_tensor", "per_channel", "symmetric",    "asymmetric", "narrow_range", "full_range",
    "seed",       "from",        "save",         "name",       "data",         "images",
    "labels",     "test_images", "test_labels",  "threads",    "quiet",        "json",
    "help",       "profile",     "quant_config", "run_dir",    "no_run_dir"};

bool among(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

const Option* find_option(const std::vector<Option>& options, const std::string& name) {
  const auto found = std::ranges::find(options, name, &Option::name);
  return found == options.end() ? nullptr : &*found;
}

const Choice* find_choice(const std::string& name) {
  const auto found = std::ranges::find(option_choices, name, &Choice::name);
  return found == option_choices.end() ? nullptr : &*found;
}

std::string dashed(std::string name) {
  std::ranges::replace(name, '_', '-');
  return "--" + name;
}

void check_value(const Setting& setting, const Vocabulary& vocabulary) {
  const auto& [name, value] = setting;
  std::vector<std::string> allowed;
  if (name == method) allowed = methods;
  if (const Choice* const choice = find_choice(name)) {
    for (const Word& word : choice->words) allowed.emplace_back(word.value);
  }
  const Option* const option = find_option(vocabulary.train, name);
  if (option == nullptr && allowed.empty()) {
    const auto known = setting_names(vocabulary);
    fail(ErrorCode::usage, "unknown setting \"{}\"; the nearest is \"{}\"", name,
         nearest(name, known));
  }
  if (option != nullptr && option->flag) allowed = {"true", "false"};
  PERCH_CHECK(allowed.empty() || among(allowed, value), "{} is \"{}\"; it takes {}", name, value,
              choices(value, allowed));
}

/// Adds what a setting is on the command line; nothing for those that the command does not have.
void add(Arguments& to, const Setting& setting, const std::vector<Option>& options) {
  const auto& [name, value] = setting;
  if (name == method) return;
  if (const Choice* const choice = find_choice(name)) {
    for (const Word& word : choice->words) {
      if (word.value != value) continue;
      to.emplace_back(word.option);
      if (word.second_option != nullptr) to.emplace_back(word.second_option);
    }
    return;
  }
  const Option* const option = find_option(options, name);
  if (option == nullptr) return;
  if (option->flag) {
    if (value == "true") to.push_back(dashed(name));
    return;
  }
  to.push_back(dashed(name));
  if (!option->spreads) {
    to.push_back(value);
    return;
  }
  std::istringstream words(value);
  for (std::string word; std::getline(words, word, ',');) to.push_back(word);
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
  const Settings all = merged(experiment, cell);
  const std::string* const found = find(all, method);
  return found == nullptr ? "qat" : *found;
}

}  // namespace

std::vector<std::string> setting_names(const Vocabulary& vocabulary) {
  std::vector<std::string> names = {method};
  for (const Choice& choice : option_choices) names.emplace_back(choice.name);
  for (const Option& option : vocabulary.train) {
    if (!among(reserved, option.name)) names.push_back(option.name);
  }
  return names;
}

std::vector<std::string> start_names(const Vocabulary& vocabulary) {
  std::vector<std::string> names;
  for (const Option& option : vocabulary.train) {
    const bool trains = !option.quantization && option.name != "epochs";
    if (trains && !among(reserved, option.name)) names.push_back(option.name);
  }
  return names;
}

void check(const Experiment& experiment, const Vocabulary& vocabulary) {
  const auto known = setting_names(vocabulary);
  const auto check_name = [&](const std::string& name, const std::vector<std::string>& names) {
    PERCH_CHECK(among(names, name), "unknown setting \"{}\"; the nearest is \"{}\"", name,
                nearest(name, names));
  };
  PERCH_CHECK(!experiment.seeds.empty(), "there are no seeds, so no cells; give at least one");
  for (const Axis& axis : experiment.grid) {
    check_name(axis.name, known);
    PERCH_CHECK(!axis.values.empty(),
                "the axis \"{}\" has no values, so the grid has no cells; give it one at least",
                axis.name);
    for (const std::string& value : axis.values) {
      check_value({axis.name, value}, vocabulary);
      PERCH_CHECK(std::ranges::count(axis.values, value) == 1,
                  "the axis \"{}\" has the value {} twice; leave one out", axis.name, value);
    }
    PERCH_CHECK(std::ranges::count(experiment.grid, axis.name, &Axis::name) == 1,
                "the axis \"{}\" is there twice; leave one out", axis.name);
  }
  for (const Setting& setting : experiment.train) {
    check_name(setting.name, known);
    check_value(setting, vocabulary);
  }
  PERCH_CHECK(experiment.float_epochs >= 0, "float epochs are {}, must not be negative",
              experiment.float_epochs);
  PERCH_CHECK(experiment.start.empty() || experiment.float_epochs > 0,
              "{} has no effect without a float start; set its epochs (--float-epochs)",
              experiment.start.empty() ? "" : "float " + experiment.start.front().name);
  for (const Setting& setting : experiment.start) {
    check_name(setting.name, start_names(vocabulary));
    check_value(setting, vocabulary);
  }
  auto cells = static_cast<std::int64_t>(experiment.seeds.size());
  for (const Axis& axis : experiment.grid) {
    if (cells <= most_cells) cells *= static_cast<std::int64_t>(axis.values.size());
  }
  PERCH_CHECK(cells <= most_cells, "the grid has more than {} cells; give fewer values or seeds",
              most_cells);
  const auto methods_axis = std::ranges::find(experiment.grid, method, &Axis::name);
  const std::string* const common = find(experiment.train, method);
  const bool has_ptq = methods_axis != experiment.grid.end()
                           ? among(methods_axis->values, "ptq")
                           : common != nullptr && *common == "ptq";
  PERCH_CHECK(!has_ptq || experiment.float_epochs > 0,
              "method ptq quantizes a trained float model; set the start's epochs "
              "(--float-epochs)");
  question_of(experiment);
}

Arguments start_command(const Experiment& experiment, const Cell& cell,
                        const Vocabulary& vocabulary) {
  Arguments command = {
      "train",  experiment.model,          "--quantizer", "none",
      "--seed", std::to_string(cell.seed), "--epochs",    std::to_string(experiment.float_epochs)};
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
  Arguments command = trains ? Arguments{"train", experiment.model} : Arguments{"quantize", start};
  if (trains) {
    command.insert(command.end(), {"--seed", std::to_string(cell.seed)});
    if (!start.empty()) command.insert(command.end(), {"--from", start});
  }
  const auto& options = trains ? vocabulary.train : vocabulary.quantize;
  for (const Setting& setting : merged(experiment, cell)) add(command, setting, options);
  return command;
}

}  // namespace perch::experiments
