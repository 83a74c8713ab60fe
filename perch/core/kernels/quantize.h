// Function table of the quantize kernels: fake quantization and the range of values. The same bits
// on every instruction set.
#pragma once

#include <cstdint>

namespace perch::kernels {

/// What the inner loop needs of one range's grid; all values real numbers, as in QuantGrid.
struct GridArgs {
  float nudged_min, nudged_max, scale, inverse_scale;
  float quant_zero;  ///< floor(-nudged_min * inverse_scale + 0.5)
  float zero_point;
  float doubt;  ///< how far distance * inverse_scale may be from distance / scale, generously
};

/// The grids of neighbouring elements, one array for each field.
struct GridTable {
  const float *nudged_min, *nudged_max, *scale, *inverse_scale, *quant_zero;
  const float* zero_range;  ///< 1 where min == max == 0 makes everything 0, else 0
};

/// Where periodic, element i takes entry i % period of the tables. `n` elements in all; dx may be
/// dy. NaN comes out as NaN and belongs to no range.
struct QuantizeKernels {
  void (*forward_dividing)(const float* x, float* y, std::int64_t n, const GridArgs& grid);
  void (*forward_multiplying)(const float* x, float* y, std::int64_t n, const GridArgs& grid);
  void (*forward_periodic)(const float* x, float* y, std::int64_t n, std::int64_t period,
                           const GridTable& grids);

  /// dx = dy * (min <= x <= max)
  void (*backward)(const float* x, const float* dy, float* dx, std::int64_t n, float min,
                   float max);
  void (*backward_periodic)(const float* x, const float* dy, float* dx, std::int64_t n,
                            std::int64_t period, const GridTable& grids);
  /// The same, and adds the dy where x < min to *below, where x > max to *above.
  void (*backward_sums)(const float* x, const float* dy, float* dx, std::int64_t n, float min,
                        float max, float* below, float* above);
  void (*backward_sums_periodic)(const float* x, const float* dy, float* dx, std::int64_t n,
                                 std::int64_t period, const GridTable& grids, float* below,
                                 float* above);

  /// Widens [*min, *max] to hold every x.
  void (*widen)(const float* x, std::int64_t n, float* min, float* max);
  void (*widen_periodic)(const float* x, std::int64_t n, std::int64_t period, float* min,
                         float* max);
};

}  // namespace perch::kernels
