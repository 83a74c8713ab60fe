// Experiments as TOML: docs/experiments.md describes the keys.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include <perch/experiments/command.h>
#include <perch/experiments/experiment.h>
#include <perch/settings/config_file.h>

namespace perch::experiments {

/// The tables of an experiment: question, seeds and what train takes above them; [grid], [train]
/// and [float].
ConfigSchema experiment_schema(const Vocabulary& vocabulary);

/// What entries of experiment_schema() say; the last one of a key counts, and those of --set and of
/// [train] go before a file's above the tables. Others are left alone: options of a single training
/// (seed, save, ...) too. Throws Error(bad_data) with file and line, Error(usage) for --set, where
/// a value is wrong.
Experiment experiment_from(std::span<const ConfigEntry> entries, const Vocabulary& vocabulary);

/// Throws as read_config() and experiment_from() do.
Experiment read_experiment(const std::filesystem::path& file, const Vocabulary& vocabulary);

/// A file that read_experiment() makes the same experiment of.
std::string experiment_text(const Experiment& experiment, const Vocabulary& vocabulary);

}  // namespace perch::experiments
