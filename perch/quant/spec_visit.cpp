// A specification as configuration: what files hold of it.
#include <algorithm>

#include <perch/core/check.h>
#include <perch/core/suggest.h>
#include <perch/quant/quantizer.h>

namespace perch {
namespace {

/// An enumeration by its names, which are in its order.
template <class E>
void visit_name(Visitor& visitor, std::string_view key, E& value,
                const std::vector<std::string>& names) {
  std::string name = names[static_cast<std::size_t>(value)];
  visitor.config(key, name);
  const auto found = std::find(names.begin(), names.end(), name);
  PERCH_CHECK(found != names.end(), "there is no {} \"{}\"; there are {}", key, name,
              choices(name, names));
  value = static_cast<E>(found - names.begin());
}

void visit_granularity(Visitor& visitor, Granularity& granularity) {
  static const std::vector<std::string> names{"tensor", "channel", "axes", "group"};
  visit_name(visitor, "granularity", granularity.kind, names);
  const bool group = granularity.kind == Granularity::Kind::group;
  if (granularity.kind != Granularity::Kind::axes && !group) return;
  std::vector<std::int64_t> axes(granularity.axes.begin(), granularity.axes.end());
  visitor.config("axes", axes);
  granularity.axes.assign(axes.begin(), axes.end());
  if (group) visitor.config("group_size", granularity.group_size);
}

void visit_integer(Visitor& visitor, std::string_view name, int& value) {
  std::int64_t wide = value;
  visitor.config(name, wide);
  value = static_cast<int>(std::clamp<std::int64_t>(wide, -1, 1 << 30));
}

void visit_settings(Visitor&, AllValues&) {}
void visit_settings(Visitor&, LastValue&) {}
void visit_settings(Visitor& visitor, MovingAverage& policy) {
  static const std::vector<std::string> names{"six", "first_batch", "zero_debias"};
  visitor.config("decay", policy.decay);
  if (visitor.has("start")) visit_name(visitor, "start", policy.start, names);
}
void visit_settings(Visitor& visitor, Fixed& policy) {
  visitor.config("range_min", policy.min);
  visitor.config("range_max", policy.max);
}
void visit_settings(Visitor& visitor, Percentile& policy) {
  visitor.config("percent", policy.percent);
  visitor.config("decay", policy.decay);
}
template <class Histogram>
requires requires(Histogram policy) {
  policy.bins;
}
void visit_settings(Visitor& visitor, Histogram& policy) {
  visit_integer(visitor, "bins", policy.bins);
  visitor.config("decay", policy.decay);
}
void visit_settings(Visitor& visitor, LeastError& policy) {
  visitor.config("decay", policy.decay);
}
void visit_settings(Visitor&, Lsq&) {}
void visit_settings(Visitor&, LsqPlus&) {}
void visit_settings(Visitor& visitor, Pact& policy) {
  visitor.config("clip_start", policy.start);
}
void visit_settings(Visitor&, Tqt&) {}
void visit_settings(Visitor&, DoReFa&) {}
void visit_settings(Visitor&, Binary&) {}
void visit_settings(Visitor& visitor, Ternary& policy) {
  visitor.config("threshold", policy.threshold);
}
void visit_settings(Visitor&, PowerOfTwo&) {}
void visit_settings(Visitor& visitor, Custom& policy) {
  // Names and values apart: configurations hold no maps.
  std::string names;
  for (const auto& [name, value] : policy.settings) {
    names = fmt::format("{}{}{}", names, names.empty() ? "" : ",", name);
  }
  visitor.config("settings", names);
  for (std::size_t begin = 0; begin < names.size();) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    const std::string name = names.substr(begin, end - begin);
    visitor.config("setting_" + name, policy.settings[name]);
    begin = end + 1;
  }
}

void visit_policy(Visitor& visitor, RangePolicy& policy) {
  std::string name = policy_name(policy);
  visitor.config("range", name);
  if (name != policy_name(policy)) policy = policy_from_name(name);
  std::visit([&](auto& settings) { visit_settings(visitor, settings); }, policy);
}

struct StoredSpec final : Visitable {
  explicit StoredSpec(bool has_mode) : with_mode(has_mode) {}
  void visit(Visitor& visitor) override {
    visit_spec(visitor, spec);
    if (with_mode) visit_mode(visitor, mode);
  }
  QuantSpec spec;
  Quantizer::Mode mode;
  bool with_mode;
};

}  // namespace

LayerSpec config_of(const QuantSpec& spec) {
  StoredSpec stored(false);
  stored.spec = spec;
  LayerSpec config;
  read_config(stored, config);
  return config;
}

QuantSpec spec_from_config(const LayerSpec& config) {
  StoredSpec stored(true);
  apply_config(config, stored);
  validate(stored.spec);
  return stored.spec;
}

void visit_mode(Visitor& visitor, Quantizer::Mode& mode) {
  if (visitor.has("observes")) visitor.config("observes", mode.observes);
  if (visitor.has("quantizes")) visitor.config("quantizes", mode.quantizes);
  if (visitor.has("share")) visitor.config("share", mode.share);
}

void visit_spec(Visitor& visitor, QuantSpec& spec) {
  static const std::vector<std::string> roundings{"half_up", "half_even", "stochastic"};
  visit_integer(visitor, "bits", spec.bits);
  visit_granularity(visitor, spec.granularity);
  visitor.config("symmetric", spec.symmetric);
  visitor.config("narrow_range", spec.narrow_range);
  visit_policy(visitor, spec.range);
  // Files of 0.2 do not have these.
  if (visitor.has("rounding")) visit_name(visitor, "rounding", spec.rounding, roundings);
  if (visitor.has("power_of_two_scale")) {
    visitor.config("power_of_two_scale", spec.power_of_two_scale);
  }
  if (visitor.has("signed_codes")) visitor.config("signed_codes", spec.signed_codes);
  visitor.config("observe_only", spec.observe_only);
}

}  // namespace perch
