// Pooling and zero padding of [N, H, W, C].
#pragma once

#include <perch/core/ops/conv.h>

namespace perch {

struct Pool2DOptions {
  Size2D size = 2;
  Size2D stride = 2;
  Padding padding = Padding::valid;
};

/// Largest value of each window; the gradient goes to the first of equal ones. Padding never wins.
Variable max_pool2d(const Variable& x, const Pool2DOptions& options);
/// Mean over the window's real pixels; padding does not count (as in Keras).
Variable average_pool2d(const Variable& x, const Pool2DOptions& options);
/// Mean over height and width: [N, H, W, C] -> [N, C].
Variable global_average_pool2d(const Variable& x);

struct Pad2D {
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
};
/// Zeros around height and width.
Variable zero_pad2d(const Variable& x, const Pad2D& padding);

}  // namespace perch
