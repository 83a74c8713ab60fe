// QuantSpec: how one tensor is quantized, as plain data. Every field is honoured with every other
// or refused by validate().
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <perch/core/ops/rounding.h>

namespace perch {

// How a range follows the values it sees in training. Formulas and sources: docs/quantizers.md.

/// Grows to hold every value ever seen, and 0; starts at (0, 0).
struct AllValues {
  friend bool operator==(const AllValues&, const AllValues&) = default;
};
/// The range of the values of the last training step, and 0; starts at (-6, 6).
struct LastValue {
  friend bool operator==(const LastValue&, const LastValue&) = default;
};
/// Where a moving average begins.
enum class AverageStart {
  six,          ///< at (-6, 6), as tfmot
  first_batch,  ///< at the first step's range
  zero_debias,  ///< at (0, 0), divided by 1 - decay^steps
};
/// Moves towards each step's range by 1 - decay.
struct MovingAverage {
  float decay = 0.999f;
  AverageStart start = AverageStart::six;
  friend bool operator==(const MovingAverage&, const MovingAverage&) = default;
};
/// Never moves.
struct Fixed {
  float min = -1.0f, max = 1.0f;
  friend bool operator==(const Fixed&, const Fixed&) = default;
};

// Ranges that are searched for among a step's values. With a decay they are the moving average of
// what each step's search finds, from the first step's on; with 0, the last step's.

/// From the (100 - percent)th to the percent-th percentile, interpolated linearly.
struct Percentile {
  float percent = 99.99f;
  float decay = 0.0f;
  friend bool operator==(const Percentile&, const Percentile&) = default;
};
/// The shrunken range whose grid has the least squared error on a histogram of the values.
struct HistogramMse {
  int bins = 2048;
  float decay = 0.0f;
  friend bool operator==(const HistogramMse&, const HistogramMse&) = default;
};
/// The clipping threshold whose quantized histogram loses the least information (KL divergence).
struct Entropy {
  int bins = 2048;
  float decay = 0.0f;
  friend bool operator==(const Entropy&, const Entropy&) = default;
};
/// The shrunken range whose grid has the least squared error on the values themselves.
struct LeastError {
  float decay = 0.0f;
  friend bool operator==(const LeastError&, const LeastError&) = default;
};

// Ranges that are trained with the weights.

/// Esser et al. 2020: a learned step, symmetric about 0.
struct Lsq {
  friend bool operator==(const Lsq&, const Lsq&) = default;
};
/// Bhalgat et al. 2020: a learned step and a learned offset.
struct LsqPlus {
  friend bool operator==(const LsqPlus&, const LsqPlus&) = default;
};
/// Choi et al. 2018: a learned clipping level.
struct Pact {
  float start = 8.0f;
  friend bool operator==(const Pact&, const Pact&) = default;
};
/// Jain et al. 2020: a learned threshold, its scale a power of two.
struct Tqt {
  friend bool operator==(const Tqt&, const Tqt&) = default;
};

// Grids without a range.

/// Zhou et al. 2016: weights through tanh, activations clipped to [0, 1]; 1 bit: sign times mean.
struct DoReFa {
  friend bool operator==(const DoReFa&, const DoReFa&) = default;
};
/// Rastegari et al. 2016: the sign times the mean magnitude.
struct Binary {
  friend bool operator==(const Binary&, const Binary&) = default;
};
/// Li et al. 2016: -a, 0 or a, with 0 below `threshold` times the mean magnitude.
struct Ternary {
  float threshold = 0.7f;
  friend bool operator==(const Ternary&, const Ternary&) = default;
};
/// 0 or a signed power of two, 2^bits - 1 levels downwards from the largest magnitude.
struct PowerOfTwo {
  friend bool operator==(const PowerOfTwo&, const PowerOfTwo&) = default;
};

/// A user's own; see register_quantizer().
struct Custom {
  std::string name = {};
  std::map<std::string, float> settings = {};
  friend bool operator==(const Custom&, const Custom&) = default;
};

using RangePolicy =
    std::variant<AllValues, LastValue, MovingAverage, Fixed, Percentile, HistogramMse, Entropy,
                 LeastError, Lsq, LsqPlus, Pact, Tqt, DoReFa, Binary, Ternary, PowerOfTwo, Custom>;

/// Which elements share a range.
struct Granularity {
  enum class Kind { tensor, channel, axes, group };
  Kind kind = Kind::tensor;
  /// Kind::axes: the axes that keep a range of their own. Kind::group: the one that is cut.
  std::vector<int> axes = {};
  std::int64_t group_size = 0;  ///< for Kind::group: neighbours along the axis that share a range
  friend bool operator==(const Granularity&, const Granularity&) = default;
};
inline const Granularity per_tensor{};
/// One range per output channel, whatever the layer: its kind says which axes those are.
inline const Granularity per_channel{Granularity::Kind::channel};
/// One range per index along these axes (negative: from the end).
inline Granularity per_axes(std::vector<int> axes) {
  return {Granularity::Kind::axes, std::move(axes)};
}
/// One range per `size` neighbours along an axis, for each output channel; where the axis is the
/// channels' own, per `size` channels.
inline Granularity per_group(int axis, std::int64_t size) {
  return {Granularity::Kind::group, {axis}, size};
}

struct QuantSpec {
  int bits = 8;  ///< 1..16
  Granularity granularity = per_tensor;
  bool symmetric = false;     ///< the range is widened to be symmetric about 0
  bool narrow_range = false;  ///< levels 1 .. 2^bits - 1 rather than 0 .. 2^bits - 1
  RangePolicy range = AllValues{};
  Rounding rounding = Rounding::half_up;
  /// The range is widened until its scale is a power of two.
  bool power_of_two_scale = false;
  /// Codes are counted from -2^(bits - 1) on in inspection and export; the values are the same.
  bool signed_codes = false;
  /// Tracks the range but hands the float value on: what the original script's DepthwiseQuantizer
  /// did, kept to reproduce its results.
  bool observe_only = false;
  friend bool operator==(const QuantSpec&, const QuantSpec&) = default;
};

/// "all_values", "last_value", "moving_average", "fixed", "percentile", ...; a Custom's own name.
std::string policy_name(const RangePolicy& policy);
/// The inverse, with default settings; the names of register_quantizer() too. Throws Error(usage)
/// naming the nearest.
RangePolicy policy_from_name(const std::string& name);
/// perch's own.
const std::vector<std::string>& policy_names();

/// The bits that a quantizer has unless it is told: 1 for binary, 2 for ternary, else 8.
int natural_bits(const RangePolicy& policy);
/// The policy as it is used for activations unless it is told otherwise: these are other ones in
/// each step, so that a search without a decay gets one of 0.99.
RangePolicy for_activations(RangePolicy policy);

/// Whether a range follows the smallest and largest values alone.
bool follows_extremes(const RangePolicy& policy);
/// Whether a range is searched for among a step's values.
bool searches(const RangePolicy& policy);
/// Whether a range is trained.
bool learns(const RangePolicy& policy);
/// Whether levels are evenly spaced, so that a scale and a zero point say them all; Custom's are
/// not known to be.
bool has_even_levels(const RangePolicy& policy);

/// Throws Error(usage) for bits outside 1..16, a setting out of its range, or settings that do not
/// go together.
void validate(const QuantSpec& spec);

}  // namespace perch
