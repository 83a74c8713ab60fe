#include <cstdint>
#include <utility>
#include <vector>

#include <perch/core/ops/slices.h>
#include <perch/core/ops/step_quant.h>
#include <perch/core/parallel.h>
#include <perch/quant/range_policy.h>
#include <perch/quant/range_quantizer.h>

namespace perch {
namespace {

// Searches take their time for every value.
constexpr std::int64_t most_searched = 1 << 15;

/// The values, or most_searched of them in an order without any pattern.
std::vector<float> searched_values(const float* values, std::int64_t size) {
  if (size <= most_searched) return {values, values + size};
  // A prime above every size: no index comes twice.
  constexpr std::uint64_t prime = 4294967311;
  std::vector<float> chosen(static_cast<std::size_t>(most_searched));
  std::uint64_t index = 0;
  for (float& value : chosen) {
    value = values[index];
    index = (index + prime) % static_cast<std::uint64_t>(size);
  }
  return chosen;
}

}  // namespace

RangeQuantizer::RangeQuantizer(QuantSpec spec) : SpecQuantizer(std::move(spec)) {}

void RangeQuantizer::create_state(const Shape& ranges) {
  const Range start = initial_range(spec().range);
  min_ = Tensor::full(ranges, start.min);
  max_ = Tensor::full(ranges, start.max);
  updates_ = 0;
}

// Whether a step's effect depends on how many there were before.
bool RangeQuantizer::counts() const {
  const auto* const average = std::get_if<MovingAverage>(&spec().range);
  return searches(spec().range) || (average != nullptr && average->start != AverageStart::six);
}

void RangeQuantizer::observe(const Tensor& x, const Context&) {
  if (std::holds_alternative<Fixed>(spec().range)) return;
  if (follows_extremes(spec().range)) return track(range_of(x, axes()));
  const Slices slices(x.shape(), axes());
  const Tensor rows = slices.gather(x);
  const float* const values = rows.data();
  const RangeMotion motion(spec());
  Tensor min = min_.clone(), max = max_.clone();
  parallel_for(slices.count(), [&](std::int64_t i) {
    const std::vector<float> searched = searched_values(values + i * slices.size(), slices.size());
    const Range range = motion.after_values({min_.data()[i], max_.data()[i]}, searched, updates_);
    min.data()[i] = range.min;
    max.data()[i] = range.max;
  });
  min_.copy_from(min);
  max_.copy_from(max);
  ++updates_;
}

void RangeQuantizer::track(const TensorRange& seen) {
  const FlushDenormals guard;
  const RangeMotion motion(spec());
  for (std::int64_t i = 0; i < min_.size(); ++i) {
    const Range range = motion.after_extremes({min_.data()[i], max_.data()[i]},
                                              {seen.min.data()[i], seen.max.data()[i]}, updates_);
    min_.data()[i] = range.min;
    max_.data()[i] = range.max;
  }
  if (counts()) ++updates_;
}

Range RangeQuantizer::used_range(std::int64_t i) const {
  return settled_range({min_.data()[i], max_.data()[i]}, spec());
}

// With a rounding that fake_quant does not have.
Variable RangeQuantizer::rounded(const Variable& x, const Context& context) const {
  const float q_min = spec().narrow_range ? 1.0f : 0.0f;
  const auto q_max = static_cast<float>((1 << spec().bits) - 1);
  Tensor step(min_.shape()), low(min_.shape()), high(min_.shape());
  std::int64_t i = 0;
  for (const QuantGrid& grid : grids()) {
    step.data()[i] = grid.zero_range ? 0.0f : grid.scale;
    low.data()[i] = q_min - grid.zero_point;
    high.data()[i++] = q_max - grid.zero_point;
  }
  return step_quant(x, Variable(step), {}, low, high, step_options(axes(), spec(), context));
}

Variable RangeQuantizer::quantize(const Variable& x, const Context& context) {
  // A range that has seen nothing passes everything on.
  if (counts() && updates_ == 0) return x;
  if (spec().rounding != Rounding::half_up) return rounded(x, context);
  Tensor min = min_, max = max_;
  if (spec().power_of_two_scale) {
    min = min_.clone();
    max = max_.clone();
    for (std::int64_t i = 0; i < min.size(); ++i) {
      const Range range = used_range(i);
      min.data()[i] = range.min;
      max.data()[i] = range.max;
    }
  }
  return fake_quant(x, Variable(min), Variable(max),
                    {.bits = spec().bits,
                     .narrow_range = spec().narrow_range,
                     .axes = axes(),
                     .constant_range = std::holds_alternative<Fixed>(spec().range)});
}

RangeQuantizer::State RangeQuantizer::state() const {
  return {min_.clone(), max_.clone(), updates_};
}

void RangeQuantizer::restore(const State& state) {
  min_.copy_from(state.min);
  max_.copy_from(state.max);
  updates_ = state.updates;
}

void RangeQuantizer::visit_state(Visitor& visitor) {
  visitor.buffer("min", min_);
  visitor.buffer("max", max_);
  if (counts()) visitor.counter("updates", updates_);
}

std::vector<QuantGrid> RangeQuantizer::grids() const {
  std::vector<QuantGrid> grids;
  for (std::int64_t i = 0; i < min_.size(); ++i) {
    const Range range = used_range(i);
    grids.push_back(QuantGrid::of(range.min, range.max, spec().bits, spec().narrow_range));
  }
  return grids;
}

}  // namespace perch
