#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/core/ops/conv.h>

#include "tests/support/product_check.h"

using namespace perch;
using namespace perch::test;
using Catch::Matchers::Contains;

namespace {

struct Case {
  Shape x;
  Size2D kernel;
  std::int64_t filters;  ///< of a depthwise convolution: the multiplier
  Conv2DOptions options = {};
  bool bias = true;
};

std::string describe(const Case& c) {
  return c.x.to_string() + " kernel " + std::to_string(c.kernel.height) + "x" +
         std::to_string(c.kernel.width) + " filters " + std::to_string(c.filters) + " stride " +
         std::to_string(c.options.stride.height) + "x" + std::to_string(c.options.stride.width) +
         " dilation " + std::to_string(c.options.dilation.height) + " groups " +
         std::to_string(c.options.groups) +
         (c.options.padding == Padding::same ? " same" : " valid");
}

void check(const Case& c, bool depthwise) {
  INFO(describe(c));
  const std::int64_t channels = c.x[3];
  const std::int64_t filters = depthwise ? channels * c.filters : c.filters;
  const Shape kernel_shape =
      depthwise ? Shape{c.kernel.height, c.kernel.width, channels, c.filters}
                : Shape{c.kernel.height, c.kernel.width, channels / c.options.groups, c.filters};
  const ProductInputs inputs{random_tensor(c.x, "x"), random_tensor(kernel_shape, "kernel"),
                             c.bias ? random_tensor({filters}, "bias") : Tensor()};
  const ReferenceConv reference{WindowGeometry::of("test", c.x, c.kernel, c.options.stride,
                                                   c.options.padding, c.options.dilation),
                                filters, c.options.groups, depthwise};
  check_product(
      inputs,
      [&](const Variable& x, const Variable& kernel, const Variable& bias) {
        return depthwise ? depthwise_conv2d(x, kernel, bias, c.options)
                         : conv2d(x, kernel, bias, c.options);
      },
      reference);
}

constexpr auto same = Padding::same;
constexpr auto valid = Padding::valid;

}  // namespace

TEST_CASE("convolution and its gradients agree with the naive reference") {
  const std::vector<Case> cases{
      {{2, 8, 8, 3}, 3, 32, {.padding = same}},
      {{3, 7, 9, 5}, 3, 17, {.padding = same}, false},
      {{2, 9, 7, 16}, 3, 16, {.padding = valid}},
      {{1, 6, 5, 17}, {3, 2}, 5, {.padding = same}},
      {{5, 4, 4, 32}, 1, 40},
      {{2, 6, 6, 40}, 1, 3, {.stride = 2, .padding = same}},
      {{2, 11, 8, 5}, 3, 16, {.stride = 2, .padding = same}},
      {{2, 11, 12, 3}, 5, 17, {.stride = {2, 3}, .padding = valid}},
      {{1, 13, 13, 4}, 2, 10, {.stride = 3, .padding = same}},
      {{1, 12, 11, 3}, 3, 33, {.padding = same, .dilation = 2}},
      {{2, 13, 12, 2}, 3, 7, {.stride = 2, .padding = valid, .dilation = {2, 3}}},
      {{2, 7, 6, 8}, 3, 12, {.padding = same, .groups = 4}},
      {{2, 7, 7, 34}, 3, 34, {.stride = 2, .padding = same, .groups = 2}},
      {{2, 6, 6, 16}, 3, 32, {.padding = valid, .groups = 2}},
      {{1, 5, 5, 1}, 5, 1, {.padding = valid}},
      {{1, 1, 1, 1}, 3, 1, {.padding = same}},
      {{1, 40, 33, 24}, 3, 8, {.padding = same}},
      {{70, 2, 3, 2}, 2, 2, {.padding = same}},
      // Enough channels for Winograd's tiles: whole ones, and ones that reach over the edges.
      {{2, 8, 8, 32}, 3, 48, {.padding = same}},
      {{3, 7, 5, 16}, 3, 32, {.padding = same}},
      {{1, 33, 34, 16}, 3, 16, {.padding = valid}},
      {{1, 3, 3, 32}, 3, 16, {.padding = valid}},
      {{2, 4, 1, 64}, 3, 64, {.padding = same}, false},
  };
  for (const Case& c : cases) check(c, false);
}

