// Rules and schemes: which layer gets what, and why.
#include <catch2/catch.hpp>
#include <tests/support/errors.h>

#include <perch/layers/layers.h>
#include <perch/models/models.h>
#include <perch/quant/rules.h>
#include <perch/quant/schemes.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

QuantizeConfig weights_of(int bits) {
  return {.weights = {{"kernel", {.bits = bits, .granularity = per_channel}}}};
}

Sequential network() {
  Sequential model{Conv2D(4, 3, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   DepthwiseConv2D(3, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   Conv2D(6, 1),
                   Flatten(),
                   Dense(10, {.activation = "softmax"})};
  model.build({8, 8, 3});
  return model;
}

LayerRule rule(LayerFilter filter, std::optional<QuantizeConfig> config, std::string origin) {
  return {.filter = std::move(filter), .config = std::move(config), .origin = std::move(origin)};
}

std::map<std::string, std::string> origins(const Model& model, const QuantRules& rules) {
  std::map<std::string, std::string> result;
  for (const Decision& decision : decide(model, rules)) result[decision.layer] = decision.origin;
  return result;
}

}  // namespace

TEST_CASE("the last rule that matches by name, kind and place decides") {
  const Sequential model = network();
  const QuantRules rules{
      .rules = {rule({.kinds = {"Conv2D", "DepthwiseConv2D", "Dense"}}, weights_of(8), "all"),
                rule({.names = {"conv2d*"}}, weights_of(4), "glob"),
                rule({.place = LayerFilter::Place::first}, weights_of(8), "first"),
                rule({.place = LayerFilter::Place::last}, std::nullopt, "last")}};
  const auto found = origins(model, rules);
  CHECK(found.at("conv2d") == "first");
  CHECK(found.at("depthwise_conv2d") == "all");
  CHECK(found.at("conv2d_1") == "glob");
  CHECK(found.at("dense") == "last");
  CHECK(found.at("batch_normalization").empty());
  CHECK(found.at("re_lu") == "output_quantizers");  // feeds the depthwise convolution

  Sequential quantized = network();
  apply_rules(quantized, rules);
  CHECK(quantized.layer("quant_conv2d").kind() == "QuantizeWrapper");
  CHECK(quantized.layer("dense").kind() == "Dense");
  CHECK(quantized.layer("quantize_layer").kind() == "QuantizeLayer");
}

TEST_CASE("a rule without a layer and one that does not fit are refused by their origin") {
  const Sequential model = network();
  const auto refused = [&](LayerRule one) {
    return error_of(ErrorCode::usage, [&] { decide(model, {.rules = {std::move(one)}}); });
  };
  CHECK_THAT(refused(rule({.names = {"conv2d_2"}}, weights_of(8), "rule 1, line 3 of a.toml")),
             Contains("rule 1, line 3 of a.toml") && Contains("nearest: conv2d_1"));
  CHECK_THAT(refused(rule({.kinds = {"Conv2d"}}, weights_of(8), "rule 1")),
             Contains("nearest: Conv2D"));
  CHECK_THAT(refused(rule({.kinds = {"Flatten"}}, weights_of(8), "rule 7")),
             Contains("rule 7") && Contains("flatten") && Contains("no weight"));
}

TEST_CASE("the deployment scheme puts grids where folding leaves them") {
  const Sequential model = network();
  const auto configs = default_8bit(model);
  // Behind the activation function, not between a convolution and its BatchNormalization.
  CHECK_FALSE(configs.at("conv2d").activation);
  CHECK(configs.at("re_lu").output);
  CHECK_FALSE(configs.contains("batch_normalization"));
  CHECK_FALSE(configs.at("depthwise_conv2d").activation);
  CHECK(configs.at("re_lu_1").output);
  // Nothing follows.
  CHECK(configs.at("conv2d_1").activation);
  CHECK_FALSE(configs.contains("flatten"));
  CHECK(configs.at("dense").activation);
  const QuantSpec& kernel = configs.at("depthwise_conv2d").weights.at("kernel");
  CHECK(kernel.symmetric);
  CHECK(kernel.narrow_range);
  CHECK(kernel.granularity == per_channel);

  const auto four = n_bit(model, {.weight_bits = 4, .activation_bits = 6});
  CHECK(four.at("dense").weights.at("kernel").bits == 4);
  CHECK(four.at("re_lu").output->bits == 6);
}

TEST_CASE("the scheme puts one grid behind an Add and its activation function") {
  Graph model = resnet20();
  model.build({32, 32, 3});
  const auto configs = default_8bit(model);
  CHECK_FALSE(configs.contains("add"));
  std::size_t kernels = 0, outputs = 0;
  for (const auto& [layer, config] : configs) {
    kernels += config.weights.size();
    outputs += config.output ? 1 : 0;
  }
  CHECK(kernels == 20);
  // Nine inner ReLUs, nine behind an Add, the first; nine BatchNormalizations before an Add; the
  // pooling; two poolings of one pixel in the shortcuts.
  CHECK(outputs == 31);
  QuantRules rules{.scheme = NBitOptions{}};
  apply_rules(model, rules);
  CHECK(model.layer("quant_conv2d").kind() == "QuantizeWrapper");
}
