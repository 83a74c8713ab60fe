// A command's options as the settings of a run.
#pragma once

#include <string>
#include <vector>

#include <perch/io/run_config.h>

#include "data_flags.h"
#include "quantize_flags.h"

namespace CLI {
class App;
}

/// Every option of `command`, as parsed, with the value that is in effect. `resolved` has those
/// that the command line leaves open. Pairs of flags are one setting, as in experiments:
/// granularity, symmetry, range.
std::vector<perch::io::RunSetting> run_settings(const CLI::App& command,
                                                const std::vector<perch::io::RunSetting>& resolved);

/// What every command that leaves a run leaves open, as it is in effect: `stem` is the run's name.
std::vector<perch::io::RunSetting> common_settings(const std::string& stem, perch::InputScale scale,
                                                   const QuantizeFlags& quantize);
