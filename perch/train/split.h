// How fit() shares images out. For sources that must agree with it.
#pragma once

#include <cmath>
#include <cstdint>

namespace perch {

/// The first so many are trained on, the rest is kept for validation, as Keras does.
inline std::int64_t training_images(std::int64_t images, double validation_split) {
  return static_cast<std::int64_t>(
      std::floor(static_cast<double>(images) * (1.0 - validation_split)));
}

}  // namespace perch
