#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/quant/quantizer.h>
#include <perch/quant/spec.h>

namespace perch {
namespace {

// In the order of RangePolicy's alternatives, without Custom.
const std::array<std::pair<const char*, RangePolicy>, 16>& policies() {
  static const std::array<std::pair<const char*, RangePolicy>, 16> all{
      {{"all_values", AllValues{}},
       {"last_value", LastValue{}},
       {"moving_average", MovingAverage{}},
       {"fixed", Fixed{}},
       {"percentile", Percentile{}},
       {"histogram_mse", HistogramMse{}},
       {"entropy", Entropy{}},
       {"mse", LeastError{}},
       {"lsq", Lsq{}},
       {"lsq_plus", LsqPlus{}},
       {"pact", Pact{}},
       {"tqt", Tqt{}},
       {"dorefa", DoReFa{}},
       {"binary", Binary{}},
       {"ternary", Ternary{}},
       {"power_of_two", PowerOfTwo{}}}};
  return all;
}
static_assert(std::variant_size_v<RangePolicy> == 17);

template <class... Policies>
bool is_one_of(const RangePolicy& policy) {
  return (std::holds_alternative<Policies>(policy) || ...);
}

void check_decay(const RangePolicy& policy, float decay) {
  PERCH_CHECK(decay >= 0.0f && decay < 1.0f, "{}: decay {} is outside of [0, 1)",
              policy_name(policy), decay);
}

void check_bins(const RangePolicy& policy, int bins) {
  PERCH_CHECK(bins >= 16 && bins <= 1 << 20, "{}: {} bins; take 16 to 1048576", policy_name(policy),
              bins);
}

void check_settings(const RangePolicy& policy) {
  std::visit(
      [&]<class P>(const P& settings) {
        if constexpr (requires { settings.decay; }) check_decay(policy, settings.decay);
        if constexpr (requires { settings.bins; }) check_bins(policy, settings.bins);
      },
      policy);
  if (const auto* const fixed = std::get_if<Fixed>(&policy)) {
    PERCH_CHECK(std::isfinite(fixed->min) && std::isfinite(fixed->max) && fixed->min < fixed->max,
                "fixed range: [{}, {}] is not finite with min below max", fixed->min, fixed->max);
  }
  if (const auto* const percentile = std::get_if<Percentile>(&policy)) {
    PERCH_CHECK(percentile->percent > 50.0f && percentile->percent <= 100.0f,
                "percentile: {} is outside of (50, 100]", percentile->percent);
  }
  if (const auto* const pact = std::get_if<Pact>(&policy)) {
    PERCH_CHECK(std::isfinite(pact->start) && pact->start > 0.0f,
                "pact: the clipping level starts at {}; it must be above 0", pact->start);
  }
  if (const auto* const ternary = std::get_if<Ternary>(&policy)) {
    PERCH_CHECK(ternary->threshold >= 0.0f && std::isfinite(ternary->threshold),
                "ternary: threshold {} must not be negative", ternary->threshold);
  }
}

void check_granularity(const Granularity& granularity) {
  std::vector<int> axes = granularity.axes;
  if (granularity.kind == Granularity::Kind::axes) {
    PERCH_CHECK(!axes.empty(), "per_axes needs at least one axis; use per_tensor for none");
    std::sort(axes.begin(), axes.end());
    const auto repeated = std::adjacent_find(axes.begin(), axes.end());
    PERCH_CHECK(repeated == axes.end(), "per_axes names axis {} twice", *repeated);
  }
  if (granularity.kind == Granularity::Kind::group) {
    PERCH_CHECK(axes.size() == 1, "per_group cuts one axis, not {}", axes.size());
    PERCH_CHECK(granularity.group_size >= 1, "per_group: {} elements in a group; take at least 1",
                granularity.group_size);
  }
}

// What a grid without a range, or a trained one, leaves no choice about.
void check_together(const QuantSpec& spec) {
  const std::string name = policy_name(spec.range);
  const bool own_levels = is_one_of<DoReFa, Binary, Ternary, PowerOfTwo>(spec.range);
  const auto refuse = [&](bool set, std::string_view setting) {
    PERCH_CHECK(!set, "{} has no effect with {}; leave it out or choose another quantizer", setting,
                name);
  };
  PERCH_CHECK(!(spec.narrow_range && spec.bits == 1),
              "a narrow range of 1 bit has one level; take 2 bits or the full range");
  PERCH_CHECK(!(spec.symmetric && spec.bits == 1),
              "a symmetric range of 1 bit has no level beside 0; take 2 bits or an asymmetric one");
  if (own_levels || learns(spec.range)) {
    refuse(spec.symmetric, "symmetric");
    refuse(spec.power_of_two_scale, "power_of_two_scale");
    refuse(spec.observe_only, "observe_only");
  }
  if (own_levels) {
    refuse(spec.narrow_range, "narrow_range");
    refuse(spec.signed_codes, "signed_codes");
    refuse(spec.rounding != Rounding::half_up, "rounding");
  }
  if (std::holds_alternative<Fixed>(spec.range)) refuse(spec.symmetric, "symmetric");
  if (std::holds_alternative<Binary>(spec.range)) {
    PERCH_CHECK(spec.bits == 1, "binary has 1 bit, not {}", spec.bits);
  }
  if (std::holds_alternative<Ternary>(spec.range)) {
    PERCH_CHECK(spec.bits == 2, "ternary has three levels, which take 2 bits, not {}", spec.bits);
  }
  if (learns(spec.range)) {
    PERCH_CHECK(spec.rounding != Rounding::half_even,
                "{} trains its range with half_up or stochastic rounding, not half_even", name);
  }
  if (std::holds_alternative<Pact>(spec.range)) {
    refuse(spec.narrow_range, "narrow_range");
    refuse(spec.rounding != Rounding::half_up, "rounding");
  }
  if (learns(spec.range) || std::holds_alternative<PowerOfTwo>(spec.range)) {
    PERCH_CHECK(spec.bits >= 2, "{} takes 2 to 16 bits, not {}; take binary for 1", name,
                spec.bits);
  }
}

}  // namespace

const std::vector<std::string>& policy_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, policy] : policies()) all.emplace_back(name);
    return all;
  }();
  return names;
}

