// What a batch or an epoch came to. For the Trainer's sources.
#pragma once

#include <perch/train/trainer.h>

namespace perch {

/// Of one batch.
struct Trainer::Score {
  Variable loss;
  std::int64_t correct = 0;
};

/// Means over images, as Keras reports them: each batch counts by its size.
struct Trainer::Totals {
  double loss = 0.0;
  std::int64_t correct = 0, images = 0;

  void add(double batch_loss, std::int64_t batch_correct, std::int64_t size) {
    loss += batch_loss * static_cast<double>(size);
    correct += batch_correct;
    images += size;
  }
  double mean_loss() const { return loss / static_cast<double>(images); }
  double accuracy() const { return static_cast<double>(correct) / static_cast<double>(images); }
};

}  // namespace perch
