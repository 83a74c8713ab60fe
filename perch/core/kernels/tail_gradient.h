// Function table of the way back through what tail.h's kernels do; elements and tables lie as
// there.
#pragma once

#include <cstdint>

#include <perch/core/kernels/tail.h>

namespace perch::kernels {

/// The way back: dx = (g - offset - (x - shift) slope) scale, or dx = g without `scale`. g is dy
/// where the map's value lies in [low, high], else 0; for codes, where the code does in
/// [code_low, code_high] of its column.
struct TailGradient {
  const float* shift;
  float low, high;
  const float *factor, *map_offset;     ///< of the map, for floats
  const float *code_low, *code_high;    ///< for codes
  const float *offset, *slope, *scale;  ///< null: dx = g
};

struct TailGradientKernels {
  /// Adds sums of g and of g (x - shift); float over 64 rows at most, double beyond.
  void (*sums)(const TailInput& x, const TailGradient& gradient, const float* dy, double* values,
               double* products, std::int64_t n, std::int64_t width);
  /// dx, 0 where a bit of `inside` (null: none) is 0, the first one bit `first_bit`; one word
  /// behind the last bit's is readable. dx may be dy.
  void (*gradient)(const TailInput& x, const TailGradient& gradient, const float* dy,
                   const std::uint16_t* inside, std::int64_t first_bit, float* dx, std::int64_t n,
                   std::int64_t width);
};

}  // namespace perch::kernels
