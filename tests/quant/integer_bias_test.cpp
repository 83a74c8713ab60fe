// int32 biases at input scale times weight scale, against the definition in double.
#include <cmath>

#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/core/random.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/quant/apply.h>
#include <perch/quant/integer_bias.h>
#include <perch/quant/rules.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

const QuantSpec weights{.bits = 8,
                        .granularity = per_channel,
                        .symmetric = true,
                        .narrow_range = true,
                        .range = LastValue{}};
const QuantSpec activations{.range = LastValue{}};

Variable images(std::int64_t count = 4) {
  Tensor x({count, 8, 8, 3});
  Random(5, "images").fill_uniform(x.values());
  return Variable(std::move(x));
}

Sequential network() {
  Sequential model{Conv2D(6, 3, {.activation = "relu"}), MaxPooling2D(), Flatten(), Dense(4)};
  model.set_name("net");
  model.build({8, 8, 3}, {.seed = 2});
  for (const StateEntry& entry : state_of(model)) {
    if (!entry.name.ends_with("bias")) continue;
    const Random random(8, entry.name);
    Tensor& bias = entry.weight->mutable_value();
    for (std::int64_t i = 0; i < bias.size(); ++i) {
      bias.data()[i] = random.uniform(static_cast<std::uint64_t>(i), -0.7f, 0.7f);
    }
  }
  return model;
}

QuantizeConfig with_bias(const QuantSpec& kernel = weights) {
  return {.weights = {{"kernel", kernel}}, .activation = activations, .integer_bias = true};
}

Sequential quantized(const QuantSpec& kernel = weights) {
  Sequential model = network();
  apply_in_place(model, {{"conv2d", with_bias(kernel)}, {"dense", with_bias(kernel)}}, {});
  for (std::uint32_t step = 0; step < 2; ++step) {
    model.forward(images(), Context::for_training(0, step));
  }
  return model;
}

QuantizeWrapper& wrapper_of(Model& model, const std::string& name) {
  return dynamic_cast<QuantizeWrapper&>(model.layer(name));
}

std::string refused(const std::map<std::string, QuantizeConfig>& configs,
                    const ApplyOptions& options = {}) {
  Sequential model = network();
  const std::string message =
      error_of(ErrorCode::usage, [&] { apply_in_place(model, configs, options); });
  CHECK(model.nodes()[0].layer->kind() == "Conv2D");
  return message;
}

}  // namespace

TEST_CASE("a bias is a whole number of input scale times weight scale") {
  const bool channels = GENERATE(false, true);
  QuantSpec kernel = weights;
  kernel.granularity = channels ? per_channel : per_tensor;
  Sequential model = quantized(kernel);
  // What feeds the Dense layer is found through pooling and Flatten.
  const std::vector<std::pair<std::string, const Quantizer*>> fed{
      {"quant_conv2d", &dynamic_cast<QuantizeLayer&>(model.layer("quantize_layer")).quantizer()},
      {"quant_dense", wrapper_of(model, "quant_conv2d").quantizers().at("post_activation").get()}};
  for (const auto& [name, input] : fed) {
    QuantizeWrapper& wrapper = wrapper_of(model, name);
    const Weights plain = wrapper.plain_weights({}, {}, {});
    const Tensor got = wrapper.quantized_weights(plain, {})["bias"].value();
    const auto grids = wrapper.quantizers().at("kernel")->grids();
    const std::vector<double> scales = wrapper.integer_bias_scales();
    REQUIRE(scales.size() == static_cast<std::size_t>(got.size()));
    for (std::size_t i = 0; i < scales.size(); ++i) {
      const double scale =
          double{input->grids().at(0).scale} * double{grids[channels ? i : 0].scale};
      CHECK(scales[i] == scale);
      const double b = double{plain["bias"].value().values()[i]};
      CHECK(got.values()[i] == static_cast<float>(std::floor(b / scale + 0.5) * scale));
    }
    CHECK(bit_difference(got, plain["bias"].value()) != "");
  }
}

