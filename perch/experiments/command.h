// From cells to the commands that run them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <perch/experiments/experiment.h>
#include <perch/settings/setting.h>

namespace perch::experiments {

/// The options of the commands that settings may name. granularity, symmetry, range and levels
/// stand there as settings, and not as the flags that they are on the command line.
struct Vocabulary {
  std::vector<SettingKey> train, quantize;
};

/// What a grid may vary: method (qat, ptq), start (float, fresh), train's options and quantize's,
/// but for those that compare says itself (seed, save, ...).
std::vector<SettingKey> cell_keys(const Vocabulary& vocabulary);
/// The same, and model.
std::vector<SettingKey> axis_keys(const Vocabulary& vocabulary);
/// Of the float start: those of them that are not about quantization, without epochs; and
/// file.
std::vector<SettingKey> start_keys(const Vocabulary& vocabulary);

/// Throws Error(usage) for an unknown name, a wrong value of an axis that is named above, a value
/// of a flag that is neither true nor false, more than most_cells cells, a cell of method ptq
/// without a float start, an option of quantize alone without a cell of method ptq, and a float
/// start that is given and trained.
void check(const Experiment& experiment, const Vocabulary& vocabulary);

using Arguments = std::vector<std::string>;

/// The word behind an option; nothing where it is not there.
std::optional<std::string> option_in(const Arguments& command, const std::string& option);
/// Not with --quantizer none.
bool quantizes(const Arguments& command);

/// "train MODEL --quantizer none ...", without data and places. Settings that make the network
/// (width, shortcut, input_scale) are the cell's.
Arguments start_command(const Experiment& experiment, const Cell& cell,
                        const Vocabulary& vocabulary);
/// "train MODEL ..." or "quantize START ..."; `start` is the float model's file, empty without one.
Arguments cell_command(const Experiment& experiment, const Cell& cell, const Vocabulary& vocabulary,
                       const std::string& start);

}  // namespace perch::experiments
