// Each layer kind: output shape, weights, what it computes beyond its op, and what it refuses.
#include <algorithm>
#include <cmath>

#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/layers/layers.h>
#include <perch/layers/state.h>

namespace perch {
namespace {

using Catch::Matchers::Contains;

template <class L>
Shape output_of(L layer, const Shape& input) {
  Sequential model{std::move(layer)};
  return model.build(input);
}

Tensor ramp(const Shape& shape) {
  Tensor result(shape);
  float value = -3.0f;
  for (float& element : result.values()) element = value += 0.5f;
  return result;
}

template <class L>
std::vector<float> outputs(L layer, const Tensor& x, const Context& context = {}) {
  Sequential model{std::move(layer)};
  model.build(x.shape().unbatched());
  const Tensor y = model.forward(Variable(x), context).value();
  return {y.values().begin(), y.values().end()};
}

}  // namespace

TEST_CASE("output shapes follow Keras") {
  const Shape image{7, 9, 4};
  CHECK(output_of(Conv2D(6, 3), image) == Shape{5, 7, 6});
  CHECK(output_of(Conv2D(6, {3, 5}, {.strides = 2, .padding = Padding::same}), image) ==
        Shape{4, 5, 6});
  CHECK(output_of(Conv2D(6, 3, {.dilation = 2, .groups = 2}), image) == Shape{3, 5, 6});
  CHECK(output_of(DepthwiseConv2D(3, {.strides = {2, 1}, .depth_multiplier = 3}), image) ==
        Shape{3, 7, 12});
  CHECK(output_of(Dense(5), image) == Shape{7, 9, 5});
  CHECK(output_of(BatchNorm(), image) == image);
  CHECK(output_of(Flatten(), image) == Shape{252});
  CHECK(output_of(Reshape({9, -1}), image) == Shape{9, 28});
  CHECK(output_of(MaxPooling2D(), image) == Shape{3, 4, 4});
  CHECK(output_of(AveragePooling2D(3, {.strides = 2, .padding = Padding::same}), image) ==
        Shape{4, 5, 4});
  CHECK(output_of(GlobalAveragePooling2D(), image) == Shape{4});
  CHECK(output_of(ZeroPadding2D({.top = 1, .bottom = 2, .left = 3, .right = 4}), image) ==
        Shape{10, 16, 4});
}

TEST_CASE("weights have Keras's names, order, shapes and initial values") {
  Sequential model{DepthwiseConv2D(3, {.depth_multiplier = 2}), BatchNorm(), Flatten(), Dense(3)};
  model.build({6, 6, 4}, {.seed = 7});
  std::vector<std::string> names;
  for (const StateEntry& entry : state_of(model)) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{
                     "depthwise_conv2d/depthwise_kernel", "depthwise_conv2d/bias",
                     "batch_normalization/gamma", "batch_normalization/beta",
                     "batch_normalization/moving_mean", "batch_normalization/moving_variance",
                     "dense/kernel", "dense/bias"});

  const auto state = state_of(model);
  const Tensor& kernel = *state[0].tensor();
  CHECK(kernel.shape() == Shape{3, 3, 4, 2});
  const float limit = std::sqrt(6.0f / (4 * 9 + 2 * 9));
  const auto [low, high] = std::minmax_element(kernel.values().begin(), kernel.values().end());
  CHECK(*low >= -limit);
  CHECK(*high <= limit);
  CHECK(*high - *low > 1.5f * limit);
  CHECK(state[1].tensor()->values()[0] == 0.0f);
  CHECK(state[2].tensor()->values()[0] == 1.0f);
  CHECK(state[5].tensor()->values()[0] == 1.0f);
  CHECK(count_parameters(model).trainable == 72 + 8 + 16 + 4 * 4 * 8 * 3 + 3);
  CHECK(count_parameters(model).other == 16);
}

TEST_CASE("initial weights depend on the seed and on the weight's name alone") {
  const auto kernel = [](std::uint64_t seed, const char* name) {
    Sequential model{Conv2D(4, 3, {.name = name})};
    model.build({8, 8, 3}, {.seed = seed});
    const auto values = state_of(model)[0].tensor()->values();
    return std::vector<float>(values.begin(), values.end());
  };
  CHECK(kernel(1, "a") == kernel(1, "a"));
  CHECK(kernel(1, "a") != kernel(2, "a"));
  CHECK(kernel(1, "a") != kernel(1, "b"));
}

