// QuantSpec: how one tensor is quantized, as plain data. Every field is honoured with every other.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace perch {

// How a range follows the values it sees in training. Formulas: docs/quantizers.md.
/// Grows to hold every value ever seen, and 0; starts at (0, 0).
struct AllValues {
  friend bool operator==(const AllValues&, const AllValues&) = default;
};
/// The range of the values of the last training step, and 0; starts at (-6, 6).
struct LastValue {
  friend bool operator==(const LastValue&, const LastValue&) = default;
};
/// Moves towards each step's range by 1 - decay; starts at (-6, 6).
struct MovingAverage {
  float decay = 0.999f;
  friend bool operator==(const MovingAverage&, const MovingAverage&) = default;
};
/// Never moves.
struct Fixed {
  float min = -1.0f, max = 1.0f;
  friend bool operator==(const Fixed&, const Fixed&) = default;
};
using RangePolicy = std::variant<AllValues, LastValue, MovingAverage, Fixed>;

/// Which elements share a range.
struct Granularity {
  enum class Kind { tensor, channel, axes };
  Kind kind = Kind::tensor;
  std::vector<int> axes = {};  ///< for Kind::axes: the axes that keep a range of their own
  friend bool operator==(const Granularity&, const Granularity&) = default;
};
inline const Granularity per_tensor{};
/// One range per output channel, whatever the layer: its kind says which axes those are.
inline const Granularity per_channel{Granularity::Kind::channel};
/// One range per index along these axes (negative: from the end).
inline Granularity per_axes(std::vector<int> axes) {
  return {Granularity::Kind::axes, std::move(axes)};
}

struct QuantSpec {
  int bits = 8;  ///< 2..16
  Granularity granularity = per_tensor;
  bool symmetric = false;     ///< the range is widened to be symmetric about 0
  bool narrow_range = false;  ///< levels 1 .. 2^bits - 1 rather than 0 .. 2^bits - 1
  RangePolicy range = AllValues{};
  /// Tracks the range but hands the float value on: what the original script's DepthwiseQuantizer
  /// did, kept to reproduce its results.
  bool observe_only = false;
  friend bool operator==(const QuantSpec&, const QuantSpec&) = default;
};

/// "all_values", "last_value", "moving_average", "fixed".
std::string policy_name(const RangePolicy& policy);
/// The inverse, with default settings. Throws Error(usage) naming the nearest.
RangePolicy policy_from_name(const std::string& name);
const std::vector<std::string>& policy_names();

/// Throws Error(usage) for bits outside 2..16, a decay outside [0, 1), a fixed range that is
/// empty or not finite, or repeated axes.
void validate(const QuantSpec& spec);

}  // namespace perch
