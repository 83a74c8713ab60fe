// What ranges do beside following the extremes as tfmot's: starts, searches, groups, scales that
// are powers of two, roundings.
#include <algorithm>
#include <cmath>
#include <set>

#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/support/reference_quant.h>

#include <perch/core/random.h>
#include <perch/quant/range_quantizer.h>

using namespace perch;
using namespace perch::test;

namespace {

Tensor values(const Shape& shape, std::uint32_t step, float low = -1.0f, float high = 1.5f) {
  const Random random(9, "values", step);
  Tensor x(shape);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), low, high);
  }
  return x;
}

const Context training = Context::for_training(1, 0);
const Shape kernel{3, 3, 8, 4};

QuantSpec with(RangePolicy policy) {
  return {.range = std::move(policy)};
}

}  // namespace

TEST_CASE("a moving average starts where it is told to") {
  const Shape shape{50};
  std::vector<double> mins, maxs;
  for (std::uint32_t step = 0; step < 4; ++step) {
    const Tensor x = values(shape, step);
    const auto [min, max] = std::ranges::minmax(x.values());
    mins.push_back(double{min});
    maxs.push_back(double{max});
  }
  const auto ranges = [&](AverageStart start) {
    RangeQuantizer quantizer(with(MovingAverage{.decay = 0.75f, .start = start}));
    quantizer.build(shape, {});
    std::vector<std::pair<double, double>> found;
    for (std::uint32_t step = 0; step < 4; ++step) {
      quantizer(Variable(values(shape, step)), training);
      found.emplace_back(quantizer.min().item(), quantizer.max().item());
    }
    return found;
  };
  const auto six = ranges(AverageStart::six), first = ranges(AverageStart::first_batch),
             debiased = ranges(AverageStart::zero_debias);
  double from_six = -6, from_first = mins[0], biased = 0;
  for (std::size_t step = 0; step < 4; ++step) {
    from_six = 0.75 * from_six + 0.25 * mins[step];
    if (step > 0) from_first = 0.75 * from_first + 0.25 * mins[step];
    biased = 0.75 * biased + 0.25 * mins[step];
    CHECK(six[step].first == Approx(from_six));
    CHECK(first[step].first == Approx(from_first));
    CHECK(debiased[step].first == Approx(biased / (1 - std::pow(0.75, double(step + 1)))));
  }
  CHECK(first[0].second == Approx(maxs[0]));
}

TEST_CASE("searched ranges follow the last step, or their average from the first on") {
  const RangePolicy policy =
      GENERATE(RangePolicy(Percentile{.percent = 90}), RangePolicy(HistogramMse{}),
               RangePolicy(Entropy{}), RangePolicy(LeastError{}));
  CAPTURE(policy_name(policy));
  const auto found = [&](RangePolicy chosen, const std::vector<std::uint32_t>& steps) {
    QuantSpec spec = with(chosen);
    spec.bits = 4;
    RangeQuantizer quantizer(spec);
    quantizer.build({300}, {});
    for (const std::uint32_t step : steps) {
      quantizer(Variable(values({300}, step)), training);
    }
    return std::pair(double{quantizer.min().item()}, double{quantizer.max().item()});
  };
  RangePolicy averaged = policy;
  std::visit(
      [](auto& settings) {
        if constexpr (requires { settings.decay; }) settings.decay = 0.75f;
      },
      averaged);
  const auto one = found(policy, {1}), two = found(policy, {2});
  CHECK(one.first < 0.0);
  CHECK(one.second > 0.0);
  CHECK(found(policy, {1, 2}) == two);
  CHECK(found(averaged, {1}) == one);
  CHECK(found(averaged, {1, 2}).first == Approx(0.75 * one.first + 0.25 * two.first));
  CHECK(found(averaged, {1, 2}).second == Approx(0.75 * one.second + 0.25 * two.second));

  // Nothing seen: everything passes.
  RangeQuantizer fresh(with(policy));
  fresh.build({300}, {});
  const Tensor x = values({300}, 3);
  CHECK(bit_difference(fresh(Variable(x), Context::for_inference()).value(), x) == "");
}

