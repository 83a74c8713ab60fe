// The wrapper: who is quantized, what moves and what does not.
#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/core/ops/elementwise.h>
#include <perch/core/random.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/quant/range_quantizer.h>
#include <perch/quant/wrapper.h>

using namespace perch;
using namespace perch::test;

namespace {

const RangeQuantizer& ranges(const Quantizer& quantizer) {
  return dynamic_cast<const RangeQuantizer&>(quantizer);
}

Variable batch(const Shape& shape) {
  Tensor x(shape);
  Random(5, "batch").fill_uniform(x.values());
  return Variable(std::move(x));
}

// A built wrapper around a layer for inputs of this shape.
std::unique_ptr<QuantizeWrapper> wrapped(std::unique_ptr<Layer> layer, QuantizeConfig config,
                                         const Shape& input) {
  auto wrapper = std::make_unique<QuantizeWrapper>(std::move(layer), std::move(config));
  wrapper->build({input}, WeightInit(1));
  return wrapper;
}

const QuantizeConfig everything{.weights = {{"kernel", {.bits = 4, .granularity = per_channel}}},
                                .activation = QuantSpec{.range = MovingAverage{}},
                                .output = QuantSpec{.range = LastValue{}}};

std::vector<Tensor> buffers_of(Layer& layer) {
  std::vector<Tensor> result;
  for (const StateEntry& entry : state_of(layer)) {
    if (entry.buffer != nullptr) result.push_back(entry.buffer->clone());
  }
  return result;
}

std::vector<std::string> names_of(Layer& layer) {
  std::vector<std::string> names;
  for (const StateEntry& entry : state_of(layer)) names.push_back(entry.name);
  return names;
}

}  // namespace

TEST_CASE("the layer computes with the quantized kernel and keeps its own") {
  auto wrapper = wrapped(std::make_unique<Dense>(6), {.weights = everything.weights}, {5});
  Variable kernel;
  for (const StateEntry& entry : state_of(*wrapper)) {
    if (entry.name.ends_with("/kernel")) kernel = *entry.weight;
  }
  const Tensor before = kernel.value().clone();
  const Variable x = batch({2, 5});
  const Variable y = (*wrapper)({x}, Context::for_training(0, 0));
  CHECK(bit_difference(kernel.value(), before) == "");

  const RangeQuantizer& quantizer = ranges(*wrapper->quantizers().at("kernel"));
  CHECK(quantizer.min().shape() == Shape{6});
  Weights weights = wrapper->layer().own_weights({});
  weights.set("kernel", fake_quant(kernel, Variable(quantizer.min()), Variable(quantizer.max()),
                                   {.bits = 4, .axes = {1}}));
  CHECK(bit_difference(y.value(), wrapper->layer().apply({x}, weights, {}).value()) == "");

  mean(y).backward();
  CHECK(kernel.grad().shape() == kernel.shape());
}

TEST_CASE("depthwise kernels get one range per output channel under the name kernel") {
  auto layer = std::make_unique<DepthwiseConv2D>(
      3, DepthwiseConv2D::Options{.depth_multiplier = 2, .name = "dw"});
  auto wrapper = wrapped(std::move(layer), everything, {8, 8, 5});
  (*wrapper)({batch({2, 8, 8, 5})}, Context::for_training(0, 0));
  const RangeQuantizer& quantizer = ranges(*wrapper->quantizers().at("depthwise_kernel"));
  CHECK(quantizer.min().shape() == Shape{10});
  CHECK(*std::min_element(quantizer.max().values().begin(), quantizer.max().values().end()) > 0.0f);
  CHECK(names_of(*wrapper) ==
        std::vector<std::string>{"dw/depthwise_kernel", "dw/bias", "quant_dw/optimizer_step",
                                 "quant_dw/depthwise_kernel_min", "quant_dw/depthwise_kernel_max",
                                 "quant_dw/post_activation_min", "quant_dw/post_activation_max",
                                 "quant_dw/output_min", "quant_dw/output_max"});
}

TEST_CASE("softmax, sigmoid and tanh are quantized before, others after the activation") {
  for (const std::string activation : {"softmax", "sigmoid", "tanh"}) {
    auto layer = std::make_unique<Dense>(3, Dense::Options{.activation = activation});
    auto wrapper = wrapped(std::move(layer), {.activation = QuantSpec{.range = LastValue{}}}, {4});
    const Variable x = batch({7, 4});
    const Variable y = (*wrapper)({x}, Context::for_training(0, 0));
    const RangeQuantizer& range = ranges(*wrapper->quantizers().at("pre_activation"));

    Dense linear(3);
    linear.build({Shape{4}}, WeightInit(1));
    const Variable z = linear.apply({x}, wrapper->layer().own_weights({}), {});
    const TensorRange expected = range_of(z.value(), {});
    CHECK(range.max().item() == std::max(expected.max.item(), 0.0f));
    CHECK(range.min().item() == std::min(expected.min.item(), 0.0f));
    CHECK(std::string(y.op()) == activation);
  }
  for (const std::string activation : {"linear", "relu", "relu6", "leaky_relu"}) {
    auto layer = std::make_unique<Dense>(3, Dense::Options{.activation = activation});
    auto wrapper = wrapped(std::move(layer), {.activation = QuantSpec{}}, {4});
    const Variable y = (*wrapper)({batch({7, 4})}, Context::for_training(0, 0));
    CHECK(wrapper->quantizers().contains("post_activation"));
    CHECK(std::string(y.op()) == "fake_quant");
  }
}

