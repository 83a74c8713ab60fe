// How a range moves: the arithmetic of the policies. For this room's sources.
#pragma once

#include <cstdint>
#include <span>

#include <perch/quant/spec.h>

namespace perch {

struct Range {
  float min, max;
};

/// Where a policy's range starts.
Range initial_range(const RangePolicy& policy);

/// What a specification makes of an update, computed once for all ranges.
class RangeMotion {
 public:
  explicit RangeMotion(const QuantSpec& spec);

  /// The range after a step that saw these extremes, the `updates`-th from 0 on. For policies that
  /// follow the extremes.
  Range after_extremes(Range held, Range seen, std::int32_t updates) const;
  /// The range after a step of these values, for policies that search. Throws Error(usage) for
  /// values that are not finite.
  Range after_values(Range held, std::span<const float> values, std::int32_t updates) const;

 private:
  Range target_of(Range seen) const;
  Range found_in(std::span<const float> values) const;
  Range towards(Range held, Range target) const;

  const QuantSpec& spec_;
  float ratio_, inverse_;  // the inverse rounded to float32, as TensorFlow's graphs have it
  float step_ = 0.0f;      // of a moving average
};

/// The range widened, where a specification wants that, until its scale is a power of two.
Range settled_range(Range range, const QuantSpec& spec);

}  // namespace perch
