// Specifications and clones: what describe() reads off, make_layer() puts back together.
#include <algorithm>
#include <memory>

#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/layers/layers.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>

namespace perch {
namespace {

using Catch::Matchers::Contains;

Graph branching() {
  Graph model;
  const NodeId conv =
      model.add(Conv2D(4, {3, 1}, {.strides = 2, .padding = Padding::same, .activation = "relu6"}),
                {Model::input});
  const NodeId norm = model.add(BatchNorm({.momentum = 0.5f, .scale = false}), {conv});
  const NodeId soft = model.add(LeakyReLU({.alpha = 0.125f}), {norm});
  const NodeId sum = model.add(Add(), {soft, conv});
  const NodeId body = model.add(
      std::make_unique<Sequential>(ZeroPadding2D({.left = 2}), AveragePooling2D({1, 2}), Flatten(),
                                   Reshape({-1, 2}), Dropout(0.5f), Flatten(), Dense(3)),
      {sum});
  model.add(ReLU({.max_value = 1.5f}), {body});
  model.set_output(body);
  model.build({6, 6, 2}, {.seed = 3});
  model.layer("conv2d").set_trainable(false);
  return model;
}

void check_equal(const LayerSpec& a, const LayerSpec& b) {
  CAPTURE(a.kind, a.name);
  CHECK(a.kind == b.kind);
  CHECK(a.name == b.name);
  CHECK(a.trainable == b.trainable);
  CHECK(a.config == b.config);
  REQUIRE(a.children.size() == b.children.size());
  for (std::size_t i = 0; i < a.children.size(); ++i) {
    CHECK(a.children[i].role == b.children[i].role);
    check_equal(a.children[i].layer, b.children[i].layer);
  }
}

std::vector<float> output_of(Model& model) {
  Tensor x({2, 6, 6, 2});
  for (std::size_t i = 0; i < x.values().size(); ++i) {
    x.values()[i] = static_cast<float>(i % 7) - 3.0f;
  }
  const Tensor y = model.forward(Variable(x), {}).value();
  return {y.values().begin(), y.values().end()};
}

}  // namespace

TEST_CASE("every built-in kind goes through its specification unchanged") {
  for (const std::string& kind : layer_kinds()) {
    CAPTURE(kind);
    LayerSpec spec{.kind = kind, .name = "x"};
    if (kind == "Sequential" || kind == "Graph") {
      const LayerSpec child{.kind = "Flatten", .name = "flatten"};
      spec.children = {{"-1", child}};
      if (kind == "Graph") spec.config = {{"output", std::int64_t{0}}};
    }
    try {
      check_equal(spec, describe(*make_layer(spec)));
    } catch (const Error& error) {
      CHECK_THAT(error.what(), Contains("x: configuration key \"") && Contains("is missing"));
    }
  }
}

TEST_CASE("a clone computes the same, has the same state, and is independent") {
  Graph model = branching();
  Graph copy = clone(model);
  check_equal(describe(model), describe(copy));
  CHECK(copy.node_shapes() == model.node_shapes());
  CHECK(output_of(copy) == output_of(model));

  const auto before = output_of(model);
  for (const StateEntry& entry : state_of(copy)) {
    if (entry.weight != nullptr) entry.weight->mutable_value().fill(0.25f);
  }
  CHECK(output_of(copy) != before);
  CHECK(output_of(model) == before);

  copy_state(model, copy);
  CHECK(output_of(copy) == before);
}

TEST_CASE("a model that is not built has a clone too") {
  Sequential model{Conv2D(2, 3), Flatten()};
  Sequential copy = clone(model);
  CHECK_FALSE(copy.built());
  CHECK(copy.build({4, 4, 1}) == Shape{8});
}

TEST_CASE("configuration with wrong, missing or unknown entries is bad data") {
  Sequential model{Conv2D(2, 3)};
  model.build({4, 4, 1});
  const LayerSpec good = describe(model).children[0].layer;
  const auto with = [&](const std::string& key, ConfigValue value) {
    LayerSpec spec = good;
    for (auto& [name, held] : spec.config) {
      if (name == key) held = std::move(value);
    }
    return spec;
  };
  const auto message = [](const LayerSpec& spec) {
    try {
      make_layer(spec);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::bad_data);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(message(good) == "accepted");
  CHECK_THAT(message(with("filters", 1.5f)),
             Contains("conv2d: configuration key \"filters\" must be a whole number"));
  CHECK_THAT(message(with("padding", std::string("full"))), Contains("\"full\" is neither"));
  CHECK_THAT(message(with("strides", std::vector<std::int64_t>{1})), Contains("needs 2 numbers"));

  LayerSpec spec = good;
  spec.config.erase(spec.config.begin());
  CHECK_THAT(message(spec), Contains("\"filters\" is missing"));
  spec = good;
  spec.config.emplace_back("filtres", std::int64_t{3});
  CHECK_THAT(message(spec),
             Contains("unknown configuration key \"filtres\"") && Contains("nearest: filters"));
  spec = good;
  spec.kind = std::string("Conv3D");
  CHECK_THAT(message(spec),
             Contains("unknown kind of layer \"Conv3D\"") && Contains("nearest: Conv2D"));
  LayerSpec chain{.kind = "Sequential", .name = "s", .children = {{"zero", good}}};
  CHECK_THAT(message(chain), Contains("\"zero\" is not a list of input nodes"));
  chain.children[0].role = std::string("0");
  CHECK_THAT(message(chain), Contains("must follow node -1"));
}

TEST_CASE("whole numbers serve where a number is meant") {
  const auto layer =
      make_layer({.kind = "LeakyReLU", .name = "l", .config = {{"alpha", std::int64_t{1}}}});
  CHECK(std::get<float>(*describe(*layer).find("alpha")) == 1.0f);
}

TEST_CASE("copying state between unlike models changes nothing") {
  Sequential a{Dense(2, {.name = "d"})}, b{Dense(3, {.name = "d"})}, c{Dense(2, {.name = "e"})};
  for (Sequential* model : {&a, &b, &c}) model->build({2});
  const auto first = state_of(b)[0].tensor()->clone();
  CHECK_THROWS_WITH(copy_state(a, b), Contains("d/kernel has shape [2, 2]"));
  CHECK(std::equal(first.values().begin(), first.values().end(),
                   state_of(b)[0].tensor()->values().begin()));
  CHECK_THROWS_WITH(copy_state(a, c), Contains("no variable e/kernel"));
}

TEST_CASE("people's own kinds join the registry") {
  class Twice final : public UnaryLayer {
   public:
    std::string kind() const override { return "Twice"; }
    void visit(Visitor&) override {}

   protected:
    Shape build_one(const Shape& input, const WeightInit&) override { return input; }
    Variable apply_one(const Variable& x, const Weights&, const Context&) override { return x; }
  };
  register_layer("Twice", [](const LayerSpec&) { return std::make_unique<Twice>(); });
  CHECK(make_layer({.kind = "Twice", .name = "t"})->name() == "t");
}

}  // namespace perch