TEST_CASE("integer biases are copied with the model and learn straight through") {
  Sequential model = quantized();
  Sequential copy = clone(model);
  CHECK(wrapper_of(copy, "quant_dense").config().integer_bias);
  CHECK(bit_difference(copy.forward(images(), {}).value(), model.forward(images(), {}).value()) ==
        "");
  CHECK(wrapper_of(copy, "quant_dense").integer_bias_scales() ==
        wrapper_of(model, "quant_dense").integer_bias_scales());

  const Variable bias(Tensor({2}, {0.3f, -5.0f}), true);
  const Variable y = integer_bias(bias, {0.25, 1e-12});
  CHECK(y.value().values()[0] == 0.25f);
  CHECK(y.value().values()[1] == Approx(-2147483648.0 * 1e-12));  // int32 holds no more
  y.backward(Tensor({2}, {2.0f, 3.0f}));
  CHECK(bias.grad().values()[0] == 2.0f);
  CHECK(bias.grad().values()[1] == 3.0f);
}

TEST_CASE("while the input is not quantized, the bias is not either") {
  Sequential model = quantized();
  QuantizeWrapper& conv = wrapper_of(model, "quant_conv2d");
  auto& input = dynamic_cast<QuantizeLayer&>(model.layer("quantize_layer")).quantizer();
  input.mode.quantizes = false;
  CHECK(conv.integer_bias_scales().empty());
  const Weights plain = conv.plain_weights({}, {}, {});
  CHECK(bit_difference(conv.quantized_weights(plain, {})["bias"].value(), plain["bias"].value()) ==
        "");
}

TEST_CASE("the bias of a folded batch normalisation is an integer one in inference") {
  Sequential model{Conv2D(6, 3, {.use_bias = false}), BatchNorm(), ReLU()};
  model.set_name("net");
  model.build({8, 8, 3});
  apply_rules(model, {.rules = {{.filter = {.kinds = {"Conv2D"}},
                                 .config = QuantizeConfig{.weights = {{"kernel", weights}}},
                                 .origin = "rule"}},
                      .fold = FoldStatistics::running,
                      .integer_biases = true});
  for (std::uint32_t step = 0; step < 2; ++step) {
    model.forward(images(), Context::for_training(0, step));
  }
  QuantizeWrapper& conv = wrapper_of(model, "quant_conv2d");
  const std::vector<double> scales = conv.integer_bias_scales();
  const Tensor bias = conv.quantized_weights(conv.plain_weights({}, {}, {}), {})["bias"].value();
  REQUIRE(scales.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    const double level = double{bias.values()[i]} / scales[i];
    CHECK(std::abs(level - std::round(level)) < 1e-3);
  }
}

TEST_CASE("what has no such bias is refused before anything changes") {
  CHECK_THAT(refused({{"dense", with_bias()}}), Contains("dense") && Contains("input"));
  CHECK_THAT(refused({{"conv2d", with_bias()}}, {.input_quantizer = std::nullopt}),
             Contains("conv2d") && Contains("input"));
  CHECK_THAT(refused({{"conv2d", with_bias()}},
                     {.input_quantizer = QuantSpec{.granularity = per_axes({3})}}),
             Contains("one even grid"));
  CHECK_THAT(refused({{"conv2d", with_bias({.bits = 2, .range = Ternary{}})}}),
             Contains("even levels"));
  QuantSpec rows = weights;
  rows.granularity = per_axes({0});
  CHECK_THAT(refused({{"conv2d", with_bias(rows)}}), Contains("per tensor or per channel"));
  QuantizeConfig twice = with_bias();
  twice.weights["bias"] = activations;
  CHECK_THAT(refused({{"conv2d", twice}}), Contains("a quantizer already"));

  Sequential model{Conv2D(4, 3, {.use_bias = false}), Flatten()};
  model.set_name("net");
  model.build({8, 8, 3});
  CHECK_THAT(error_of(ErrorCode::usage,
                      [&] {
                        apply_in_place(model, {{"conv2d", with_bias()}}, {});
                      }),
             Contains("has no bias"));
  // Asked for by the layer's own rule, it is refused whatever holds for all layers.
  const QuantRules rules{
      .rules = {{.filter = {.kinds = {"Conv2D"}}, .config = with_bias(), .origin = "rule"}},
      .integer_biases = true};
  CHECK_THAT(error_of(ErrorCode::usage, [&] { apply_rules(model, rules); }),
             Contains("has no bias"));
}
