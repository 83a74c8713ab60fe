// Experiments and their results as JSON. For sources of this room and of the command line.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include <perch/experiments/findings.h>

namespace perch::experiments {

using Json = nlohmann::ordered_json;

Json to_json(const Experiment& experiment);
Json to_json(const CellResult& cell);
Json to_json(const Provenance& provenance);
Json to_json(const Findings& findings);
/// results.json: the experiment, what it was made with, cells, groups, contrasts, the answer. Keys
/// "times" and "provenance" hold all that differs from run to run.
Json to_json(const Results& results, const Findings& findings);

/// Throw Error(bad_data), naming `file`, for what is not there or of another type.
Experiment experiment_from_json(const Json& json, const std::string& file);
CellResult cell_from_json(const Json& json, const std::string& file);
Provenance provenance_from_json(const Json& json, const std::string& file);

// Parts of results as the commands' --json tells them, too.
/// Nothing where the key is not there or null; number() gives 0 then.
std::optional<double> optional_number(const Json& json, const char* key);
double number(const Json& json, const char* key);
/// "clipped_layers" of an epoch; empty where it is not there.
std::vector<std::pair<std::string, double>> clipped_layers_of(const Json& epoch);
LayerRecord::Histogram histogram_from_json(const Json& json);

/// Throws Error(missing_input), and Error(bad_data) when the file holds no JSON.
Json read_json(const std::filesystem::path& file);

}  // namespace perch::experiments