TEST_CASE("layers without a bias have none") {
  Sequential model{Conv2D(2, 1, {.use_bias = false}), BatchNorm({.center = false}), Flatten(),
                   Dense(2, {.use_bias = false})};
  model.build({2, 2, 1});
  CHECK(state_of(model).size() == 5);
  CHECK(model.forward(Variable(ramp({3, 2, 2, 1})), {}).shape() == Shape{3, 2});
}

TEST_CASE("an activation argument is the activation layer") {
  const Tensor x = ramp({2, 6});
  Sequential fused{Dense(4, {.activation = "relu", .name = "d"})};
  Sequential apart{Dense(4, {.name = "d"}), Activation("relu")};
  fused.build({6});
  apart.build({6});
  const Tensor a = fused.forward(Variable(x), {}).value();
  const Tensor b = apart.forward(Variable(x), {}).value();
  CHECK(std::equal(a.values().begin(), a.values().end(), b.values().begin()));
  CHECK(std::count(a.values().begin(), a.values().end(), 0.0f) > 0);
}

TEST_CASE("a dense layer works along the last axis of any input") {
  Sequential model{Dense(2)};
  model.build({3, 4});
  const Tensor x = ramp({2, 3, 4});
  const Tensor y = model.forward(Variable(x), {}).value();
  CHECK(y.shape() == Shape{2, 3, 2});
  Sequential flat{Dense(2, {.name = "dense"})};
  flat.build({4});
  const Tensor rows = flat.forward(Variable(x.reshape({6, 4})), {}).value();
  CHECK(std::equal(y.values().begin(), y.values().end(), rows.values().begin()));
}

TEST_CASE("ReLU honours its slope and its limit") {
  const Tensor x({1, 5}, {-2.0f, -0.5f, 0.25f, 3.0f, 9.0f});
  CHECK(outputs(ReLU(), x) == std::vector<float>{0, 0, 0.25f, 3, 9});
  CHECK(outputs(ReLU({.max_value = 6.0f}), x) == std::vector<float>{0, 0, 0.25f, 3, 6});
  CHECK(outputs(ReLU({.max_value = 2.0f, .negative_slope = 0.5f}), x) ==
        std::vector<float>{-1, -0.25f, 0.25f, 2, 2});
  CHECK(outputs(LeakyReLU({.alpha = 0.5f}), x) == std::vector<float>{-1, -0.25f, 0.25f, 3, 9});
}

TEST_CASE("dropout draws in training only, and anew in each step") {
  const Tensor x = Tensor::full({1, 1000}, 1.0f);
  const auto in_step = [&](std::uint32_t step) {
    return outputs(Dropout(0.25f), x, Context::for_training(3, step));
  };
  CHECK(outputs(Dropout(0.25f), x) == std::vector<float>(1000, 1.0f));
  CHECK(in_step(0) == in_step(0));
  CHECK(in_step(0) != in_step(1));
  const auto dropped = in_step(0);
  const auto zeros = std::count(dropped.begin(), dropped.end(), 0.0f);
  CHECK(zeros > 200);
  CHECK(zeros < 300);
}

TEST_CASE("layers refuse what they cannot do, in the layer's name") {
  const auto message = [](auto layer, const Shape& input) {
    try {
      output_of(std::move(layer), input);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::usage);
      return std::string(error.what());
    }
    return std::string();
  };
  const Shape image{4, 4, 3};
  CHECK_THAT(message(Conv2D(0, 3), image), Contains("conv2d: needs at least one filter"));
  CHECK_THAT(message(Conv2D(4, 3, {.groups = 2}), image), Contains("2 groups do not divide 3"));
  CHECK_THAT(message(Conv2D(4, 5), image), Contains("conv2d: "));
  CHECK_THAT(message(Conv2D(4, 3), {4, 4}), Contains("conv2d: "));
  CHECK_THAT(message(Activation("rleu"), image), Contains("nearest: relu"));
  CHECK_THAT(message(Dense(4, {.activation = "tahn"}), image), Contains("nearest: tanh"));
  CHECK_THAT(message(Dropout(1.0f), image), Contains("dropout: rate 1"));
  CHECK_THAT(message(Reshape({5, -1}), image), Contains("48 elements"));
  CHECK_THAT(message(GlobalAveragePooling2D(), {4}), Contains("needs images"));
  CHECK_THAT(message(ZeroPadding2D(-1), image), Contains("negative"));
  CHECK_THAT(message(Add(), image), Contains("add: takes two or more inputs"));
}

}  // namespace perch
