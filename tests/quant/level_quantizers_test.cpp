// Levels without a range against the papers' formulas in double.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include <catch2/catch.hpp>
#include <tests/core/restore_threads.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/support/reference_quant.h>

#include <perch/core/random.h>
#include <perch/quant/level_quantizers.h>

using namespace perch;
using namespace perch::test;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
const Context training = Context::for_training(0, 0);

struct Subject {
  Shape shape;
  std::vector<int> axes;
};

// Short rows, long ones of several chunks, one element each; in the tensor's order and across it.
const std::vector<Subject> subjects{
    {{3, 3, 5, 20}, {}},    {{3, 3, 5, 20}, {3}}, {{3, 3, 6, 2}, {2, 3}},
    {{3, 20011}, {0}},      {{20011, 3}, {1}},    {{20011, 3}, {}},
    {{2, 3, 4, 3}, {0, 2}}, {{19}, {0}},          {{1}, {}},
};

QuantSpec spec_of(const RangePolicy& policy, int bits, const std::vector<int>& axes) {
  return {.bits = bits, .granularity = axes.empty() ? per_tensor : per_axes(axes), .range = policy};
}

std::unique_ptr<Quantizer> weight_quantizer(const QuantSpec& spec) {
  if (std::holds_alternative<Binary>(spec.range)) return std::make_unique<BinaryQuantizer>(spec);
  if (std::holds_alternative<Ternary>(spec.range)) return std::make_unique<TernaryQuantizer>(spec);
  if (std::holds_alternative<PowerOfTwo>(spec.range)) {
    return std::make_unique<PowerOfTwoQuantizer>(spec);
  }
  return std::make_unique<DoReFaQuantizer>(spec, TensorRole::weight);
}

/// Another spread for each slice, about 0; the third of seven slices is all zeros.
Tensor values(const Subject& subject, const char* stream = "x") {
  const Random random(17, stream);
  const auto indices = reference::range_indices(subject.shape, subject.axes);
  Tensor x(subject.shape);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const float spread = indices[i] % 7 == 2 ? 0.0f : 0.3f + static_cast<float>(indices[i] % 5);
    x.values()[i] = random.uniform(i, -spread, spread);
  }
  return x;
}

/// Values at the ends of float32 and at the limits between levels.
std::vector<Tensor> edges() {
  const float largest = std::numeric_limits<float>::max();
  return {Tensor({4}, {0.0f, -0.0f, 0.0f, -0.0f}),
          Tensor({1}, {-0.37f}),
          Tensor({4}, {0.25f, 0.25f, -0.25f, -0.25f}),
          Tensor({6}, {largest, -largest, 2e38f, 1e30f, -1.0f, 0.0f}),
          Tensor({4}, {1e-40f, -1e-40f, 0.0f, 1e-45f}),
          Tensor({5}, {1.2e-38f, -2e-38f, 1e-38f, 3e-38f, 0.0f}),
          Tensor({10}, {1.0f, -0.75f, 0.7499999f, 0.375f, -0.1875f, 0.125f, 0.0625f, 0.0624f,
                        -1.499999f, 1.0000001f}),
          Tensor({4}, {-1.0f, 1.0f, 1.0000001f, -0.9999999f})};
}

/// What a formula makes of one element; `other` where rounding may as well give that.
struct Expected {
  double y, other, slope;
};
using Formula = std::function<std::vector<Expected>(const std::vector<double>&)>;

double mean_magnitude(const std::vector<double>& x, double above = -1.0) {
  double sum = 0, count = 0;
  for (const double v : x) {
    if (std::abs(v) <= above) continue;
    sum += std::abs(v);
    count += 1;
  }
  return count == 0 ? 0.0 : sum / count;
}

std::vector<Expected> binary(const std::vector<double>& x, bool clipped) {
  std::vector<Expected> result;
  const double a = mean_magnitude(x);
  for (const double v : x) {
    const double y = v < 0 ? -a : a;
    result.push_back({y, y, clipped && std::abs(v) > 1 ? 0.0 : 1.0});
  }
  return result;
}

