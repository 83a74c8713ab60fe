// From an experiment to the commands of its cells.
#pragma once

#include <string>

#include "cell_runs.h"
#include "rule_files.h"
#include "start_files.h"

/// Every cell, each command once, and the float starts; without folder, data and threads. The ids
/// are those of the commands, the data and perch's version. Throws Error(usage) for what a command
/// would refuse.
GridPlan plan_of(const perch::experiments::Experiment& experiment,
                 const perch::experiments::Vocabulary& vocabulary, const RuleFiles& rules,
                 const StartFiles& files, const std::string& data_checksum);
