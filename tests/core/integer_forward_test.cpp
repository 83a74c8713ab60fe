// Convolutions and Dense products of quantized tensors, formed from their integer codes.
#include <cmath>

#include <catch2/catch.hpp>

#include <perch/core/encoding.h>
#include <perch/core/kernels/table.h>
#include <perch/core/ops/conv.h>
#include <perch/core/ops/dense.h>
#include <perch/core/ops/fake_quant.h>
#include <perch/core/ops/integer_forward.h>

#include "tests/support/bits.h"
#include "tests/support/product_check.h"
#include "tests/support/reference_conv.h"

using namespace perch;
using namespace perch::test;

namespace {

struct Case {
  Shape x;
  Shape kernel;  ///< [h, w, C / groups, F], or [h, w, C, M]
  Conv2DOptions options = {};
  bool depthwise = false;
  bool per_channel = true;
  float input_min = -0.5f;  ///< the zero point: padding must count as 0
  bool narrow = false;
  int bits = 8;
};

class RestoreMode {
 public:
  explicit RestoreMode(IntegerForward mode) : former_(integer_forward_mode()) {
    set_integer_forward(mode);
  }
  ~RestoreMode() { set_integer_forward(former_); }

 private:
  IntegerForward former_;
};

struct Quantized {
  Variable x, kernel, bias;
};

Quantized quantized(const Case& c, const std::vector<int>& channels) {
  const Tensor values = random_tensor(c.kernel, "kernel");
  const std::vector<int> axes = c.per_channel ? channels : std::vector<int>();
  TensorRange range = range_of(values, axes);
  for (float& low : range.min.values()) low = std::min(low * 0.7f, 0.0f);  // and some are clipped
  if (c.per_channel) range.min.data()[0] = range.max.data()[0] = 0.0f;     // a dead channel
  std::int64_t filters = 1;
  for (const int axis : channels) filters *= c.kernel[axis];
  return {fake_quant(Variable(random_tensor(c.x, "x")), Variable(Tensor::scalar(c.input_min)),
                     Variable(Tensor::scalar(0.9f)), {.bits = c.bits}),
          fake_quant(Variable(values), Variable(range.min), Variable(range.max),
                     {.bits = c.bits, .narrow_range = c.narrow, .axes = axes}),
          Variable(random_tensor({filters}, "bias"))};
}

Quantized quantized(const Case& c) {
  return quantized(c, c.depthwise ? std::vector{2, 3} : std::vector{3});
}

Variable convolve(const Case& c, const Quantized& q) {
  return c.depthwise ? depthwise_conv2d(q.x, q.kernel, q.bias, c.options)
                     : conv2d(q.x, q.kernel, q.bias, c.options);
}

const std::vector<Case> cases{
    {{3, 9, 11, 3}, {3, 3, 3, 32}, {.padding = Padding::same}},
    {{2, 8, 8, 16}, {3, 3, 16, 16}, {.padding = Padding::same}},
    {{2, 8, 9, 16}, {3, 3, 16, 20}, {.stride = 2, .padding = Padding::same}, false, false},
    {{2, 7, 7, 64}, {3, 3, 64, 48}, {.padding = Padding::same}, false, true, 0.0f, true},
    {{2, 8, 8, 32}, {1, 1, 32, 64}, {}, false, true, -0.3f, false, 6},
    {{3, 9, 9, 24}, {1, 1, 24, 10}, {.stride = 2}},
    {{2, 12, 12, 5}, {5, 5, 5, 7}, {.padding = Padding::same, .dilation = 2}},
    {{2, 6, 6, 16}, {3, 3, 8, 24}, {.padding = Padding::same, .groups = 2}},
    {{2, 6, 6, 6}, {3, 3, 3, 4}, {.padding = Padding::same, .groups = 2}},  // in float: 3 channels
    {{1, 4, 4, 160}, {3, 3, 160, 16}, {.padding = Padding::same}},
    {{2, 9, 9, 20}, {3, 3, 20, 1}, {.padding = Padding::same}, true},
    {{2, 9, 9, 8}, {5, 5, 8, 2}, {.stride = 2, .padding = Padding::same}, true},
    {{2, 9, 9, 8}, {3, 3, 8, 1}, {}, true, false},
};

// Images, inputs, outputs: few and many outputs, an odd depth, and more than a block of each.
const std::vector<Case> dense_cases{
    {.x = {5, 40}, .kernel = {40, 10}},
    {.x = {64, 1027}, .kernel = {1027, 10}, .per_channel = false, .bits = 5},
    {.x = {33, 129}, .kernel = {129, 70}, .input_min = 0.0f, .narrow = true},
};

Variable quantized_dense(const Case& c) {
  const Quantized q = quantized(c, {1});
  REQUIRE(q.kernel.value().grid() != nullptr);
  return dense(q.x, q.kernel, q.bias);
}

/// Grid values are products rounded once, and so are scale, product and sum.
constexpr double last_scaling = 4e-7;

}  // namespace

