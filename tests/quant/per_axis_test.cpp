// One range per channel, really: every policy on every rank against the naive reference.
#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/reference_quant.h>

#include <perch/core/random.h>
#include <perch/quant/config.h>
#include <perch/quant/range_quantizer.h>

using namespace perch;
using namespace perch::test;

namespace {

struct Subject {
  std::string kind;  // of a layer whose kernel this is; empty: the axes are named
  Shape shape;
  std::vector<int> axes;
};

const std::vector<Subject> subjects{
    {"Conv2D", {3, 3, 5, 20}, {3}},
    {"DepthwiseConv2D", {3, 3, 6, 1}, {2, 3}},
    {"DepthwiseConv2D", {3, 3, 7, 2}, {2, 3}},
    {"Dense", {33, 10}, {1}},
    {"", {33, 10}, {}},
    {"", {19}, {0}},
    {"", {5, 4, 6}, {1}},
    {"", {4, 300}, {1}},
    {"", {4, 9, 7}, {0, 2}},
    {"", {2, 3, 4, 3, 5}, {0, 3}},
    {"", {2, 3, 4, 3, 5}, {1, 2, 4}},
    {"", {3, 1, 17}, {0}},
};

// Different in every channel and step; some channels one-sided, some all zero.
Tensor values(const Shape& shape, const std::vector<int>& axes, int step) {
  const Random random(11, "values", static_cast<std::uint32_t>(step));
  const std::vector<std::int64_t> indices = reference::range_indices(shape, axes);
  Tensor x(shape);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const float spread = static_cast<float>(indices[i] % 5) * 0.4f;
    const float offset = indices[i] % 3 == 1 ? spread : 0.0f;
    x.values()[i] = offset + random.uniform(i, -spread, spread);
  }
  return x;
}

void check(const Subject& subject, QuantSpec spec) {
  spec.granularity = !subject.kind.empty()  ? per_channel
                     : subject.axes.empty() ? per_tensor
                                            : per_axes(subject.axes);
  RangeQuantizer quantizer(spec);
  quantizer.build(subject.shape, channel_axes(subject.kind, subject.shape));
  REQUIRE(quantizer.axes() == subject.axes);
  std::int64_t count = 1;
  for (const int axis : subject.axes) count *= subject.shape[axis];
  CHECK(quantizer.min().shape() == (subject.axes.empty() ? Shape{} : Shape{count}));

  reference::Ranges ranges = reference::initial_ranges(spec.range, count);
  CHECK(bit_difference(quantizer.min().values(), ranges.min) == "");
  CHECK(bit_difference(quantizer.max().values(), ranges.max) == "");
  for (int step = 0; step < 3; ++step) {
    const Variable x(values(subject.shape, subject.axes, step), true);
    const Variable y = quantizer(x, Context::for_training(0, 0));
    ranges = reference::moved_ranges(spec, ranges, x.value(), subject.axes);
    CHECK(bit_difference(quantizer.min().values(), ranges.min, Zeros::any_sign) == "");
    CHECK(bit_difference(quantizer.max().values(), ranges.max, Zeros::any_sign) == "");
    CHECK(bit_difference(y.value(), reference::quantize(x.value(), ranges, subject.axes, spec)) ==
          "");
  }
}

}  // namespace

TEST_CASE("every policy keeps a range of its own per channel on every rank and axis") {
  const RangePolicy policy =
      GENERATE(RangePolicy(AllValues{}), RangePolicy(LastValue{}), RangePolicy(MovingAverage{}),
               RangePolicy(Fixed{-0.7f, 1.2f}));
  const int bits = GENERATE(2, 4, 8, 16);
  const bool symmetric = GENERATE(false, true), narrow = GENERATE(false, true);
  if (symmetric && std::holds_alternative<Fixed>(policy)) return;  // refused
  for (const Subject& subject : subjects) {
    INFO(policy_name(policy) << " " << bits << " bits, symmetric " << symmetric << ", narrow "
                             << narrow << ", " << subject.kind << subject.shape.to_string());
    check(subject, {.bits = bits, .symmetric = symmetric, .narrow_range = narrow, .range = policy});
  }
}

TEST_CASE("the gradient passes, per axis too, where a value lies in its own range") {
  const Shape shape{4, 9, 7};
  const std::vector<int> axes = GENERATE(std::vector<int>{}, std::vector<int>{2},
                                         std::vector<int>{0}, std::vector<int>{0, 2});
  const auto indices = reference::range_indices(shape, axes);
  const std::int64_t count = *std::max_element(indices.begin(), indices.end()) + 1;
  const Shape ranges = axes.empty() ? Shape{} : Shape{count};
  Tensor low(ranges), high(ranges);
  for (std::int64_t i = 0; i < count; ++i) {
    low.data()[i] = -0.1f * static_cast<float>(i % 4);
    high.data()[i] = 0.2f * static_cast<float>(i % 4);
  }
  const Variable x(values(shape, axes, 1), true), min(low, true), max(high, true);
  const Tensor dy = values(shape, {0}, 2);
  fake_quant(x, min, max, {.bits = 4, .axes = axes}).backward(dy.clone());

  Tensor dx(shape);
  std::vector<double> below(low.values().size(), 0.0), above = below;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto range = static_cast<std::size_t>(indices[i]);
    const float value = x.value().values()[i], slope = dy.values()[i];
    const float pass = reference::pass(value, low.values()[range], high.values()[range], 4, false);
    dx.values()[i] = slope * pass;
    if (pass == 0.0f) (value < 0.0f ? below : above)[range] += slope;
  }
  CHECK(bit_difference(x.grad(), dx) == "");
  for (std::size_t range = 0; range < below.size(); ++range) {
    CHECK(min.grad().values()[range] == Approx(below[range]).margin(1e-5));
    CHECK(max.grad().values()[range] == Approx(above[range]).margin(1e-5));
  }
}
