// Fake quantization: values rounded to a grid of 2^bits levels, gradients straight through.
// Bit for bit TensorFlow's fake_quant_with_min_max_{vars,vars_per_channel,args} (not the XLA ones).
#pragma once

#include <vector>

#include <perch/core/variable.h>

namespace perch {

/// The grid that a range is nudged to: level L in [q_min, q_max] stands for (L - zero_point) scale.
struct QuantGrid {
  float nudged_min, nudged_max;  ///< ends of the grid, real values
  float scale, inverse_scale;    ///< inverse_scale is divided anew, it is not 1 / scale
  float zero_point;              ///< a whole number in [q_min, q_max]
  bool zero_range;               ///< min == max == 0: everything becomes 0

  /// All arithmetic in float32, in TensorFlow's order. q_min is 1 when narrow, else 0;
  /// q_max is 2^bits - 1. Throws Error(usage) for bits outside 1..16.
  static QuantGrid of(float min, float max, int bits, bool narrow_range);
};

struct FakeQuantOptions {
  int bits = 8;  ///< 1..16
  bool narrow_range = false;
  /// Axes of x that keep a range of their own; min and max then hold one value per combination, in
  /// row-major order. Empty: one range for the whole tensor.
  std::vector<int> axes = {};
  /// TensorFlow's op for constant ranges: multiplies by the inverse scale where the per-tensor op
  /// divides, and has no special case for the range (0, 0).
  bool constant_range = false;
};

/// Gradients: dx = dy where x lies in the nudged range (ends included), dmin and dmax the sums of
/// dy below and above it. Throws Error(usage) for bad bits, axes or a min/max of another size.
Variable fake_quant(const Variable& x, const Variable& min, const Variable& max,
                    const FakeQuantOptions& options);

/// Smallest and largest element for each combination of `axes` (in row-major order; shape [count]),
/// or of the whole tensor (shape []) when there are none.
struct TensorRange {
  Tensor min, max;
};
TensorRange range_of(const Tensor& x, const std::vector<int>& axes);

}  // namespace perch
