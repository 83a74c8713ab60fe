// Folded batch normalisation against the layers it is made of.
#include <cmath>
#include <functional>
#include <map>

#include <catch2/catch.hpp>
#include <tests/support/bits.h>
#include <tests/support/errors.h>

#include <perch/core/ops/elementwise.h>
#include <perch/core/random.h>
#include <perch/layers/graph.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/quant/apply.h>
#include <perch/quant/range_quantizer.h>
#include <perch/quant/rules.h>

using namespace perch;
using namespace perch::test;
using Catch::Contains;

namespace {

void fill(Tensor& tensor, const std::string& stream, float low, float high) {
  const Random random(9, stream);
  std::uint64_t i = 0;
  for (float& value : tensor.values()) value = random.uniform(i++, low, high);
}

Variable batch(const Shape& shape) {
  Tensor x(shape);
  fill(x, "batch", -1.0f, 2.0f);
  return Variable(std::move(x));
}

/// A linear layer and its normalisation, no weight or statistic of which is special.
std::unique_ptr<Model> network(const std::string& kind, bool bias, bool affine) {
  auto model = std::make_unique<Sequential>();
  if (kind == "Conv2D") model->add(Conv2D(6, 3, {.use_bias = bias}));
  if (kind == "DepthwiseConv2D") {
    model->add(DepthwiseConv2D(3, {.depth_multiplier = 2, .use_bias = bias}));
  }
  if (kind == "Dense") model->add(Dense(6, {.use_bias = bias}));
  model->add(BatchNorm({.momentum = 0.9f, .center = affine, .scale = affine}));
  model->set_name("net");
  model->build(kind == "Dense" ? Shape{20} : Shape{8, 7, 4});
  for (const StateEntry& entry : state_of(*model)) {
    Tensor& value = entry.weight ? entry.weight->mutable_value() : *entry.buffer;
    const bool positive = entry.name.ends_with("variance") || entry.name.ends_with("gamma");
    fill(value, entry.name, positive ? 0.3f : -0.5f, positive ? 2.0f : 0.5f);
  }
  return model;
}

std::unique_ptr<Model> folded(Model& model, FoldStatistics statistics) {
  auto copy = clone_model(model);
  fold_batch_norm(*copy, 0, statistics);
  return copy;
}

double largest(const Tensor& x) {
  double result = 0.0;
  for (const float value : x.values()) result = std::max(result, std::abs(double{value}));
  return result;
}

/// Of the largest value of the second one.
double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double result = 0.0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    result = std::max(result, std::abs(double{a.data()[i]} - double{b.data()[i]}));
  }
  return result / std::max(largest(b), 1e-3);
}

struct Step {
  Tensor output;
  std::map<std::string, Tensor> gradients, buffers;
};

Step step(Model& model, const Variable& x, const Context& context) {
  const Variable y = model.forward(x, context);
  Tensor seed(y.shape());
  fill(seed, "seed", -1.0f, 1.0f);
  y.backward(seed);
  Step result{.output = y.value()};
  for (const StateEntry& entry : state_of(model)) {
    if (entry.weight != nullptr) result.gradients[entry.name] = entry.weight->take_grad();
    if (entry.buffer != nullptr) result.buffers[entry.name] = entry.buffer->clone();
  }
  return result;
}

void check_same(const Step& found, const Step& wanted, double tolerance) {
  CHECK(distance(found.output, wanted.output) < tolerance);
  for (const auto& [name, gradient] : wanted.gradients) {
    INFO("gradient of " << name);
    // A bias before a normalisation by the batch has none; what is left are rounding errors.
    if (largest(gradient) < 1e-3) {
      CHECK((found.gradients.at(name).empty() || largest(found.gradients.at(name)) < 1e-3));
    } else {
      CHECK(distance(found.gradients.at(name), gradient) < tolerance);
    }
  }
  for (const auto& [name, buffer] : wanted.buffers) {
    INFO(name);
    CHECK(distance(found.buffers.at(name), buffer) < tolerance);
  }
}

const QuantSpec narrow{.bits = 8,
                       .granularity = per_channel,
                       .symmetric = true,
                       .narrow_range = true,
                       .range = LastValue{}};

}  // namespace

