// annotate and apply: which layers are wrapped, how they are called, and that nothing else changes.
#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/core/random.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/quant/apply.h>

using namespace perch;
using namespace perch::test;

namespace {

Sequential small_net() {
  Sequential model{Conv2D(4, 3, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   DepthwiseConv2D(3, {.padding = Padding::same}),
                   BatchNorm(),
                   ReLU(),
                   GlobalAveragePooling2D(),
                   Dense(10, {.activation = "softmax"})};
  model.build({8, 8, 3});
  return model;
}

std::vector<std::string> layer_names(const Model& model) {
  std::vector<std::string> names;
  for (const Model::Node& node : model.nodes()) names.push_back(node.layer->name());
  return names;
}

const QuantizeConfig config{
    .weights = {{"kernel", {.granularity = per_channel, .range = AllValues{}}}},
    .activation = QuantSpec{.range = MovingAverage{}}};

std::optional<QuantizeConfig> convolutions(const Layer& layer) {
  const bool chosen = layer.kind() == "Conv2D" || layer.kind() == "DepthwiseConv2D";
  return chosen ? std::optional(config) : std::nullopt;
}

Tensor images(const Shape& shape) {
  Tensor x(shape);
  Random(9, "images").fill_uniform(x.values());
  return x;
}

}  // namespace

TEST_CASE("apply names and orders layers and variables as tfmot does") {
  Sequential model = quantize_apply(quantize_annotate(small_net(), convolutions));
  CHECK(layer_names(model) ==
        std::vector<std::string>{"quantize_layer", "quant_conv2d", "batch_normalization",
                                 "quant_re_lu", "quant_depthwise_conv2d", "batch_normalization_1",
                                 "re_lu_1", "global_average_pooling2d", "dense"});
  std::vector<std::string> variables;
  for (const StateEntry& entry : state_of(model)) variables.push_back(entry.name);
  const std::vector<std::string> expected{"quantize_layer/quantize_layer_min",
                                          "quantize_layer/quantize_layer_max",
                                          "quantize_layer/optimizer_step",
                                          "conv2d/kernel",
                                          "conv2d/bias",
                                          "quant_conv2d/optimizer_step",
                                          "quant_conv2d/kernel_min",
                                          "quant_conv2d/kernel_max",
                                          "quant_conv2d/post_activation_min",
                                          "quant_conv2d/post_activation_max",
                                          "batch_normalization/gamma",
                                          "batch_normalization/beta",
                                          "batch_normalization/moving_mean",
                                          "batch_normalization/moving_variance",
                                          "quant_re_lu/optimizer_step",
                                          "quant_re_lu/output_min",
                                          "quant_re_lu/output_max"};
  REQUIRE(variables.size() == 30);
  variables.resize(expected.size());
  CHECK(variables == expected);

  model.forward(Variable(images({2, 8, 8, 3})), Context::for_training(0, 0));
  for (const StateEntry& entry : state_of(model)) {
    if (entry.name.ends_with("kernel_max")) CHECK(entry.shape() == Shape{4});
    if (entry.name == "quant_re_lu/output_max") CHECK(entry.buffer->item() < 6.0f);
  }
}

TEST_CASE("apply keeps weights, and its additions can be left out") {
  Sequential model = small_net();
  const Variable x(images({2, 8, 8, 3}));
  const Tensor before = model.forward(x, Context::for_inference()).value();
  const QuantizeConfig observing{.weights = {{"kernel", {.observe_only = true}}}};
  Sequential same = quantize_apply(quantize_annotate(std::move(model), observing),
                                   {.input_quantizer = std::nullopt, .output_quantizers = false});
  CHECK(layer_names(same).front() == "quant_conv2d");
  CHECK(layer_names(same)[2] == "re_lu");
  CHECK(layer_names(same).back() == "quant_dense");
  CHECK(bit_difference(same.forward(x, Context::for_inference()).value(), before) == "");
}

TEST_CASE("a clone of a quantized model has its ranges and trains on its own") {
  Sequential model = quantize_apply(quantize_annotate(small_net(), convolutions));
  const Variable x(images({2, 8, 8, 3}));
  model.forward(x, Context::for_training(0, 0));
  Sequential copy = clone(model);
  const Tensor y = model.forward(x, Context::for_inference()).value();
  CHECK(bit_difference(copy.forward(x, Context::for_inference()).value(), y) == "");
  copy.forward(Variable(Tensor::full({2, 8, 8, 3}, 5.0f)), Context::for_training(0, 1));
  CHECK(bit_difference(model.forward(x, Context::for_inference()).value(), y) == "");
}

TEST_CASE("in a graph every layer keeps its inputs in their order") {
  Graph graph;
  const NodeId left = graph.add(Conv2D(3, 1), {Model::input});
  const NodeId pool = graph.add(MaxPooling2D(), {left});
  const NodeId right = graph.add(Conv2D(5, 2, {.strides = 2}), {Model::input});
  const NodeId relu = graph.add(Activation("relu"), {right});
  const NodeId join = graph.add(Concatenate(), {relu, pool});
  const NodeId last = graph.add(Conv2D(2, 1), {join});
  const NodeId pooled = graph.add(MaxPooling2D(2, {.name = "after"}), {last});
  graph.add(Dense(3), {pooled});
  graph.set_output(pooled);
  graph.build({4, 4, 3});
  const Shape output = graph.output_shape();

  apply_in_place(graph, {{"conv2d_2", config}, {"dense", config}});
  CHECK(layer_names(graph) == std::vector<std::string>{"quantize_layer", "conv2d", "max_pooling2d",
                                                       "conv2d_1", "activation",
                                                       "quant_concatenate", "quant_conv2d_2",
                                                       "quant_after", "quant_dense"});
  const auto inputs = [&](std::size_t node) { return graph.nodes()[node].inputs; };
  CHECK(inputs(1) == std::vector<NodeId>{0});
  CHECK(inputs(3) == std::vector<NodeId>{0});
  CHECK(inputs(5) == std::vector<NodeId>{4, 2});
  CHECK(graph.output() == 7);
  CHECK(graph.output_shape() == output);
  const auto quantizers = [&](const char* name) {
    return dynamic_cast<QuantizeWrapper&>(graph.layer(name)).quantizer_order();
  };
  CHECK(quantizers("quant_concatenate") == std::vector<std::string>{"output"});
  CHECK(quantizers("quant_after").empty());
  CHECK(graph.forward(Variable(images({2, 4, 4, 3})), Context::for_training(0, 0)).shape() ==
        output.batched(2));

  apply_in_place(graph, {{"conv2d", config}});
  CHECK(layer_names(graph)[0] == "quantize_layer");
  CHECK(layer_names(graph)[1] == "quant_conv2d");
}

TEST_CASE("bad annotations are refused before anything is changed") {
  Sequential model = small_net();
  const std::vector<std::string> before = layer_names(model);
  const auto message = [&](const std::map<std::string, QuantizeConfig>& configs) {
    return error_of(ErrorCode::usage, [&] { apply_in_place(model, configs); });
  };
  CHECK_THAT(message({}), Catch::Contains("no layer is annotated"));
  CHECK_THAT(message({{"conv2", config}}), Catch::Contains("nearest: conv2d"));
  CHECK_THAT(message({{"conv2d", config}, {"dense", {.weights = {{"kernel", {.bits = 0}}}}}}),
             Catch::Contains("dense, kernel") && Catch::Contains("0 bits"));
  CHECK_THAT(message({{"conv2d", {.weights = {{"kernel", {.granularity = per_axes({4})}}}}}}),
             Catch::Contains("conv2d, kernel") && Catch::Contains("axis 4"));
  CHECK_THAT(message({{"re_lu", config}}), Catch::Contains("has no weight \"kernel\""));
  CHECK(layer_names(model) == before);

  apply_in_place(model, {{"conv2d", config}});
  CHECK_THAT(message({{"quant_conv2d", config}}), Catch::Contains("already"));
  Sequential unbuilt{Dense(3)};
  CHECK_THAT(error_of(ErrorCode::usage,
                      [&] {
                        apply_in_place(unbuilt, {{"dense", config}});
                      }),
             Catch::Contains("build()"));
  CHECK_THAT(
      error_of(ErrorCode::usage, [] { quantize_annotate(small_net(), "dens", QuantizeConfig{}); }),
      Catch::Contains("nearest: dense"));
}
