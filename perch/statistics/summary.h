// What repeated measurements say: mean, spread and Student's interval.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace perch::statistics {

struct Summary {
  std::int64_t count;
  double mean, low, high;
  double deviation;  ///< of the sample (n - 1); 0 for a single value
  /// Half the width of the 95 % interval of the mean, t_{n-1} deviation / sqrt(n); none for a
  /// single value.
  std::optional<double> half_width;
};

/// Throws Error(usage) without values.
Summary summarise(std::span<const double> values);

/// Whether the interval leaves out 0; never for a single value.
bool differs_from_zero(const Summary& summary);

/// Pairs that a paired t-test needs to see a mean difference of `difference` where the pairs'
/// differences deviate by `deviation`: 5 % two-sided, power 80 %. At least 2. Throws Error(usage)
/// unless both are positive and finite.
std::int64_t pairs_needed(double deviation, double difference);

}  // namespace perch::statistics
