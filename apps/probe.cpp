#include "probe.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include <perch/core/parallel.h>
#include <perch/datasets/loader.h>
#include <perch/datasets/synthetic.h>
#include <perch/models/models.h>
#include <perch/quant/rules.h>
#include <perch/train/trainer.h>

using namespace perch;

namespace {

constexpr std::int64_t batch_size = 64, steps = 6;

/// The median step's.
double rate(Trainer& trainer, const Dataset& data) {
  Loader loader(data, {.batch_size = batch_size});
  loader.start(0);
  std::vector<double> seconds;
  for (Batch batch; loader.next(batch);) {
    const auto start = std::chrono::steady_clock::now();
    trainer.train_batch(batch, 1e-4f);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    seconds.push_back(taken.count());
  }
  std::ranges::sort(seconds);
  return static_cast<double>(batch_size) / seconds[seconds.size() / 2];
}

}  // namespace

ProbeResult probe_training(const std::string& model_name, const Shape& image,
                           std::int64_t classes) {
  const auto model = make_model(model_name, {.image = image});
  model->build(image);
  QuantRules rules;
  rules.rules = {{.filter = {.kinds = {"Conv2D", "DepthwiseConv2D"}},
                  .config = QuantizeConfig{.weights = {{"kernel", {.granularity = per_channel}}},
                                           .activation = QuantSpec{.range = MovingAverage{}}},
                  .origin = "probe"}};
  apply_rules(*model, rules);
  const Dataset data = datasets::synthetic(batch_size * steps, image, classes, 1);
  Trainer trainer(*model, Adam(), sparse_categorical_crossentropy({.from_logits = false}));
  const int threads = thread_count();
  const double all = rate(trainer, data);
  if (threads == 1) return {all, all};
  set_thread_count(1);
  const double one = rate(trainer, data);
  set_thread_count(threads);
  return {all, one};
}
