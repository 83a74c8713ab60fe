#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/warn.h>
#include <perch/datasets/file.h>
#include <perch/io/atomic_file.h>
#include <perch/io/checkpoint.h>
#include <perch/io/file_calls.h>
#include <perch/train/trainer.h>

namespace perch::io {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* completion = "complete.json";
constexpr const char *prefix = "step-", *suffix = ".safetensors";

/// Makes it and what is missing on the way to it: those, the outermost first.
std::vector<fs::path> make(const fs::path& folder) {
  std::vector<fs::path> made;
  std::error_code error;
  for (fs::path at = folder; !at.empty() && !fs::exists(at, error); at = at.parent_path()) {
    made.insert(made.begin(), at);
  }
  fs::create_directories(folder, error);
  if (error) {
    fail(ErrorCode::cannot_create, "{}: cannot be created: {}; choose another folder",
         folder.string(), error.message());
  }
  // Their entries, too, survive a power cut.
  for (const fs::path& at : made) {
    datasets::sync_folder(at.has_parent_path() ? at.parent_path() : ".");
  }
  return made;
}

/// Leading zeros, so that names sort as steps do.
std::string name_of(std::int64_t step) {
  return fmt::format("{}{:012}{}", prefix, step, suffix);
}

/// The newest first.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(suffix)) found.push_back(entry.path());
  }
  std::ranges::sort(found, std::greater());
  return found;
}

}  // namespace

class CheckpointCallback final : public Callback {
 public:
  CheckpointCallback(CheckpointFolder& folder, const CheckpointTimes& times)
      : folder_(folder), times_(times) {
    PERCH_CHECK(times.steps >= 0, "checkpoints: every {} steps; give at least 1", times.steps);
    PERCH_CHECK(times.seconds >= 0.0, "checkpoints: every {} seconds; give more than 0",
                times.seconds);
  }

  bool keeps_states() const override { return true; }
  void on_train_begin(Trainer&, const TrainPlan& plan) override {
    last_ = Clock::now();
    begun_ = steps_ = plan.steps_done;
    folder_.replaces_ = true;
    moved_ = false;
  }
  void on_batch_end(Trainer&, const BatchResult&) override {
    ++steps_;
    moved_ = true;
  }
  void on_epoch_end(Trainer&, const EpochResult&) override { moved_ = epoch_ended_ = true; }
  void on_state(Trainer& trainer, bool leaving) override {
    const bool at_epoch_end = std::exchange(epoch_ended_, false);
    if (moved_ && (leaving || due(at_epoch_end))) save(trainer);
  }

 private:
  bool due(bool at_epoch_end) const {
    if (times_.steps > 0) return steps_ % times_.steps == 0 && steps_ > begun_;
    if (times_.seconds == 0.0) return false;
    const std::chrono::duration<double> past = Clock::now() - last_;
    return past.count() >=
           (at_epoch_end ? std::min(times_.epoch_seconds, times_.seconds) : times_.seconds);
  }

  void save(Trainer& trainer) {
    try {
      folder_.save(trainer.state());
    } catch (const std::exception& error) {
      // The training is worth more than one of its checkpoints.
      ++folder_.failures_;
      folder_.failure_ = error.what();
      warn(fmt::format("no checkpoint of step {}: {}", steps_, error.what()));
    }
    last_ = Clock::now();
  }

  CheckpointFolder& folder_;
  CheckpointTimes times_;
  Clock::time_point last_{};
  std::int64_t begun_ = 0, steps_ = 0;
  bool epoch_ended_ = false;
  bool moved_ = false;  // beyond where it began
};

CheckpointFolder::CheckpointFolder(fs::path folder, std::int64_t keep)
    : folder_(std::move(folder)),
      made_(make(folder_)),
      keep_(keep),
      lock_(folder_, "give the training another name") {
  PERCH_CHECK(keep_ >= 1, "checkpoints: keep {}; at least 1 is kept", keep_);
  // What a killed process was writing.
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool half = name.find(std::string(suffix).append(".")) != std::string::npos ||
                      name.starts_with(std::string(completion).append("."));
    if (half) {
      file_calls().unlink(entry.path().c_str());
    }
  }
}

CheckpointFolder::~CheckpointFolder() {
  try {
    if (!files_in(folder_).empty()) return;
    std::error_code ignored;
    fs::remove(folder_ / FolderLock::file_name, ignored);
    fs::remove(folder_, ignored);
    // Those that are not empty stay.
    for (auto at = made_.rbegin(); at != made_.rend(); ++at) fs::remove(*at, ignored);
  } catch (const std::exception&) {
    // A folder that cannot be looked into stays.
  }
}

std::shared_ptr<const TrainingState> newest_checkpoint(const fs::path& folder) {
  for (const fs::path& file : files_in(folder)) {
    try {
      return std::make_shared<const TrainingState>(load_checkpoint(file));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::bad_data) throw;
      warn(fmt::format("{}; going on with an older checkpoint if there is one", error.what()));
    }
  }
  return nullptr;
}

CallbackPtr CheckpointFolder::callback(const CheckpointTimes& times) {
  return std::make_shared<CheckpointCallback>(*this, times);
}

void CheckpointFolder::save(const TrainingState& state) {
  const fs::path file = folder_ / name_of(state.step);
  save_checkpoint(state, file);
  saved_ = true;
  std::vector<fs::path> old = files_in(folder_);
  if (std::exchange(replaces_, false)) {
    // Of another course, damaged, or of this one where it will not come again.
    std::erase(old, file);
    file_calls().unlink((folder_ / completion).c_str());
  } else {
    old.erase(old.begin(), old.begin() + static_cast<std::ptrdiff_t>(std::min(
                                             old.size(), static_cast<std::size_t>(keep_))));
  }
  for (const fs::path& each : old) file_calls().unlink(each.c_str());
}

void CheckpointFolder::set_complete(const std::string& text) {
  write_atomically(folder_ / completion, text);
}

std::optional<std::string> CheckpointFolder::complete() const {
  std::ifstream file(folder_ / completion, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace perch::io
