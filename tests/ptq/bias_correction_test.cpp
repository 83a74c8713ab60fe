// Bias correction: the means of the float network come back.
#include <catch2/catch.hpp>
#include <tests/ptq/nets.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/layers/spec.h>
#include <perch/ptq/bias_correction.h>
#include <perch/ptq/calibrate.h>
#include <perch/ptq/pass.h>

using namespace perch;
using namespace perch::test;

namespace {

/// Mean of each output channel of a linear layer, ahead of its activation function.
std::vector<double> means_of(Model& model, const Dataset& data, const std::string& layer) {
  std::vector<double> sums;
  run_pass(model, Variable(batch_of(data)), {.on_linear = [&](const LinearCall& call) {
             if (call.layer.name() != layer) return;
             const Tensor& y = call.output.value();
             sums.assign(static_cast<std::size_t>(y.shape()[-1]), 0.0);
             std::size_t i = 0;
             for (const float value : y.values()) {
               sums[i++ % sums.size()] += static_cast<double>(value);
             }
             for (double& sum : sums) {
               sum *= static_cast<double>(sums.size()) / static_cast<double>(y.size());
             }
           }});
  return sums;
}

double largest_shift(Model& model, Model& reference, const Dataset& data,
                     const std::string& layer) {
  const auto have = means_of(model, data, layer), want = means_of(reference, data, layer);
  double largest = 0.0;
  for (std::size_t c = 0; c < have.size(); ++c) {
    largest = std::max(largest, std::abs(have[c] - want[c]));
  }
  return largest;
}

}  // namespace

TEST_CASE("the corrected layers have the float network's means") {
  Sequential model{Conv2D(6, 3, {.padding = Padding::same}),   norm(),       ReLU(),
                   DepthwiseConv2D(3, {.activation = "relu"}), Conv2D(8, 1), Flatten(),
                   Dense(5, {.activation = "softmax"})};
  model.build({8, 8, 3}, {.seed = 2});
  settle(model, 3);
  Sequential reference = clone(model);
  const QuantizeConfig coarse{.weights = {{"kernel", {.bits = 3}}},
                              .activation = QuantSpec{.bits = 4, .range = MovingAverage{}}};
  apply_rules(
      model,
      {.rules = {{.filter = {.kinds = {"Conv2D", "DepthwiseConv2D", "Dense"}}, .config = coarse}}});
  const Dataset data = images(64);
  calibrate(model, data, {.images = 64});
  const std::vector<std::string> names{"conv2d", "depthwise_conv2d", "conv2d_1", "dense"};
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK(largest_shift(model, reference, data, name) > 3e-3);
  }
  const BiasCorrection done =
      correct_biases(model, reference, data, {.images = 64, .batch_size = 24});
  CHECK(done.corrected == names);
  CHECK(done.left.empty());
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK(largest_shift(model, reference, data, name) < 2e-6);
  }
}

TEST_CASE("without a bias the normalisation behind is corrected, and else nothing is") {
  Sequential model{Conv2D(4, 3, {.use_bias = false}),
                   norm(),
                   ReLU(),
                   Conv2D(4, 3, {.use_bias = false}),
                   ReLU(),
                   Flatten(),
                   Dense(3)};
  model.build({8, 8, 3}, {.seed = 4});
  settle(model, 5);
  Sequential reference = clone(model);
  apply_rules(model, kernels({.bits = 3}));
  const Dataset data = images(32);
  calibrate(model, data, {.images = 32});
  const Tensor left = state(model, "conv2d_1/kernel").clone();
  const BiasCorrection done = correct_biases(model, reference, data, {.images = 32});
  CHECK(done.corrected == std::vector<std::string>{"conv2d", "dense"});
  CHECK(done.left == std::vector<std::string>{"conv2d_1"});
  CHECK(bit_difference(state(model, "conv2d_1/kernel"), left) == "");

  const auto have = means_of(model, data, "conv2d"), want = means_of(reference, data, "conv2d");
  const Tensor& moved = state(model, "batch_normalization/moving_mean");
  const Tensor& mean = state(reference, "batch_normalization/moving_mean");
  for (std::size_t c = 0; c < have.size(); ++c) {
    CHECK(have[c] - static_cast<double>(moved.values()[c]) ==
          Approx(want[c] - static_cast<double>(mean.values()[c])).margin(1e-6));
  }
}

TEST_CASE("bias correction refuses another network as reference") {
  Sequential model = separable_net();
  Sequential reference{Dense(3, {.name = "other"})};
  reference.build({8, 8, 3});
  const auto correct = [&] { correct_biases(model, reference, images(8), {.images = 8}); };
  CHECK_THAT(error_of(ErrorCode::usage, correct), Catch::Contains("no wrapped"));
  apply_rules(model, kernels({}));
  CHECK_THAT(error_of(ErrorCode::usage, correct), Catch::Contains("no layer conv2d"));
}
