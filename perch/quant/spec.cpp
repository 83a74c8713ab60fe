#include <algorithm>
#include <array>
#include <cmath>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/quant/spec.h>

namespace perch {
namespace {

// In the order of RangePolicy's alternatives.
const std::array<RangePolicy, 4>& policies() {
  static const std::array<RangePolicy, 4> all{AllValues{}, LastValue{}, MovingAverage{}, Fixed{}};
  return all;
}

}  // namespace

const std::vector<std::string>& policy_names() {
  static const std::vector<std::string> names{"all_values", "last_value", "moving_average",
                                              "fixed"};
  return names;
}

std::string policy_name(const RangePolicy& policy) {
  return policy_names()[policy.index()];
}

RangePolicy policy_from_name(const std::string& name) {
  const std::vector<std::string>& names = policy_names();
  const auto found = std::find(names.begin(), names.end(), name);
  PERCH_CHECK(found != names.end(), "there is no range policy \"{}\"; there are {}", name,
              choices(name, names));
  return policies()[static_cast<std::size_t>(found - names.begin())];
}

void validate(const QuantSpec& spec) {
  PERCH_CHECK(spec.bits >= 2 && spec.bits <= 16, "{} bits; a quantizer takes 2 to 16", spec.bits);
  if (const auto* const average = std::get_if<MovingAverage>(&spec.range)) {
    PERCH_CHECK(average->decay >= 0.0f && average->decay < 1.0f,
                "moving average: decay {} is outside of [0, 1)", average->decay);
  }
  if (const auto* const fixed = std::get_if<Fixed>(&spec.range)) {
    PERCH_CHECK(std::isfinite(fixed->min) && std::isfinite(fixed->max) && fixed->min < fixed->max,
                "fixed range: [{}, {}] is not finite with min below max", fixed->min, fixed->max);
  }
  if (spec.granularity.kind == Granularity::Kind::axes) {
    std::vector<int> axes = spec.granularity.axes;
    PERCH_CHECK(!axes.empty(), "per_axes needs at least one axis; use per_tensor for none");
    std::sort(axes.begin(), axes.end());
    const auto repeated = std::adjacent_find(axes.begin(), axes.end());
    PERCH_CHECK(repeated == axes.end(), "per_axes names axis {} twice", *repeated);
  }
}

}  // namespace perch