std::vector<Expected> ternary(const std::vector<double>& x, double threshold) {
  std::vector<Expected> result;
  const double limit = threshold * mean_magnitude(x), a = mean_magnitude(x, limit);
  for (const double v : x) {
    const double y = std::abs(v) > limit ? std::copysign(a, v) : 0.0;
    result.push_back({y, y, 1.0});
  }
  return result;
}

// By trying every level, larger ones first.
std::vector<Expected> power_of_two(const std::vector<double>& x, int bits) {
  double largest = 0;
  for (const double v : x) largest = std::max(largest, std::abs(v));
  const double smallest_normal = std::ldexp(1.0, -126);
  std::vector<double> levels;
  if (largest > 0) {
    int e = 127;
    while (std::ldexp(3.0, e - 2) > largest) --e;  // floor(log2(4/3 largest)), in exact arithmetic
    for (int i = 0; i < (1 << (bits - 1)) - 1 && e - i >= -126; ++i) {
      levels.push_back(std::ldexp(1.0, e - i));
    }
  }
  levels.push_back(0.0);
  std::vector<Expected> result;
  for (const double v : x) {
    double best = levels.front();
    for (const double level : levels) {
      if (std::abs(level - std::abs(v)) < std::abs(best - std::abs(v))) best = level;
    }
    if (std::abs(v) < smallest_normal) best = 0.0;
    result.push_back({std::copysign(best, v), std::copysign(best, v), 1.0});
  }
  return result;
}

double surrogate(double v, double most) {
  return 2 * (std::tanh(v) / (2 * most) + 0.5) - 1;
}

std::vector<Expected> dorefa(const std::vector<double>& x, int bits) {
  if (bits == 1) return binary(x, false);
  const double steps = std::pow(2.0, bits) - 1, doubt = 1e-6 * steps;
  double most = 0;
  for (const double v : x) most = std::max(most, std::abs(std::tanh(v)));
  std::vector<Expected> result;
  for (const double v : x) {
    const auto level = [&](double offset) {
      const double place = (std::tanh(v) / (2 * most) + 0.5) * steps + 0.5;
      return 2 * std::clamp(std::floor(place + offset), 0.0, steps) / steps - 1;
    };
    if (most == 0) {
      result.push_back({0, 0, 1});
      continue;
    }
    const double h = 1e-5;
    const double slope = (surrogate(v + h, most) - surrogate(v - h, most)) / (2 * h);
    result.push_back({level(-doubt), level(doubt), slope});
  }
  return result;
}

std::vector<Expected> dorefa_activation(const std::vector<double>& x, int bits) {
  const double steps = std::pow(2.0, bits) - 1;
  std::vector<Expected> result;
  for (const double v : x) {
    const auto level = [&](double offset) {
      return std::floor(std::clamp(v, 0.0, 1.0) * steps + 0.5 + offset) / steps;
    };
    const double doubt = 1e-7 * steps;
    result.push_back({level(-doubt), level(doubt), v >= 0 && v <= 1 ? 1.0 : 0.0});
  }
  return result;
}

bool near(double got, double want, double scale) {
  return std::abs(got - want) <= 1e-6 * scale;
}

/// y and dx of every slice as the formula has them, at most `levels` different values in each, and
/// the same in inference; leaves x and dy as they are.
void check(Quantizer& quantizer, const Subject& subject, const Tensor& given,
           const Formula& formula, std::size_t levels) {
  quantizer.build(subject.shape, {});
  const Variable x(given.clone(), true);
  const Variable y = quantizer(x, training);
  const Tensor dy = values({subject.shape, {}}, "dy"), dy_before = dy.clone();
  y.backward(dy);
  CHECK(bit_difference(x.value(), given) == "");
  CHECK(bit_difference(dy, dy_before) == "");
  CHECK(bit_difference(quantizer(x, Context::for_inference()).value(), y.value()) == "");

  const auto indices = reference::range_indices(subject.shape, subject.axes);
  std::vector<std::vector<std::size_t>> slices;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto slice = static_cast<std::size_t>(indices[i]);
    if (slices.size() <= slice) slices.resize(slice + 1);
    slices[slice].push_back(i);
  }
  const auto in = given.values(), out = y.value().values(), dx = x.grad().values();
  std::size_t wrong = 0;
  for (const auto& slice : slices) {
    std::vector<double> row;
    for (const std::size_t i : slice)
      row.push_back(std::fpclassify(in[i]) == FP_SUBNORMAL ? 0.0 : double{in[i]});
    const std::vector<Expected> expected = formula(row);
    double scale = 0;
    for (const Expected& e : expected) scale = std::max(scale, std::abs(e.y));
    std::set<float> seen;
    for (std::size_t i = 0; i < slice.size(); ++i) {
      const double got = double{out[slice[i]]}, slope = expected[i].slope;
      seen.insert(out[slice[i]]);
      const bool value_fits =
          near(got, expected[i].y, scale) || near(got, expected[i].other, scale);
      const double want = double{dy_before.values()[slice[i]]} * slope;
      const bool slope_fits =
          std::abs(double{dx[slice[i]]} - want) <= 1e-5 * std::max(1.0, std::abs(want));
      if (value_fits && slope_fits) continue;
      if (++wrong > 3) continue;
      INFO("x " << row[i] << ", y " << got << " of " << expected[i].y << ", dx " << dx[slice[i]]
                << " of " << want);
      CHECK(value_fits);
      CHECK(slope_fits);
    }
    CHECK(seen.size() <= levels);
  }
  CHECK(wrong == 0);
}

