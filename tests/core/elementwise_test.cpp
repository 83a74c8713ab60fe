#include <algorithm>
#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/activation.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/ops/pool.h>

#include "tests/support/bits.h"
#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("NaN goes through every activation and through max pooling") {
  for (const kernels::Table& table : kernels::available()) {
    const kernels::ScopedArch arch(table.arch);
    for (const std::string& name : activation_names()) {
      INFO(name << " on " << table.arch);
      for (std::int64_t at = 0; at < 19; ++at) {
        Tensor x = Tensor::zeros({19});
        x.data()[at] = not_a_number;
        CHECK(std::isnan(activation(name, Variable(x)).value().data()[at]));
      }
    }
    for (std::int64_t at = 0; at < 4; ++at) {
      Tensor x = Tensor::zeros({1, 2, 2, 1});
      x.data()[at] = not_a_number;
      CHECK(std::isnan(max_pool2d(Variable(x), {}).value().item()));
    }
  }
}

TEST_CASE("activations saturate at infinity") {
  const Variable x(Tensor({4}, {-infinity, -200.0f, 200.0f, infinity}));
  CHECK(bit_difference(sigmoid(x).value(), Tensor({4}, {0, 0, 1, 1})) == "");
  CHECK(bit_difference(tanh(x).value(), Tensor({4}, {-1, -1, 1, 1})) == "");
  CHECK(bit_difference(relu6(x).value(), Tensor({4}, {0, 0, 6, 6})) == "");
}

TEST_CASE("max pooling sends the gradient to the first of equal values") {
  const Variable x(Tensor::full({1, 2, 2, 3}, -1.0f), true);
  max_pool2d(x, {}).backward(Tensor::full({1, 1, 1, 3}, 2.0f));
  Tensor expected = Tensor::zeros({1, 2, 2, 3});
  std::fill_n(expected.data(), 3, 2.0f);
  CHECK(bit_difference(x.grad(), expected) == "");
}

TEST_CASE("padding never wins in max pooling and does not count in average pooling") {
  const Variable x(Tensor::full({1, 3, 3, 1}, -5.0f));
  const Pool2DOptions options{.size = 3, .stride = 1, .padding = Padding::same};
  CHECK(bit_difference(max_pool2d(x, options).value(), x.value()) == "");
  CHECK(average_pool2d(x, options).value().data()[0] == Approx(-5.0f));
}

TEST_CASE("dropout with rate zero is the identity, and another step drops others") {
  const Variable x(Tensor::full({1000}, 1.0f));
  CHECK(dropout(x, 0.0f, Random(1, "dropout")).same_as(x));
  const Tensor first = dropout(x, 0.5f, Random(1, "dropout", 0)).value();
  CHECK(bit_difference(dropout(x, 0.5f, Random(1, "dropout", 0)).value(), first) == "");
  CHECK(bit_difference(dropout(x, 0.5f, Random(1, "dropout", 1)).value(), first) != "");
  CHECK(std::count(first.values().begin(), first.values().end(), 2.0f) == Approx(500).margin(60));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { dropout(x, 1.0f, Random(1, "dropout")); }),
             Catch::Contains("rate 1"));
}

TEST_CASE("reshape and flatten share the elements") {
  const Variable x(Tensor::zeros({2, 3, 4}));
  CHECK(flatten(x).value().shares_storage_with(x.value()));
  CHECK(reshape(x, {4, -1}).shape() == Shape{4, 6});
  CHECK_THAT(error_of(ErrorCode::usage, [&] { reshape(x, {5, -1}); }), Catch::Contains("[5, -1]"));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { reshape(x, {-1, -1}); }), Catch::Contains("-1"));
}

TEST_CASE("elementwise ops name shapes that do not fit") {
  const Variable a(Tensor::zeros({2, 3})), b(Tensor::zeros({2, 4}));
  const auto message = [](auto f) { return error_of(ErrorCode::usage, f); };
  CHECK_THAT(message([&] { add(a, b); }), Catch::Contains("[2, 3] and [2, 4]"));
  CHECK_THAT(message([&] { concat({a, b}, 0); }), Catch::Contains("[2, 3] and [2, 4]"));
  CHECK_THAT(message([&] { concat({}, 0); }), Catch::Contains("nothing"));
  CHECK_THAT(message([&] { zero_pad2d(a, {}); }), Catch::Contains("[N, H, W, C]"));
  CHECK_THAT(message([&] { global_average_pool2d(a); }), Catch::Contains("[N, H, W, C]"));
}
