#include <algorithm>
#include <charconv>
#include <cmath>

#include <perch/core/ops/fake_quant.h>
#include <perch/quant/range_policy.h>
#include <perch/quant/search.h>

namespace perch {
namespace {

// The decimal number that a float stands for, in double: 1 - 0.999 then gives float32(0.001), which
// 1.0f - 0.999f is not.
double decimal(float value) {
  char text[64];
  const auto written = std::to_chars(text, text + sizeof text, value);
  double result = 0.0;
  std::from_chars(text, written.ptr, result);
  return result;
}

float decay_of(const RangePolicy& policy) {
  return std::visit(
      [](const auto& settings) {
        if constexpr (requires { settings.decay; }) return settings.decay;
        return 0.0f;
      },
      policy);
}

}  // namespace

Range initial_range(const RangePolicy& policy) {
  if (const auto* const fixed = std::get_if<Fixed>(&policy)) return {fixed->min, fixed->max};
  const auto* const average = std::get_if<MovingAverage>(&policy);
  const bool six = std::holds_alternative<LastValue>(policy) ||
                   (average != nullptr && average->start == AverageStart::six);
  return six ? Range{-6.0f, 6.0f} : Range{0.0f, 0.0f};
}

RangeMotion::RangeMotion(const QuantSpec& spec)
    : spec_(spec),
      ratio_(spec.narrow_range
                 ? -1.0f
                 : -static_cast<float>((1 << spec.bits) - 2) / static_cast<float>(1 << spec.bits)),
      inverse_(1.0f / ratio_),
      step_(static_cast<float>(1.0 - decimal(decay_of(spec.range)))) {}

// What LastValue and MovingAverage move to.
Range RangeMotion::target_of(Range seen) const {
  if (!spec_.symmetric) return {std::min(seen.min, 0.0f), std::max(seen.max, 0.0f)};
  return {std::min(seen.min, seen.max * inverse_), std::max(seen.max, seen.min * ratio_)};
}

Range RangeMotion::towards(Range held, Range target) const {
  return {held.min - (held.min - target.min) * step_, held.max - (held.max - target.max) * step_};
}

Range RangeMotion::after_extremes(Range held, Range seen, std::int32_t updates) const {
  if (std::holds_alternative<Fixed>(spec_.range)) return held;
  if (std::holds_alternative<LastValue>(spec_.range)) return target_of(seen);
  if (std::holds_alternative<AllValues>(spec_.range)) {
    if (spec_.symmetric) {
      // Unlike in target_of(), the maximum is compared with the widened minimum.
      seen.min = std::min(seen.min, seen.max * inverse_);
      seen.max = std::max(seen.max, seen.min * ratio_);
    }
    return {std::min(std::min(held.min, seen.min), 0.0f),
            std::max(std::max(held.max, seen.max), 0.0f)};
  }
  const auto& average = std::get<MovingAverage>(spec_.range);
  const Range target = target_of(seen);
  if (average.start == AverageStart::first_batch && updates == 0) return target;
  if (average.start != AverageStart::zero_debias) return towards(held, target);
  // The biased average is the held one times 1 - decay^updates.
  const double decay = decimal(average.decay);
  const double before = 1.0 - std::pow(decay, updates), after = 1.0 - std::pow(decay, updates + 1);
  const auto debiased = [&](float from, float to) {
    return static_cast<float>((decay * before * double{from} + (1.0 - decay) * double{to}) / after);
  };
  return {debiased(held.min, target.min), debiased(held.max, target.max)};
}

Range RangeMotion::found_in(std::span<const float> values) const {
  const auto settle = [this](SearchRange range) {
    const Range used = settled_range(target_of({range.min, range.max}), spec_);
    return SearchRange{used.min, used.max};
  };
  // More bins than values would show noise, and take their time for every channel of a kernel.
  const auto bins_of = [&](int bins) {
    return static_cast<int>(
        std::clamp<std::size_t>(values.size(), 16, static_cast<std::size_t>(bins)));
  };
  SearchRange found{};
  if (const auto* const percentile = std::get_if<Percentile>(&spec_.range)) {
    found = percentile_range(values, decimal(percentile->percent));
  } else if (const auto* const histogram = std::get_if<HistogramMse>(&spec_.range)) {
    found = histogram_mse_range(values, bins_of(histogram->bins), settle, spec_.bits,
                                spec_.narrow_range);
  } else if (const auto* const entropy = std::get_if<Entropy>(&spec_.range)) {
    found = entropy_range(values, bins_of(entropy->bins), spec_.bits);
  } else {
    found = least_error_range(values, settle, spec_.bits, spec_.narrow_range);
  }
  return target_of({found.min, found.max});
}

Range RangeMotion::after_values(Range held, std::span<const float> values,
                                std::int32_t updates) const {
  const Range target = found_in(values);
  return updates == 0 ? target : towards(held, target);
}

Range settled_range(Range range, const QuantSpec& spec) {
  if (!spec.power_of_two_scale) return range;
  const QuantGrid grid = QuantGrid::of(range.min, range.max, spec.bits, spec.narrow_range);
  if (grid.zero_range || !std::isfinite(grid.scale) || !(grid.scale > 0.0f)) return range;
  int exponent = 0;
  const float fraction = std::frexp(grid.scale, &exponent);  // in [1/2, 1)
  const float scale = std::ldexp(1.0f, fraction == 0.5f ? exponent - 1 : exponent);
  // The zero point may move with the scale, which keeps 0 a level and the range inside where the
  // levels suffice for that.
  const float q_min = spec.narrow_range ? 1.0f : 0.0f;
  const auto q_max = static_cast<float>((1 << spec.bits) - 1);
  const float zero_point = std::clamp(std::round(q_min - range.min / scale), q_min, q_max);
  return {(q_min - zero_point) * scale, (q_max - zero_point) * scale};
}

}  // namespace perch
