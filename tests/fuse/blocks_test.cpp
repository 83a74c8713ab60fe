// Blocks of every shape, fused and layer by layer, on the same inputs.
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include <catch2/catch.hpp>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/integer_forward.h>
#include <perch/core/parallel.h>
#include <perch/core/random.h>
#include <perch/fuse/fuse.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/quant/apply.h>

#include "tests/core/restore_threads.h"
#include "tests/support/bits.h"

using namespace perch;
using namespace perch::test;

namespace {

struct Case {
  std::string name;
  std::function<Sequential()> layers;
  Shape input{8, 8, 5};
  /// Of each layer by name; empty: float.
  std::map<std::string, QuantizeConfig> configs = {};
  bool has_norm = false;
};

const QuantSpec moving{.range = MovingAverage{.decay = 0.5f}};  // clips, and soon
const QuantSpec per_channel_kernel{.granularity = per_channel, .range = AllValues{}};

QuantizeConfig weights_and_output(const std::string& weight, const QuantSpec& output) {
  return {.weights = {{weight, per_channel_kernel}}, .activation = output};
}

const std::vector<Case> cases{
    {"conv, norm, relu in float",
     [] {
       return Sequential{Conv2D(24, 3, {.padding = Padding::same}), BatchNorm(), ReLU()};
     },
     {7, 9, 5},
     {},
     true},
    {"the original script's placement",
     [] {
       return Sequential{Conv2D(32, 3, {.padding = Padding::same}), BatchNorm(),
                         Activation("relu")};
     },
     {8, 8, 3},
     {{"conv2d", weights_and_output("kernel", moving)}},
     true},
    {"a quantizer behind the activation function",
     [] {
       return Sequential{Conv2D(20, 3, {.strides = 2}), BatchNorm(), ReLU({.max_value = 6.0f})};
     },
     {11, 11, 16},
     {{"conv2d", {.weights = {{"kernel", per_channel_kernel}}}}, {"re_lu", {.output = moving}}},
     true},
    {"both quantizers, 5 bits, fixed and moving",
     [] {
       return Sequential{DepthwiseConv2D(3, {.padding = Padding::same, .depth_multiplier = 2}),
                         BatchNorm({.scale = false}), ReLU()};
     },
     {9, 6, 10},
     {{"depthwise_conv2d",
       {.weights = {{"kernel", per_channel_kernel}},
        .activation = QuantSpec{.bits = 5, .range = Fixed{-1.0f, 1.5f}}}},
      {"re_lu", {.output = QuantSpec{.bits = 4, .symmetric = true, .range = LastValue{}}}}},
     true},
    {"no norm: a relu of its own",
     [] { return Sequential{Conv2D(16, 5, {.padding = Padding::same, .activation = "relu"})}; },
     {8, 8, 16},
     {{"conv2d", weights_and_output("kernel", moving)}}},
    {"no norm: quantizer, relu, quantizer",
     [] {
       return Sequential{DepthwiseConv2D(5, {.strides = 2}), ReLU()};
     },
     {13, 13, 7},
     {{"depthwise_conv2d", weights_and_output("kernel", moving)}, {"re_lu", {.output = moving}}}},
    {"norm with a quantizer and no activation function",
     [] {
       return Sequential{Conv2D(48, 1), BatchNorm()};
     },
     {6, 6, 32},
     {{"conv2d", {.weights = {{"kernel", {.range = LastValue{}}}}}},
      {"batch_normalization", {.output = moving}}},
     true},
    {"dense, norm, relu",
     [] {
       return Sequential{Flatten(), Dense(33), BatchNorm(), ReLU()};
     },
     {4, 4, 6},
     {{"dense", weights_and_output("kernel", moving)}, {"re_lu", {.output = moving}}},
     true},
    {"dense alone, few outputs",
     [] {
       return Sequential{Flatten(), Dense(10, {.activation = "relu"})};
     },
     {4, 4, 6},
     {{"dense", weights_and_output("kernel", moving)}}},
    {"stages behind a pooling layer",
     [] {
       return Sequential{MaxPooling2D(), BatchNorm(), ReLU()};
     },
     {8, 8, 24},
     {{"re_lu", {.output = moving}}},
     true},
    {"a chain of blocks, read by layers that want floats",
     [] {
       return Sequential{Conv2D(16, 3, {.padding = Padding::same}),
                         BatchNorm(),
                         ReLU(),
                         Conv2D(16, 3, {.padding = Padding::same, .use_bias = false}),
                         BatchNorm(),
                         ReLU(),
                         AveragePooling2D(),
                         Flatten(),
                         Dense(3)};
     },
     {8, 8, 16},
     {{"conv2d", weights_and_output("kernel", moving)},
      {"conv2d_1", weights_and_output("kernel", moving)}},
     true},
};

Sequential build(const Case& c) {
  Sequential model = c.layers();
  model.build(c.input, {.seed = 4});
  if (!c.configs.empty()) apply_in_place(model, c.configs);
  return model;
}

Variable images(const Case& c, std::uint32_t step) {
  Tensor x(c.input.batched(5));
  const Random random(9, "images", step);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), -1.0f, 1.5f);
  }
  return Variable(std::move(x), true);
}

