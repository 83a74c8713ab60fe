// From cells to the commands that run them.
#pragma once

#include <string>
#include <vector>

#include <perch/experiments/experiment.h>

namespace perch::experiments {

/// An option of a command that settings may name.
struct Option {
  std::string name;   ///< with underscores
  bool flag;          ///< takes no value: "true" or "false" as a setting
  bool spreads;       ///< takes its values as words of their own
  bool quantization;  ///< of what a float network does without
};

struct Vocabulary {
  std::vector<Option> train, quantize;
};

/// What a grid may vary and a [train] table set, besides train's options: method (qat, ptq),
/// granularity (per_tensor, per_channel), symmetry (symmetric, asymmetric), range (full, narrow),
/// levels (asymmetric_full, symmetric_narrow: both in one).
std::vector<std::string> setting_names(const Vocabulary& vocabulary);
/// Of the float start: train's options that are not about quantization, without epochs.
std::vector<std::string> start_names(const Vocabulary& vocabulary);

/// Throws Error(usage) for an unknown name, a wrong value of an axis that is named above, a value
/// of a flag that is neither true nor false, more than most_cells cells, and a cell of method ptq
/// without a float start.
void check(const Experiment& experiment, const Vocabulary& vocabulary);

using Arguments = std::vector<std::string>;

/// "train MODEL --quantizer none ...", without data and places. Settings that make the network
/// (width, input_scale) are the cell's.
Arguments start_command(const Experiment& experiment, const Cell& cell,
                        const Vocabulary& vocabulary);
/// "train MODEL ..." or "quantize START ..."; `start` is the float model's file, empty without one.
Arguments cell_command(const Experiment& experiment, const Cell& cell, const Vocabulary& vocabulary,
                       const std::string& start);

}  // namespace perch::experiments
