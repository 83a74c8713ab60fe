// Equalisation: the function stays, and one range for a whole kernel serves all channels again.
#include <catch2/catch.hpp>
#include <tests/ptq/nets.h>
#include <tests/support/errors.h>

#include <perch/layers/spec.h>
#include <perch/ptq/calibrate.h>
#include <perch/ptq/equalise.h>

using namespace perch;
using namespace perch::test;

namespace {

/// Depthwise layers whose channels correspond, with or without batch normalisation between.
Sequential depthwise_pair(bool between) {
  Sequential model;
  model.add(Conv2D(8, 3, {.padding = Padding::same, .name = "first"})).add(norm()).add(ReLU());
  model.add(DepthwiseConv2D(3, {.padding = Padding::same, .name = "one"}));
  if (between) model.add(norm("norm"));
  model.add(LeakyReLU());
  model.add(DepthwiseConv2D(3, {.padding = Padding::same, .name = "two"}));
  model.add(norm()).add(ReLU()).add(GlobalAveragePooling2D()).add(Dense(5, {.name = "last"}));
  model.build({8, 8, 3}, {.seed = 2});
  settle(model, 3);
  return model;
}

/// Multiplies channel 3 of a tensor whose channels are the last eight extents.
void scale_channel(Tensor& x, float by) {
  for (std::int64_t i = 3; i < x.size(); i += 8) x.data()[i] *= by;
}

/// One channel of the first depthwise layer a hundred times as large, which the second takes back.
void spoil(Model& model, bool between) {
  scale_channel(state(model, "one/depthwise_kernel"), 100.0f);
  scale_channel(state(model, "one/bias"), 100.0f);
  if (between) {
    scale_channel(state(model, "norm/moving_mean"), 100.0f);
    scale_channel(state(model, "norm/moving_variance"), 1e4f);
    scale_channel(state(model, "norm/gamma"), 100.0f);
    scale_channel(state(model, "norm/beta"), 100.0f);
  }
  scale_channel(state(model, "two/depthwise_kernel"), 0.01f);
}

double quantized_error(Sequential& model, const Granularity& granularity) {
  const Dataset data = images(32);
  const Tensor expected = output_of(model, data);
  Sequential quantized = clone(model);
  apply_rules(quantized, kernels({.bits = 8, .granularity = granularity, .range = LastValue{}}));
  calibrate(quantized, data, {.images = 32});
  return relative_error(output_of(quantized, data), expected);
}

}  // namespace

TEST_CASE("equalisation changes kernels and not what a network computes") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    Sequential model = separable_net(seed);
    const Dataset data = images(16);
    const Tensor before = output_of(model, data);
    const Tensor kernel = state(model, "depthwise_conv2d/depthwise_kernel").clone();
    const Equalisation done = equalise(model);
    CHECK(done.pairs == std::vector<std::pair<std::string, std::string>>{
                            {"conv2d", "depthwise_conv2d"}, {"depthwise_conv2d", "dense"}});
    CHECK(done.normalised == std::vector<std::string>{"conv2d", "depthwise_conv2d"});
    CHECK(done.change < 1e-3);
    CHECK(relative_error(output_of(model, data), before) < 1e-5);
    CHECK(relative_error(state(model, "depthwise_conv2d/depthwise_kernel"), kernel) > 0.01);
  }
}

TEST_CASE("a small variance does not make epsilon count differently") {
  Sequential model = separable_net();
  for (float& value : state(model, "batch_normalization/moving_variance").values()) value = 1e-6f;
  for (float& value : state(model, "conv2d/kernel").values()) value *= 1e-3f;
  const Dataset data = images(16);
  const Tensor before = output_of(model, data);
  equalise(model);
  CHECK(relative_error(output_of(model, data), before) < 1e-5);
}

TEST_CASE("a channel that outweighs the others costs nothing after equalisation") {
  for (const bool between : {false, true}) {
    Sequential model = depthwise_pair(between), sound = clone(model);
    const double healthy = quantized_error(model, per_tensor);
    spoil(model, between);
    const double per_kernel = quantized_error(model, per_tensor);
    const double each = quantized_error(model, per_channel);
    equalise(model);
    equalise(sound);
    const double equalised = quantized_error(model, per_tensor);
    const double best = quantized_error(sound, per_tensor);
    CAPTURE(between, healthy, per_kernel, each, equalised, best);
    CHECK(per_kernel > 10.0 * healthy);
    CHECK(each < 2.0 * healthy);
    CHECK(equalised < 2.0 * healthy);
    CHECK(equalised < 1.2 * best);
  }
}

TEST_CASE("only what is homogeneous and has one reader is looked through") {
  const auto pairs = [](Sequential model) {
    model.build({8, 8, 3}, {.seed = 4});
    settle(model, 5);
    const Dataset data = images(8);
    const Tensor before = output_of(model, data);
    const auto count = equalise(model).pairs.size();
    CHECK(relative_error(output_of(model, data), before) < 1e-5);
    return count;
  };
  CHECK(pairs(Sequential{Conv2D(4, 3), ReLU(), ZeroPadding2D(1), AveragePooling2D(2), Dropout(0.5f),
                         Conv2D(6, 3, {.groups = 2}), GlobalAveragePooling2D(), Dense(3)}) == 2);
  CHECK(pairs(Sequential{Conv2D(4, 3), ReLU({.max_value = 6.0f}), Conv2D(4, 3)}) == 0);
  CHECK(pairs(Sequential{Conv2D(4, 3, {.activation = "tanh"}), Conv2D(4, 3)}) == 0);
  CHECK(pairs(Sequential{Conv2D(4, 3), BatchNorm({.scale = false}), Conv2D(4, 3)}) == 0);
  CHECK(pairs(Sequential{Conv2D(4, 3), Softmax(), Conv2D(4, 3)}) == 0);

  Graph graph;
  const NodeId first = graph.add(Conv2D(4, 3, {.padding = Padding::same}), {Model::input});
  const NodeId second = graph.add(Conv2D(4, 3, {.padding = Padding::same}), {first});
  graph.add(Add(), {first, second});
  graph.build({8, 8, 3});
  CHECK(equalise(graph).pairs.empty());
}

TEST_CASE("channels without weights keep their scale, and constant ones do not blow up") {
  Sequential model = depthwise_pair(true);
  scale_channel(state(model, "one/depthwise_kernel"), 0.0f);
  Tensor& gamma = state(model, "norm/gamma");
  gamma.data()[5] = 1e-9f;
  gamma.data()[6] = 0.0f;
  state(model, "norm/beta").data()[5] = 0.3f;
  const Dataset data = images(8);
  const Tensor before = output_of(model, data);
  equalise(model);
  CHECK(relative_error(output_of(model, data), before) < 1e-5);
  for (const float value : state(model, "norm/beta").values()) CHECK(std::abs(value) < 10.0f);
}

TEST_CASE("equalisation refuses models that it cannot work on") {
  Sequential raw{Dense(3)};
  CHECK_THAT(error_of(ErrorCode::usage, [&] { equalise(raw); }), Catch::Contains("not built"));
  Sequential model = separable_net();
  CHECK_THAT(error_of(ErrorCode::usage, [&] { equalise(model, {.rounds = 0}); }),
             Catch::Contains("0 rounds"));
  apply_rules(model, kernels({}));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { equalise(model); }),
             Catch::Contains("quant_conv2d") && Catch::Contains("quantized already"));
}
