// What a training will take, time and memory, before it takes it.
#pragma once

#include <cstdint>
#include <filesystem>

#include <perch/train/trainer.h>

#include "json_output.h"

/// Images per second.
struct StepRates {
  double trained, evaluated;
};
/// From batches of the training's size, 0.4 seconds of them in all, or three steps and two
/// batches where these take longer. Schedules and what callbacks do are left out.
StepRates step_rates(perch::Trainer& trainer, const perch::Dataset& images,
                     const perch::FitOptions& fit);

/// train --dry-run: steps, memory and time. `more_images` are those that are shown to the model
/// before and after the epochs, without gradients. Throws Error(usage) for a batch size above the
/// number of training images.
void show_plan(perch::Trainer& trainer, const perch::TrainTest& data, const perch::FitOptions& fit,
               std::int64_t more_images, const std::filesystem::path& file, Output& output);
