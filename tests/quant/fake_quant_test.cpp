// What holds for fake quantization with any range, and on any machine.
#include <cmath>
#include <limits>
#include <set>

#include <catch2/catch.hpp>
#include <rapidcheck.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/fake_quant.h>
#include <perch/core/parallel.h>
#include <perch/core/random.h>

using namespace perch;
using namespace perch::test;

namespace {

struct Setting {
  float min, max;
  FakeQuantOptions options;
  std::vector<float> values;
};

// A range around 0 and values in and out of it.
Setting any_setting() {
  const auto number = [](int low, int high) {
    return static_cast<float>(*rc::gen::inRange(low, high)) / 1024.0f;
  };
  Setting setting{.min = number(-4096, 0), .max = number(1, 4096)};
  setting.options = {.bits = *rc::gen::inRange(2, 17), .narrow_range = *rc::gen::arbitrary<bool>()};
  if (*rc::gen::arbitrary<bool>()) setting.options.axes = {0};
  setting.values.resize(*rc::gen::inRange<std::size_t>(1, 70));
  for (float& value : setting.values) value = number(-8192, 8192);
  return setting;
}

// One row, so that axis 0 has one range.
std::vector<float> quantized(const Setting& setting, const std::vector<float>& values) {
  const Tensor x({1, static_cast<std::int64_t>(values.size())}, values);
  const Tensor y = fake_quant(Variable(x), Variable(Tensor::scalar(setting.min)),
                              Variable(Tensor::scalar(setting.max)), setting.options)
                       .value();
  return {y.values().begin(), y.values().end()};
}

}  // namespace

TEST_CASE("quantized values stay as they are when quantized again") {
  CHECK(rc::check([] {
    const Setting setting = any_setting();
    const std::vector<float> once = quantized(setting, setting.values);
    RC_ASSERT(quantized(setting, once) == once);
  }));
}

TEST_CASE("quantization keeps the order of values") {
  CHECK(rc::check([] {
    Setting setting = any_setting();
    std::sort(setting.values.begin(), setting.values.end());
    const std::vector<float> y = quantized(setting, setting.values);
    RC_ASSERT(std::is_sorted(y.begin(), y.end()));
  }));
}

TEST_CASE("there are at most 2^bits levels, and 0 is one of them") {
  CHECK(rc::check([] {
    Setting setting = any_setting();
    setting.options.bits = *rc::gen::inRange(2, 7);
    setting.values.resize(400);
    for (std::size_t i = 0; i < 400; ++i) setting.values[i] = -4.0f + 0.02f * static_cast<float>(i);
    const std::vector<float> y = quantized(setting, setting.values);
    const std::size_t levels = std::size_t{1} << setting.options.bits;
    RC_ASSERT(std::set<float>(y.begin(), y.end()).size() <=
              levels - (setting.options.narrow_range ? 1 : 0));
    RC_ASSERT(quantized(setting, {0.0f}) == std::vector{0.0f});
  }));
}

TEST_CASE("a value in the nudged range moves by half a step at most") {
  CHECK(rc::check([] {
    const Setting setting = any_setting();
    const QuantGrid grid =
        QuantGrid::of(setting.min, setting.max, setting.options.bits, setting.options.narrow_range);
    const std::vector<float> y = quantized(setting, setting.values);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const float inside = std::clamp(setting.values[i], grid.nudged_min, grid.nudged_max);
      RC_ASSERT(std::abs(y[i] - inside) <= 0.505f * grid.scale);
    }
  }));
}

namespace {

struct Results {
  Tensor y, dx, dx_alone, dmin, dmax, low, high;
};

Results run(const Tensor& x, const Tensor& dy, const std::vector<int>& axes) {
  const TensorRange range = range_of(x, axes);
  Tensor low = range.min.clone(), high = range.max.clone();
  for (std::int64_t i = 0; i < low.size(); ++i) {
    low.data()[i] = -0.3f - 0.01f * static_cast<float>(i % 7);
    high.data()[i] = i % 5 == 4 ? 0.3f : 1e-3f * static_cast<float>(i % 11);
  }
  const Variable v(x, true), alone(x, true), min(low, true), max(high, true);
  const FakeQuantOptions options{.bits = 6, .axes = axes};
  const Variable y = fake_quant(v, min, max, options);
  y.backward(dy.clone());
  fake_quant(alone, Variable(low), Variable(high), options).backward(dy.clone());
  return {y.value(), v.grad(), alone.grad(), min.grad(), max.grad(), range.min, range.max};
}

void check_same(const Results& got, const Results& expected) {
  CHECK(bit_difference(got.y, expected.y) == "");
  CHECK(bit_difference(got.dx, expected.dx) == "");
  CHECK(bit_difference(got.dx_alone, expected.dx) == "");
  CHECK(bit_difference(got.dmin, expected.dmin) == "");
  CHECK(bit_difference(got.dmax, expected.dmax) == "");
  CHECK(bit_difference(got.low, expected.low) == "");
  CHECK(bit_difference(got.high, expected.high) == "");
}

}  // namespace