TEST_CASE("neither evaluation nor a frozen layer's training changes a range") {
  auto wrapper = wrapped(std::make_unique<Conv2D>(4, 3), everything, {6, 6, 2});
  QuantizeLayer input{QuantSpec{}};
  input.build({Shape{6, 6, 2}}, WeightInit(1));
  const Variable x = batch({3, 6, 6, 2});
  const std::vector<Tensor> start = buffers_of(*wrapper);
  const auto unchanged = [&] {
    const std::vector<Tensor> now = buffers_of(*wrapper);
    bool same = ranges(input.quantizer()).max().item() == 0.0f;
    for (std::size_t i = 0; i < now.size(); ++i) same &= bit_difference(now[i], start[i]).empty();
    return same;
  };
  const auto train = [&] {
    input({x}, Context::for_training(0, 0));
    return (*wrapper)({x}, Context::for_training(0, 0));
  };

  (*wrapper)({x}, Context::for_inference());
  input({x}, Context::for_inference());
  CHECK(unchanged());
  wrapper->set_trainable(false);
  input.set_trainable(false);
  CHECK_FALSE(train().requires_grad());
  CHECK(unchanged());
  wrapper->set_trainable(true);
  wrapper->layer().set_trainable(false);
  CHECK_FALSE(train().requires_grad());
  CHECK(unchanged());
  wrapper->layer().set_trainable(true);
  CHECK(train().requires_grad());
  CHECK_FALSE(unchanged());
}

TEST_CASE("an observing quantizer tracks its range and hands on the float value") {
  auto wrapper =
      wrapped(std::make_unique<Dense>(3), {.weights = {{"kernel", {.observe_only = true}}}}, {4});
  const Variable x = batch({2, 4});
  const Variable y = (*wrapper)({x}, Context::for_training(0, 0));
  const Variable plain = wrapper->layer().apply({x}, wrapper->layer().own_weights({}), {});
  CHECK(bit_difference(y.value(), plain.value()) == "");
  CHECK(ranges(*wrapper->quantizers().at("kernel")).max().item() > 0.0f);
}

TEST_CASE("a wrapper and an input quantizer come back from their description, field by field") {
  const QuantSpec moving{.bits = 5,
                         .granularity = per_axes({1, 2}),
                         .symmetric = true,
                         .narrow_range = true,
                         .range = MovingAverage{0.9f},
                         .observe_only = true};
  const QuantSpec fixed{.bits = 12, .range = Fixed{-0.25f, 3.0f}};
  const QuantizeConfig config{
      .weights = {{"kernel", {.bits = 3, .granularity = per_channel, .range = LastValue{}}},
                  {"bias", fixed}},
      .activation = moving,
      .output = QuantSpec{}};
  QuantizeWrapper wrapper(std::make_unique<DepthwiseConv2D>(
                              3, DepthwiseConv2D::Options{.activation = "tanh", .name = "dw"}),
                          config);
  wrapper.set_trainable(false);
  const auto copy = make_layer(describe(wrapper));
  const auto& restored = dynamic_cast<QuantizeWrapper&>(*copy);
  CHECK(restored.config() == wrapper.config());
  CHECK(restored.config().weights.at("depthwise_kernel") == config.weights.at("kernel"));
  CHECK(restored.name() == "quant_dw");
  CHECK(restored.layer().name() == "dw");
  CHECK_FALSE(restored.trainable());
  CHECK(restored.quantizer_order() ==
        std::vector<std::string>{"depthwise_kernel", "bias", "pre_activation", "output"});

  QuantizeLayer layer(moving);
  const auto layer_copy = make_layer(describe(layer));
  CHECK(dynamic_cast<QuantizeLayer&>(*layer_copy).quantizer().spec() == moving);

  LayerSpec broken = describe(layer);
  broken.children[0].layer.config[0].second = std::int64_t{40};
  CHECK_THAT(error_of(ErrorCode::bad_data, [&] { make_layer(broken); }),
             Catch::Contains("quantize_layer") && Catch::Contains("40 bits"));
}

TEST_CASE("a configuration that does not fit its layer is refused by layer and key") {
  const auto message = [](const QuantizeConfig& config) {
    return error_of(ErrorCode::usage, [&] {
      wrapped(std::make_unique<DepthwiseConv2D>(3, DepthwiseConv2D::Options{.name = "dw"}), config,
              {4, 4, 2});
    });
  };
  CHECK_THAT(message({.weights = {{"kernle", {}}}}), Catch::Contains("dw") &&
                                                         Catch::Contains("\"kernle\"") &&
                                                         Catch::Contains("depthwise_kernel, bias"));
  CHECK_THAT(message({.weights = {{"kernel", {}}, {"depthwise_kernel", {}}}}),
             Catch::Contains("twice"));
  CHECK_THAT(message({.weights = {{"kernel", {.bits = 17}}}}),
             Catch::Contains("dw, depthwise_kernel") && Catch::Contains("17 bits"));
  CHECK_THAT(message({.output = QuantSpec{.bits = 0}}), Catch::Contains("dw, output"));
  CHECK_THAT(message({.weights = {{"bias", {.granularity = per_axes({1})}}}}),
             Catch::Contains("dw, bias") && Catch::Contains("axis 1"));
  CHECK_THAT(message({.activation = QuantSpec{.granularity = per_axes({0})}}),
             Catch::Contains("batch"));
  CHECK_THAT(message({.output = QuantSpec{.range = Fixed{1.0f, 1.0f}}}),
             Catch::Contains("fixed range"));
  CHECK_THAT(message({.output = QuantSpec{.range = MovingAverage{1.0f}}}),
             Catch::Contains("decay"));
  CHECK_THAT(error_of(ErrorCode::usage, [] { policy_from_name("last_valeu"); }),
             Catch::Contains("nearest: last_value"));
}
