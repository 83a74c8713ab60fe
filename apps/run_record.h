// What train and quantize keep of a run in its folder: settings, environment, course and end.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <perch/datasets/dataset.h>
#include <perch/io/run_folder.h>
#include <perch/train/trainer.h>

namespace CLI {
class App;
}

/// --run-dir and --no-run-dir.
class RunFlags {
 public:
  void add_to(CLI::App& app);
  /// Throws Error(usage) when both are given.
  void check() const;
  /// Where the run's folder goes; none with --no-run-dir.
  std::optional<std::filesystem::path> parent(const std::filesystem::path& save) const;

 private:
  std::string parent_;
  bool none_ = false;
};

struct RunStart {
  std::string name;                                    ///< the folder's begins with it
  std::optional<std::int64_t> epochs = {}, seed = {};  ///< of a training
  /// Values of options that are found out only when training begins; those of options that are on
  /// the command line are left alone.
  std::vector<perch::io::RunSetting> resolved;
  perch::TrainTest data;
  std::filesystem::path checkpoints = {};  ///< their folder, which is linked where it is there
  /// The state that the training goes on from; its run's folder is gone on with.
  std::shared_ptr<const perch::TrainingState> resumed = nullptr;
};

class RunRecord {
 public:
  /// `command` as it was parsed.
  explicit RunRecord(const CLI::App& command) : command_(command) {}

  /// Before fit(). The folder is made when that has checked what it was given and begins, or at
  /// end() where there is nothing to train. Without a parent none of this does anything.
  void prepare(const std::optional<std::filesystem::path>& parent, RunStart start,
               std::vector<perch::CallbackPtr>& callbacks);
  /// The same for work that is no training: the folder is made at once.
  void begin(const std::optional<std::filesystem::path>& parent, RunStart start);
  /// A line of log.txt.
  void log(const std::string& line);
  /// Of the run that ended well; `before` is the float model's that was quantized.
  void end(const std::filesystem::path& model, const std::optional<perch::Evaluation>& test,
           double seconds, const std::optional<perch::Evaluation>& before = std::nullopt);
  /// Runs `work`; what it throws is noted and thrown on.
  void watch(const std::function<void()>& work);

  /// Throws Error(io) where something of the course could not be written.
  void check_written() const;
  /// Empty without a folder.
  std::string path() const;

 private:
  class Environment;
  class Recording;
  void open(std::int64_t epochs_done);
  std::string name() const;
  bool is_of_this_run(const std::filesystem::path& folder) const;
  void fail(perch::io::RunState state, const std::string& message) noexcept;

  std::string failure_;  // of writing
  const CLI::App& command_;
  std::optional<std::filesystem::path> parent_;
  RunStart start_;
  std::shared_ptr<perch::io::RunFolder> folder_;
  std::shared_ptr<Environment> environment_;
  std::chrono::steady_clock::time_point begin_{};
};
