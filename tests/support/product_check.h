// Runs a product op (convolution, dense) on every instruction set and with several thread counts,
// and compares it and its gradients with a double-precision reference.
#pragma once

#include <cmath>
#include <functional>
#include <string>

#include <catch2/catch.hpp>

#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/random.h>

#include "tests/support/reference_conv.h"

namespace perch::test {

inline Tensor random_tensor(const Shape& shape, std::string_view name) {
  Tensor t(shape);
  const Random random(7, name);
  std::uint64_t i = 0;
  for (float& value : t.values()) value = random.uniform(i++, -1.0f, 1.0f);
  return t;
}

inline Doubles doubles(const Tensor& t) {
  return {t.values().begin(), t.values().end()};
}

/// Largest difference, relative to the largest expected magnitude.
inline double distance(const Tensor& actual, const Doubles& expected) {
  REQUIRE(static_cast<std::size_t>(actual.size()) == expected.size());
  double scale = 1e-30, difference = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    scale = std::max(scale, std::abs(expected[i]));
    const double d = std::abs(double{actual.values()[i]} - expected[i]);
    difference = std::isnan(d) ? d : std::max(difference, d);
  }
  return difference / scale;
}

struct ProductInputs {
  Tensor x, kernel, bias;  ///< bias may be empty
};
using ProductOp =
    std::function<Variable(const Variable& x, const Variable& kernel, const Variable& bias)>;

struct ProductRun {
  Tensor y, dx, dkernel, dbias;
};

inline ProductRun run_product(const ProductInputs& in, const ProductOp& op) {
  const Variable x(in.x, true), kernel(in.kernel, true);
  const Variable bias = in.bias.empty() ? Variable() : Variable(in.bias, true);
  const Variable y = op(x, kernel, bias);
  y.backward(random_tensor(y.shape(), "dy"));
  return {y.value(), x.grad(), kernel.grad(), bias.defined() ? bias.grad() : Tensor()};
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::equal(a.values().begin(), a.values().end(), b.values().begin());
}

template <class Reference>
void check_product(const ProductInputs& in, const ProductOp& op, const Reference& reference) {
  constexpr double tolerance = 1e-5;
  const Doubles x = doubles(in.x), kernel = doubles(in.kernel);
  const Doubles y = reference.forward(x, kernel, doubles(in.bias));
  const int threads_before = thread_count();
  for (const kernels::Table& table : kernels::available()) {
    const kernels::ScopedArch arch(table.arch);
    INFO("instruction set " << table.arch);
    set_thread_count(1);
    const ProductRun run = run_product(in, op);
    const ConvGradients gradients =
        reference.gradients(x, kernel, doubles(random_tensor(run.y.shape(), "dy")));
    CHECK(distance(run.y, y) < tolerance);
    CHECK(distance(run.dx, gradients.x) < tolerance);
    CHECK(distance(run.dkernel, gradients.kernel) < tolerance);
    if (!in.bias.empty()) CHECK(distance(run.dbias, gradients.bias) < tolerance);
    for (const int threads : {2, 4}) {
      INFO(threads << " threads");
      set_thread_count(threads);
      const ProductRun again = run_product(in, op);
      CHECK(same_bits(run.y, again.y));
      CHECK(same_bits(run.dx, again.dx));
      CHECK(same_bits(run.dkernel, again.dkernel));
      CHECK(same_bits(run.dbias, again.dbias));
    }
  }
  set_thread_count(threads_before);
}

}  // namespace perch::test
