// What analyse() says of each layer, against sums taken one by one.
#include <catch2/catch.hpp>
#include <tests/analyze/nets.h>
#include <tests/core/restore_threads.h>
#include <tests/support/bits.h>
#include <tests/support/errors.h>
#include <tests/train/fixtures.h>

#include <perch/analyze/float_copy.h>
#include <perch/analyze/layers.h>
#include <perch/analyze/walk.h>

using namespace perch;
using namespace perch::test;

namespace {

const LayerAnalysis& layer_of(const std::vector<LayerAnalysis>& all, const std::string& name) {
  for (const LayerAnalysis& layer : all) {
    if (layer.name == name) return layer;
  }
  throw Error(ErrorCode::usage, "no layer " + name);
}

/// A 1x1 convolution of four channels to two, its weights given channel by channel.
Sequential two_filters(const std::vector<float>& first, const std::vector<float>& second,
                       const QuantSpec& spec) {
  Sequential model{Conv2D(2, 1), Flatten()};
  model.build({1, 1, 4});
  for (std::size_t i = 0; i < 4; ++i) {
    state(model, "conv2d/kernel").values()[2 * i] = first[i];
    state(model, "conv2d/kernel").values()[2 * i + 1] = second[i];
  }
  apply_in_place(model, {{"conv2d", {.weights = {{"kernel", spec}}}}},
                 {.input_quantizer = std::nullopt});
  return model;
}

const Dataset pixels = from_memory(
    std::vector<float>{-1.0f, 0.0f, 1.2f, 5.0f, 0.4f, 0.9f, 0.6f, 3.4f}, {0, 1}, Shape{1, 1, 4});

std::vector<double> figures(const std::vector<LayerAnalysis>& layers) {
  std::vector<double> all;
  for (const LayerAnalysis& layer : layers) {
    for (const Fidelities& part : {layer.weights, layer.activations}) {
      all.push_back(part.sqnr_db.value_or(-1));
      all.push_back(part.cosine.value_or(-1));
      all.push_back(part.clipped.value_or(-1));
      all.push_back(static_cast<double>(part.unused_levels.value_or(-1)));
    }
    for (const QuantizerAnalysis& quantizer : layer.quantizers) {
      for (const RangeAnalysis& range : quantizer.ranges) {
        all.push_back(range.clipped);
        all.push_back(range.sqnr_db);
      }
    }
  }
  return all;
}

}  // namespace

TEST_CASE("ratios and cosines are those of the weights and of each layer's output") {
  Sequential reference = separable_net();
  Sequential model = quantized_net();
  const Dataset data = images(50);
  const auto layers = analyse(model, data, {.images = 40, .batch_size = 16});
  std::vector<std::string> names;
  for (const LayerAnalysis& layer : layers) names.push_back(layer.name);
  CHECK(names == std::vector<std::string>{"quantize_layer", "quant_conv2d", "quant_re_lu",
                                          "quant_depthwise_conv2d"});

  const Tensor batch = batch_of(data.subset(0, 40));
  const auto floats = outputs_of(reference, batch), quantized = outputs_of(model, batch);
  for (const LayerAnalysis& layer : layers) {
    CAPTURE(layer.name);
    NaiveFidelity output;
    output.add(layer.name == "quantize_layer" ? batch : floats.at(layer.name.substr(6)),
               quantized.at(layer.name));
    CHECK(*layer.activations.sqnr_db == Approx(output.sqnr_db()).epsilon(1e-9));
    CHECK(*layer.activations.cosine == Approx(output.cosine()).epsilon(1e-12));
    CHECK(layer.activations.bits == (layer.name.find("conv") == std::string::npos ? 8 : 6));

    const auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&model.layer(layer.name));
    const bool weighted = wrapper != nullptr && !wrapper->config().weights.empty();
    CHECK(layer.weights.sqnr_db.has_value() == weighted);
    CHECK(layer.weights.clipped.has_value() == weighted);
    if (!weighted) continue;
    const std::string name = wrapper->config().weights.begin()->first;
    const Tensor& weight = state(model, wrapper->layer().name() + "/" + name);
    NaiveFidelity kernel;
    kernel.add(
        weight,
        (*wrapper->quantizers().at(name))(Variable(weight), Context::for_inference()).value());
    CHECK(*layer.weights.sqnr_db == Approx(kernel.sqnr_db()).epsilon(1e-9));
    CHECK(*layer.weights.cosine == Approx(kernel.cosine()).epsilon(1e-12));
    CHECK(layer.weights.bits == 4);
    CHECK(layer.kind == wrapper->layer().kind());
    CHECK(layer.quantizers[0].ranges.size() == (layer.kind == "Conv2D" ? 6 : 12));
  }
}

