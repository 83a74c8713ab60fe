// Optimizers against their formulas in double precision; the same bits on every instruction set and
// with any number of threads.
#include <cmath>
#include <functional>

#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/random.h>
#include <perch/optim/optimizers.h>

namespace perch {
namespace {

Tensor noise(std::int64_t size, std::uint64_t seed) {
  const Random random(seed, "noise");
  Tensor result({size});
  std::uint64_t index = 0;
  for (float& value : result.values()) value = random.normal(index++);
  return result;
}

void give_gradient(const Parameter& parameter, const Tensor& gradient) {
  parameter.variable.backward(gradient.clone());
}

// Weights after some steps with gradients that are noise.
std::vector<float> trained(Optimizer& optimizer, std::int64_t size, int steps) {
  std::vector<Parameter> parameters{{"w", Variable(noise(size, 1), true)}};
  for (int step = 0; step < steps; ++step) {
    give_gradient(parameters[0], noise(size, 100 + static_cast<std::uint64_t>(step)));
    optimizer.step(parameters, optimizer.learning_rate());
  }
  const auto values = parameters[0].variable.value().values();
  return {values.begin(), values.end()};
}

// One element's state and the update of one step, in double precision.
struct Element {
  double w, a = 0, b = 0;
};
using Rule = std::function<void(Element&, double gradient, int step)>;

void check_against(Optimizer& optimizer, const Rule& rule) {
  constexpr std::int64_t size = 37;
  constexpr int steps = 4;
  const std::vector<float> actual = trained(optimizer, size, steps);
  const Tensor initial = noise(size, 1);
  std::vector<Element> elements;
  for (const float w : initial.values()) elements.push_back({w});
  for (int step = 0; step < steps; ++step) {
    const Tensor gradients = noise(size, 100 + static_cast<std::uint64_t>(step));
    for (std::size_t i = 0; i < elements.size(); ++i) {
      rule(elements[i], gradients.values()[i], step + 1);
    }
  }
  for (std::size_t i = 0; i < elements.size(); ++i) {
    CHECK(actual[i] == Approx(elements[i].w).epsilon(1e-5).margin(1e-6));
  }
}

}  // namespace

TEST_CASE("SGD follows its formula, plain, with momentum, Nesterov and weight decay") {
  Sgd plain({.learning_rate = 0.1f});
  check_against(plain, [](Element& e, double g, int) { e.w -= 0.1 * g; });
  Sgd momentum({.learning_rate = 0.1f, .momentum = 0.9f, .weight_decay = 0.01f});
  check_against(momentum, [](Element& e, double g, int) {
    e.a = 0.9 * e.a - 0.1 * (g + 0.01 * e.w);
    e.w += e.a;
  });
  Sgd nesterov({.learning_rate = 0.1f, .momentum = 0.9f, .nesterov = true});
  check_against(nesterov, [](Element& e, double g, int) {
    e.a = 0.9 * e.a - 0.1 * g;
    e.w += 0.9 * e.a - 0.1 * g;
  });
  CHECK(plain.slots().empty());
  CHECK(momentum.slots().at("momentum").at("w").size() == 37);
}

TEST_CASE("Adam and AdamW follow their formulas") {
  const auto adam = [](Element& e, double g, int step) {
    e.a = 0.9 * e.a + 0.1 * g;
    e.b = 0.999 * e.b + 0.001 * g * g;
    const double alpha = 0.01 * std::sqrt(1 - std::pow(0.999, step)) / (1 - std::pow(0.9, step));
    e.w -= alpha * e.a / (std::sqrt(e.b) + 1e-7);
  };
  Adam plain({.learning_rate = 0.01f});
  check_against(plain, adam);
  AdamW decaying({.learning_rate = 0.01f, .weight_decay = 0.1f});
  check_against(decaying, [&](Element& e, double g, int step) {
    e.w -= e.w * 0.1 * 0.01;
    adam(e, g, step);
  });
  CHECK(plain.name() == "adam");
  CHECK(decaying.name() == "adamw");
}

TEST_CASE("an optimizer's bits depend neither on instruction set nor on threads") {
  const auto run = [] {
    Adam adam({.weight_decay = 0.01f});
    Sgd sgd({.momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f});
    return std::pair(trained(adam, 50001, 3), trained(sgd, 50001, 3));
  };
  const int threads_before = thread_count();
  const auto expected = run();
  for (const kernels::Table& table : kernels::available()) {
    CAPTURE(table.arch);
    const kernels::ScopedArch forced(table.arch);
    CHECK(run() == expected);
  }
  for (const int threads : {1, 2, 4}) {
    CAPTURE(threads);
    set_thread_count(threads);
    CHECK(run() == expected);
  }
  set_thread_count(threads_before);
}

TEST_CASE("a step clears gradients and leaves parameters without one alone") {
  Adam adam;
  std::vector<Parameter> parameters{{"a", Variable(noise(5, 1), true)},
                                    {"b", Variable(noise(5, 2), true)}};
  give_gradient(parameters[0], noise(5, 3));
  adam.step(parameters, 0.1f);
  CHECK(parameters[0].variable.grad().empty());
  CHECK(parameters[0].variable.value().values()[0] != noise(5, 1).values()[0]);
  CHECK(parameters[1].variable.value().values()[0] == noise(5, 2).values()[0]);
  CHECK(adam.iterations() == 1);
}

TEST_CASE("an optimizer shows its state to a visitor") {
  struct Names final : Visitor {
    void counter(std::string_view name, std::int32_t& value) override {
      seen.push_back(std::string(name) + "=" + std::to_string(value));
    }
    void buffer(std::string_view name, Tensor&) override { seen.emplace_back(name); }
    std::vector<std::string> seen;
  } names;
  Adam adam;
  trained(adam, 3, 2);
  adam.visit(names);
  CHECK(names.seen == std::vector<std::string>{"iterations=2", "m/w", "v/w"});
}

TEST_CASE("optimizers refuse settings that make no sense") {
  CHECK_THROWS_AS(Adam({.learning_rate = -1.0f}), Error);
  CHECK_THROWS_AS(Adam({.beta_1 = 1.0}), Error);
  CHECK_THROWS_AS(Adam({.epsilon = 0.0f}), Error);
  CHECK_THROWS_AS(Sgd({.momentum = 1.0f}), Error);
  CHECK_THROWS_AS(Sgd({.learning_rate = NAN}), Error);
}

}  // namespace perch
