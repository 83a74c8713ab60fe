// From a grid to what the kernels take of it. For sources only.
#pragma once

#include <cmath>
#include <optional>

#include <perch/core/kernels/quantize.h>
#include <perch/core/ops/fake_quant.h>

namespace perch {

/// Bounds |d inverse_scale - d / scale| and the roundings behind it, for d up to 2^bits scale: four
/// roundings to 24 bits in scale, inverse, product and quotient, two in what follows.
inline float rounding_doubt(int bits) {
  return static_cast<float>(1 << bits) * 6 * 0x1p-24f * 1.25f;
}

/// Nothing for a range whose elements have no 8-bit codes: none at all, not finite, or of so odd a
/// scale that rounding leaves the grid.
inline std::optional<kernels::GridArgs> grid_args(const QuantGrid& grid, int bits,
                                                  bool narrow_range) {
  const kernels::GridArgs args{grid.nudged_min,
                               grid.nudged_max,
                               grid.scale,
                               grid.inverse_scale,
                               std::floor(-grid.nudged_min * grid.inverse_scale + 0.5f),
                               grid.zero_point,
                               rounding_doubt(bits)};
  const float q_min = narrow_range ? 1.0f : 0.0f;
  const bool sound = bits <= 8 && !grid.zero_range && std::isfinite(grid.scale) &&
                     std::isfinite(grid.inverse_scale) && grid.scale > 0.0f &&
                     grid.inverse_scale > 0.0f && args.quant_zero == grid.zero_point - q_min;
  return sound ? std::optional(args) : std::nullopt;
}

}  // namespace perch