struct Case {
  RangePolicy policy;
  int bits;
  Formula formula;
  std::size_t levels;
  bool idempotent;
};

std::vector<Case> weight_cases() {
  std::vector<Case> cases{
      {Binary{}, 1, [](const auto& x) { return binary(x, true); }, 2, true},
      {Ternary{}, 2, [](const auto& x) { return ternary(x, double{0.7f}); }, 3, true},
      {Ternary{.threshold = 0.0f}, 2, [](const auto& x) { return ternary(x, 0); }, 3, true},
      {Ternary{.threshold = 1.5f}, 2, [](const auto& x) { return ternary(x, 1.5); }, 3, false},
      {Ternary{.threshold = 50.0f}, 2, [](const auto& x) { return ternary(x, 50); }, 1, true}};
  for (const int bits : {2, 3, 4, 8, 9, 16}) {
    cases.push_back({PowerOfTwo{}, bits, [=](const auto& x) { return power_of_two(x, bits); },
                     (std::size_t{1} << bits) - 1, true});
  }
  for (const int bits : {1, 2, 3, 8, 16}) {
    cases.push_back({DoReFa{}, bits, [=](const auto& x) { return dorefa(x, bits); },
                     std::size_t{1} << bits, bits == 1});
  }
  return cases;
}

}  // namespace

TEST_CASE("levels of weights and their gradients are the papers', for each slice", "[slow]") {
  for (const Case& c : weight_cases()) {
    for (const Subject& subject : subjects) {
      INFO(policy_name(c.policy) << ", " << c.bits << " bits, " << subject.shape.to_string() << ", "
                                 << subject.axes.size() << " axes");
      const auto quantizer = weight_quantizer(spec_of(c.policy, c.bits, subject.axes));
      check(*quantizer, subject, values(subject), c.formula, c.levels);
      CHECK(quantizer->axes() == subject.axes);
      CHECK(quantizer->grids().empty());
      if (!c.idempotent) continue;
      const Variable once = (*quantizer)(Variable(values(subject)), training);
      CHECK(bit_difference((*quantizer)(once, training).value(), once.value()) == "");
    }
  }
}

TEST_CASE("levels of weights hold at the ends of float32 and at the limits between them") {
  for (const Case& c : weight_cases()) {
    for (const Tensor& x : edges()) {
      INFO(policy_name(c.policy) << ", " << c.bits << " bits, first value " << x.values()[0]);
      const auto quantizer = weight_quantizer(spec_of(c.policy, c.bits, {}));
      check(*quantizer, {x.shape(), {}}, x, c.formula, c.levels);
    }
  }
}

TEST_CASE("groups have levels of their own") {
  const Tensor x({6, 2},
                 {1.0f, 8.0f, -3.0f, -8.0f, 0.5f, 1.0f, 0.5f, 2.0f, 4.0f, 0.0f, 4.0f, 6.0f});
  BinaryQuantizer quantizer({.bits = 1, .granularity = per_group(0, 2), .range = Binary{}});
  quantizer.build(x.shape(), {1});
  const Tensor y({6, 2},
                 {2.0f, 8.0f, -2.0f, -8.0f, 0.5f, 1.5f, 0.5f, 1.5f, 4.0f, 3.0f, 4.0f, 3.0f});
  CHECK(bit_difference(quantizer(Variable(x), training).value(), y) == "");
}