std::string policy_name(const RangePolicy& policy) {
  if (const auto* const custom = std::get_if<Custom>(&policy)) return custom->name;
  return policies()[policy.index()].first;
}

RangePolicy policy_from_name(const std::string& name) {
  for (const auto& [known, policy] : policies()) {
    if (name == known) return policy;
  }
  std::vector<std::string> names = registered_quantizers();
  if (std::find(names.begin(), names.end(), name) != names.end()) return Custom{name};
  names.insert(names.begin(), policy_names().begin(), policy_names().end());
  fail(ErrorCode::usage, "there is no quantizer \"{}\"; there are {}", name, choices(name, names));
}

int natural_bits(const RangePolicy& policy) {
  return std::holds_alternative<Binary>(policy)    ? 1
         : std::holds_alternative<Ternary>(policy) ? 2
                                                   : 8;
}

RangePolicy for_activations(RangePolicy policy) {
  if (!searches(policy)) return policy;
  std::visit(
      [](auto& settings) {
        if constexpr (requires { settings.decay; }) {
          if (settings.decay == 0.0f) settings.decay = 0.99f;
        }
      },
      policy);
  return policy;
}

bool follows_extremes(const RangePolicy& policy) {
  return is_one_of<AllValues, LastValue, MovingAverage, Fixed>(policy);
}

bool searches(const RangePolicy& policy) {
  return is_one_of<Percentile, HistogramMse, Entropy, LeastError>(policy);
}

bool has_even_levels(const RangePolicy& policy) {
  return !is_one_of<DoReFa, Binary, Ternary, PowerOfTwo, Custom>(policy);
}

bool learns(const RangePolicy& policy) {
  return is_one_of<Lsq, LsqPlus, Pact, Tqt>(policy);
}

void validate(const QuantSpec& spec) {
  PERCH_CHECK(spec.bits >= 1 && spec.bits <= 16, "{} bits; a quantizer takes 1 to 16", spec.bits);
  check_granularity(spec.granularity);
  if (std::holds_alternative<Custom>(spec.range)) return;  // the rest is its own affair
  check_settings(spec.range);
  check_together(spec);
}

}  // namespace perch
