// Totals: what the batches of an epoch came to.
#pragma once

#include <cstdint>

namespace perch {

/// Means over images, as Keras reports them: each batch counts by its size.
struct Totals {
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
