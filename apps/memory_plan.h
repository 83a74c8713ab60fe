// How much memory a training will take, before it takes it.
#pragma once

#include <cstdint>
#include <vector>

#include <perch/train/trainer.h>

/// Numbers of images that a training takes at a time: buffers of each size stay for the next.
struct BatchSizes {
  std::int64_t trained = 0;  ///< images that are trained on in an epoch
  std::vector<std::int64_t> steps, evaluations;
};
/// Of fit() and of an evaluation on `test` images behind it, 0 for none.
BatchSizes batch_sizes(std::int64_t images, const perch::FitOptions& fit, std::int64_t test);

/// Peak resident memory of such a training, in MB: what the process has now, what stays from step
/// to step, and what batches need, which grows with them in a straight line that two small ones
/// show. Trains the model a little. Throws std::bad_alloc where not even that goes.
double planned_peak_mb(perch::Trainer& trainer, const perch::Dataset& images,
                       const BatchSizes& sizes);