struct Pass {
  Tensor output, input_gradient;
};

Pass run(const std::function<Variable(const Variable&, const Context&)>& forward, const Case& c,
         std::uint32_t step) {
  const Variable x = images(c, step);
  const Variable y = forward(x, Context::for_training(0, step));
  Tensor upstream(y.shape());
  Random(8, "upstream", step).fill_uniform(upstream.values());
  for (float& value : upstream.values()) value -= 0.5f;
  Pass pass{y.value(), {}};
  y.backward(upstream);
  pass.input_gradient = x.grad();
  return pass;
}

/// Elements further apart than `tolerance` of the largest.
std::int64_t count_apart(const Tensor& a, const Tensor& b, float tolerance) {
  float largest = 0.0f;
  for (const float value : b.values()) largest = std::max(largest, std::abs(value));
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    count += !(std::abs(a.data()[i] - b.data()[i]) <= tolerance * largest);
  }
  return count;
}

/// To the bit without a norm; with one, but for codes beside a boundary.
void check_same(const Tensor& fused, const Tensor& composed, bool has_norm) {
  REQUIRE(fused.shape() == composed.shape());
  if (has_norm) {
    CHECK(count_apart(fused, composed, 1e-5f) <= fused.size() / 1000);
  } else {
    CHECK(count_apart(fused, composed, 0.0f) == 0);
  }
}

/// Where an output of few levels differs, it is by one of them: beside a rounding boundary.
void check_level_apart(const Tensor& fused, const Tensor& composed) {
  std::set<float> levels(composed.values().begin(), composed.values().end());
  if (static_cast<std::int64_t>(levels.size()) > composed.size() / 8) return;  // not quantized
  float step = std::numeric_limits<float>::infinity();
  for (auto at = levels.begin(); std::next(at) != levels.end(); ++at) {
    step = std::min(step, *std::next(at) - *at);
  }
  float worst = 0.0f;
  for (std::int64_t i = 0; i < fused.size(); ++i) {
    worst = std::max(worst, std::abs(fused.data()[i] - composed.data()[i]));
  }
  CHECK(worst <= 1.001f * step);
}

/// Weights and ranges to the bit: of all layers, or of those ahead of the first norm, which are of
/// the same sums.
void check_same_state(Layer& fused, Layer& composed, bool ahead_of_norm = false) {
  const std::vector<StateEntry> ours = state_of(fused), theirs = state_of(composed);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (ahead_of_norm && ours[i].layer.find("batch_normalization") != std::string::npos) return;
    if (ours[i].tensor() == nullptr) continue;
    CAPTURE(ours[i].name);
    CHECK(bit_difference(*ours[i].tensor(), *theirs[i].tensor()) == "");
  }
}

const Case graph_case{"graph", {}, {8, 8, 3}};

