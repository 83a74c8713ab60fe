// BatchNorm and Adam alone against TensorFlow (the groups bn_unit and adam_unit).
#include <algorithm>
#include <cmath>
#include <map>

#include <catch2/catch.hpp>
#include <tests/support/golden.h>

#include <perch/layers/batch_norm.h>
#include <perch/layers/model.h>
#include <perch/layers/state.h>
#include <perch/optim/optimizers.h>

namespace perch {
namespace {

using golden::Group;

// Largest difference relative to the largest expected value.
double relative_difference(const Tensor& actual, const Tensor& expected) {
  REQUIRE(actual.shape() == expected.shape());
  double largest = 0, scale = 0;
  for (std::size_t i = 0; i < actual.values().size(); ++i) {
    largest = std::max(largest, std::abs(double{actual.values()[i]} - expected.values()[i]));
    scale = std::max(scale, std::abs(double{expected.values()[i]}));
  }
  return largest / scale;
}

}  // namespace

TEST_CASE("golden: batch normalisation equals TensorFlow's, forward, backward and statistics") {
  const Group unit = Group::open(golden::folder() / "wrapper_step.h5").group("bn_unit");
  const Tensor x = unit.tensor("x");
  Sequential model{BatchNorm({.momentum = static_cast<float>(unit.number("momentum")),
                              .epsilon = static_cast<float>(unit.number("epsilon")),
                              .name = "bn"})};
  model.build(x.shape().unbatched());
  std::map<std::string, StateEntry> state;
  for (const StateEntry& entry : state_of(model)) {
    const std::string name = entry.name.substr(std::string("bn/").size());
    (entry.weight != nullptr ? entry.weight->mutable_value() : *entry.buffer)
        .copy_from(unit.tensor(name));
    state.emplace(name, entry);
  }

  const Variable input(x, true);
  const Variable y = model.forward(input, Context::for_training(0, 0));
  y.backward(unit.tensor("upstream"));
  constexpr double limit = 1e-6;
  CHECK(relative_difference(y.value(), unit.tensor("y_train")) <= limit);
  CHECK(relative_difference(input.grad(), unit.tensor("dx")) <= limit);
  CHECK(relative_difference(state["gamma"].weight->grad(), unit.tensor("dgamma")) <= limit);
  CHECK(relative_difference(state["beta"].weight->grad(), unit.tensor("dbeta")) <= limit);
  for (const char* const name : {"moving_mean", "moving_variance"}) {
    CAPTURE(name);
    CHECK(relative_difference(*state[name].buffer, unit.tensor(std::string(name) + "_after")) <=
          limit);
  }
  const Variable inferred = model.forward(Variable(x), Context::for_inference());
  CHECK(relative_difference(inferred.value(), unit.tensor("y_infer_after")) <= limit);
  golden::report(1);
}

TEST_CASE("golden: Adam has TensorFlow's bits") {
  const Group root = Group::open(golden::folder() / "wrapper_step.h5");
  const Group unit = root.group("adam_unit");
  Adam adam({.learning_rate = static_cast<float>(root.number("learning_rate")),
             .beta_1 = root.number("adam_beta_1"),
             .beta_2 = root.number("adam_beta_2"),
             .epsilon = static_cast<float>(root.number("adam_epsilon"))});
  const auto equal = [](const Tensor& a, const Tensor& b) {
    return std::equal(a.values().begin(), a.values().end(), b.values().begin(), b.values().end());
  };
  std::vector<Parameter> parameters{{"p", Variable(unit.tensor("param_initial").clone(), true)}};
  const std::int64_t steps = unit.shape("grads")[0];
  for (std::int64_t step = 0; step < steps; ++step) {
    CAPTURE(step);
    parameters[0].variable.backward(unit.tensor("grads", step));
    adam.step(parameters, adam.learning_rate());
    CHECK(equal(parameters[0].variable.value(), unit.tensor("param_after", step)));
  }
  CHECK(equal(adam.slots().at("m").at("p"), unit.tensor("m")));
  CHECK(equal(adam.slots().at("v").at("p"), unit.tensor("v")));
  golden::report(steps);
}

}  // namespace perch
