// Function table of the normalisation kernels: x seen as rows of `width` columns, a channel's
// values repeated in columns. Width is a whole multiple of `norm_alignment`; arrays of column
// parameters have that many elements.
#pragma once

#include <cstdint>

namespace perch::kernels {

inline constexpr std::int64_t norm_alignment = 16;

struct NormKernels {
  /// Per column: sums of dy and of dy (x - mean). Partial sums are float over 64 rows at most,
  /// double beyond.
  void (*gradient_sums)(const float* dy, const float* x, const float* mean, std::int64_t rows,
                        std::int64_t width, double* values, double* products);

  // The following take n elements, not rows: the last row may be incomplete. Outputs may be inputs.

  /// y = (x - mean) scale + beta.
  void (*normalise)(float* y, const float* x, const float* mean, const float* scale,
                    const float* beta, std::int64_t n, std::int64_t width);
  /// dx = (dy - offset - (x - mean) slope) scale.
  void (*gradient)(float* dx, const float* dy, const float* x, const float* mean,
                   const float* offset, const float* slope, const float* scale, std::int64_t n,
                   std::int64_t width);
  /// y = x scale.
  void (*scale)(float* y, const float* x, const float* scale, std::int64_t n, std::int64_t width);
};

}  // namespace perch::kernels
