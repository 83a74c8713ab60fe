// The folder of a run, a training or a quantization after it: what it was made with, how it went,
// what came of it.
//   config.toml         every setting
//   env.json            program, machine, data
//   status.json         running, complete, interrupted or failed; the results
//   metrics.csv, .jsonl a row for each epoch of a training; TensorBoard's events the same with
//                       histograms
//   log.txt             what was said, with times
//   NAME.h5             the model; checkpoints leads to the checkpoints where there are some
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <perch/io/run_config.h>
#include <perch/train/callback.h>

namespace perch::io {

enum class RunState { running, complete, interrupted, failed };
const char* name_of(RunState state);

struct RunStatus {
  RunState state = RunState::running;
  std::string message = {};                 ///< why it failed or was interrupted
  std::string started = {}, ended = {};     ///< UTC, "2026-11-27T21:25:21Z"
  std::optional<std::int64_t> epochs = {};  ///< that are asked for; none where nothing is trained
  double seconds = 0.0;
  std::optional<double> test_loss = {}, test_accuracy = {};
  /// Of the model that a quantization began with.
  std::optional<double> float_test_loss = {}, float_test_accuracy = {};
  std::string model = {};  ///< the saved file
};

/// Name and value, in their order.
using RunFacts = std::vector<std::pair<std::string, RunValue>>;

/// While it lives, others see by a lock on log.txt that the run goes on.
class RunFolder {
 public:
  /// `parent`/MODEL-20261127T212521Z-3fa9c1, with missing folders. Throws Error(cannot_create).
  static std::shared_ptr<RunFolder> create(const std::filesystem::path& parent,
                                           const std::string& model);
  /// To go on with a run from a checkpoint: run_recorder() writes its rows anew.
  /// Throws Error(missing_input), Error(bad_data), Error(cannot_create) when it still runs.
  static std::shared_ptr<RunFolder> reopen(const std::filesystem::path& path,
                                           std::int64_t epochs_done);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const;
  std::int64_t epochs_done() const;  ///< when it was opened
  /// As it was when the folder was opened, and what set_status() wrote since.
  const RunStatus& status() const;

  // All throw Error(cannot_create) and Error(io).
  void set_status(const RunStatus& status);
  /// See run_config_text().
  void write_config(std::string_view title, const std::vector<RunSetting>& settings,
                    std::string_view table = {});
  void write_environment(const RunFacts& facts);
  void log(std::string_view line);
  /// A further name of the file, or a copy where the file system has none.
  void keep(const std::filesystem::path& file);
  /// A relative link `checkpoints` to `folder`, if that is there.
  void link_checkpoints(const std::filesystem::path& folder);

 private:
  struct State;
  explicit RunFolder(std::unique_ptr<State> state);
  void lock_log();
  std::unique_ptr<State> state_;
};

/// Writes metrics, events and epochs' log lines as training goes.
CallbackPtr run_recorder(std::shared_ptr<RunFolder> folder);

/// The time now, as RunStatus has it.
std::string utc_now();

}  // namespace perch::io
