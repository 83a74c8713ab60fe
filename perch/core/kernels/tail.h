// Function table of what happens to a layer's sums behind them: statistics, per-channel maps and
// codes. Elements lie in rows of `width` columns (see norm.h), n of them in all; tables have an
// entry per column, start at the first element's and may be read a vector beyond `width`.
#pragma once

#include <cstdint>

#include <perch/core/kernels/quantize.h>

namespace perch::kernels {

/// Elements as they are kept: floats, or codes that stand for (code - zero_point) scale.
struct TailInput {
  const float* values;
  const std::uint8_t* codes;  ///< when not null
  float zero_point, scale;
};

/// y = (x - shift) factor + offset, limited to [low, high].
struct TailMap {
  const float *shift, *factor, *offset;
  float low, high;
};

/// Where x's per-column extremes and sums go. Sums are double from the first addition on: rounded
/// to float, moments do not depend on the order of summation then, but for a rare last bit.
struct ColumnStatistics {
  float *low, *high;  ///< smallest and largest x; NaN is passed over
  const float* shift;
  double* sums;     ///< of x - shift
  double* squares;  ///< of (x - shift)^2
};

struct CodeSums {
  double *sums, *squares;  ///< of the codes, exact
};

struct TailKernels {
  /// y = map(x); without a map, x itself.
  void (*decode)(const TailInput& x, const TailMap* map, float* y, std::int64_t n,
                 std::int64_t width);
  /// The codes of x. `dividing` as in quantize.h.
  void (*encode)(const float* x, const GridArgs& grid, bool dividing, std::uint8_t* codes,
                 std::int64_t n);
  /// The same; bit i % 16 of inside[i / 16] says whether x[i] lies in the grid's range. Sums are
  /// added to, unless they are null.
  void (*encode_and_sum)(const float* x, const GridArgs& grid, bool dividing, std::uint8_t* codes,
                         std::uint16_t* inside, const CodeSums& sums, std::int64_t n,
                         std::int64_t width);
  /// Widens low and high, adds to sums and squares.
  void (*statistics)(const float* x, const ColumnStatistics& statistics, std::int64_t n,
                     std::int64_t width);
  /// Widens low and high only. False when an x, or a sum of them, is not finite.
  bool (*extremes)(const float* x, float* low, float* high, std::int64_t n, std::int64_t width);
};

}  // namespace perch::kernels
