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
        half(0.5f - grid.quant_zero),
        doubt(grid.doubt),
        no_doubt(1.0f - grid.doubt) {}

  Batch clamp(const Batch& x) const { return xsimd::max(min, xsimd::min(max, x)); }

  /// (code - zero point) of a clamped x. TensorFlow divides by the scale, or rounds after each step
  /// of a product; one multiply-add comes to the same level unless it falls next to a boundary.
  Batch level_of_clamped(const Batch& x) const {
    const Batch distance = x - min;
    const Batch place = multiply_add(distance, inverse, half);
    const Batch level = xsimd::floor(place);
    const Batch beyond = place - level;
    if (xsimd::any((beyond < doubt) | !(beyond < no_doubt))) {
      return round_level(dividing ? distance / scale : distance * inverse, quant_zero);
    }
    return level;
  }
  Batch level(const Batch& x) const { return level_of_clamped(clamp(x)); }

  Batch min, max, scale, inverse, quant_zero, half, doubt, no_doubt;
};

}  // namespace
}  // namespace perch::kernels
