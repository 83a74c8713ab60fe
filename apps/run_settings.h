// Train's options as the settings of a run.
#pragma once

#include <vector>

#include <perch/io/run_config.h>

namespace CLI {
class App;
}

/// Every option of `command`, as parsed, with the value that is in effect. `resolved` has those
/// that the command line leaves open. Pairs of flags are one setting, as in experiments:
/// granularity, symmetry, range.
std::vector<perch::io::RunSetting> run_settings(const CLI::App& command,
                                                const std::vector<perch::io::RunSetting>& resolved);
