// Checkpoints: trainings on disk, to go on with after a crash, a kill or a power cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <perch/io/folder_lock.h>
#include <perch/train/callback.h>
#include <perch/train/training_state.h>

namespace perch::io {

/// One file, safetensors with the state's numbers and a SHA-256 of each tensor and of the rest in
/// its metadata (docs/formats.md). Written as write_atomically() does; throws what that throws.
void save_checkpoint(const TrainingState& state, const std::filesystem::path& file);
/// Whole or not at all. Throws Error(missing_input / io), Error(bad_data) naming the file and what
/// is damaged, or the version that it takes to read it.
TrainingState load_checkpoint(const std::filesystem::path& file);
/// The same from memory; `file` is for messages.
TrainingState parse_checkpoint(std::span<const std::byte> bytes, const std::string& file);
/// The newest one in a folder that is whole, that is the one of the largest step; says on stderr
/// which ones are damaged. Null where there is none. Throws Error(io / missing_input) where one
/// cannot be read, Error(bad_data) where a newer perch wrote it.
std::shared_ptr<const TrainingState> newest_checkpoint(const std::filesystem::path& folder);

/// When a training is saved; at its end, and when it is interrupted, in any case.
struct CheckpointTimes {
  std::int64_t steps = 0;  ///< every so many steps; 0: by time
  double seconds = 15.0;   ///< after so many seconds; 0: never amid the training
  /// Where it goes by time, the end of an epoch is one, too, after so many seconds.
  double epoch_seconds = 1.0;
};

/// The folder of one training's checkpoints, this process's own while it lives:
///   step-000000000500.safetensors   the newest ones
///   best.h5                         the model of the best epoch, where that is wanted
///   complete.json                   once the training is complete: what came of it
class CheckpointFolder {
 public:
  /// Made if it is missing. Keeps the newest `keep` files, at least 1. Throws Error(cannot_create)
  /// where it cannot be written to or another process, which is named, has it.
  CheckpointFolder(std::filesystem::path folder, std::int64_t keep = 3);
  /// A folder in which nothing was saved goes again, with those that were made on the way to it.
  ~CheckpointFolder();
  CheckpointFolder(const CheckpointFolder&) = delete;
  CheckpointFolder& operator=(const CheckpointFolder&) = delete;

  const std::filesystem::path& path() const { return folder_; }
  /// newest_checkpoint() of this folder, to go on from: it and those of earlier steps are this
  /// training's then.
  std::shared_ptr<const TrainingState> newest();
  /// load_checkpoint(); the same, where the file is one of this folder's.
  std::shared_ptr<const TrainingState> load(const std::filesystem::path& file);

  /// For FitOptions::callbacks; borrows the folder. The training's first checkpoint takes the place
  /// of all that are not this training's; until it is written, they stay. One that cannot be
  /// written is told on stderr and counted, and the training goes on.
  CallbackPtr callback(const CheckpointTimes& times = {});
  /// Keeps the model of the epoch with the best `monitor` so far (see on_best()). One that cannot
  /// be written is told and counted, too.
  CallbackPtr best(const std::string& monitor);
  /// Writes one, then removes what is too old.
  void save(const TrainingState& state);
  /// Files that could not be written, and why the last one could not; "" for none.
  std::int64_t failures() const { return failures_; }
  const std::string& failure() const { return failure_; }

  /// Whether newest() would find this training again.
  bool resumable() const { return resumed_at_ >= 0; }

  /// What a complete training left: any text.
  void set_complete(const std::string& text);
  std::optional<std::string> complete() const;

 private:
  std::filesystem::path folder_;
  std::vector<std::filesystem::path> made_;  // by this process, the outermost first
  std::int64_t keep_;
  FolderLock lock_;
  void failed(const std::string& what, const std::string& why);
  void save_best(Trainer& trainer);

  // Checkpoints up to this step are this training's.
  std::int64_t own_until_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t resumed_at_ = -1;  // one of this folder's, or the last that was written
  bool replaces_ = false;         // what a former training left beside them
  bool saved_best_ = false;
  std::int64_t failures_ = 0;
  std::string failure_;

  friend class CheckpointCallback;
};

}  // namespace perch::io
