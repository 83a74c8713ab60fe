#include <catch2/catch.hpp>

#include <perch/core/ops/activation.h>
#include <perch/core/suggest.h>

#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;

TEST_CASE("the nearest word is the one with the fewest edits") {
  CHECK(nearest("al_values", {"last_value", "all_values", "none"}) == "all_values");
  CHECK(nearest("sgdd", {"adam", "sgd"}) == "sgd");
  CHECK(nearest("x", {}).empty());
  CHECK_THAT(choices("adma", {"adam", "sgd"}), Catch::Contains("adam, sgd (nearest: adam)"));
}

TEST_CASE("an unknown activation is answered with the nearest one") {
  const Variable x(Tensor::zeros({2}));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { activation("rleu6", x); }),
             Catch::Contains("rleu6") && Catch::Contains("nearest: relu6"));
  for (const std::string& name : activation_names()) CHECK_NOTHROW(activation(name, x));
}
