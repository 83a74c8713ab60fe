// Experiments as TOML: docs/experiments.md describes the keys.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <perch/experiments/command.h>
#include <perch/experiments/experiment.h>

namespace perch::experiments {

struct ExperimentFile {
  Experiment experiment;
  std::string data;  ///< folder; empty: not said
};

/// Throws Error(missing_input), and Error(bad_data) with file and line for what is not TOML,
/// unknown keys (the nearest known one is named) and values of another type.
ExperimentFile read_experiment(const std::filesystem::path& file, const Vocabulary& vocabulary);

}  // namespace perch::experiments
