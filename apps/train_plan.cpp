#include "train_plan.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include <perch/core/check.h>
#include <perch/datasets/loader.h>
#include <perch/train/text.h>

#include "memory_plan.h"
#include "process.h"

using namespace perch;

namespace {

constexpr std::int64_t least_steps = 2, most_batches = 100;
constexpr double step_seconds = 0.3, evaluation_seconds = 0.1;

/// The first images, or all.
Dataset some(const Dataset& images, std::int64_t count) {
  return images.subset(0, std::min(images.size(), count));
}

/// The first step, which makes buffers and loads libraries, is left out. A mean: others that use
/// the machine take their share in the whole training too.
double rate_of_steps(Trainer& trainer, Loader loader) {
  using Clock = std::chrono::steady_clock;
  std::chrono::duration<double> passed{};
  std::optional<Clock::time_point> start;
  std::int64_t steps = 0, images = 0;
  Batch batch;
  for (std::int64_t epoch = 0; steps < least_steps || passed.count() < step_seconds; ++epoch) {
    loader.start(epoch);
    while ((steps < least_steps || passed.count() < step_seconds) && loader.next(batch)) {
      trainer.train_batch(batch, 0.0f);
      if (!start) {
        start = Clock::now();
        continue;
      }
      passed = Clock::now() - *start;
      images += batch.size();
      ++steps;
    }
  }
  return static_cast<double>(images) / passed.count();
}

}  // namespace

StepRates step_rates(Trainer& trainer, const Dataset& images, const FitOptions& fit) {
  const double trained = rate_of_steps(
      trainer, Loader(some(images, fit.batch_size * most_batches),
                      {.batch_size = fit.batch_size, .augmentation = fit.augmentation}));
  const Evaluation first = trainer.evaluate(some(images, evaluation_batch_size));
  const double count = first.images_per_second() * evaluation_seconds;
  const Dataset more =
      some(images, std::max(evaluation_batch_size, static_cast<std::int64_t>(count)));
  return {trained, trainer.evaluate(more).images_per_second()};
}

void show_plan(Trainer& trainer, const TrainTest& data, const FitOptions& fit,
               std::int64_t more_images, const std::filesystem::path& file, Output& output) {
  const double start = seconds_since_start().value_or(0.0);
  const BatchSizes sizes = batch_sizes(data.train.size(), fit, data.test.size());
  PERCH_CHECK(fit.batch_size <= sizes.trained, "--batch-size is {}, there are {} training images",
              fit.batch_size, sizes.trained);
  const std::int64_t steps = (sizes.trained - 1) / fit.batch_size + 1;
  const double peak = planned_peak_mb(trainer, data.train, sizes);
  const StepRates rates = step_rates(trainer, data.train, fit);
  const auto shown = static_cast<double>(data.train.size() - sizes.trained);
  const double epoch = static_cast<double>(sizes.trained) / rates.trained + shown / rates.evaluated;
  const double further = static_cast<double>(more_images + data.test.size()) / rates.evaluated;
  const double all = start + static_cast<double>(fit.epochs) * epoch + further;
  output.event({{"event", "result"},
                {"model", file.string()},
                {"epochs", fit.epochs},
                {"steps_per_epoch", steps},
                {"planned_peak_mb", peak},
                {"images_per_second", rates.trained},
                {"evaluation_images_per_second", rates.evaluated},
                {"start_seconds", start},
                {"epoch_seconds", epoch},
                {"further_seconds", further},
                {"estimated_seconds", all}});
  output.text(
      fmt::format("{} epochs of {} steps with {} images each\nestimated time: {}, {} images/s\n"
                  "planned peak memory: {:.0f} MB\nwould save: {}\n",
                  fit.epochs, steps, fit.batch_size, duration(all), grouped(rates.trained), peak,
                  file.string()));
}