TEST_CASE(
    "values, gradients and ranges are the same bits on every instruction set and thread count") {
  const std::vector<int> axes =
      GENERATE(std::vector<int>{}, std::vector<int>{3}, std::vector<int>{1}, std::vector<int>{0, 3},
               std::vector<int>{0, 1, 2, 3});
  const Shape shape{5, 16, 33, 35};
  Tensor x(shape), dy(shape);
  const Random random(3, "bits");
  for (std::int64_t i = 0; i < x.size(); ++i) {
    x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), -1.0f, 1.0f);
    dy.data()[i] = random.uniform(static_cast<std::uint64_t>(i + x.size()), -1.0f, 1.0f);
  }
  const float odd[] = {0.0f,   -0.0f,   1e-40f,   -1e-40f, 3e38f,
                       -3e38f, 0x1p23f, -0x1p23f, 0x1p31f, std::numeric_limits<float>::infinity()};
  for (std::size_t i = 0; i < std::size(odd); ++i) x.data()[i * 1117 + 3] = odd[i];

  const int threads = thread_count();
  const Results expected = run(x, dy, axes);
  for (const kernels::Table& table : kernels::available()) {
    const kernels::ScopedArch arch(table.arch);
    for (const int count : {1, 2, 4}) {
      INFO(table.arch << ", " << count << " threads, " << axes.size() << " axes");
      set_thread_count(count);
      check_same(run(x, dy, axes), expected);
    }
  }
  set_thread_count(threads);
}

TEST_CASE("NaN stays NaN without a gradient, and ranges pass it over") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<int> axes = GENERATE(std::vector<int>{}, std::vector<int>{0});
  const Variable x(Tensor({1, 3}, {-1.0f, nan, 2.0f}), true);
  const Variable y =
      fake_quant(x, Variable(Tensor::scalar(-1)), Variable(Tensor::scalar(1)), {.axes = axes});
  CHECK(std::isnan(y.value().values()[1]));
  y.backward(Tensor::full({1, 3}, 1.0f));
  CHECK(x.grad().values()[1] == 0.0f);
  CHECK(*range_of(x.value(), axes).min.data() == -1.0f);
  CHECK(*range_of(x.value(), axes).max.data() == 2.0f);
}

TEST_CASE("the range (0, 0) gives 0 and passes every gradient") {
  const std::vector<int> axes = GENERATE(std::vector<int>{}, std::vector<int>{0});
  const Variable x(Tensor({1, 3}, {-1.0f, std::numeric_limits<float>::quiet_NaN(), 2.0f}), true);
  const Variable zero(Tensor::scalar(0));
  const Variable y = fake_quant(x, zero, zero, {.axes = axes});
  CHECK(bit_difference(y.value(), Tensor::zeros({1, 3})) == "");
  y.backward(Tensor::full({1, 3}, 0.5f));
  CHECK(bit_difference(x.grad(), Tensor::full({1, 3}, 0.5f)) == "");
}

TEST_CASE("bad bits, axes and range sizes are named") {
  const Variable x(Tensor::zeros({2, 3})), one(Tensor::scalar(1));
  const auto message = [&](const FakeQuantOptions& options) {
    return error_of(ErrorCode::usage, [&] { fake_quant(x, one, one, options); });
  };
  CHECK_THAT(message({.bits = 0}), Catch::Contains("0 bits") && Catch::Contains("1 to 16"));
  CHECK_THAT(message({.bits = 17}), Catch::Contains("17 bits"));
  CHECK_THAT(message({.axes = {2}}), Catch::Contains("axis 2") && Catch::Contains("[2, 3]"));
  CHECK_THAT(message({.axes = {1, -1}}), Catch::Contains("twice"));
  CHECK_THAT(message({.axes = {1}}), Catch::Contains("3 ranges"));
}
