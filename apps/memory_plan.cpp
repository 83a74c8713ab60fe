#include "memory_plan.h"

#include <algorithm>
#include <functional>

#include <perch/core/storage.h>
#include <perch/datasets/loader.h>
#include <perch/train/split.h>

#include "process.h"

using namespace perch;

namespace {

constexpr std::int64_t smaller = 8, larger = 16;

/// Bytes that `work` holds beside what stays.
double bytes_of(const std::function<void()>& work) {
  release_cached_buffers();
  const std::int64_t before = held_bytes();
  work();
  return static_cast<double>(held_bytes() - before);
}

/// Bytes for all these sizes, from what two small ones take.
double bytes_of(const std::vector<std::int64_t>& sizes,
                const std::function<void(std::int64_t)>& work) {
  const double small = bytes_of([&] { work(smaller); });
  const double slope = (bytes_of([&] { work(larger); }) - small) / (larger - smaller);
  double sum = 0.0;
  for (const std::int64_t size : sizes) {
    sum += small + slope * static_cast<double>(size - smaller);
  }
  return std::max(sum, 0.0);
}

/// Adds the sizes of these batches but for those that are known: their buffers are there.
void add(std::vector<std::int64_t>& sizes, std::int64_t images, std::int64_t batch_size,
         const std::vector<std::int64_t>& known = {}) {
  for (const std::int64_t size : {std::min(images, batch_size), images % batch_size}) {
    const auto in = [&](const auto& list) { return std::ranges::find(list, size) != list.end(); };
    if (size > 0 && !in(sizes) && !in(known)) sizes.push_back(size);
  }
}

/// So many images, or all.
Dataset taken(const Dataset& images, std::int64_t count) {
  return images.subset(0, std::min(images.size(), count));
}

}  // namespace

BatchSizes batch_sizes(std::int64_t images, const FitOptions& fit, std::int64_t test) {
  BatchSizes sizes{.trained = training_images(images, fit.validation_split)};
  add(sizes.steps, sizes.trained, fit.batch_size);
  add(sizes.evaluations, images - sizes.trained, fit.batch_size, sizes.steps);
  if (test > 0) add(sizes.evaluations, test, evaluation_batch_size, sizes.steps);
  return sizes;
}

double planned_peak_mb(Trainer& trainer, const Dataset& images, const BatchSizes& sizes) {
  constexpr double mb = 1024.0 * 1024.0;
  const double process = peak_rss_mb();
  const auto steps = [&](std::int64_t size) {
    Loader loader(taken(images, 2 * size), {.batch_size = size});
    loader.start(0);
    for (Batch batch; loader.next(batch);) trainer.train_batch(batch, 0.0f);
  };
  const auto evaluation = [&](std::int64_t size) {
    trainer.evaluate(taken(images, 2 * size), size);
  };
  // The first step makes the optimizer's state, which stays.
  const double staying = bytes_of([&] {
    steps(smaller);
    release_cached_buffers();
  });
  return process +
         (staying + bytes_of(sizes.steps, steps) + bytes_of(sizes.evaluations, evaluation)) / mb;
}