/// A residual block behind a convolution, and one that reads it.
Graph residual_graph(bool quantized) {
  Graph graph;
  const NodeId stem = graph.add(Conv2D(16, 3, {.padding = Padding::same}), {Model::input});
  const NodeId norm = graph.add(BatchNorm(), {stem});
  const NodeId relu = graph.add(ReLU(), {norm});
  const NodeId branch = graph.add(Conv2D(16, 3, {.padding = Padding::same}), {relu});
  const NodeId branch_norm = graph.add(BatchNorm(), {branch});
  const NodeId sum = graph.add(Add(), {branch_norm, relu});
  const NodeId after = graph.add(ReLU(), {sum});
  graph.add(Conv2D(4, 1), {after});
  graph.build({8, 8, 3}, {.seed = 2});
  if (quantized) {
    apply_in_place(graph, choose_configs(graph, [](const Layer& layer) {
                     return layer.kind() == "Conv2D"
                                ? std::optional(weights_and_output("kernel", moving))
                                : std::nullopt;
                   }));
  }
  return graph;
}

}  // namespace

TEST_CASE("fused blocks give what their layers give, forwards and back") {
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Sequential model = build(c), copy = clone(model);
    FusedModel fused = fuse(model);
    for (std::uint32_t step = 0; step < 3; ++step) {
      const Pass ours =
          run([&](const Variable& x, const Context& context) { return fused.forward(x, context); },
              c, step);
      const Pass theirs =
          run([&](const Variable& x, const Context& context) { return copy.forward(x, context); },
              c, step);
      check_same(ours.output, theirs.output, c.has_norm);
      check_level_apart(ours.output, theirs.output);
      check_same_state(model, copy, true);
      check_same(ours.input_gradient, theirs.input_gradient, c.has_norm);
    }
    std::vector<StateEntry> ours = state_of(model), theirs = state_of(copy);
    REQUIRE(ours.size() == theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      CAPTURE(ours[i].name);
      REQUIRE(ours[i].name == theirs[i].name);
      if (ours[i].tensor() != nullptr) {
        check_same(*ours[i].tensor(), *theirs[i].tensor(), c.has_norm);
      }
      if (ours[i].weight != nullptr) {
        check_same(ours[i].weight->grad(), theirs[i].weight->grad(), c.has_norm);
      }
    }
    const Variable x = images(c, 7);
    check_same(fused.forward(x, Context::for_inference()).value(),
               copy.forward(x, Context::for_inference()).value(), c.has_norm);
  }
}

TEST_CASE("fused blocks are the same bits with any number of threads") {
  const RestoreThreads restore;
  const auto check_threads = [](const Case& c, const auto& make) {
    CAPTURE(c.name);
    std::vector<Pass> passes;
    for (const int threads : {1, 2, 4}) {
      set_thread_count(threads);
      auto model = make();
      FusedModel fused = fuse(model);
      passes.push_back(
          run([&](const Variable& x, const Context& context) { return fused.forward(x, context); },
              c, 0));
    }
    for (const Pass& pass : passes) {
      CHECK(bit_difference(pass.output, passes[0].output) == "");
      CHECK(bit_difference(pass.input_gradient, passes[0].input_gradient) == "");
    }
  };
  for (const Case& c : cases) check_threads(c, [&] { return build(c); });
  for (const bool quantized : {true, false}) {
    check_threads(graph_case, [&] { return residual_graph(quantized); });
  }
}

TEST_CASE("a graph's Add, its activation and its quantizer run as one") {
  const bool quantized = GENERATE(true, false);
  CAPTURE(quantized);
  Graph graph = residual_graph(quantized);
  const std::unique_ptr<Model> copy = clone_model(graph);
  FusedModel fused = fuse(graph);
  const std::string prefix = quantized ? "quant_" : "";
  const std::vector<std::string> joined{"add", prefix + "re_lu_1"};
  const auto blocks = fused.blocks();
  CHECK(std::find(blocks.begin(), blocks.end(), joined) != blocks.end());

  const Case& c = graph_case;
  for (std::uint32_t step = 0; step < 3; ++step) {
    const Pass ours =
        run([&](const Variable& x, const Context& context) { return fused.forward(x, context); }, c,
            step);
    const Pass theirs =
        run([&](const Variable& x, const Context& context) { return copy->forward(x, context); }, c,
            step);
    check_same(ours.output, theirs.output, true);
    check_same(ours.input_gradient, theirs.input_gradient, true);
  }
}