TEST_CASE("clipped values and unused levels of a kernel are counted, by channel too") {
  Sequential model = two_filters(
      {0.0f, 1.0f, 1.0f, 5.0f}, {-1.0f, 0.2f, 1.0f, 1.0f},
      {.bits = 2, .granularity = per_channel, .range = Fixed{.min = 0.0f, .max = 3.0f}});
  const auto layers = analyse(model, pixels);
  REQUIRE(layers.size() == 1);
  const LayerAnalysis& layer = layers[0];
  CHECK(*layer.weights.clipped == 0.25);
  CHECK(*layer.weights.unused_levels == 1);  // 2
  CHECK(*layer.weights.sqnr_db == Approx(10 * std::log10(30.04 / 5.04)));
  CHECK_FALSE(layer.activations.bits);
  CHECK_FALSE(layer.activations.clipped);
  REQUIRE(layer.quantizers.size() == 1);
  REQUIRE(layer.quantizers[0].ranges.size() == 2);
  for (const RangeAnalysis& range : layer.quantizers[0].ranges) {
    CHECK(range.min == 0.0);
    CHECK(range.max == 3.0);
    CHECK(range.scale == 1.0);
    CHECK(range.zero_point == 0);
    CHECK(range.clipped == 0.25);
  }
  // Levels 0, 1, 1, 3 and 0, 0, 1, 1.
  CHECK(layer.quantizers[0].level_counts == std::vector<std::int64_t>{3, 4, 0, 1});
  REQUIRE(layer.quantizers[0].histogram);
  const Histogram& histogram = *layer.quantizers[0].histogram;
  CHECK(histogram.low == -1.0);
  CHECK(histogram.high == 5.0);
  std::vector<std::int64_t> bins(Histogram::bins, 0);
  for (const double weight : {0.0, 1.0, 1.0, 5.0, -1.0, 0.2, 1.0, 1.0}) {
    ++bins[static_cast<std::size_t>(std::min((weight + 1.0) / 6.0 * 64.0, 63.0))];
  }
  CHECK(histogram.counts == bins);
  CHECK(layer.quantizers[0].ranges[0].sqnr_db == Approx(10 * std::log10(27.0 / 4.0)));
}

TEST_CASE("clipped values and unused levels of an activation are counted over the images") {
  Sequential model{Activation("linear"), Flatten(), Dense(2)};
  model.build({1, 1, 4});
  apply_in_place(
      model,
      {{"activation", {.output = QuantSpec{.bits = 3, .range = Fixed{.min = 0.0f, .max = 7.0f}}}},
       {"flatten", {.output = QuantSpec{.bits = 2, .range = Fixed{.min = 0.0f, .max = 3.0f}}}}},
      {.input_quantizer = std::nullopt});
  // -1 0 1.2 5 / 0.4 0.9 0.6 3.4, then 0 0 1 5 / 0 1 1 3
  const auto layers = analyse(model, pixels, {.batch_size = 1});
  REQUIRE(layers.size() == 2);
  CHECK(*layers[0].activations.clipped == 0.125);
  CHECK(*layers[0].activations.unused_levels == 8 - 4);
  CHECK(*layers[1].activations.clipped == 0.125);
  CHECK(*layers[1].activations.unused_levels == 4 - 3);
  CHECK_FALSE(layers[0].weights.sqnr_db);
  CHECK(layers[1].quantizers[0].level_counts == std::vector<std::int64_t>{3, 3, 0, 2});
  CHECK_FALSE(layers[1].quantizers[0].histogram);
  const double signal = 1 + 1.44 + 25 + 0.16 + 0.81 + 0.36 + 11.56;
  CHECK(*layers[1].activations.sqnr_db ==
        Approx(10 * std::log10(signal / (1 + 0.04 + 4 + 0.16 + 0.01 + 0.16 + 0.16))).epsilon(1e-6));
}

TEST_CASE("weights on their grid are exact, and what does not quantize counts as nothing") {
  const std::vector<float> whole{-3.0f, 0.0f, 2.0f, 7.0f};
  Sequential model = two_filters(whole, whole, {.range = Fixed{.min = -128.0f, .max = 127.0f}});
  const auto exact = analyse(model, pixels);
  CHECK(*exact[0].weights.sqnr_db == std::numeric_limits<double>::infinity());
  CHECK(*exact[0].weights.cosine == Approx(1.0));
  CHECK(*exact[0].activations.sqnr_db == std::numeric_limits<double>::infinity());
  CHECK(*exact[0].weights.unused_levels == 256 - 4);

  auto& wrapper = dynamic_cast<QuantizeWrapper&>(model.layer("quant_conv2d"));
  Quantizer& quantizer = *wrapper.quantizers().at("kernel");
  quantizer.mode.share = 0.5f;
  const auto part = analyse(model, pixels);
  CHECK(part[0].weights.bits == 8);
  CHECK_FALSE(part[0].weights.unused_levels);

  quantizer.mode.quantizes = false;
  const auto off = analyse(model, pixels);
  CHECK_FALSE(off[0].weights.bits);
  CHECK_FALSE(off[0].weights.sqnr_db);
  CHECK(off[0].quantizers.empty());
}

