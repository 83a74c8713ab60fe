#include <cmath>

#include <catch2/catch.hpp>

#include <perch/core/kernels/table.h>
#include <perch/core/ops/batch_norm.h>
#include <perch/core/random.h>

#include "tests/support/bits.h"
#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;

namespace {

Tensor random_values(const Shape& shape, float offset, float deviation) {
  Tensor t(shape);
  const Random random(3, "values");
  for (std::int64_t i = 0; i < t.size(); ++i) {
    t.data()[i] = offset + deviation * random.normal(static_cast<std::uint64_t>(i));
  }
  return t;
}

struct Statistics {
  double mean = 0, variance = 0;  // biased
};

Statistics statistics(const Tensor& x, std::int64_t channel) {
  const std::int64_t channels = x.shape()[-1];
  const auto n = static_cast<double>(x.size() / channels);
  Statistics result;
  for (std::int64_t i = channel; i < x.size(); i += channels) result.mean += x.data()[i] / n;
  for (std::int64_t i = channel; i < x.size(); i += channels) {
    result.variance += std::pow(x.data()[i] - result.mean, 2) / n;
  }
  return result;
}

}  // namespace

TEST_CASE("batch_norm moves its statistics by Keras's rule") {
  const Tensor x = random_values({4, 3, 3, 6}, 0.5f, 2.0f);
  Tensor mean = Tensor::full({6}, 1.0f), variance = Tensor::full({6}, 3.0f);
  batch_norm(Variable(x), {}, {}, mean, variance, {.momentum = 0.9f, .training = true});
  for (std::int64_t c = 0; c < 6; ++c) {
    const Statistics batch = statistics(x, c);
    CHECK(mean.data()[c] == Approx(0.9 + 0.1 * batch.mean).epsilon(1e-6));
    CHECK(variance.data()[c] == Approx(2.7 + 0.1 * batch.variance * 36 / 35).epsilon(1e-6));
  }
}

TEST_CASE("batch_norm's variance survives a mean a thousand times the deviation") {
  // Several chunks, an incomplete row at the end, and a first pixel that is nothing like the rest.
  Tensor x = random_values({7, 33, 31, 5}, 1000.0f, 1.0f);
  std::fill_n(x.data(), 5, 0.0f);
  for (const kernels::Table& table : kernels::available()) {
    const kernels::ScopedArch arch(table.arch);
    Tensor mean = Tensor::zeros({5}), variance = Tensor::zeros({5});
    batch_norm(Variable(x), {}, {}, mean, variance, {.momentum = 0.0f, .training = true});
    for (std::int64_t c = 0; c < 5; ++c) {
      const Statistics batch = statistics(x, c);
      const double n = 7 * 33 * 31;
      CHECK(mean.data()[c] == Approx(batch.mean).epsilon(1e-6));
      CHECK(variance.data()[c] == Approx(batch.variance * n / (n - 1)).epsilon(1e-5));
    }
  }
}

TEST_CASE("batch_norm without gamma and beta is the one with ones and zeros") {
  const Tensor x = random_values({5, 3}, 0.0f, 1.0f);
  const auto run = [&](const Variable& gamma, const Variable& beta) {
    Tensor mean = Tensor::zeros({3}), variance = Tensor::full({3}, 1.0f);
    const Variable input(x, true);
    const Variable y = batch_norm(input, gamma, beta, mean, variance, {.training = true});
    y.backward(x.clone());
    return std::pair(y.value(), input.grad());
  };
  const auto plain = run({}, {});
  const auto given = run(Variable(Tensor::full({3}, 1.0f)), Variable(Tensor::zeros({3})));
  CHECK(bit_difference(plain.first, given.first) == "");
  CHECK(bit_difference(plain.second, given.second) == "");
}

TEST_CASE("batch_norm in inference leaves the moving statistics alone") {
  const Tensor x = random_values({5, 3}, 0.0f, 1.0f);
  Tensor mean = Tensor::full({3}, 0.25f), variance = Tensor::full({3}, 2.0f);
  const Variable y = batch_norm(Variable(x), {}, {}, mean, variance, {});
  CHECK(bit_difference(mean, Tensor::full({3}, 0.25f)) == "");
  CHECK(bit_difference(variance, Tensor::full({3}, 2.0f)) == "");
  CHECK(y.value().data()[4] == Approx((x.data()[4] - 0.25) / std::sqrt(2.001)).epsilon(1e-6));
}

TEST_CASE("batch_norm of a single row uses its own variance, zero, and does not divide by it") {
  Tensor mean = Tensor::zeros({2}), variance = Tensor::full({2}, 1.0f);
  const Variable y = batch_norm(Variable(Tensor({1, 2}, {3.0f, -4.0f})), {}, {}, mean, variance,
                                {.momentum = 0.5f, .training = true});
  CHECK(bit_difference(y.value(), Tensor::zeros({1, 2})) == "");
  CHECK(variance.data()[0] == 0.5f);
}

TEST_CASE("batch_norm names the shape that does not fit") {
  Tensor three = Tensor::zeros({3}), four = Tensor::zeros({4});
  const Variable x(Tensor::zeros({2, 3}));
  CHECK_THAT(
      error_of(ErrorCode::usage, [&] { batch_norm(x, Variable(four), {}, three, three, {}); }),
      Catch::Contains("gamma has shape [4]") && Catch::Contains("needs [3]"));
  CHECK_THAT(error_of(ErrorCode::usage, [&] { batch_norm(x, {}, {}, three, four, {}); }),
             Catch::Contains("moving variance"));
  CHECK_THAT(
      error_of(ErrorCode::usage, [&] { batch_norm(Variable(three), {}, {}, three, three, {}); }),
      Catch::Contains("[..., channels]"));
}
