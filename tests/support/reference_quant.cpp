#include <algorithm>
#include <cmath>
#include <limits>

#include <tests/support/reference_quant.h>

namespace perch::test::reference {
namespace {

struct Grid {
  float min, max, scale, inverse, quant_zero;
};

Grid grid_of(float min, float max, int bits, bool narrow) {
  const float q_min = narrow ? 1.0f : 0.0f, q_max = std::ldexp(1.0f, bits) - 1.0f;
  const float scale = (max - min) / (q_max - q_min), inverse = (q_max - q_min) / (max - min);
  const float zero = std::clamp(std::round(q_min - min / scale), q_min, q_max);
  const float nudged_min = (q_min - zero) * scale;
  return {nudged_min, (q_max - zero) * scale, scale, inverse,
          std::floor(-nudged_min * inverse + 0.5f)};
}

}  // namespace

std::vector<std::int64_t> range_indices(const Shape& shape, const std::vector<int>& axes) {
  std::vector<std::int64_t> result;
  for (std::int64_t element = 0; element < shape.size(); ++element) {
    std::int64_t rest = element, stride = 1, range = 0;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      const std::int64_t index = rest % shape[axis];
      rest /= shape[axis];
      if (std::find(axes.begin(), axes.end(), axis) == axes.end()) continue;
      range += index * stride;
      stride *= shape[axis];
    }
    result.push_back(range);
  }
  return result;
}

Ranges initial_ranges(const RangePolicy& policy, std::int64_t count) {
  float min = -6.0f, max = 6.0f;
  if (std::holds_alternative<AllValues>(policy)) min = max = 0.0f;
  if (const auto* const fixed = std::get_if<Fixed>(&policy)) {
    min = fixed->min;
    max = fixed->max;
  }
  const auto size = static_cast<std::size_t>(count);
  return {std::vector<float>(size, min), std::vector<float>(size, max)};
}

Ranges moved_ranges(const QuantSpec& spec, const Ranges& held, const Tensor& x,
                    const std::vector<int>& axes) {
  if (std::holds_alternative<Fixed>(spec.range)) return held;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  Ranges result = held;
  const std::vector<std::int64_t> indices = range_indices(x.shape(), axes);
  for (std::size_t range = 0; range < held.min.size(); ++range) {
    float low = infinity, high = -infinity;
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] != static_cast<std::int64_t>(range)) continue;
      low = std::min(low, x.values()[i]);
      high = std::max(high, x.values()[i]);
    }
    const float levels = std::ldexp(1.0f, spec.bits);
    const float ratio = spec.narrow_range ? -1.0f : -(levels - 2.0f) / levels;
    const float inverse = 1.0f / ratio;
    float &min = result.min[range], &max = result.max[range];
    if (std::holds_alternative<AllValues>(spec.range)) {
      if (spec.symmetric) low = std::min(low, high * inverse);
      if (spec.symmetric) high = std::max(high, low * ratio);
      min = std::min({min, low, 0.0f});
      max = std::max({max, high, 0.0f});
      continue;
    }
    const float new_low = spec.symmetric ? std::min(low, high * inverse) : std::min(low, 0.0f);
    const float new_high = spec.symmetric ? std::max(high, low * ratio) : std::max(high, 0.0f);
    // Moving averages are tested with tfmot's decay of 0.999 only.
    const float step = std::holds_alternative<LastValue>(spec.range) ? 1.0f : 0.001f;
    min = step == 1.0f ? new_low : min - (min - new_low) * step;
    max = step == 1.0f ? new_high : max - (max - new_high) * step;
  }
  return result;
}

float quantize(float x, float min, float max, int bits, bool narrow, bool dividing) {
  if (min == 0.0f && max == 0.0f) return 0.0f;
  const Grid grid = grid_of(min, max, bits, narrow);
  const float distance = std::max(std::min(x, grid.max), grid.min) - grid.min;
  const float level = dividing ? distance / grid.scale : distance * grid.inverse;
  return std::floor(level - grid.quant_zero + 0.5f) * grid.scale;
}

Tensor quantize(const Tensor& x, const Ranges& ranges, const std::vector<int>& axes,
                const QuantSpec& spec) {
  Tensor result(x.shape());
  const bool dividing = axes.empty() && !std::holds_alternative<Fixed>(spec.range);
  const std::vector<std::int64_t> indices = range_indices(x.shape(), axes);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto range = static_cast<std::size_t>(indices[i]);
    result.values()[i] = quantize(x.values()[i], ranges.min[range], ranges.max[range], spec.bits,
                                  spec.narrow_range, dividing);
  }
  return result;
}

float pass(float x, float min, float max, int bits, bool narrow) {
  if (min == 0.0f && max == 0.0f) return 1.0f;
  const Grid grid = grid_of(min, max, bits, narrow);
  return x >= grid.min && x <= grid.max ? 1.0f : 0.0f;
}

}  // namespace perch::test::reference
