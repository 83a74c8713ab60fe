// For kernel sources: from a value to its level on a grid, with TensorFlow's roundings.
#pragma once

#include <perch/core/kernels/lanes.h>
#include <perch/core/kernels/quantize.h>

namespace perch::kernels {
namespace {

// The operand order matters: x86's min and max return the second operand when one is NaN.
inline Batch above_min(const Batch& x, const Batch& min, const Batch& max) {
  return xsimd::max(min, xsimd::min(max, x)) - min;
}
inline Batch round_level(const Batch& level, const Batch& quant_zero) {
  return xsimd::floor(level - quant_zero + Batch(0.5f));
}

/// The constants of one grid, spread over a vector.
template <bool dividing>
struct Rounding {
  explicit Rounding(const GridArgs& grid)
      : min(grid.nudged_min),
        max(grid.nudged_max),
        scale(grid.scale),
        inverse(grid.inverse_scale),
        quant_zero(grid.quant_zero),
        doubt(grid.doubt),
        no_doubt(1.0f - grid.doubt) {}

  /// (code - zero point) of x. A division costs more than everything else here together; the
  /// product with the inverse rounds to the same level unless it falls next to a boundary.
  Batch level(const Batch& x) const {
    const Batch distance = above_min(x, min, max);
    const Batch place = distance * inverse - quant_zero + Batch(0.5f);
    const Batch level = xsimd::floor(place);
    if constexpr (dividing) {
      const Batch beyond = place - level;
      if (xsimd::any((beyond < doubt) | !(beyond < no_doubt))) {
        return round_level(distance / scale, quant_zero);
      }
    }
    return level;
  }

  Batch min, max, scale, inverse, quant_zero, doubt, no_doubt;
};

}  // namespace
}  // namespace perch::kernels
