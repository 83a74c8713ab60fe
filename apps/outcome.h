// What came of a training: told at its end, and again where somebody resumes a complete one.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <perch/io/checkpoint.h>
#include <perch/train/trainer.h>

#include "json_output.h"

struct Outcome {
  Json event;
  std::string text;  ///< for people
  void tell(Output& output) const {
    output.event(event);
    output.text(text);
  }
};

/// Of the model in `file`, whose run's folder is `run` if it has one. `first_step_seconds` is since
/// the process was started.
Outcome outcome(const std::filesystem::path& file, const std::string& run,
                const std::optional<perch::Evaluation>& test, const perch::History& history,
                std::optional<double> first_step_seconds, double seconds);

/// Notes it beside the checkpoints, with a checksum of the model, unless some could not be written.
void note_outcome(perch::io::CheckpointFolder* checkpoints, const Outcome& outcome,
                  const std::filesystem::path& file);
/// What note_outcome() noted, if the model's file is still as it was then.
std::optional<Outcome> earlier_outcome(const perch::io::CheckpointFolder* checkpoints,
                                       const std::filesystem::path& file);