TEST_CASE("groups keep ranges of their own along an axis, for each channel") {
  struct Case {
    Shape shape;
    std::vector<int> channels;
    int axis;
    std::int64_t size;
    Shape cut;
    std::vector<int> axes;
  };
  const Case subject = GENERATE(Case{{12, 5}, {1}, 0, 4, {3, 4, 5}, {0, 2}},
                                Case{{12, 6}, {1}, -1, 3, {12, 2, 3}, {1}},
                                Case{{3, 3, 8, 4}, {3}, 2, 2, {3, 3, 4, 2, 4}, {2, 4}},
                                Case{{3, 3, 8, 1}, {2, 3}, 2, 4, {3, 3, 2, 4, 1}, {2, 4}});
  CAPTURE(subject.shape.to_string(), subject.axis);
  QuantSpec grouped = with(AllValues{}), plain = grouped;
  grouped.granularity = per_group(subject.axis, subject.size);
  plain.granularity = per_axes(subject.axes);
  RangeQuantizer ours(grouped), theirs(plain);
  ours.build(subject.shape, subject.channels);
  theirs.build(subject.cut, {});
  CHECK(ours.axes() == subject.axes);
  const Tensor x = values(subject.shape, 0);
  const Variable in(x, true), cut(x.reshape(subject.cut), true);
  const Variable y = ours(in, training), expected = theirs(cut, training);
  CHECK(bit_difference(y.value(), expected.value().reshape(subject.shape)) == "");
  CHECK(bit_difference(ours.min(), theirs.min()) == "");
  y.backward(values(subject.shape, 5));
  expected.backward(values(subject.shape, 5).reshape(subject.cut));
  CHECK(bit_difference(in.grad(), cut.grad().reshape(subject.shape)) == "");

  QuantSpec odd = grouped;
  odd.granularity.group_size = 7;
  RangeQuantizer misfit(odd);
  CHECK_THAT(error_of(ErrorCode::usage, [&] { misfit.build(subject.shape, subject.channels); }),
             Catch::Contains("groups of 7 do not divide axis"));
}

TEST_CASE("every width, symmetry and rounding gives a grid that is one") {
  const int bits = GENERATE(1, 2, 3, 8, 12, 16);
  const bool symmetric = GENERATE(false, true), narrow = GENERATE(false, true);
  if (bits == 1 && (symmetric || narrow)) return;
  const Rounding rounding = GENERATE(Rounding::half_up, Rounding::half_even, Rounding::stochastic);
  const bool power_of_two = GENERATE(false, true), channels = GENERATE(false, true);
  CAPTURE(bits, symmetric, narrow, static_cast<int>(rounding), power_of_two, channels);
  RangeQuantizer quantizer({.bits = bits,
                            .granularity = channels ? per_channel : per_tensor,
                            .symmetric = symmetric,
                            .narrow_range = narrow,
                            .range = LastValue{},
                            .rounding = rounding,
                            .power_of_two_scale = power_of_two});
  quantizer.build(kernel, {3});
  const Tensor x = values(kernel, 0);
  const Tensor y = quantizer(Variable(x), training).value();
  CHECK(bit_difference(quantizer(Variable(y), Context::for_inference()).value(), y,
                       Zeros::any_sign) == "");
  CHECK(quantizer(Variable(Tensor::zeros(kernel)), Context::for_inference()).value().values()[5] ==
        0.0f);

  const std::vector<QuantGrid> grids = quantizer.grids();
  const auto rows = reference::range_indices(kernel, quantizer.axes());
  std::vector<std::set<float>> levels(grids.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(rows[i]);
    const float in = x.values()[i], out = y.values()[i];
    levels[row].insert(out);
    const QuantGrid& grid = grids[row];
    const float clipped = std::clamp(in, grid.nudged_min, grid.nudged_max);
    const float most = rounding == Rounding::stochastic ? 1.0f : 0.5f;
    CHECK(std::abs(out - clipped) <= most * grid.scale + 1e-6f);
    // The grid's ends need not hold the extremes: 0 is a level, which may cost up to half a step.
    CHECK(std::abs(in - clipped) <= 0.51f * grid.scale);
  }
  for (std::size_t row = 0; row < grids.size(); ++row) {
    CHECK(levels[row].size() <= (std::size_t{1} << bits) - (narrow ? 1 : 0));
    int exponent = 0;
    if (power_of_two) CHECK(std::frexp(grids[row].scale, &exponent) == 0.5f);
  }
}

TEST_CASE("specifications that mean nothing are refused with the reason") {
  const auto refused = [](const QuantSpec& spec) {
    return error_of(ErrorCode::usage, [&] { validate(spec); });
  };
  using Catch::Contains;
  CHECK_THAT(refused({.bits = 0}), Contains("0 bits; a quantizer takes 1 to 16"));
  CHECK_THAT(refused({.bits = 1, .narrow_range = true}), Contains("has one level"));
  CHECK_THAT(refused({.bits = 1, .symmetric = true}), Contains("no level beside 0"));
  CHECK_THAT(refused({.bits = 8, .range = Binary{}}), Contains("binary has 1 bit, not 8"));
  CHECK_THAT(refused({.bits = 8, .range = Ternary{}}), Contains("2 bits, not 8"));
  CHECK_THAT(refused({.bits = 1, .range = Lsq{}}), Contains("lsq takes 2 to 16 bits"));
  CHECK_THAT(refused({.symmetric = true, .range = Lsq{}}),
             Contains("symmetric has no effect with lsq"));
  CHECK_THAT(refused({.range = Lsq{}, .rounding = Rounding::half_even}), Contains("not half_even"));
  CHECK_THAT(refused({.range = DoReFa{}, .power_of_two_scale = true}),
             Contains("power_of_two_scale has no effect with dorefa"));
  CHECK_THAT(refused({.range = Percentile{.percent = 40}}), Contains("outside of (50, 100]"));
  CHECK_THAT(refused({.range = Entropy{.bins = 3}}), Contains("3 bins"));
  CHECK_THAT(refused({.granularity = per_group(0, 0)}), Contains("0 elements in a group"));
}
