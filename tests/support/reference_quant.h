// Naive float32 versions of fake quantization and of the range updates: one element at a time, each
// range on its own, straight from the formulas of tests/golden/README.md.
#pragma once

#include <cstdint>
#include <vector>

#include <perch/core/tensor.h>
#include <perch/quant/spec.h>

namespace perch::test::reference {

/// For every element the number of its range: row-major over `axes`.
std::vector<std::int64_t> range_indices(const Shape& shape, const std::vector<int>& axes);

struct Ranges {
  std::vector<float> min, max;
};
Ranges initial_ranges(const RangePolicy& policy, std::int64_t count);
/// One training step.
Ranges moved_ranges(const QuantSpec& spec, const Ranges& held, const Tensor& x,
                    const std::vector<int>& axes);

/// Per tensor (and not of a constant range) the op divides, else it multiplies.
float quantize(float x, float min, float max, int bits, bool narrow, bool dividing);
Tensor quantize(const Tensor& x, const Ranges& ranges, const std::vector<int>& axes,
                const QuantSpec& spec);
/// 1 where the gradient passes, else 0.
float pass(float x, float min, float max, int bits, bool narrow);

}  // namespace perch::test::reference