TEST_CASE("what no block does is done layer by layer") {
  const auto blocks_of = [](Sequential model, const std::string& layer,
                            const QuantizeConfig& config) {
    model.build({8, 8, 4});
    apply_in_place(model, {{layer, config}},
                   {.input_quantizer = std::nullopt, .output_quantizers = false});
    return fuse(model).blocks();
  };
  const auto conv_relu = [] { return Sequential{Conv2D(4, 3), ReLU()}; };
  const QuantSpec wide{.bits = 9, .range = MovingAverage{}};
  const QuantSpec channels{.granularity = per_channel, .range = MovingAverage{}};
  const QuantSpec observing{.range = MovingAverage{}, .observe_only = true};
  for (const QuantSpec& spec : {wide, channels, observing}) {
    CHECK(blocks_of(conv_relu(), "conv2d", {.activation = spec}).size() == 2);
  }
  CHECK(blocks_of(conv_relu(), "conv2d", {.activation = moving}).size() == 1);
  CHECK(blocks_of(Sequential{Conv2D(4, 3, {.activation = "sigmoid"}), BatchNorm(), ReLU()},
                  "conv2d", {.activation = moving})
            .size() == 2);
  CHECK(blocks_of(Sequential{Conv2D(4, 3), LeakyReLU()}, "conv2d", {.activation = moving}).size() ==
        2);
}

TEST_CASE("values without a code are passed on, and nothing moves twice") {
  const Case& c = cases[1];
  for (const bool zero : {true, false}) {
    CAPTURE(zero);
    Sequential model = build(c), copy = clone(model);
    Tensor x = images(c, 0).value().clone();
    if (zero) {
      x.fill(0.0f);  // every range is empty
    } else {
      x.data()[7] = std::nanf("");
    }
    const Tensor ours = fuse(model).forward(Variable(x), Context::for_training(0, 0)).value();
    const Tensor theirs = copy.forward(Variable(x), Context::for_training(0, 0)).value();
    CHECK(bit_difference(ours, theirs) == "");
    check_same_state(model, copy);
  }
}

TEST_CASE("frozen layers stay as they are in blocks too") {
  const Case& c = cases[1];
  Sequential model = build(c);
  for (const Model::Node& node : model.nodes()) node.layer->set_trainable(false);
  std::vector<Tensor> before;
  for (const StateEntry& entry : state_of(model)) {
    if (entry.tensor() != nullptr) before.push_back(entry.tensor()->clone());
  }
  const Variable y = fuse(model).forward(images(c, 0), Context::for_training(0, 0));
  CHECK(y.requires_grad());  // for the input
  std::size_t i = 0;
  for (const StateEntry& entry : state_of(model)) {
    if (entry.tensor() != nullptr) CHECK(bit_difference(*entry.tensor(), before[i++]) == "");
  }
}

TEST_CASE("codes ahead of a norm are the same on every instruction set") {
  const Case& c = cases[1];
  const IntegerForward former = integer_forward_mode();
  set_integer_forward(IntegerForward::on);
  Tensor first;
  for (const kernels::Table& table : kernels::available()) {
    const kernels::ScopedArch arch(table.arch);
    Sequential model = build(c);
    fuse(model).forward(images(c, 0), Context::for_training(0, 0));
    Tensor range({2});
    for (const StateEntry& entry : state_of(model)) {
      if (entry.name.ends_with("post_activation_min")) range.data()[0] = entry.buffer->item();
      if (entry.name.ends_with("post_activation_max")) range.data()[1] = entry.buffer->item();
    }
    if (first.empty()) first = range;
    CAPTURE(table.arch);
    CHECK(bit_difference(range, first) == "");
  }
  set_integer_forward(former);
}

TEST_CASE("the blocks of temp_net") {
  Sequential model{Conv2D(32, 3, {.padding = Padding::same}), BatchNorm(), Activation("relu"),
                   Flatten(), Dense(10, {.activation = "softmax"})};
  model.build({32, 32, 3});
  CHECK(fuse(model).blocks() ==
        std::vector<std::vector<std::string>>{
            {"conv2d", "batch_normalization", "activation"}, {"flatten"}, {"dense"}});
  Sequential unbuilt{Dense(3)};
  CHECK_THROWS_WITH(fuse(unbuilt), Catch::Contains("build()"));
}
