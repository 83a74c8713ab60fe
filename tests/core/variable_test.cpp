#include <catch2/catch.hpp>

#include <perch/core/ops/activation.h>
#include <perch/core/ops/elementwise.h>
#include <perch/core/variable.h>

#include "tests/support/bits.h"
#include "tests/support/errors.h"

using namespace perch;
using namespace perch::test;

namespace {

constexpr int long_chain = 10000;

Variable chain(const Variable& start, int length) {
  const Variable step(Tensor::scalar(1.0f));
  Variable x = start;
  for (int i = 0; i < length; ++i) x = add(x, step);
  return x;
}

}  // namespace

TEST_CASE("a chain of ten thousand ops goes forward, backward and away without deep recursion",
          "[slow]") {
  const Variable start(Tensor::scalar(0.5f), true);
  {
    const Variable end = chain(start, long_chain);
    CHECK(end.value().item() == long_chain + 0.5f);
    end.backward();
    CHECK(start.grad().item() == 1.0f);
  }
  { chain(start, 50 * long_chain); }  // dropped without backward
}

TEST_CASE("a value that is used twice gets the sum of both gradients") {
  const Variable x(Tensor({2}, {3.0f, -2.0f}), true);
  const Variable square = multiply(x, x);
  add(square, multiply(square, x)).backward(Tensor::full({2}, 1.0f));  // x^2 + x^3
  CHECK(bit_difference(x.grad(), Tensor({2}, {6.0f + 27.0f, -4.0f + 12.0f})) == "");
}

TEST_CASE("gradients of branches stay apart although ops work in place") {
  const Variable a(Tensor({2}, {1.0f, 2.0f}), true), b(Tensor({2}, {-1.0f, 5.0f}), true);
  const Tensor seed({2}, {1.0f, 10.0f});
  add(relu(a), relu(b)).backward(seed);
  CHECK(bit_difference(a.grad(), Tensor({2}, {1.0f, 10.0f})) == "");
  CHECK(bit_difference(b.grad(), Tensor({2}, {0.0f, 10.0f})) == "");
  CHECK(bit_difference(seed, Tensor({2}, {1.0f, 10.0f})) == "");
}

TEST_CASE("backward accumulates over calls until the gradient is cleared") {
  Variable x(Tensor::scalar(3.0f), true);
  for (int i = 0; i < 2; ++i) multiply(x, x).backward();
  CHECK(x.grad().item() == 12.0f);
  x.backward();
  CHECK(x.grad().item() == 13.0f);
  CHECK(x.take_grad().item() == 13.0f);
  CHECK(x.grad().empty());
}

TEST_CASE("gradients of broadcast inputs are summed to their shape") {
  const Variable x(Tensor::full({2, 3, 4}, 1.0f), true), row(Tensor::full({4}, 2.0f), true),
      column(Tensor::full({3, 1}, 3.0f), true), one(Tensor::scalar(4.0f), true);
  mean(multiply(add(multiply(x, row), column), one)).backward();
  CHECK(bit_difference(row.grad(), Tensor::full({4}, 1.0f)) == "");  // 6 x 4 / 24
  CHECK(bit_difference(column.grad(), Tensor({3, 1}, {4 / 3.0f, 4 / 3.0f, 4 / 3.0f})) == "");
  CHECK(one.grad().item() == 5.0f);
  CHECK(x.grad().shape() == Shape{2, 3, 4});
}

TEST_CASE("only what requires gradients is kept and gets them") {
  const Variable x(Tensor::scalar(2.0f), true), constant(Tensor::scalar(3.0f));
  const Variable outside = multiply(constant, constant);
  CHECK(outside.inputs().empty());
  CHECK_FALSE(multiply(x, constant).detach().requires_grad());
  multiply(x, outside).backward();
  CHECK(x.grad().item() == 9.0f);
  CHECK(constant.grad().empty());
  CHECK(softmax(Variable(Tensor::zeros({1, 2}))).inputs().size() == 1);
}

TEST_CASE("backward says what it cannot do") {
  const Variable x(Tensor::full({2}, 1.0f), true);
  const auto message = [](const Variable& v, Tensor seed = {}) {
    return error_of(ErrorCode::usage, [&] { v.backward(seed); });
  };
  CHECK_THAT(message(x), Catch::Contains("needs a seed"));
  CHECK_THAT(message(x, Tensor::zeros({3})), Catch::Contains("[3]"));
  CHECK_THAT(message(Variable(Tensor::scalar(1.0f))), Catch::Contains("requires a gradient"));
  const Variable shared = multiply(x, x);
  mean(shared).backward();
  CHECK_THAT(message(mean(shared)), Catch::Contains("freed the graph behind a multiply"));
}
