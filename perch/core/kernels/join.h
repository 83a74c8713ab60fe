// Function table of the sums of two tensors, which are read in whatever form they are kept. See
// tail.h for rows and tables.
#pragma once

#include <cstdint>

#include <perch/core/kernels/tail.h>

namespace perch::kernels {

/// map(a) + map(b), limited to [low, high]; maps may be null.
struct JoinInput {
  TailInput a, b;
  const TailMap *a_map, *b_map;
  float low, high;
};

struct JoinKernels {
  /// Widens [*min, *max] to hold every sum. False when one, or their total, is not finite.
  bool (*range)(const JoinInput&, float* min, float* max, std::int64_t n, std::int64_t width);
  void (*decode)(const JoinInput&, float* y, std::int64_t n, std::int64_t width);
  /// Codes of the sums. `dividing` as in quantize.h.
  void (*encode)(const JoinInput&, const GridArgs& grid, bool dividing, std::uint8_t* codes,
                 std::int64_t n, std::int64_t width);
  /// dx = dy where the sum, unlimited, lies in [low, high], else 0. dx may be dy.
  void (*gradient)(const JoinInput&, const float* dy, float* dx, std::int64_t n,
                   std::int64_t width);
};

}  // namespace perch::kernels
