#include <catch2/catch.hpp>

#include <perch/core/error.h>
#include <perch/core/ops/dense.h>

#include "tests/support/product_check.h"

using namespace perch;
using namespace perch::test;
using Catch::Matchers::Contains;

TEST_CASE("dense products and their gradients agree with the naive reference") {
  struct Case {
    std::int64_t images, inputs, outputs;
    bool bias;
  };
  const auto [images, inputs, outputs, with_bias] = GENERATE(values<Case>({
      {1, 1, 1, true},
      {5, 7, 3, false},
      {64, 4096, 10, true},
      {7, 2049, 10, true},
      {3, 5001, 16, true},
      {9, 100, 13, false},
      {2, 33, 17, true},
      {65, 129, 300, true},
      {66, 40, 257, false},
      {1, 3, 1000, true},
  }));
  INFO(images << " x " << inputs << " x " << outputs);
  check_product(
      {random_tensor({images, inputs}, "x"), random_tensor({inputs, outputs}, "kernel"),
       with_bias ? random_tensor({outputs}, "bias") : Tensor()},
      [](const Variable& x, const Variable& kernel, const Variable& bias) {
        return dense(x, kernel, bias);
      },
      ReferenceDense{images, inputs, outputs});
}

TEST_CASE("dense names the shapes in its errors") {
  const auto zeros = [](const Shape& shape) { return Variable(Tensor::zeros(shape)); };
  CHECK_THROWS_WITH(dense(zeros({2, 5}), zeros({4, 3}), {}),
                    Contains("dense") && Contains("[2, 5]") && Contains("[4, 3]"));
  CHECK_THROWS_WITH(dense(zeros({2, 5, 1}), zeros({5, 3}), {}), Contains("[N, K]"));
  CHECK_THROWS_WITH(dense(zeros({2, 5}), zeros({5, 3}), zeros({4})), Contains("bias of shape [4]"));
}
