#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/file_content.h>
#include <perch/core/warn.h>
#include <perch/datasets/file.h>
#include <perch/io/atomic_file.h>
#include <perch/io/checkpoint.h>
#include <perch/io/file_calls.h>
#include <perch/io/keras.h>
#include <perch/io/sealed.h>
#include <perch/train/trainer.h>

namespace perch::io {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char *completion = "complete.json", *best_model_file = "best.h5";
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

/// Of a name that name_of() makes; copies that people keep beside them are none of ours.
std::optional<std::int64_t> step_of(const fs::path& file) {
  const std::string name = file.filename().string();
  if (!name.starts_with(prefix)) return std::nullopt;
  std::int64_t step = 0;
  std::from_chars(name.data() + std::string_view(prefix).size(), name.data() + name.size(), step);
  return name == name_of(step) ? std::optional(step) : std::nullopt;
}

/// The newest first: that of the largest step, whatever a clock says.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (step_of(entry.path())) found.push_back(entry.path());
  }
  std::ranges::sort(found, std::greater(), step_of);
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
    folder_.own_until_ = std::min(plan.steps_done, folder_.resumed_at_);
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
      folder_.failed(fmt::format("no checkpoint of step {}", steps_), error.what());
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
  remove_unfinished(folder_ / "");
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
    } catch (const NewerFile&) {
      throw;  // not damaged: an older one would take its place
    } catch (const Error& error) {
      if (error.code() != ErrorCode::bad_data) throw;
      warn(fmt::format("{}; going on with an older checkpoint if there is one", error.what()));
    }
  }
  return nullptr;
}

std::shared_ptr<const TrainingState> CheckpointFolder::newest() {
  auto state = newest_checkpoint(folder_);
  if (state != nullptr) resumed_at_ = state->step;
  return state;
}

std::shared_ptr<const TrainingState> CheckpointFolder::load(const fs::path& file) {
  auto state = std::make_shared<const TrainingState>(load_checkpoint(file));
  std::error_code ignored;
  if (fs::equivalent(file, folder_ / name_of(state->step), ignored)) resumed_at_ = state->step;
  return state;
}

CallbackPtr CheckpointFolder::callback(const CheckpointTimes& times) {
  return std::make_shared<CheckpointCallback>(*this, times);
}

CallbackPtr CheckpointFolder::best(const std::string& monitor) {
  return on_best(monitor, [this](Trainer& trainer) { save_best(trainer); });
}

void CheckpointFolder::save_best(Trainer& trainer) {
  try {
    save_keras(trainer.model(), folder_ / best_model_file, {.optimizer = &trainer.optimizer()});
    saved_best_ = true;
  } catch (const std::exception& error) {
    failed("the best model is not kept", error.what());
  }
}

void CheckpointFolder::failed(const std::string& what, const std::string& why) {
  ++failures_;
  failure_ = why;
  warn(fmt::format("{}: {}", what, why));
}

void CheckpointFolder::save(const TrainingState& state) {
  const fs::path file = folder_ / name_of(state.step);
  save_checkpoint(state, file);
  // Those of later steps are of another course, or damaged.
  std::int64_t kept = 0;
  for (const fs::path& each : files_in(folder_)) {
    const std::int64_t step = *step_of(each);
    if ((step == state.step || step <= own_until_) && ++kept <= keep_) continue;
    file_calls().unlink(each.c_str());
  }
  if (std::exchange(replaces_, false)) {
    file_calls().unlink((folder_ / completion).c_str());
    const bool afresh = own_until_ < 0;
    if (afresh && !saved_best_) file_calls().unlink((folder_ / best_model_file).c_str());
  }
  own_until_ = resumed_at_ = state.step;
}

void CheckpointFolder::set_complete(const std::string& text) {
  write_atomically(folder_ / completion, text);
}

std::optional<std::string> CheckpointFolder::complete() const {
  if (!std::filesystem::exists(folder_ / completion)) return std::nullopt;
  return file_content(folder_ / completion);
}

}  // namespace perch::io
