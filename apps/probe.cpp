#include "probe.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include <perch/core/check.h>

#include "run_pool.h"

using namespace perch;
using namespace perch::experiments;
namespace fs = std::filesystem;

namespace {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_((fs::temp_directory_path() / "perch-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      fail(ErrorCode::cannot_create, "cannot make {}: {}", path_, std::strerror(errno));
    }
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  fs::path path() const { return path_; }

 private:
  std::string path_;
};

class ProbeRun final : public Run {
 public:
  ProbeRun(const fs::path& folder, const std::string& name, Arguments command, Pace& sum,
           std::string& failure)
      : Run(folder / name, name), command_(std::move(command)), sum_(sum), failure_(failure) {}

  std::optional<Arguments> next() override {
    if (command_.empty()) return std::nullopt;
    return std::exchange(command_, {});
  }
  void take(const Json& event) override {
    if (event.value("event", "") != "result") return;
    sum_.images_per_second += event.at("images_per_second").get<double>();
    sum_.evaluation_images_per_second += event.at("evaluation_images_per_second").get<double>();
    sum_.start_seconds += event.at("start_seconds").get<double>();
    sum_.epoch_seconds += event.at("epoch_seconds").get<double>();
    sum_.further_seconds += event.at("further_seconds").get<double>();
    sum_.peak_mb += event.at("planned_peak_mb").get<double>();
  }
  void end(const std::string& failure, double) override {
    if (!failure.empty()) failure_ = failure;
  }

 private:
  Arguments command_;
  Pace& sum_;
  std::string& failure_;
};

}  // namespace

Pace probe(const Arguments& command, const Arrangement& arrangement) {
  const TemporaryFolder folder;
  Arguments whole = command;
  const std::string threads = std::to_string(arrangement.threads);
  whole.insert(whole.end(), {"--threads", threads, "--dry-run", "--json", "--quiet"});
  Pace pace;
  std::string failure;
  std::deque<std::unique_ptr<Run>> runs;
  for (int i = 0; i < arrangement.side_by_side; ++i) {
    runs.push_back(
        std::make_unique<ProbeRun>(folder.path(), std::to_string(i), whole, pace, failure));
  }
  RunPool pool(folder.path(), arrangement.side_by_side);
  pool.run(
      std::move(runs), [](Run&, const Json&) {}, [](Run&, bool) {});
  if (!failure.empty()) fail(ErrorCode::failure, "{}", failure);
  const double count = arrangement.side_by_side;
  for (double* const value :
       {&pace.images_per_second, &pace.evaluation_images_per_second, &pace.start_seconds,
        &pace.epoch_seconds, &pace.further_seconds, &pace.peak_mb}) {
    *value /= count;
  }
  return pace;
}
