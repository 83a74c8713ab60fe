// Calibration: ranges move, nothing else does.
#include <catch2/catch.hpp>
#include <tests/ptq/nets.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/layers/spec.h>
#include <perch/ptq/calibrate.h>
#include <perch/ptq/pass.h>
#include <perch/quant/range_quantizer.h>

using namespace perch;
using namespace perch::test;

namespace {

/// Everything quantized, a BatchNormalization too, with a dropout and a frozen layer between.
Sequential quantized_net(const QuantSpec& kernel, const QuantSpec& activation) {
  Sequential model{Conv2D(4, 3),
                   norm(),
                   ReLU(),
                   Dropout(0.5f),
                   Flatten(),
                   Dense(6),
                   Activation("tanh"),
                   Dense(4, {.activation = "softmax"})};
  model.build({8, 8, 3}, {.seed = 7});
  settle(model, 8);
  model.layer("dense").set_trainable(false);
  const QuantizeConfig linear{.weights = {{"kernel", kernel}}, .activation = activation};
  apply_rules(model, {.rules = {{.filter = {.kinds = {"Conv2D", "Dense"}}, .config = linear},
                                {.filter = {.kinds = {"BatchNormalization"}},
                                 .config = QuantizeConfig{.output = activation}}},
                      .input = QuantSpec{.range = MovingAverage{}}});
  return model;
}

}  // namespace

TEST_CASE("calibration sets every range and leaves everything else as it is") {
  Sequential model =
      quantized_net({.granularity = per_channel, .range = AllValues{}}, {.range = MovingAverage{}});
  std::map<std::string, Tensor> before;
  for (const StateEntry& entry : state_of(model)) {
    if (entry.tensor() != nullptr) before.emplace(entry.name, entry.tensor()->clone());
  }
  calibrate(model, images(48), {.images = 40, .batch_size = 16});
  int ranges = 0;
  for (const StateEntry& entry : state_of(model)) {
    if (entry.tensor() == nullptr) continue;
    CAPTURE(entry.name);
    const bool same = bit_difference(*entry.tensor(), before.at(entry.name)).empty();
    const bool range = entry.name.ends_with("_min") || entry.name.ends_with("_max");
    CHECK(same != range);
    ranges += range ? 1 : 0;
  }
  // Input, three kernels, their activations, the normalisation's output and what feeds a wrapped
  // layer, a minimum and a maximum each.
  CHECK(ranges >= 16);
}

TEST_CASE("a moving average from six becomes the mean of the batches' ranges") {
  Sequential model = quantized_net({}, {});
  const Dataset data = images(40);
  calibrate(model, data, {.images = 40, .batch_size = 16});
  double sum = 0.0;
  for (const auto& [begin, end] : {std::pair{0, 16}, {16, 32}, {32, 40}}) {
    sum += static_cast<double>(range_of(batch_of(data.subset(begin, end)), {}).max.item());
  }
  CHECK(state(model, "quantize_layer/quantize_layer_max").item() ==
        Approx(sum / 3.0).epsilon(1e-6));
  CHECK(state(model, "quantize_layer/quantize_layer_min").item() == 0.0f);
}

TEST_CASE("the calibrated model is the quantized one, and an observing pass is no other") {
  for (const RangePolicy& policy : {RangePolicy(LastValue{}), RangePolicy(Percentile{}),
                                    RangePolicy(Lsq{}), RangePolicy(MovingAverage{})}) {
    Sequential model = quantized_net({.bits = 4, .range = policy}, {.range = policy});
    Sequential plain = clone(model);
    const Dataset data = images(24);
    calibrate(model, data, {.images = 24, .batch_size = 24});
    const Tensor quantized = output_of(model, data);
    const Variable x(batch_of(data));
    CHECK(bit_difference(run_pass(model, x, {}).value(), quantized) == "");
    // A single batch: what it was quantized with while it was observed is what is kept.
    CHECK(bit_difference(
              run_pass(plain, x, {.observe_weights = true, .observe_activations = true}).value(),
              quantized) == "");
  }
}

TEST_CASE("a quantizer that does not observe keeps its range") {
  Sequential model = quantized_net({}, {});
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_conv2d"));
  wrapper.quantizers().at("kernel")->mode.observes = false;
  calibrate(model, images(8), {.images = 8});
  CHECK(state(model, "quant_conv2d/kernel_max").item() == 0.0f);
  CHECK(state(model, "quant_conv2d/post_activation_max").item() >= 0.0f);
}

TEST_CASE("calibration refuses what it cannot be done with") {
  Sequential model = quantized_net({}, {});
  const auto message = [&](Model& which, const Dataset& data, const CalibrateOptions& options) {
    return error_of(ErrorCode::usage, [&] { calibrate(which, data, options); });
  };
  CHECK_THAT(message(model, images(8), {.images = 9}), Catch::Contains("9 images wanted"));
  CHECK_THAT(message(model, images(8), {.images = 0}), Catch::Contains("0 images wanted"));
  CHECK_THAT(message(model, images(8), {.images = 8, .batch_size = 0}),
             Catch::Contains("batch size 0"));
  CHECK_THAT(message(model, images(8, {4, 4, 3}), {.images = 8}), Catch::Contains("[4, 4, 3]"));
  Sequential plain = separable_net();
  CHECK_THAT(message(plain, images(8), {.images = 8}), Catch::Contains("no quantizer"));
}