TEST_CASE("levels without an even grid, groups and channels of zeros") {
  Sequential powers = two_filters({1.0f, 2.0f, 3.0f, 4.0f}, {1.0f, 1.0f, 1.0f, 1.0f},
                                  {.bits = 4, .range = PowerOfTwo{}});
  const auto uneven = analyse(powers, pixels);
  CHECK(*uneven[0].weights.sqnr_db > 10.0);
  CHECK_FALSE(uneven[0].weights.clipped);
  CHECK_FALSE(uneven[0].weights.unused_levels);
  CHECK(uneven[0].quantizers[0].ranges.empty());

  Sequential groups = two_filters(
      {1.0f, 2.0f, 9.0f, 8.0f}, {0.0f, 0.0f, 4.0f, 4.0f},
      {.bits = 3, .granularity = per_group(2, 2), .range = Fixed{.min = 0.0f, .max = 7.0f}});
  const auto grouped = analyse(groups, pixels);
  std::vector<double> clipped;
  for (const RangeAnalysis& range : grouped[0].quantizers[0].ranges) {
    clipped.push_back(range.clipped);
  }
  CHECK(clipped == std::vector<double>{0.0, 0.0, 1.0, 0.0});  // [group, filter]

  Sequential zeros = two_filters({0.0f, 0.0f, 0.0f, 0.0f}, {-1.0f, 1.0f, 0.5f, 0.0f},
                                 {.bits = 2, .granularity = per_channel, .range = AllValues{}});
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(zeros.layer("quant_conv2d"));
  wrapper.quantizers().at("kernel")->run(Variable(state(zeros, "conv2d/kernel")),
                                         {.training = true});
  const auto empty = analyse(zeros, pixels);
  CHECK(empty[0].quantizers[0].ranges[0].clipped == 0.0);
  CHECK(empty[0].quantizers[0].ranges[0].sqnr_db == std::numeric_limits<double>::infinity());
  CHECK(*empty[0].weights.unused_levels == 1);  // -2/3 - 2/3, 0, 2/3: the first is beyond -1
}

TEST_CASE("a walk computes the model, and the model without its quantizers") {
  Graph inner;
  const NodeId conv =
      inner.add(Conv2D(4, 3, {.padding = Padding::same, .name = "inner_conv"}), {Model::input});
  inner.add(Add({.name = "inner_add"}), {conv, conv});
  inner.build({8, 8, 3});
  inner.set_name("inner");
  Sequential model{Conv2D(3, 3, {.padding = Padding::same, .activation = "relu"})};
  model.add(std::move(inner));
  model.add(Flatten());
  model.add(Dense(4, {.activation = "softmax"}));
  model.build({8, 8, 3}, {.seed = 3});
  const std::unique_ptr<Model> reference = clone_model(model);
  const QuantizeConfig config{.weights = {{"kernel", {.bits = 4}}},
                              .activation = QuantSpec{.bits = 5, .range = AllValues{}}};
  apply_in_place(dynamic_cast<Model&>(model.layer("inner")), {{"inner_conv", config}},
                 {.input_quantizer = std::nullopt});
  apply_in_place(model, {{"conv2d", config}, {"dense", config}});
  const Dataset data = images(12);
  calibrate(model, data, {.images = 12});

  const Variable x(batch_of(data));
  std::vector<std::string> seen;
  const Twin y = walk(model, x, {.on_quantizer = [&](const QuantizerCall& call) {
                        seen.push_back(call.layer.name() + "/" + call.prefix);
                      }});
  const Context inference = Context::for_inference();
  CHECK(bit_difference(y.quantized.value(), model.forward(x, inference).value()) == "");
  CHECK(bit_difference(y.plain.value(), reference->forward(x, inference).value()) == "");
  CHECK(bit_difference(float_copy(model)->forward(x, inference).value(),
                       reference->forward(x, inference).value()) == "");
  CHECK(seen ==
        std::vector<std::string>{"quantize_layer/quantize_layer", "quant_conv2d/post_activation",
                                 "quant_inner_conv/post_activation", "quant_dense/pre_activation"});
  const auto layers = analyse(model, data);
  CHECK(layer_of(layers, "quant_inner_conv").weights.bits == 4);
  CHECK(layer_of(layers, "quant_dense").quantizers[1].name == "pre_activation");
}

TEST_CASE("analysis changes nothing, and is the same with any number of threads") {
  Sequential model = quantized_net({.bits = 4, .granularity = per_channel, .range = Lsq{}});
  const auto before = state_bits(model);
  const RestoreThreads restore;
  set_thread_count(1);
  const auto expected = figures(analyse(model, images(70)));
  set_thread_count(3);
  CHECK(figures(analyse(model, images(70))) == expected);
  CHECK(state_bits(model) == before);
}

TEST_CASE("analysis refuses models without quantizers and data that do not fit") {
  Sequential model = separable_net();
  CHECK_FALSE(has_quantizers(model));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { analyse(model, images(8)); }),
             Catch::Contains("no quantized layer"));
  Sequential quantized = quantized_net();
  CHECK(has_quantizers(quantized));
  CHECK_THAT(error_of(ErrorCode::usage,
                      [&] {
                        analyse(quantized, images(8, {4, 4, 3}));
                      }),
             Catch::Contains("[4, 4, 3]"));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { analyse(quantized, images(8), {.images = 0}); }),
             Catch::Contains("0 images"));
}
