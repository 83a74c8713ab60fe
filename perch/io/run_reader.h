// Run folders read back.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <perch/io/run_folder.h>

namespace perch::io {

struct RunReport {
  std::filesystem::path path;
  std::string id;  ///< the last part of the folder's name, "3fa9c1"
  RunStatus status;
  bool alive = true;  ///< false: `running`, but nobody holds it any more
  std::int64_t epochs_done = 0;
  std::vector<RunSetting> settings;
  RunFacts facts;
};

/// Throws Error(missing_input) where a file is not there, Error(bad_data) naming the one that is
/// broken.
RunReport read_run(const std::filesystem::path& path);

/// Whether a folder's name is that of a run: MODEL-20261127T212521Z-3fa9c1.
bool is_run_name(const std::string& name);
std::string run_id(const std::filesystem::path& path);

/// The folders below `parent` whose names are runs', newest first. Throws Error(missing_input).
std::vector<std::filesystem::path> run_folders(const std::filesystem::path& parent);

/// `name` is a run's path, or a part of the name of one folder below `parent`. Throws
/// Error(missing_input) for none and Error(usage) for several.
std::filesystem::path find_run(const std::filesystem::path& parent, const std::string& name);

}  // namespace perch::io
