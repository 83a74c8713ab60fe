// Pieces of run folders as JSON. For sources of this room.
#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include <perch/io/run_folder.h>

namespace perch::io {

nlohmann::ordered_json to_json(const RunStatus& status);
nlohmann::ordered_json to_json(const RunFacts& facts);

/// Throw Error(missing_input), and Error(bad_data) for what is not as it was written.
RunStatus read_run_status(const std::filesystem::path& run);
RunFacts read_run_facts(const std::filesystem::path& run);

}  // namespace perch::io