TEST_CASE("folding changes neither outputs nor gradients nor statistics") {
  const auto statistics = GENERATE(FoldStatistics::running, FoldStatistics::batch);
  const std::string kind = GENERATE("Conv2D", "DepthwiseConv2D", "Dense");
  const bool bias = GENERATE(true, false), affine = GENERATE(true, false);
  const bool frozen = GENERATE(false, true);
  CAPTURE(kind, bias, affine, frozen, fold_statistics_name(statistics));
  const auto plain = network(kind, bias, affine);
  const auto fold = folded(*plain, statistics);
  CHECK(fold->nodes().size() == 1);
  CHECK(fold->output_shape() == plain->output_shape());
  const Variable x = batch(plain->input_shape().batched(16));

  CHECK(distance(fold->forward(x, {}).value(), plain->forward(x, {}).value()) < 1e-5);
  // Frozen: as the last part of a training with "freeze" does.
  if (frozen) {
    plain->layer("batch_normalization").set_trainable(false);
    dynamic_cast<FoldedBatchNorm&>(*fold->nodes()[0].layer).norm().set_trainable(false);
  }
  const Context training = Context::for_training(0, 0);
  check_same(step(*fold, x, training), step(*plain, x, training), frozen ? 1e-5 : 2e-4);
  CHECK(distance(fold->forward(x, {}).value(), plain->forward(x, {}).value()) < 1e-5);
}

TEST_CASE("with frozen statistics the folded layer's codes are the unfolded one's") {
  const std::string kind = GENERATE("Conv2D", "DepthwiseConv2D", "Dense");
  CAPTURE(kind);
  auto plain = network(kind, true, true);
  auto fold = clone_model(*plain);
  const std::string name = plain->nodes()[0].layer->name();
  QuantizeConfig config{.weights = {{"kernel", narrow}}};
  apply_in_place(
      *plain,
      {{name, config}, {"batch_normalization", {.output = QuantSpec{.range = LastValue{}}}}},
      {.input_quantizer = std::nullopt, .output_quantizers = false});
  config.fold = FoldStatistics::running;
  config.output = QuantSpec{.range = LastValue{}};
  apply_in_place(*fold, {{name, config}},
                 {.input_quantizer = std::nullopt, .output_quantizers = false});
  const Variable x = batch(plain->input_shape().batched(512));
  const Context observing{.training = true};
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(*fold->nodes()[0].layer);
  dynamic_cast<FoldedBatchNorm&>(wrapper.layer()).norm().set_trainable(false);
  auto& norm = dynamic_cast<QuantizeWrapper&>(*plain->nodes()[1].layer);
  norm.layer().set_trainable(false);
  plain->forward(x, observing);
  fold->forward(x, observing);

  // One grid for both, so that codes can be compared.
  auto& output = dynamic_cast<RangeQuantizer&>(*wrapper.quantizers().at("output"));
  output.restore(dynamic_cast<RangeQuantizer&>(*norm.quantizers().at("output")).state());
  const QuantGrid grid = output.grids().at(0);
  const Tensor a = plain->forward(x, {}).value(), b = fold->forward(x, {}).value();
  // What is rounded, to see where it lies between two levels.
  output.mode.quantizes = false;
  const Tensor rounded = fold->forward(x, {}).value();
  output.mode.quantizes = true;
  std::int64_t different = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double codes = std::abs(double{a.data()[i]} - double{b.data()[i]}) / double{grid.scale};
    if (codes < 0.5) continue;
    ++different;
    CHECK(codes < 1.5);
    const double place = double{rounded.data()[i]} / double{grid.scale};
    CHECK(std::abs(place - std::floor(place) - 0.5) <= 1e-5 * 256);  // of the grid's range
  }
  CAPTURE(different, a.size());
  CHECK(static_cast<double>(different) <= 1e-4 * static_cast<double>(a.size()));
}

TEST_CASE("a folded wrapper quantizes the folded kernel") {
  const auto statistics = GENERATE(FoldStatistics::running, FoldStatistics::batch);
  auto model = network("Conv2D", true, true);
  apply_in_place(*model, {{"conv2d", {.weights = {{"kernel", narrow}}, .fold = statistics}}},
                 {.output_quantizers = false});
  auto& wrapper = dynamic_cast<QuantizeWrapper&>(*model->nodes()[1].layer);
  CHECK(wrapper.name() == "quant_conv2d");
  CHECK(wrapper.config().fold == statistics);
  const Variable x = batch(model->input_shape().batched(8));
  for (int i = 0; i < 3; ++i) step(*model, x, Context::for_training(0, 0));
  wrapper.layer().set_trainable(false);
  model->forward(x, {.training = true});  // frozen: the range stays
  const Weights plain = wrapper.plain_weights({}, {}, {});
  const Weights quantized = wrapper.quantized_weights(plain, {});
  CHECK(plain["bias"].shape() == Shape{6});
  const auto grids = wrapper.quantizers().at("kernel")->grids();
  for (std::int64_t i = 0; i < plain["kernel"].value().size(); ++i) {
    const double q = double{quantized["kernel"].value().data()[i]};
    const double scale = double{grids.at(static_cast<std::size_t>(i % 6)).scale};
    CHECK(std::abs(q / scale - std::round(q / scale)) < 1e-3);
  }
}