TEST_CASE("depthwise convolution and its gradients agree with the naive reference") {
  const std::vector<Case> cases{
      {{2, 8, 8, 16}, 3, 1, {.padding = same}},
      {{2, 7, 9, 3}, 3, 2, {.padding = same}, false},
      {{2, 9, 8, 17}, 3, 1, {.stride = 2, .padding = same}},
      {{1, 10, 10, 40}, {5, 3}, 1, {.padding = valid}},
      {{1, 11, 12, 5}, 3, 2, {.stride = {3, 2}, .padding = valid}, false},
      {{2, 9, 9, 16}, 3, 2, {.padding = same, .dilation = 2}},
      {{3, 5, 5, 1}, 2, 3, {.stride = 2, .padding = same}},
      {{1, 40, 30, 32}, 3, 1, {.padding = same}},
      {{2, 12, 13, 16}, 5, 1, {.padding = same}},
      {{2, 13, 19, 17}, 5, 1, {.stride = 2, .padding = same}},
      {{2, 8, 20, 16}, 3, 1, {.stride = 2, .padding = valid}},
  };
  for (const Case& c : cases) check(c, true);
}

TEST_CASE("same padding puts the odd pixel at the bottom and right, as Keras does") {
  const auto even = WindowGeometry::of("conv2d", {1, 32, 33, 3}, 3, 2, same);
  CHECK(even.out_height == 16);
  CHECK(even.out_width == 17);
  CHECK(even.pad_top == 0);  // one row in all
  CHECK(even.pad_left == 1);
  const auto dilated = WindowGeometry::of("conv2d", {1, 10, 10, 3}, {3, 4}, 1, same, 2);
  CHECK(dilated.pad_top == 2);
  CHECK(dilated.pad_left == 3);
  CHECK(WindowGeometry::of("conv2d", {1, 7, 7, 3}, 1, 3, same).pad_top == 0);
}

TEST_CASE("a convolution computes only the gradients that somebody wants") {
  const Variable x(random_tensor({1, 4, 4, 2}, "x"));
  const Variable kernel(random_tensor({3, 3, 2, 4}, "kernel"));
  const Variable bias(random_tensor({4}, "bias"), true);
  const Variable y = conv2d(x, kernel, bias);
  y.backward(Tensor::full(y.shape(), 1.0f));
  CHECK(x.grad().empty());
  CHECK(kernel.grad().empty());
  CHECK(bias.grad().values()[3] == 4.0f);
}

TEST_CASE("convolutions name the op and the shapes in their errors") {
  const Variable x(Tensor::zeros({1, 8, 8, 3}));
  const auto kernel = [](const Shape& shape) { return Variable(Tensor::zeros(shape)); };
  CHECK_THROWS_WITH(conv2d(x, kernel({3, 3, 4, 8}), {}),
                    Contains("conv2d") && Contains("[1, 8, 8, 3]") && Contains("[3, 3, 4, 8]"));
  CHECK_THROWS_WITH(conv2d(x, kernel({3, 3, 3}), {}), Contains("[h, w, C / groups, F]"));
  CHECK_THROWS_WITH(conv2d(x, kernel({9, 9, 3, 8}), {}), Contains("9x9 window"));
  CHECK_THROWS_WITH(conv2d(x, kernel({3, 3, 3, 8}), {}, {.stride = 0}), Contains("stride 0x0"));
  CHECK_THROWS_WITH(conv2d(x, kernel({3, 3, 3, 8}), {}, {.groups = 2}), Contains("2 groups"));
  CHECK_THROWS_WITH(conv2d(x, kernel({3, 3, 3, 8}), kernel({4})), Contains("bias of shape [4]"));
  CHECK_THROWS_WITH(conv2d(kernel({8, 8, 3}), kernel({3, 3, 3, 8}), {}), Contains("[N, H, W, C]"));
  CHECK_THROWS_WITH(depthwise_conv2d(x, kernel({3, 3, 4, 1}), {}),
                    Contains("depthwise_conv2d") && Contains("[3, 3, 4, 1]"));
  CHECK_THROWS_AS(depthwise_conv2d(x, kernel({3, 3, 3, 1}), {}, {.groups = 3}), Error);
}
