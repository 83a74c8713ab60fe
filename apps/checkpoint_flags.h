// Flags of train that say how it is saved on its way, and where it goes on.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <perch/core/check.h>
#include <perch/io/checkpoint.h>
#include <perch/train/trainer.h>

namespace CLI {
class App;
}

class CheckpointFlags {
 public:
  void add_to(CLI::App& app);
  /// Throws Error(usage) for values that mean nothing.
  void check() const;

  /// The folder beside `model`, made and locked; null with --keep 0.
  std::unique_ptr<perch::io::CheckpointFolder> open(const std::filesystem::path& model) const;
  /// `fit` with checkpoints, and with the one to go on from where there is one.
  perch::FitOptions apply(perch::io::CheckpointFolder* folder, perch::FitOptions fit) const;

 private:
  perch::io::CheckpointTimes times() const;
  std::shared_ptr<const perch::TrainingState> state(perch::io::CheckpointFolder* folder) const;

  std::string every_ = "15s", resume_, best_;
  std::int64_t keep_ = 3;
  bool anyway_ = false;
};

/// Runs what SIGINT and SIGTERM may end; says how to go on then. `model_saved` is looked at then.
template <class Work>
void interruptible(const perch::io::CheckpointFolder* checkpoints, const bool& model_saved,
                   const Work& work) {
  try {
    work();
  } catch (const perch::Error& error) {
    if (error.code() != perch::ErrorCode::interrupted) throw;
    if (checkpoints == nullptr || !checkpoints->resumable()) {
      perch::fail(perch::ErrorCode::interrupted, "interrupted; {}, the same command begins anew",
                  model_saved ? "the model is saved, but was not tested" : "nothing was saved");
    }
    if (checkpoints->failures() > 0) {
      perch::fail(
          perch::ErrorCode::interrupted,
          "interrupted; {}; the same command with --resume auto goes on with the last checkpoint "
          "that was written",
          checkpoints->failure());
    }
    perch::fail(perch::ErrorCode::interrupted,
                "interrupted and saved; the same command with --resume auto goes on");
  }
}

/// Flags of train whose effect none of the Trainer's settings shows: "--calibrate" -> "256".
std::map<std::string, std::string> further_settings(const CLI::App& train);
