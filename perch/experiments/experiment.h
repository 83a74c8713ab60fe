// An experiment: a network trained under every combination of some settings. Settings have the
// names of the command line's options with underscores, and values as text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace perch::experiments {

struct Setting {
  std::string name, value;
  bool operator==(const Setting&) const = default;
};
using Settings = std::vector<Setting>;

/// Null when there is none of that name.
const std::string* find(const Settings& settings, const std::string& name);
/// "quantizer all_values, granularity per_channel"
std::string to_string(const Settings& settings);

struct Axis {
  std::string name;
  std::vector<std::string> values;  ///< all different
};

/// In the place of the one of that name, or behind the others.
void put(Settings& settings, const Setting& setting);
void put(std::vector<Axis>& grid, const Axis& axis);

/// What a grid may hold: far more than anybody trains.
constexpr std::int64_t most_cells = 50'000;

struct Experiment {
  std::string model;  ///< empty where the axis "model" has them
  std::vector<std::int64_t> seeds = {0, 1, 2, 3};
  std::int64_t float_epochs = 0;  ///< of the float start that cells of a seed share; 0: none
  std::vector<Axis> grid;
  Settings train;        ///< of every cell
  Settings start;        ///< of the float start; "file": one that is there already
  std::string question;  ///< the axis asked about; empty: granularity, else the first that varies
};

/// What a setting is in the grid: its axis' values, else that of all cells, else none.
std::vector<std::string> values_of(const Experiment& experiment, const std::string& setting);

/// The networks: those of the axis "model", else the experiment's one.
std::vector<std::string> models_of(const Experiment& experiment);

/// "temp_net and ds_net"
std::string network_names(const Experiment& experiment);

/// The file of a float model that cells begin with; "{seed}" in it stands for the seed. Null where
/// none is given.
const std::string* start_file_of(const Experiment& experiment);
/// Whether cells begin with a float model: one that is trained, or a file.
bool has_start(const Experiment& experiment);

/// The axis that the experiment asks about: one with at least two values. Empty where none has.
/// Throws Error(usage) when `question` is no such axis.
std::string question_of(const Experiment& experiment);

struct Cell {
  Settings settings;  ///< one per axis, in their order
  std::int64_t seed;
};

/// What a setting is in a cell: its own value, else that of all cells. Null: not said.
const std::string* setting_of(const Experiment& experiment, const Cell& cell,
                              const std::string& setting);
/// The cell's network.
const std::string& model_of(const Experiment& experiment, const Cell& cell);
/// Whether the cell begins with the float model, as cells do where there is one, or with fresh
/// weights, as the axis "start" may have it.
bool begins_with_float(const Experiment& experiment, const Cell& cell);

/// Every combination for every seed, the last axis fastest and the seeds outermost, so that an
/// unfinished grid has whole seeds.
std::vector<Cell> cells_of(const Experiment& experiment);

/// "qat-all_values-per_channel-s1": the values of the axes that vary.
std::string label_of(const Experiment& experiment, const Cell& cell);

}  // namespace perch::experiments
