#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

#include <perch/core/ops/loss.h>

#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;

TEST_CASE("cross-entropy stays finite and right for logits that overflow exp") {
  const Variable logits(Tensor({2, 3}, {1000.0f, 0.0f, -1000.0f, -1e30f, 0.0f, 1e30f}), true);
  const std::vector<std::int32_t> labels{1, 2};
  const Variable loss = sparse_softmax_cross_entropy(logits, labels);
  CHECK(loss.value().item() == Approx(500.0));
  loss.backward();
  CHECK(logits.grad().data()[0] == Approx(0.5));
  CHECK(logits.grad().data()[1] == Approx(-0.5));
  CHECK(logits.grad().data()[5] == 0.0f);
}

TEST_CASE("sparse labels are the one-hot distribution") {
  const Tensor values({2, 3}, {0.5f, -1.0f, 2.0f, 0.0f, 1.0f, 0.25f});
  const Tensor one_hot({2, 3}, {0, 0, 1, 1, 0, 0});
  const std::vector<std::int32_t> labels{2, 0};
  for (const float smoothing : {0.0f, 0.1f}) {
    const Variable a(values, true), b(values, true);
    const Variable sparse = sparse_softmax_cross_entropy(a, labels, smoothing);
    const Variable dense = softmax_cross_entropy(b, one_hot, smoothing);
    CHECK(sparse.value().item() == dense.value().item());
    sparse.backward();
    dense.backward();
    for (std::int64_t i = 0; i < 6; ++i) CHECK(a.grad().data()[i] == b.grad().data()[i]);
  }
}

TEST_CASE("a loss is NaN when a logit is, so that training can stop") {
  Tensor logits = Tensor::zeros({1, 3});
  logits.data()[2] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::int32_t> labels{0};
  CHECK(std::isnan(sparse_softmax_cross_entropy(Variable(logits), labels).value().item()));
}

TEST_CASE("losses name what does not fit") {
  const Variable logits(Tensor::zeros({2, 3}));
  const auto message = [&](std::vector<std::int32_t> labels, float smoothing) {
    return error_of(ErrorCode::usage,
                    [&] { sparse_softmax_cross_entropy(logits, labels, smoothing); });
  };
  CHECK_THAT(message({0, 3}, 0.0f), Catch::Contains("label 3 at index 1 is outside of [0, 3)"));
  CHECK_THAT(message({-1, 0}, 0.0f), Catch::Contains("label -1 at index 0"));
  CHECK_THAT(message({0}, 0.0f), Catch::Contains("1 labels for logits of shape [2, 3]"));
  CHECK_THAT(message({0, 0}, 1.5f), Catch::Contains("smoothing 1.5"));
  CHECK_THAT(error_of(ErrorCode::usage,
                      [&] {
                        mean_squared_error(logits, Tensor::zeros({3, 2}));
                      }),
             Catch::Contains("[3, 2]"));
}