TEST_CASE("powers of two go to the nearest, ties up, and reach as low as their bits") {
  PowerOfTwoQuantizer quantizer({.bits = 3, .range = PowerOfTwo{}});
  const Tensor x({10},
                 {1.49f, 0.75f, 0.7499f, -0.375f, 0.374f, 0.1875f, 0.125f, 0.1249f, -0.0f, -1.4f});
  quantizer.build(x.shape(), {});
  const Tensor y({10}, {1.0f, 1.0f, 0.5f, -0.5f, 0.25f, 0.25f, 0.25f, 0.0f, 0.0f, -1.0f});
  CHECK(bit_difference(quantizer(Variable(x), training).value(), y) == "");
}

TEST_CASE("DoReFa activations are clipped to [0, 1] and lie on one grid") {
  const int bits = GENERATE(1, 2, 4, 8, 16);
  CAPTURE(bits);
  for (const Subject& subject : subjects) {
    DoReFaQuantizer quantizer(spec_of(DoReFa{}, bits, subject.axes), TensorRole::activation);
    const auto formula = [bits](const auto& row) { return dorefa_activation(row, bits); };
    check(quantizer, subject, values(subject), formula, std::size_t{1} << bits);
    const Variable once = quantizer(Variable(values(subject)), training);
    CHECK(bit_difference(quantizer(once, training).value(), once.value()) == "");
    const auto grids = quantizer.grids();
    const auto indices = reference::range_indices(subject.shape, subject.axes);
    REQUIRE(static_cast<std::int64_t>(grids.size()) ==
            *std::max_element(indices.begin(), indices.end()) + 1);
    CHECK(grids.back().nudged_min == 0.0f);
    CHECK(grids.back().nudged_max == 1.0f);
  }
  DoReFaQuantizer quantizer({.bits = bits, .range = DoReFa{}}, TensorRole::activation);
  quantizer.build({5}, {});
  const Variable x(Tensor({5}, {not_a_number, infinity, -infinity, 1.0f, 0.0f}), true);
  const Variable y = quantizer(x, training);
  y.backward(Tensor::full({5}, 2.0f));
  CHECK(std::isnan(y.value().values()[0]));
  CHECK(bit_difference(y.value().values().subspan(1), std::vector<float>{1.0f, 0.0f, 1.0f, 0.0f}) ==
        "");
  CHECK(bit_difference(x.grad().values().subspan(1), std::vector<float>{0.0f, 0.0f, 2.0f, 2.0f}) ==
        "");
}

TEST_CASE("values that are not finite have no level among weights") {
  for (const Case& c : weight_cases()) {
    for (const float bad : {infinity, -infinity, not_a_number}) {
      Tensor x = Tensor::full({3, 4}, 1.0f);
      x.data()[7] = bad;
      const auto quantizer = weight_quantizer(spec_of(c.policy, c.bits, {1}));
      quantizer->build(x.shape(), {});
      CHECK_THAT(error_of(ErrorCode::usage, [&] { (*quantizer)(Variable(x), training); }),
                 Catch::Contains("NaN or an infinity"));
    }
  }
}

TEST_CASE("levels and gradients are the same bits with any number of threads", "[slow]") {
  const RestoreThreads restore;
  const Subject subject{{7, 20011}, GENERATE(std::vector<int>{}, std::vector<int>{0})};
  for (const Case& c : weight_cases()) {
    const auto quantizer = weight_quantizer(spec_of(c.policy, c.bits, subject.axes));
    quantizer->build(subject.shape, {});
    std::vector<Tensor> ys, dxs;
    for (const int threads : {1, 4}) {
      set_thread_count(threads);
      const Variable x(values(subject), true);
      const Variable y = (*quantizer)(x, training);
      ys.push_back(y.value());
      y.backward(values(subject, "dy"));
      dxs.push_back(x.grad());
    }
    CHECK(bit_difference(ys[0], ys[1]) == "");
    CHECK(bit_difference(dxs[0], dxs[1]) == "");
  }
}
