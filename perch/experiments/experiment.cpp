#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/experiments/experiment.h>

namespace perch::experiments {

const std::string* find(const Settings& settings, const std::string& name) {
  const auto found = std::ranges::find(settings, name, &Setting::name);
  return found == settings.end() ? nullptr : &found->value;
}

std::string to_string(const Settings& settings) {
  std::string text;
  for (const auto& [name, value] : settings) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, value);
  }
  return text;
}

void put(Settings& settings, const Setting& setting) {
  const auto found = std::ranges::find(settings, setting.name, &Setting::name);
  if (found == settings.end()) {
    settings.push_back(setting);
  } else {
    *found = setting;
  }
}

void put(std::vector<Axis>& grid, const Axis& axis) {
  const auto found = std::ranges::find(grid, axis.name, &Axis::name);
  if (found == grid.end()) {
    grid.push_back(axis);
  } else {
    *found = axis;
  }
}

std::vector<std::string> values_of(const Experiment& experiment, const std::string& setting) {
  const auto axis = std::ranges::find(experiment.grid, setting, &Axis::name);
  if (axis != experiment.grid.end()) return axis->values;
  const std::string* const common = find(experiment.train, setting);
  if (common == nullptr) return {};
  return {*common};
}

std::vector<std::string> models_of(const Experiment& experiment) {
  std::vector<std::string> models = values_of(experiment, "model");
  if (models.empty() && !experiment.model.empty()) models.push_back(experiment.model);
  return models;
}

std::string network_names(const Experiment& experiment) {
  return fmt::format("{}", fmt::join(models_of(experiment), " and "));
}

const std::string* start_file_of(const Experiment& experiment) {
  return find(experiment.start, "file");
}

bool has_start(const Experiment& experiment) {
  return experiment.float_epochs > 0 || start_file_of(experiment) != nullptr;
}

std::string question_of(const Experiment& experiment) {
  std::vector<std::string> varied;
  for (const Axis& axis : experiment.grid) {
    if (axis.values.size() > 1) varied.push_back(axis.name);
  }
  const std::string& asked = experiment.question;
  if (!asked.empty()) {
    PERCH_CHECK(std::ranges::find(varied, asked) != varied.end(),
                "question \"{}\" is no axis of the grid with two values or more; there are {}",
                asked, varied.empty() ? "none" : choices(asked, varied));
    return asked;
  }
  if (std::ranges::find(varied, "granularity") != varied.end()) return "granularity";
  return varied.empty() ? "" : varied.front();
}

const std::string* setting_of(const Experiment& experiment, const Cell& cell,
                              const std::string& setting) {
  const std::string* const own = find(cell.settings, setting);
  return own != nullptr ? own : find(experiment.train, setting);
}

const std::string& model_of(const Experiment& experiment, const Cell& cell) {
  const std::string* const own = find(cell.settings, "model");
  return own == nullptr ? experiment.model : *own;
}

bool begins_with_float(const Experiment& experiment, const Cell& cell) {
  const std::string* const start = setting_of(experiment, cell, "start");
  return has_start(experiment) && (start == nullptr || *start != "fresh");
}

std::vector<Cell> cells_of(const Experiment& experiment) {
  std::vector<Cell> cells;
  for (const std::int64_t seed : experiment.seeds) {
    std::vector<Settings> all(1);
    for (const Axis& axis : experiment.grid) {
      std::vector<Settings> longer;
      for (const Settings& settings : all) {
        for (const std::string& value : axis.values) {
          longer.push_back(settings);
          longer.back().push_back({axis.name, value});
        }
      }
      all = std::move(longer);
    }
    for (Settings& settings : all) cells.push_back({std::move(settings), seed});
  }
  return cells;
}

std::string label_of(const Experiment& experiment, const Cell& cell) {
  std::string label;
  for (std::size_t i = 0; i < experiment.grid.size(); ++i) {
    const Axis& axis = experiment.grid[i];
    if (axis.values.size() < 2) continue;
    // Numbers say little by themselves.
    const std::string& value = cell.settings[i].value;
    const bool number = value.find_first_not_of("0123456789.-e") == std::string::npos;
    label += (number ? axis.name + "_" : "") + value + "-";
  }
  label += fmt::format("s{}", cell.seed);
  std::ranges::replace_if(
      label,
      [](char c) {
        return !(std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.');
      },
      '_');
  return label;
}

}  // namespace perch::experiments
