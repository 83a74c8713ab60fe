#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <system_error>

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <unistd.h>

#include <perch/core/check.h>
#include <perch/core/file_content.h>
#include <perch/io/run_json.h>
#include <perch/io/run_reader.h>

namespace perch::io {
namespace {

namespace fs = std::filesystem;

// As many as a message names.
constexpr std::size_t most_named = 4;

/// Whether a process holds the lock that a run has on its log. True where nobody can tell.
bool is_held(const fs::path& log) {
  const int descriptor = ::open(log.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool held = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0;
  ::close(descriptor);
  return held;
}

std::int64_t epochs_in(const fs::path& file) {
  std::ifstream input(file, std::ios::binary);
  const auto lines = std::count(std::istreambuf_iterator<char>(input), {}, '\n');
  return std::max<std::int64_t>(0, lines - 1);  // a header
}

/// "20261127T212521Z"; empty where the name is no run's.
std::string time_of(const std::string& name) {
  static const std::regex pattern(".+-([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{4,}");
  std::smatch match;
  return std::regex_match(name, match, pattern) ? match[1].str() : std::string();
}

std::string name_of(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

}  // namespace

bool is_run_name(const std::string& name) {
  return !time_of(name).empty();
}

std::string run_id(const fs::path& path) {
  const std::string name = name_of(path);
  return is_run_name(name) ? name.substr(name.rfind('-') + 1) : name;
}

RunReport read_run(const fs::path& path) {
  RunReport run;
  run.path = path;
  run.id = run_id(path);
  run.status = read_run_status(path);
  run.alive = run.status.state == RunState::running && is_held(path / "log.txt");
  const fs::path config = path / "config.toml";
  run.settings = parse_run_config(file_content(config), config.string());
  run.facts = read_run_facts(path);
  run.epochs_done = epochs_in(path / "metrics.csv");
  return run;
}

std::vector<fs::path> run_folders(const fs::path& parent) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    std::error_code ignored;
    if (entry.is_directory(ignored) && is_run_name(entry.path().filename().string())) {
      found.push_back(entry.path());
    }
  }
  if (error) {
    fail(ErrorCode::missing_input,
         "cannot read {}: {}; give the folder that train had with --save or --run-dir",
         parent.string(), error.message());
  }
  std::ranges::sort(found, [](const fs::path& one, const fs::path& other) {
    const std::string a = one.filename().string(), b = other.filename().string();
    return std::pair(time_of(a), a) > std::pair(time_of(b), b);
  });
  return found;
}

fs::path find_run(const fs::path& parent, const std::string& name) {
  std::error_code ignored;
  if (fs::is_directory(name, ignored)) return name;
  if (name.find('/') != std::string::npos) {
    fail(ErrorCode::missing_input, "there is no folder {}", name);
  }
  std::vector<fs::path> found;
  std::vector<std::string> names;
  for (const fs::path& path : run_folders(parent)) {
    const std::string folder = path.filename().string();
    if (folder == name || run_id(path) == name) return path;
    if (folder.find(name) == std::string::npos) continue;
    found.push_back(path);
    if (names.size() < most_named) names.push_back(folder);
  }
  if (found.empty()) {
    fail(ErrorCode::missing_input, "no run in {} is called {}; perch runs {} lists them",
         parent.string(), name, parent.string());
  }
  PERCH_CHECK(found.size() == 1, "'{}' is part of the names of {} runs: {}{}; give more of one",
              name, found.size(), fmt::join(names, ", "),
              found.size() > names.size() ? ", ..." : "");
  return found.front();
}

}  // namespace perch::io
