// Convolutions formed exactly from 8-bit codes. Private to the convolutions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <perch/core/ops/conv_band.h>
#include <perch/core/ops/conv_walk.h>
#include <perch/core/tensor.h>

namespace perch::conv {

/// What the integer kernels take of a quantized kernel for a quantized input: with x = sx (cx - zx)
/// and w = sw (cw - zw), sum x w = sx sw (sum cx w' + factor sum cx + constant), all integer, where
/// w' is the stored form of w (see kernels::IntegerLayout).
struct IntegerKernel {
  /// Nothing where x or kernel is on no grid, or on one whose integers do not fit.
  static std::optional<IntegerKernel> of(const Job& job, const Tensor& x, const Tensor& kernel,
                                         const KernelLayout& layout, const Tensor& bias);

  std::shared_ptr<std::uint8_t> weights;
  std::shared_ptr<std::uint8_t> constant, factor;  ///< of 32 bits; factor null: zero everywhere
  Tensor scale, bias;                              ///< scale is sx sw
  std::int64_t group_words = 0;                    ///< of weights per group, 32 bits each

  /// Of a depthwise kernel: its levels, whose products and sums are exact in float.
  Tensor levels;
};

/// The parts of a unit's scratch memory.
struct IntegerScratch {
  std::int64_t band, line, sums, pixels;  ///< floats each
  std::int64_t floats() const { return band + line + sums + pixels; }
};
IntegerScratch integer_scratch(const Job& job, const Unit& largest);

/// Like multiply_unit, reading the codes of x.
void multiply_integer_unit(const Job& job, const Unit& unit, const Tensor& x,
                           const IntegerKernel& kernel, float* scratch, float* out);

/// x's codes less their zero point, as floats. Outlives the Source that it becomes.
class LevelSource {
 public:
  explicit LevelSource(const Tensor& x) : x_(x) {}
  operator Source<float>() const { return {.read = *this}; }
  void operator()(std::int64_t first, std::int64_t count, float* to) const;

 private:
  const Tensor& x_;
};

}  // namespace perch::conv
