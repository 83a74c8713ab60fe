#include "experiment_folder.h"

#include <algorithm>
#include <optional>

#include <perch/core/check.h>
#include <perch/experiments/csv.h>
#include <perch/experiments/report.h>
#include <perch/experiments/results_json.h>
#include <perch/io/atomic_file.h>
#include <perch/io/folder_lock.h>

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

namespace {

constexpr const char* description = "experiment.json";

fs::path cell_folder(const fs::path& folder, const std::string& id) {
  return folder / "cells" / id;
}

/// A cell that has run may have said an axis of one value for all cells, or the other way round:
/// the command, and so the cell, is the same.
Settings on_axes(const Settings& held, const Experiment& experiment) {
  Settings settings;
  for (const Axis& axis : experiment.grid) {
    const std::string* const value = find(held, axis.name);
    settings.push_back({axis.name, value == nullptr ? axis.values.front() : *value});
  }
  return settings;
}

}  // namespace

void check_experiment_folder(const fs::path& folder, const Experiment& experiment,
                             const Provenance& provenance) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) return;
  if (!fs::is_directory(folder, ignored)) {
    fail(ErrorCode::cannot_create, "{} is no folder; choose another with --out", folder.string());
  }
  const fs::path file = folder / description;
  if (!fs::exists(file, ignored)) {
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
      const std::string name = entry.path().filename().string();
      // What a process that was killed at its first write left is no obstacle.
      if (name == io::FolderLock::file_name || io::is_unfinished(name, file)) continue;
      fail(ErrorCode::cannot_create,
           "{} holds {}, which is no part of an experiment; choose an empty folder with --out",
           folder.string(), name);
    }
    return;
  }
  const Json held = read_json(file);
  const Experiment other = experiment_from_json(held.at("experiment"), file.string());
  const Provenance made = provenance_from_json(held.at("provenance"), file.string());
  const std::vector<std::string> networks = models_of(experiment), held_networks = models_of(other);
  const bool shares_a_network = std::ranges::any_of(networks, [&](const std::string& model) {
    return std::ranges::find(held_networks, model) != held_networks.end();
  });
  const char* const what = !shares_a_network                                ? "network"
                           : made.data_checksum != provenance.data_checksum ? "data"
                                                                            : nullptr;
  if (what == nullptr) return;
  fail(ErrorCode::cannot_create,
       "{} holds an experiment with another {} ({}); choose another folder with --out",
       folder.string(), what, shares_a_network ? made.data : network_names(other));
}

void check_space(const fs::path& folder, double bytes) {
  std::error_code error;
  fs::path there = folder;
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  const fs::space_info space = fs::space(there, error);
  if (error || static_cast<double>(space.available) >= bytes) return;
  fail(ErrorCode::cannot_create,
       "{} has {:.0f} MB left, and the cells take about {:.0f} MB; make room, or choose another "
       "folder with --out",
       there.string(), static_cast<double>(space.available) / 1e6, bytes / 1e6);
}

void write_experiment(const fs::path& folder, const Experiment& experiment,
                      const Provenance& provenance, const std::vector<std::string>& ids) {
  const Json json = {
      {"experiment", to_json(experiment)}, {"provenance", to_json(provenance)}, {"cells", ids}};
  write_text(folder / description, json.dump(1) + "\n");
}

std::map<std::string, std::string> cell_folders(const fs::path& folder) {
  std::map<std::string, std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder / "cells", ignored)) {
    const std::string name = entry.path().filename().string();
    found[name.substr(name.rfind('-') + 1)] = name;
  }
  return found;
}

std::optional<CellResult> read_cell(const fs::path& folder, const std::string& id) {
  const fs::path file = cell_folder(folder, id) / "result.json";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return std::nullopt;
  CellResult cell = cell_from_json(read_json(file), file.string());
  if (!cell.failed()) cell.right = read_predictions(cell_folder(folder, id) / "predictions.csv");
  return cell;
}

Results read_results(const fs::path& folder) {
  const fs::path file = folder / description;
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    fail(ErrorCode::missing_input, "there is no {} in {}; give a folder that compare wrote",
         description, folder.string());
  }
  const Json json = read_json(file);
  Results results;
  results.experiment = experiment_from_json(json.at("experiment"), file.string());
  results.provenance = provenance_from_json(json.at("provenance"), file.string());
  for (const Json& id : json.at("cells")) {
    ++results.all_cells;
    auto cell = read_cell(folder, id);
    if (!cell) continue;
    cell->cell.settings = on_axes(cell->cell.settings, results.experiment);
    results.cells.push_back(std::move(*cell));
  }
  return results;
}

void write_reports(const fs::path& folder, const Results& results) {
  const Findings findings = findings_of(results);
  write_text(folder / "results.json", to_json(results, findings).dump(1) + "\n");
  write_text(folder / "results.csv", to_csv(results));
  write_text(folder / "report.html", report_html(results, findings));
}

void write_text(const fs::path& file, const std::string& text) {
  io::write_atomically(file, text);
}
