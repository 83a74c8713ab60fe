// Weights outside of their range, counted one by one.
#include <algorithm>

#include <catch2/catch.hpp>
#include <tests/train/fixtures.h>

#include <perch/analyze/layers.h>
#include <perch/train/clipping.h>

using namespace perch;
using namespace perch::test;

namespace {

/// Two dense layers of four weights; the first one's are given.
Sequential two_layers(const QuantSpec& first, const QuantSpec& second) {
  Sequential model{Dense(2, {.use_bias = false}), Dense(2, {.use_bias = false})};
  model.build({2});
  Tensor& kernel = find_weight(model.layer("dense"), "kernel")->mutable_value();
  const float values[] = {-3.0f, 0.5f, 0.99f, 1.5f};  // [input, output]
  std::copy_n(values, 4, kernel.data());
  apply_in_place(
      model,
      {{"dense", {.weights = {{"kernel", first}}}}, {"dense_1", {.weights = {{"kernel", second}}}}},
      {.input_quantizer = std::nullopt, .output_quantizers = false});
  return model;
}

EpochResult counted(Model& model) {
  Trainer trainer(model, Sgd({.learning_rate = 0.1f}), sparse_categorical_crossentropy());
  const CallbackPtr callback = clipping();
  callback->on_train_begin(trainer, {.epochs = 1, .batches = 1});
  EpochResult result;
  callback->complete(result);
  return result;
}

}  // namespace

TEST_CASE("clipped weights are those outside of their range") {
  const QuantSpec unit{.bits = 8, .range = Fixed{-1.0f, 1.0f}};
  const QuantSpec wide{.bits = 8, .range = Fixed{-9.0f, 9.0f}};
  Sequential model = two_layers(unit, wide);
  const EpochResult result = counted(model);
  REQUIRE(result.clipped_layers.size() == 2);
  CHECK(result.clipped_layers[0].layer == "quant_dense");
  CHECK(result.clipped_layers[0].share == 0.5);
  CHECK(result.clipped_layers[1].share == 0.0);
  CHECK(result.clipped == 0.25);

  for (const Granularity& granularity : {per_channel, per_group(0, 1)}) {
    QuantSpec spec = unit;
    spec.granularity = granularity;
    Sequential same = two_layers(spec, wide);
    CHECK(counted(same).clipped == 0.25);
  }
}

TEST_CASE("weights that are handed on, or have no even levels, are not counted") {
  const QuantSpec unit{.range = Fixed{-1.0f, 1.0f}};
  const QuantSpec levels{.range = PowerOfTwo{}};
  Sequential model = two_layers(unit, levels);
  EpochResult result = counted(model);
  REQUIRE(result.clipped_layers.size() == 1);
  CHECK(result.clipped == 0.5);
  quantizers_of(model).weights.front()->mode.quantizes = false;
  result = counted(model);
  CHECK(result.clipped_layers.empty());
  CHECK_FALSE(result.clipped.has_value());
}

TEST_CASE("what the last epoch tells of clipping is what analyse() sees") {
  Sequential model = small_net();
  // A moving average runs after the weights.
  const QuantizeConfig config{
      .weights = {{"kernel",
                   {.bits = 4,
                    .granularity = per_channel,
                    .range = MovingAverage{.decay = 0.99f, .start = AverageStart::first_batch}}}}};
  apply_in_place(model, {{"conv2d", config}}, {});
  Trainer trainer(model, Sgd({.learning_rate = 0.5f}),
                  sparse_categorical_crossentropy({.from_logits = false}));
  const History history =
      trainer.fit(small_data(), {.epochs = 3, .batch_size = 16, .callbacks = {clipping()}});
  const auto layers = analyse(model, small_data());
  const auto layer = std::ranges::find(layers, "quant_conv2d", &LayerAnalysis::name);
  REQUIRE(layer != layers.end());
  const EpochResult& last = history.epochs.back();
  REQUIRE(last.clipped_layers.size() == 1);
  CHECK(last.clipped == layer->weights.clipped);
  CHECK(last.clipped > 0.0);
}
