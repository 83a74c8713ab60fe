// A tensor's values range by range, for those who look at what quantization does to them.
#pragma once

#include <vector>

#include <perch/core/ops/fake_quant.h>
#include <perch/quant/quantizer.h>

namespace perch {

/// x as [ranges, values of each], in row-major order of the axes that keep ranges. `channels` are
/// those that the quantizer's build() was told.
Tensor range_rows(const Tensor& x, const Granularity& granularity,
                  const std::vector<int>& channels);

/// Whether quantization moves a value to the end of its range.
inline bool is_clipped(float value, const QuantGrid& grid) {
  return value < grid.nudged_min || value > grid.nudged_max;
}

}  // namespace perch
