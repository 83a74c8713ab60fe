// AdaRound's weights between two levels, with gradients. For this room's sources.
#pragma once

#include <vector>

#include <perch/core/variable.h>
#include <perch/quant/quantizer.h>

namespace perch {

/// The levels of a range quantizer around a weight's values.
class SoftRounding {
 public:
  /// `quantizer` was built for tensors of the weight's shape with these channel axes; it has
  /// grids().
  SoftRounding(const Tensor& weight, const Quantizer& quantizer,
               const std::vector<int>& channel_axes);

  /// V of the weight's shape for which soft() gives the weight, limited to the grid.
  Tensor start() const;
  /// base + s limit(floor((w - base) / s) + h(V)), h as adaround.h says, base the lowest level.
  Variable soft(const Variable& v) const;
  /// The same with h = 1 where V is at least 0, else 0: h >= 1/2 means that.
  Tensor hard(const Tensor& v) const;
  /// Share of the elements for which hard(v) is another level than the nearest.
  double moved(const Tensor& v) const;

 private:
  float level(std::int64_t i, float h) const;

  // Of each element: lowest level, step, place of the level below, place of the highest level.
  Tensor base_, step_, floor_, top_;
  Tensor fraction_;  // of a step above the level below
};

/// factor sum(1 - |2 h(V) - 1|^beta) (Nagel et al. 2020, eq. 24): a scalar.
Variable rounding_penalty(const Variable& v, float beta, float factor);

}  // namespace perch
