// Rounding to evenly spaced levels whose step, and offset, may be trained; and with other roundings
// than TensorFlow's, which fake_quant has.
#pragma once

#include <optional>
#include <vector>

#include <perch/core/ops/rounding.h>
#include <perch/core/random.h>
#include <perch/core/variable.h>

namespace perch {

/// Level L in [low, high], whole numbers, stands for L step + offset.
struct StepQuantOptions {
  /// Axes of x that keep a grid of their own, not negative and rising; step, offset and limits then
  /// have one value per combination, in row-major order.
  std::vector<int> axes = {};
  Rounding rounding = Rounding::half_up;
  std::optional<Random> random =
      std::nullopt;  ///< of stochastic rounding: element i draws number i
};

/// y = level step + offset, level = round((x - offset) / step) limited to [low, high]; the offset
/// may be undefined for 0. With the place p = (x - offset) / step:
///   dx      = dy where low <= p <= high, else 0 (half_even: where the rounded level is, as
///   PyTorch) dstep   = sum of dy (level - p) there (Esser et al. 2020, eq. 3), dy low below, dy
///   high above doffset = sum of dy outside (Bhalgat et al. 2020, eq. 6)
/// half_even multiplies by 1 / step where the others divide, as PyTorch does, and trains no step.
/// A step that is not above 0 gives zeros and dx = dy. Throws Error(usage) for sizes that do not
/// fit, and for a trained step with half_even.
Variable step_quant(const Variable& x, const Variable& step, const Variable& offset,
                    const Tensor& low, const Tensor& high, const StepQuantOptions& options);

/// x, whose gradient is multiplied by a factor.
Variable scale_gradient(const Variable& x, float factor);

}  // namespace perch