TEST_CASE("integer convolutions are exact up to the last scaling") {
  const RestoreMode on(IntegerForward::on);
  for (const Case& c : cases) {
    CAPTURE(c.x.to_string(), c.kernel.to_string(), c.depthwise);
    const Quantized q = quantized(c);
    REQUIRE(q.x.value().grid() != nullptr);
    REQUIRE(q.kernel.value().grid() != nullptr);
    const Tensor y = convolve(c, q).value();
    const ReferenceConv naive{
        WindowGeometry::of("test", c.x, {c.kernel[0], c.kernel[1]}, c.options.stride,
                           c.options.padding, c.options.dilation),
        y.shape()[3], c.options.groups, c.depthwise};
    const Doubles expected =
        naive.forward(doubles(q.x.value()), doubles(q.kernel.value()), doubles(q.bias.value()));
    CHECK(distance(y, expected) <= last_scaling);
  }
}

TEST_CASE("integer convolutions have the same bits on every instruction set") {
  const RestoreMode on(IntegerForward::on);
  for (const Case& c : cases) {
    if (c.options.groups > 1) continue;  // may be formed in float, which is not the same everywhere
    CAPTURE(c.x.to_string(), c.kernel.to_string(), c.depthwise);
    Tensor first;
    for (const kernels::Table& table : kernels::available()) {
      const kernels::ScopedArch arch(table.arch);
      const Tensor y = convolve(c, quantized(c)).value();
      if (first.empty()) first = y;
      CAPTURE(table.arch);
      CHECK(bit_difference(y, first) == "");
    }
  }
}

TEST_CASE(
    "integer Dense products are exact up to the last scaling, with the same bits on every "
    "instruction set") {
  for (const Case& c : dense_cases) {
    CAPTURE(c.x.to_string(), c.kernel.to_string());
    RestoreMode mode(IntegerForward::off);
    const Tensor in_float = quantized_dense(c).value();
    set_integer_forward(IntegerForward::on);
    const Quantized q = quantized(c, {1});
    const Doubles expected = ReferenceDense{c.x[0], c.x[1], c.kernel[1]}.forward(
        doubles(q.x.value()), doubles(q.kernel.value()), doubles(q.bias.value()));
    Tensor first;
    for (const kernels::Table& table : kernels::available()) {
      const kernels::ScopedArch arch(table.arch);
      CAPTURE(table.arch);
      const Tensor y = quantized_dense(c).value();
      if (first.empty()) first = y;
      CHECK(bit_difference(y, first) == "");
      CHECK(distance(y, expected) <= last_scaling);
    }
    CHECK(bit_difference(in_float, first) != "");  // so these were formed from integers
  }
}

TEST_CASE("the integer forward can be switched off") {
  const Case& c = cases[1];
  const RestoreMode off(IntegerForward::off);
  const Tensor in_float = convolve(c, quantized(c)).value();
  set_integer_forward(IntegerForward::on);
  const Tensor in_integers = convolve(c, quantized(c)).value();
  for (std::int64_t i = 0; i < in_float.size(); ++i) {
    CHECK(in_float.data()[i] == Approx(in_integers.data()[i]).margin(2e-6));
  }
}

TEST_CASE("a value that no code stands for stays in float") {
  const RestoreMode on(IntegerForward::on);
  Quantized q = quantized(cases[1]);
  Tensor x = random_tensor(cases[1].x, "x");
  x.data()[5] = std::nanf("");
  const Variable y =
      fake_quant(Variable(x), Variable(Tensor::scalar(-1.0f)), Variable(Tensor::scalar(1.0f)), {});
  CHECK(y.value().grid() == nullptr);
  q.x = y;
  const Tensor result = convolve(cases[1], q).value();
  CHECK(std::isnan(result.data()[0]));
}

TEST_CASE("writing to a tensor on a grid gives the grid up") {
  const RestoreMode on(IntegerForward::on);
  Tensor x = quantized(cases[1]).x.value();
  REQUIRE(x.grid() != nullptr);
  CHECK(x.reshape({2, 1024}).grid() != nullptr);
  x.data()[0] = 0.123f;
  CHECK(x.grid() == nullptr);
}
