// Models: names, order, branches, hooks, freezing and memory.
#include <algorithm>
#include <map>

#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/layers/layers.h>
#include <perch/layers/state.h>

namespace perch {
namespace {

using Catch::Matchers::Contains;

std::vector<std::string> layer_names(const Model& model) {
  std::vector<std::string> names;
  for (const Model::Node& node : model.nodes()) names.push_back(node.layer->name());
  return names;
}

const Tensor& buffer_of(Model& model, const std::string& name) {
  for (const StateEntry& entry : state_of(model)) {
    if (entry.name == name) return *entry.tensor();
  }
  FAIL("no variable " << name);
  throw;
}

std::vector<float> values_of(const Tensor& tensor) {
  return {tensor.values().begin(), tensor.values().end()};
}

}  // namespace

TEST_CASE("nameless layers get Keras's names, numbered for each model") {
  Sequential model{Conv2D(2, 1), BatchNorm(),      ReLU(),         Conv2D(2, 1),      BatchNorm(),
                   LeakyReLU(),  ZeroPadding2D(1), MaxPooling2D(), DepthwiseConv2D(1)};
  model.add(Conv2D(2, 1, {.name = "conv2d_2"})).add(Conv2D(2, 1));
  model.add(GlobalAveragePooling2D()).add(Dense(2)).add(Softmax());
  model.build({8, 8, 1});
  CHECK(layer_names(model) ==
        std::vector<std::string>{"conv2d", "batch_normalization", "re_lu", "conv2d_1",
                                 "batch_normalization_1", "leaky_re_lu", "zero_padding2d",
                                 "max_pooling2d", "depthwise_conv2d", "conv2d_2", "conv2d_3",
                                 "global_average_pooling2d", "dense", "softmax"});
  CHECK(&model.layer("re_lu") == model.nodes()[2].layer.get());
  CHECK_THROWS_WITH(model.layer("rellu"), Contains("nearest: re_lu"));
}

TEST_CASE("two layers of one name are an error") {
  Sequential model{Dense(2, {.name = "d"}), Dense(2, {.name = "d"})};
  CHECK_THROWS_WITH(model.build({3}), Contains("two layers are called \"d\""));
}

TEST_CASE("a graph branches, adds and concatenates") {
  Graph model;
  const NodeId stem = model.add(Dense(3, {.name = "stem"}), {Model::input});
  const NodeId branch = model.add(Activation("relu"), {stem});
  const NodeId sum = model.add(Add(), {stem, branch, stem});
  const NodeId product = model.add(Multiply(), {sum, branch});
  model.add(Concatenate(), {product, stem, Model::input});
  CHECK(model.build({2}) == Shape{8});
  CHECK(model.node_shapes()[static_cast<std::size_t>(sum)] == Shape{3});

  const Tensor x({1, 2}, {1.0f, -2.0f});
  std::map<std::string, std::vector<float>> seen;
  Context context;
  context.on_output = [&](const Layer& layer, const Variable& y) {
    seen[layer.name()] = values_of(y.value());
  };
  const std::vector<float> y = values_of(model.forward(Variable(x), context).value());
  CHECK(seen.size() == 5);
  const std::vector<float> s = seen["stem"];
  for (std::size_t i = 0; i < 3; ++i) {
    const float r = std::max(s[i], 0.0f);
    CHECK(seen["add"][i] == s[i] + r + s[i]);
    CHECK(y[i] == (s[i] + r + s[i]) * r);
    CHECK(y[3 + i] == s[i]);
  }
  CHECK(y[6] == 1.0f);
  CHECK(y[7] == -2.0f);
}

TEST_CASE("gradients of all branches reach a shared layer") {
  Graph model;
  const NodeId stem = model.add(Dense(1, {.use_bias = false}), {Model::input});
  model.add(Add(), {stem, stem});
  model.build({1});
  const Variable y = model.forward(Variable(Tensor({1, 1}, {3.0f})), Context::for_training(0, 0));
  y.backward();
  CHECK(state_of(model)[0].weight->grad().item() == 6.0f);
}

TEST_CASE("a graph refuses inputs that are not there and shapes that do not fit") {
  Graph model;
  CHECK_THROWS_WITH(model.add(ReLU(), {0}), Contains("cannot be fed by node 0"));
  CHECK_THROWS_WITH(model.add(ReLU(), {}), Contains("at least one input"));
  CHECK_THROWS_WITH(model.build({2}), Contains("no layers"));
  const NodeId a = model.add(Dense(2), {Model::input});
  const NodeId b = model.add(Dense(3), {Model::input});
  model.add(Add(), {a, b});
  CHECK_THROWS_WITH(model.build({2}), Contains("add: "));
}

TEST_CASE("a model that is not built, or gets another shape, says so") {
  Sequential model{Dense(2)};
  const Variable x(Tensor::zeros({1, 3}));
  CHECK_THROWS_WITH(model.forward(x, {}), Contains("not built"));
  CHECK_THROWS_WITH(model.output_shape(), Contains("build()"));
  CHECK_THROWS_WITH(state_of(model), Contains("build the model first"));
  model.build({4});
  CHECK_THROWS_WITH(model.forward(x, {}), Contains("batches of [4], got [1, 3]"));
}

TEST_CASE("a model is a layer: nested, its layers keep unique names and its errors tell the path") {
  Sequential inner{Dense(4), BatchNorm()};
  Sequential model{Dense(4)};
  model.add(std::move(inner)).add(Dense(2));
  model.build({3});
  CHECK(layer_names(model) == std::vector<std::string>{"dense", "sequential", "dense_2"});
  const auto state = state_of(model);
  CHECK(state[2].name == "dense_1/kernel");
  CHECK(state[2].layer == "sequential");
  CHECK(model.forward(Variable(Tensor::zeros({5, 3})), {}).shape() == Shape{5, 2});

  Sequential broken;
  broken.add(Sequential{Conv2D(1, 3)});
  CHECK_THROWS_WITH(broken.build({3}), Contains("sequential: conv2d: "));
}

TEST_CASE("a frozen layer, or one in a frozen model, neither gets gradients nor moves statistics") {
  const Tensor x({4, 2}, {1, 2, 3, 4, 5, 6, 7, 9});
  const bool freeze_model = GENERATE(false, true);
  Sequential inner{Dense(2), BatchNorm()};
  inner.set_trainable(!freeze_model);
  Sequential model;
  model.add(std::move(inner)).add(Dense(1));
  model.build({2});
  if (!freeze_model) {
    auto& body = dynamic_cast<Model&>(model.layer("sequential"));
    for (const Model::Node& node : body.nodes()) node.layer->set_trainable(false);
  }
  const auto before = values_of(buffer_of(model, "batch_normalization/moving_mean"));
  model.forward(Variable(x), Context::for_training(0, 0)).backward(Tensor::full({4, 1}, 1.0f));
  CHECK(values_of(buffer_of(model, "batch_normalization/moving_mean")) == before);
  for (const StateEntry& entry : state_of(model)) {
    CAPTURE(entry.name);
    if (entry.weight == nullptr) continue;
    const bool head = entry.name.starts_with("dense_1/");
    CHECK(entry.trainable == head);
    CHECK(entry.weight->grad().empty() != head);
  }
}

TEST_CASE("inference computes no gradients and keeps intermediate results no longer than needed") {
  Sequential model{Dense(4), Activation("relu"), Activation("tanh"), Dense(2)};
  model.build({3});
  std::vector<Tensor> outputs;
  std::vector<bool> held;
  Context context;
  context.on_output = [&](const Layer&, const Variable& y) {
    CHECK_FALSE(y.requires_grad());
    // Two handles: this list's and the model's own, unless it has let go.
    if (outputs.size() >= 2) held.push_back(!outputs[outputs.size() - 2].unique());
    outputs.push_back(y.value());
  };
  model.forward(Variable(Tensor::full({1, 3}, 0.5f)), context);
  CHECK(held == std::vector<bool>{false, false});
}

}  // namespace perch
