#include <algorithm>
#include <charconv>

#include <perch/core/check.h>
#include <perch/core/parallel.h>
#include <perch/core/suggest.h>
#include <perch/quant/quantizer.h>

namespace perch {
namespace {

struct Range {
  float min, max;
};

// 1 - decay in double from the decimal number that the float stands for, then float32: 0.999
// gives float32(0.001), which 1.0f - 0.999f is not.
float step_of(const MovingAverage& policy) {
  char text[64];
  const auto written = std::to_chars(text, text + sizeof text, policy.decay);
  double decay = 0.0;
  std::from_chars(text, written.ptr, decay);
  return static_cast<float>(1.0 - decay);
}

// What a specification makes of an update, computed once for all ranges.
struct Motion {
  explicit Motion(const QuantSpec& spec)
      : symmetric(spec.symmetric),
        ratio(spec.narrow_range
                  ? -1.0f
                  : -static_cast<float>((1 << spec.bits) - 2) / static_cast<float>(1 << spec.bits)),
        inverse(1.0f / ratio) {
    if (const auto* const average = std::get_if<MovingAverage>(&spec.range)) {
      step = step_of(*average);
    }
  }
  bool symmetric;
  float ratio, inverse;  // the inverse rounded to float32, as TensorFlow's graphs have it
  float step = 0.0f;
};

// What LastValue and MovingAverage move to.
Range target_of(Range seen, const Motion& motion) {
  if (!motion.symmetric) return {std::min(seen.min, 0.0f), std::max(seen.max, 0.0f)};
  return {std::min(seen.min, seen.max * motion.inverse),
          std::max(seen.max, seen.min * motion.ratio)};
}

Range moved(const AllValues&, Range held, Range seen, const Motion& motion) {
  if (motion.symmetric) {
    // Unlike in target_of(), the maximum is compared with the widened minimum.
    seen.min = std::min(seen.min, seen.max * motion.inverse);
    seen.max = std::max(seen.max, seen.min * motion.ratio);
  }
  return {std::min(std::min(held.min, seen.min), 0.0f),
          std::max(std::max(held.max, seen.max), 0.0f)};
}
Range moved(const LastValue&, Range, Range seen, const Motion& motion) {
  return target_of(seen, motion);
}
Range moved(const MovingAverage&, Range held, Range seen, const Motion& motion) {
  const Range target = target_of(seen, motion);
  return {held.min - (held.min - target.min) * motion.step,
          held.max - (held.max - target.max) * motion.step};
}
Range moved(const Fixed&, Range held, Range, const Motion&) {
  return held;
}

Range initial(const AllValues&) {
  return {0.0f, 0.0f};
}
Range initial(const LastValue&) {
  return {-6.0f, 6.0f};
}
Range initial(const MovingAverage&) {
  return {-6.0f, 6.0f};
}
Range initial(const Fixed& policy) {
  return {policy.min, policy.max};
}

// In the order of Granularity::Kind.
const std::vector<std::string> granularity_names{"tensor", "channel", "axes"};

void visit_granularity(Visitor& visitor, Granularity& granularity) {
  std::string name = granularity_names[static_cast<std::size_t>(granularity.kind)];
  visitor.config("granularity", name);
  const auto found = std::find(granularity_names.begin(), granularity_names.end(), name);
  PERCH_CHECK(found != granularity_names.end(), "there is no granularity \"{}\"; there are {}",
              name, choices(name, granularity_names));
  granularity.kind = static_cast<Granularity::Kind>(found - granularity_names.begin());
  if (granularity.kind != Granularity::Kind::axes) return;
  std::vector<std::int64_t> axes(granularity.axes.begin(), granularity.axes.end());
  visitor.config("axes", axes);
  granularity.axes.assign(axes.begin(), axes.end());
}

void visit_policy(Visitor& visitor, RangePolicy& policy) {
  std::string name = policy_name(policy);
  visitor.config("range", name);
  if (name != policy_name(policy)) policy = policy_from_name(name);
  if (auto* const average = std::get_if<MovingAverage>(&policy)) {
    visitor.config("decay", average->decay);
  }
  if (auto* const fixed = std::get_if<Fixed>(&policy)) {
    visitor.config("range_min", fixed->min);
    visitor.config("range_max", fixed->max);
  }
}

}  // namespace

RangeQuantizer::RangeQuantizer(QuantSpec spec) : spec_(std::move(spec)) {
  validate(spec_);
}

void RangeQuantizer::build(const Shape& shape, const std::vector<int>& channel_axes) {
  std::vector<int> axes;
  if (spec_.granularity.kind == Granularity::Kind::channel) axes = channel_axes;
  if (spec_.granularity.kind == Granularity::Kind::axes) axes = spec_.granularity.axes;
  std::int64_t count = 1;
  for (int& axis : axes) {
    PERCH_CHECK(axis >= -shape.rank() && axis < shape.rank(),
                "axis {} does not exist in shape {}; it has {} axes", axis, shape.to_string(),
                shape.rank());
    axis = shape.normalise(axis);
    count *= shape[axis];
  }
  std::sort(axes.begin(), axes.end());
  const auto repeated = std::adjacent_find(axes.begin(), axes.end());
  PERCH_CHECK(repeated == axes.end(), "axis {} of shape {} is named twice", *repeated,
              shape.to_string());

  axes_ = std::move(axes);
  const Shape ranges = axes_.empty() ? Shape{} : Shape{count};
  const Range start = std::visit([](const auto& policy) { return initial(policy); }, spec_.range);
  min_ = Tensor::full(ranges, start.min);
  max_ = Tensor::full(ranges, start.max);
}

Variable RangeQuantizer::operator()(const Variable& x, const Context& context) {
  PERCH_CHECK(!min_.empty(), "the quantizer has no range yet; build it first");
  const bool fixed = std::holds_alternative<Fixed>(spec_.range);
  if (context.training && !fixed) {
    const TensorRange seen = range_of(x.value(), axes_);
    PERCH_CHECK(seen.min.size() == min_.size(), "{} ranges do not fit the {} of shape {} along {}",
                min_.size(), seen.min.size(), x.shape().to_string(), axes_);
    track(seen);
  }
  if (spec_.observe_only) return x;
  return fake_quant(x, Variable(min_), Variable(max_),
                    {.bits = spec_.bits,
                     .narrow_range = spec_.narrow_range,
                     .axes = axes_,
                     .constant_range = fixed});
}

void RangeQuantizer::track(const TensorRange& seen) {
  const FlushDenormals guard;
  const Motion motion(spec_);
  std::visit(
      [&](const auto& policy) {
        for (std::int64_t i = 0; i < min_.size(); ++i) {
          const Range range = moved(policy, {min_.data()[i], max_.data()[i]},
                                    {seen.min.data()[i], seen.max.data()[i]}, motion);
          min_.data()[i] = range.min;
          max_.data()[i] = range.max;
        }
      },
      spec_.range);
}

void RangeQuantizer::restore(const Tensor& min, const Tensor& max) {
  min_.copy_from(min);
  max_.copy_from(max);
}

void RangeQuantizer::visit(Visitor& visitor) {
  std::int64_t bits = spec_.bits;
  visitor.config("bits", bits);
  spec_.bits = static_cast<int>(bits);
  visit_granularity(visitor, spec_.granularity);
  visitor.config("symmetric", spec_.symmetric);
  visitor.config("narrow_range", spec_.narrow_range);
  visit_policy(visitor, spec_.range);
  visitor.config("observe_only", spec_.observe_only);
  visitor.buffer("min", min_);
  visitor.buffer("max", max_);
}

std::vector<QuantGrid> RangeQuantizer::grids() const {
  std::vector<QuantGrid> grids;
  for (std::int64_t i = 0; i < min_.size(); ++i) {
    grids.push_back(QuantGrid::of(min_.data()[i], max_.data()[i], spec_.bits, spec_.narrow_range));
  }
  return grids;
}

}  // namespace perch