TEST_CASE("a gamma of zero leaves finite values") {
  auto model = network("Conv2D", true, true);
  for (const StateEntry& entry : state_of(*model)) {
    if (entry.name.ends_with("gamma")) entry.weight->mutable_value().data()[2] = 0.0f;
  }
  apply_in_place(*model,
                 {{"conv2d", {.weights = {{"kernel", narrow}}, .fold = FoldStatistics::running}}});
  const Step found =
      step(*model, batch(model->input_shape().batched(4)), Context::for_training(0, 0));
  CHECK(std::isfinite(largest(found.output)));
  for (const auto& [name, gradient] : found.gradients) CHECK(std::isfinite(largest(gradient)));
}

TEST_CASE("folding keeps the graph around it") {
  Graph model;
  const NodeId first = model.add(Conv2D(4, 1), {Model::input});
  const NodeId norm = model.add(BatchNorm(), {first});
  const NodeId second = model.add(Conv2D(4, 1), {norm});
  const NodeId other = model.add(BatchNorm(), {second});
  model.add(Add(), {norm, other});
  model.set_name("net");
  model.build({5, 5, 3});
  const Variable x = batch({2, 5, 5, 3});
  const Tensor before = model.forward(x, {}).value();
  fold_batch_norm(model, 2, FoldStatistics::running);
  fold_batch_norm(model, 0, FoldStatistics::batch);
  CHECK(model.nodes().size() == 3);
  CHECK(distance(model.forward(x, {}).value(), before) < 1e-5);
  const auto copy = clone_model(model);
  CHECK(bit_difference(copy->forward(x, {}).value(), model.forward(x, {}).value()) == "");
  unfold_batch_norms(*copy);
  CHECK(copy->nodes().size() == 5);
  CHECK(bit_difference(copy->forward(x, {}).value(), before) == "");
}

TEST_CASE("rules fold where a batch normalisation follows, and say so") {
  Sequential model{Conv2D(4, 3), BatchNorm(), ReLU(), Conv2D(4, 1), ReLU(), Flatten(), Dense(3)};
  model.set_name("net");
  model.build({6, 6, 3});
  const LayerRule convolutions{.filter = {.kinds = {"Conv2D"}},
                               .config = QuantizeConfig{.weights = {{"kernel", narrow}}},
                               .origin = "rule 1"};
  QuantRules rules{.rules = {convolutions}, .fold = FoldStatistics::running};
  const auto decisions = decide(model, rules);
  CHECK(decisions.at(0).config->fold == FoldStatistics::running);
  CHECK(decisions.at(1).folded_into == "conv2d");
  CHECK(!decisions.at(3).config->fold);

  SECTION("the folded normalisation's node is gone") {
    apply_rules(model, rules);
    CHECK(model.nodes().size() == 7);  // with the input's quantizer
    CHECK(model.layer("quant_conv2d").kind() == "QuantizeWrapper");
  }
  SECTION("a rule that folds needs a normalisation for each of its layers") {
    rules.fold.reset();
    rules.rules[0].config->fold = FoldStatistics::batch;
    CHECK_THAT(error_of(ErrorCode::usage, [&] { decide(model, rules); }),
               Contains("rule 1") && Contains("conv2d_1") && Contains("batch normalisation"));
  }
  SECTION("what is folded cannot be quantized by itself") {
    rules.rules.push_back({.filter = {.kinds = {"BatchNormalization"}},
                           .config = QuantizeConfig{.output = QuantSpec{}},
                           .origin = "rule 2"});
    CHECK_THAT(error_of(ErrorCode::usage, [&] { decide(model, rules); }),
               Contains("rule 2") && Contains("folded into conv2d"));
  }
  SECTION("nothing to fold") {
    rules.rules[0].filter = {.kinds = {"Dense"}};
    CHECK_THAT(error_of(ErrorCode::usage, [&] { decide(model, rules); }), Contains("leave it out"));
  }
  SECTION("biases are folded too, so that they have no quantizer") {
    rules.rules[0].config->weights["bias"] = QuantSpec{};
    rules.rules[0].config->fold = FoldStatistics::batch;
    rules.rules[0].filter = {.names = {"conv2d"}};
    CHECK_THAT(error_of(ErrorCode::usage, [&] { apply_rules(model, rules); }), Contains("bias"));
  }
}
