// Losses of single layers, and bits by them.
#include <catch2/catch.hpp>
#include <tests/analyze/nets.h>
#include <tests/support/errors.h>
#include <tests/train/fixtures.h>

#include <perch/analyze/sensitivity.h>
#include <perch/layers/spec.h>

using namespace perch;
using namespace perch::test;

namespace {

std::map<int, WidthScore> losses(const std::map<int, double>& by_bits) {
  std::map<int, WidthScore> scores;
  for (const auto& [bits, loss] : by_bits) scores[bits] = {.loss = loss};
  return scores;
}

std::map<std::string, int> bits_of(const BitAllocation& allocation) {
  std::map<std::string, int> bits;
  for (const LayerBits& layer : allocation.layers) bits[layer.name] = layer.bits;
  return bits;
}

/// Loss and accuracy of a float model in which one kernel is quantized.
Evaluation with_one_kernel(Model& model, const std::string& layer, const QuantSpec& spec,
                           const Dataset& data) {
  const auto copy = clone_model(model);
  apply_in_place(*copy, {{layer, {.weights = {{"kernel", spec}}}}},
                 {.input_quantizer = std::nullopt, .output_quantizers = false});
  calibrate(*copy, data, {.images = 1});
  Trainer trainer(*copy, Adam(), sparse_categorical_crossentropy);
  return trainer.evaluate(data);
}

}  // namespace

TEST_CASE("a layer's score is that of a model in which it alone is quantized") {
  Sequential model = separable_net();
  const Dataset data = images(60);
  const auto before = state_bits(model);
  std::vector<std::string> told;
  const Sensitivity result =
      sensitivity(model, images(80),
                  {.bits = {8, 3}, .images = 60, .on_layer = [&](const LayerSensitivity& layer) {
                     told.push_back(layer.name);
                   }});
  CHECK(told == std::vector<std::string>{"conv2d", "depthwise_conv2d", "dense"});
  CHECK(state_bits(model) == before);

  Trainer trainer(model, Adam(), sparse_categorical_crossentropy);
  CHECK(result.unquantized.loss == trainer.evaluate(data).loss);
  REQUIRE(result.layers.size() == 3);
  CHECK(result.layers[0].weights == 3 * 3 * 3 * 6);
  for (const LayerSensitivity& layer : result.layers) {
    REQUIRE(layer.scores.size() == 2);
    for (const auto& [bits, score] : layer.scores) {
      CAPTURE(layer.name, bits);
      const Evaluation expected = with_one_kernel(model, layer.name,
                                                  {.bits = bits,
                                                   .granularity = per_channel,
                                                   .symmetric = true,
                                                   .narrow_range = true,
                                                   .range = LastValue{}},
                                                  data);
      CHECK(score.loss == Approx(expected.loss).epsilon(1e-6));
      CHECK(score.accuracy == expected.accuracy);
      CHECK(score.loss != result.unquantized.loss);
    }
  }
}

TEST_CASE("in a quantized model all else is float, and a kernel's own specification holds") {
  Sequential reference = separable_net();
  Sequential model = quantized_net({.bits = 5, .range = MovingAverage{}});
  const Dataset data = images(40);
  const auto before = state_bits(model);
  const Sensitivity result = sensitivity(model, data, {.bits = {2}});
  CHECK(state_bits(model) == before);
  Trainer trainer(reference, Adam(), sparse_categorical_crossentropy);
  CHECK(result.unquantized.loss == trainer.evaluate(data).loss);
  CHECK(result.layers[0].scores.at(2).loss ==
        Approx(with_one_kernel(reference, "conv2d", {.bits = 2, .range = LastValue{}}, data).loss)
            .epsilon(1e-6));
  CHECK(policy_name(result.layers[0].spec.range) == "last_value");
  CHECK_FALSE(result.layers[0].spec.symmetric);
  CHECK(result.layers[2].spec.symmetric);  // dense is float in the model
  CHECK_THAT(error_of(ErrorCode::usage, [&] { sensitivity(model, data, {.bits = {1}}); }),
             Catch::Contains("1 bits"));
}

TEST_CASE("bits go first where they cost the least loss for each that is saved") {
  // Costs for each bit saved: a 8-4 0.4/400, 4-2 2/200; b 8-4 0.6/4000, 4-2 1/2000; c 8-4 -0.1/40.
  const std::vector<LayerSensitivity> layers{
      {.name = "a", .weights = 100, .scores = losses({{8, 1.0}, {4, 1.4}, {2, 3.4}})},
      {.name = "b", .weights = 1000, .scores = losses({{8, 1.0}, {4, 1.6}, {2, 2.6}})},
      {.name = "c", .weights = 10, .scores = losses({{16, 0.9}, {8, 1.0}, {4, 0.9}})}};
  using Bits = std::map<std::string, int>;
  CHECK(bits_of(allocate_bits(layers, 1.0)) == Bits{{"a", 8}, {"b", 8}, {"c", 8}});
  CHECK(bits_of(allocate_bits(layers, 0.999)) == Bits{{"a", 8}, {"b", 8}, {"c", 4}});
  const BitAllocation half = allocate_bits(layers, 0.6);
  CHECK(bits_of(half) == Bits{{"a", 8}, {"b", 4}, {"c", 4}});
  CHECK(half.share == Approx(4840.0 / 8880.0));
  CHECK(bits_of(allocate_bits(layers, 0.4)) == Bits{{"a", 8}, {"b", 2}, {"c", 4}});
  CHECK(bits_of(allocate_bits(layers, 2240.0 / 8880.0)) == Bits{{"a", 2}, {"b", 2}, {"c", 4}});
  // The large layer falls last, and what it frees beyond the budget lifts the small one again.
  CHECK(bits_of(
            allocate_bits({{.name = "a", .weights = 100, .scores = losses({{8, 1.0}, {4, 1.1}})},
                           {.name = "b", .weights = 1000, .scores = losses({{8, 1.0}, {4, 6.0}})}},
                          0.6)) == Bits{{"a", 8}, {"b", 4}});
  CHECK_THAT(error_of(ErrorCode::usage, [&] { allocate_bits(layers, 0.25); }),
             Catch::Contains("0.25 ") && Catch::Contains("smallest possible is 0.2523"));
  CHECK_THAT(
      error_of(ErrorCode::usage,
               [&] {
                 allocate_bits({{.name = "d", .weights = 1, .scores = losses({{4, 1.0}})}}, 0.9);
               }),
      Catch::Contains("d was not measured at 8 bits"));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { allocate_bits(layers, 0.0); }),
             Catch::Contains("budget of 0"));
}
