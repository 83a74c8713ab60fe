// The folder of an experiment:
//   experiment.json   what is compared, with what, and the cells in their order
//   starts/ID/        float models that cells begin with
//   cells/ID/         result.json, predictions.csv, the model, log.txt
//   results.json, results.csv, report.html
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <perch/experiments/results.h>

/// Throws Error(cannot_create) when the folder holds something else, or an experiment with other
/// data or without any of the networks.
void check_experiment_folder(const std::filesystem::path& folder,
                             const perch::experiments::Experiment& experiment,
                             const perch::experiments::Provenance& provenance);

/// Throws Error(cannot_create) where less than so many bytes are free in `folder`, or in the folder
/// that it would be made in.
void check_space(const std::filesystem::path& folder, double bytes);

/// experiment.json, with the cells' identifiers.
void write_experiment(const std::filesystem::path& folder,
                      const perch::experiments::Experiment& experiment,
                      const perch::experiments::Provenance& provenance,
                      const std::vector<std::string>& ids);

/// The cells' folders by the digests that their names end with: a cell keeps its name when axes
/// come to vary.
std::map<std::string, std::string> cell_folders(const std::filesystem::path& folder);

/// Of a cell that has run; nothing for one that has not.
std::optional<perch::experiments::CellResult> read_cell(const std::filesystem::path& folder,
                                                        const std::string& id);

/// Everything that is there. Throws Error(missing_input) for a folder without an experiment.
perch::experiments::Results read_results(const std::filesystem::path& folder);

/// results.json, results.csv and report.html from what read_results() gives.
void write_reports(const std::filesystem::path& folder, const perch::experiments::Results& results);

/// Writes a text so that nobody sees half of it.
void write_text(const std::filesystem::path& file, const std::string& text);
