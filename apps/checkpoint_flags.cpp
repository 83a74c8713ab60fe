#include "checkpoint_flags.h"

#include <charconv>
#include <cmath>

#include <CLI/CLI.hpp>

#include <perch/core/check.h>
#include <perch/io/atomic_file.h>
#include <perch/io/run_config.h>
#include <perch/train/monitor.h>

#include "flags.h"

using namespace perch;
namespace fs = std::filesystem;

void CheckpointFlags::add_to(CLI::App& app) {
  const std::string group = "Checkpoints (in SAVE/NAME.checkpoints)";
  app.add_option("--checkpoint-every", every_,
                 "Steps, or seconds as 30s, between checkpoints; 0: only at the end and when "
                 "interrupted")
      ->type_name("N|Ns")
      ->capture_default_str()
      ->group(group);
  app.add_option("--keep", keep_, "The newest so many are kept; 0: no checkpoints at all")
      ->type_name("N")
      ->capture_default_str()
      ->group(group);
  app.add_option("--best", best_,
                 "Keep the model of the epoch in which this is best, as best.h5; default: no")
      ->type_name("loss|accuracy|val_loss|val_accuracy")
      ->group(group);
  app.add_option("--resume", resume_,
                 "Go on from the newest checkpoint (auto; from the begin if there is none), or "
                 "from this file or folder")
      ->type_name("auto|PATH")
      ->group(group);
  app.add_flag("--resume-anyway", anyway_, "Even if it is of other settings or data")->group(group);
}

io::CheckpointTimes CheckpointFlags::times() const {
  const bool seconds = every_.ends_with("s");
  const char* const end = every_.data() + every_.size() - (seconds ? 1 : 0);
  double number = 0.0;
  const auto [rest, error] = std::from_chars(every_.data(), end, number);
  PERCH_CHECK(error == std::errc() && rest == end && number >= 0.0 && number <= 1e15 &&
                  (seconds || number == std::floor(number)),
              "--checkpoint-every is '{}'; give a number of steps, or of seconds as 30s", every_);
  if (seconds) return {.seconds = number};
  return {.steps = static_cast<std::int64_t>(number), .seconds = 0.0};
}

void CheckpointFlags::check() const {
  times();
  PERCH_CHECK(keep_ >= 0, "--keep is {}, must not be negative", keep_);
  PERCH_CHECK(keep_ > 0 || resume_ != "auto",
              "--resume auto looks for checkpoints, --keep 0 makes none; leave one out");
  if (!best_.empty()) check_choice("--best", best_, monitor_names());
  PERCH_CHECK(best_.empty() || keep_ > 0,
              "--best keeps its model among the checkpoints, --keep 0 makes none; leave one out");
  PERCH_CHECK(!anyway_ || !resume_.empty(), "--resume-anyway has no effect without --resume");
}

std::unique_ptr<io::CheckpointFolder> CheckpointFlags::open(const fs::path& model) const {
  if (keep_ == 0) return nullptr;
  auto folder = std::make_unique<io::CheckpointFolder>(
      fs::path(model).replace_extension(".checkpoints"), keep_);
  io::remove_unfinished(model);  // nobody else writes to it while the folder is ours
  return folder;
}

std::shared_ptr<const TrainingState> CheckpointFlags::state(io::CheckpointFolder* folder) const {
  if (resume_.empty()) return nullptr;
  if (resume_ == "auto") return folder->newest();
  PERCH_CHECK(fs::path(resume_).extension() != ".h5",
              "--resume goes on from a checkpoint, {} is a model; train on from its weights with "
              "--from",
              resume_);
  if (!fs::is_directory(resume_)) {
    return folder != nullptr ? folder->load(resume_)
                             : std::make_shared<const TrainingState>(io::load_checkpoint(resume_));
  }
  std::error_code ignored;
  const bool own = folder != nullptr && fs::equivalent(resume_, folder->path(), ignored);
  auto state = own ? folder->newest() : io::newest_checkpoint(resume_);
  if (state == nullptr) {
    fail(ErrorCode::missing_input, "--resume: there is no checkpoint in {}; give another place",
         resume_);
  }
  return state;
}

FitOptions CheckpointFlags::apply(io::CheckpointFolder* folder, FitOptions fit) const {
  if (folder != nullptr && !best_.empty()) {
    fit.callbacks.push_back(folder->best(best_));
  }
  if (folder != nullptr) fit.callbacks.push_back(folder->callback(times()));
  fit.resume = state(folder);
  fit.resume_anyway = anyway_;
  return fit;
}

std::map<std::string, std::string> further_settings(const CLI::App& train) {
  std::map<std::string, std::string> settings;
  for (const char* const name :
       {"--calibrate", "--reestimate-batch-norm", "--activations-from", "--full-from",
        "--ranges-until", "--batch-norm-until", "--bits-schedule", "--oscillations", "--dampen",
        "--freeze-oscillating"}) {
    const CLI::Option* const option = train.get_option(name);
    if (option->count() == 0) continue;
    // As a run's configuration writes numbers, which goes on with it: 1e-1 is 0.1.
    std::vector<std::string> words;
    for (const std::string& word : option->results()) {
      words.push_back(io::to_string(io::run_value(word)));
    }
    settings[name] = fmt::format("{}", fmt::join(words, ","));
  }
  return settings;
}
